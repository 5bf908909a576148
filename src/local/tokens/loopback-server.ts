/**
 * The HTTP door of the small stand-ins: loopback only, and only for requests that name a loopback host, so that no page in a
 * browser reaches them under a name of its own (DNS rebinding).
 */
import http from "node:http";
import https from "node:https";
import type { SimRequest, SimResponse } from "../simulator/http.ts";
import type { ServerCertificate } from "../tls.ts";

export interface LoopbackServer {
  /** Origin by name, e.g. `https://localhost:8443`. */
  url: string;
  port: number;
  close(): Promise<void>;
}

export interface LoopbackOptions {
  port?: number | undefined;
  tls?: ServerCertificate | undefined;
  /** `null` resets the connection instead of answering. */
  answer(request: SimRequest): Promise<SimResponse | null> | SimResponse | null;
}

const maxBodyBytes = 1_000_000;

export const startLoopbackServer = async (options: LoopbackOptions): Promise<LoopbackServer> => {
  const scheme = options.tls ? "https" : "http";
  let port = 0;
  const listener = (incoming: http.IncomingMessage, outgoing: http.ServerResponse): void => {
    respond(incoming, outgoing).catch((error: unknown) => {
      console.error(error);
      if (!outgoing.headersSent) outgoing.writeHead(500);
      outgoing.end();
    });
  };
  const respond = async (incoming: http.IncomingMessage, outgoing: http.ServerResponse): Promise<void> => {
    const host = (incoming.headers.host ?? "").toLowerCase();
    if (![`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`].includes(host))
      return send(outgoing, { status: 421, body: { error: "This address answers to loopback names only." } });
    const body = await readBody(incoming);
    if (body === null)
      return send(outgoing, {
        status: 413,
        headers: { connection: "close" },
        body: { error: "The body is too large." },
      });
    const url = URL.parse(incoming.url ?? "/", `${scheme}://${host}`);
    if (!url || url.host !== host) return send(outgoing, { status: 400, body: { error: "The address is malformed." } });
    const response = await options.answer({
      method: incoming.method ?? "GET",
      url,
      headers: headersOf(incoming),
      body,
    });
    if (response === null) incoming.socket.destroy();
    else send(outgoing, response);
  };
  const server = options.tls ? https.createServer(options.tls, listener) : http.createServer(listener);
  port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : 0);
    });
  });
  return {
    url: `${scheme}://localhost:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};

const readBody = async (incoming: http.IncomingMessage): Promise<string | null> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > maxBodyBytes) return null;
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString();
};

const headersOf = (incoming: http.IncomingMessage): Record<string, string> =>
  Object.fromEntries(
    Object.entries(incoming.headersDistinct).map(([name, values]) => [name, (values ?? []).join(", ")]),
  );

const send = (outgoing: http.ServerResponse, { status, headers = {}, body = "" }: SimResponse): void => {
  const json = typeof body === "object";
  outgoing.writeHead(status, { ...(json ? { "content-type": "application/json; charset=utf-8" } : {}), ...headers });
  outgoing.end(json ? JSON.stringify(body) : body);
};
