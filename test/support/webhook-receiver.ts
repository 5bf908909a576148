/** A product's back end that is told of changes: over TLS on this machine, with answers in the test's hands. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { TLSSocket } from "node:tls";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";

export interface Received {
  path: string;
  headers: Record<string, string>;
  body: string;
  /** The name that was asked for in the TLS handshake. */
  serverName: string | false | null;
}

export interface Receiver {
  url: string;
  /** Of the authority that its certificate is from. */
  caPem: string;
  received: Received[];
  /** What it answers: a status, with a header, or only when a promise ends. */
  answer: (request: Received) => number | { status: number; location: string } | Promise<number>;
  close(): Promise<void>;
}

export const newSecret = (bytes = 32): string => `whsec_${randomBytes(bytes).toString("base64")}`;

export const startReceiver = async ({ isTrusted = true } = {}): Promise<Receiver> => {
  const authority = await createCertificateAuthority();
  if (isTrusted) trustInThisProcess(authority.caPem);
  const server: Server = createServer(await authority.issueServerCertificate(), (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      const { socket } = request;
      const serverName =
        socket instanceof TLSSocket ? (socket as TLSSocket & { servername?: string }).servername : null;
      const seen: Received = {
        path: request.url ?? "",
        headers,
        body: Buffer.concat(chunks).toString("utf8"),
        serverName: serverName ?? null,
      };
      receiver.received.push(seen);
      void respond(response, seen);
    });
  });
  const respond = async (response: ServerResponse, seen: Received): Promise<void> => {
    const answer = await receiver.answer(seen);
    if (typeof answer === "number") response.writeHead(answer).end("not to be read");
    else response.writeHead(answer.status, { location: answer.location }).end();
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const receiver: Receiver = {
    url: `https://localhost:${port}/hooks`,
    caPem: authority.caPem,
    received: [],
    answer: () => 204,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return receiver;
};

/** As a receiver checks it who knows one secret, by the text of the Standard Webhooks specification. */
export const isSignedWith = (secret: string, { headers, body }: Pick<Received, "headers" | "body">): boolean => {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures = "" } = headers;
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest();
  return signatures.split(" ").some((text) => {
    const [version, encoded = ""] = text.split(",");
    const given = Buffer.from(encoded, "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
};
