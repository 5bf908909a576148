/** Puts a service of plain HTTP values on a loopback socket. */
import {
  createServer as createPlainServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { SimRequest, SimResponse } from "./http.ts";

export interface Listener {
  port: number;
  close(): Promise<void>;
}

export interface ListenOptions {
  /** Absent: plain HTTP. */
  tls?: { key: string; cert: string };
  /** Absent or 0: any free port. */
  port?: number;
  handle: (request: SimRequest) => Promise<SimResponse>;
}

const largestBody = 4 * 1024 * 1024;
const loopback = "127.0.0.1";

export const listen = async ({ tls, port = 0, handle }: ListenOptions): Promise<Listener> => {
  const scheme = tls ? "https" : "http";
  /** By the peer's port: a TLS socket cannot reset the connection below it. */
  const connections = new Map<number | undefined, Socket>();
  const answer: RequestListener = (incoming, outgoing) => {
    const reset = () => connections.get(incoming.socket.remotePort)?.resetAndDestroy();
    serve(scheme, incoming, outgoing, { handle, reset }).catch((error: unknown) => {
      console.error(error);
      if (!outgoing.headersSent) outgoing.writeHead(500);
      outgoing.end();
    });
  };
  const server = tls ? createTlsServer(tls, answer) : createPlainServer(answer);
  server.on("connection", (socket: Socket) => {
    const { remotePort } = socket;
    connections.set(remotePort, socket);
    socket.once("close", () => {
      if (connections.get(remotePort) === socket) connections.delete(remotePort);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, loopback, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : port,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
};

const serve = async (
  scheme: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { handle, reset }: { handle: ListenOptions["handle"]; reset: () => void },
): Promise<void> => {
  const host = incoming.headers.host ?? "";
  // a page in a browser that rebinds its name to this machine arrives under that name
  if (!/^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(host)) {
    outgoing.writeHead(421).end();
    return;
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming) {
    length += chunk.length;
    if (length > largestBody) {
      outgoing.writeHead(413, { connection: "close" }).end();
      return;
    }
    chunks.push(chunk);
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  const url = new URL(`${scheme}://${host}${incoming.url ?? "/"}`);
  const response = await handle({
    method: incoming.method ?? "GET",
    url,
    headers,
    body: Buffer.concat(chunks).toString("utf8"),
  });
  await send(response, outgoing, reset);
};

const send = async (response: SimResponse, outgoing: ServerResponse, reset: () => void): Promise<void> => {
  if (response.delayMilliseconds) await delay(response.delayMilliseconds);
  if (response.wire === "reset") return reset();
  const { body: content = "" } = response;
  const asJson = typeof content === "object";
  const body = Buffer.from(typeof content === "object" ? JSON.stringify(content) : content);
  const named = Object.keys(response.headers ?? {}).some((name) => name.toLowerCase() === "content-type");
  outgoing.writeHead(response.status, {
    ...(asJson && !named ? { "content-type": "application/json" } : {}),
    ...response.headers,
    // the length of the whole: a body that ends early is seen as an error; without it half an answer would look complete
    ...(response.wire === "truncated" ? {} : { "content-length": body.length }),
  });
  outgoing.end(response.wire === "truncated" ? body.subarray(0, Math.floor(body.length / 2)) : body);
};
