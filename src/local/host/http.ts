/** HTTP triggers: route, read the body, call the function, answer. */
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Server } from "node:net";
import type { HttpData, Nullable } from "./contract.ts";
import { queryOf, type Received, receive } from "./front-end.ts";
import { writeAnswer, writeEmpty } from "./http-answer.ts";
import type { Invoke } from "./invocation.ts";
import { type Log, messageOf } from "./log.ts";
import { compileRoute, type RouteValues } from "./routes.ts";
import type { HostSettings } from "./settings.ts";
import { throttle } from "./throttle.ts";
import type { Triggered } from "./triggers.ts";

export interface HttpOptions {
  /** 0: any free port. */
  port: number;
  /** PEM texts; https on a second port. */
  tls?: { key: string; cert: string; port: number };
  /** When the front end gives up waiting for an answer; 230 in Azure. */
  answerWithinSeconds?: number;
}

export interface HttpNeeds {
  functions: readonly Triggered<"http">[];
  settings: HostSettings["http"];
  /** `FUNCTIONS_REQUEST_BODY_SIZE_LIMIT`. */
  maxBodyBytes: number;
  showHomePage: boolean;
  invoke: Invoke;
  /** `POST /admin/functions/<name>`: calls a function that is not called by HTTP; undefined when there is none of that name. */
  invokeByHand: (name: string, input: string) => Promise<void> | undefined;
  log: Log;
}

export interface HttpListener {
  url: string;
  tlsUrl: string | undefined;
  /** Takes no new connections; resolves when the open requests are answered. */
  close(): Promise<void>;
  /** Cuts what is still open. */
  cut(): void;
}

/** Request line and headers together; the longest allowed URL must fit, so that it is refused by name and not by a parser. */
const maxHeaderSize = 64 * 1024;

export const listen = async (options: HttpOptions, needs: HttpNeeds): Promise<HttpListener> => {
  const ports: number[] = [];
  const servers: HttpServer[] = [];
  let closing = false;
  const answer = answering(options, needs);
  const handler = (protocol: "http" | "https") => (request: IncomingMessage, response: ServerResponse) => {
    response.once("close", () => {
      // A connection that is kept alive would hold up the end.
      if (closing) for (const server of servers) server.closeIdleConnections();
    });
    const received = receive(request, protocol, ports);
    if (typeof received === "number") return refuse(request, response, received);
    answer(received, request, response).catch((error: unknown) => {
      needs.log({ level: "error", message: `${received.method} ${received.path}: ${messageOf(error)}` });
      writeEmpty(response, 500);
    });
  };

  const plain = createServer({ maxHeaderSize }, handler("http"));
  servers.push(plain);
  ports.push(await listenOnLoopback(plain, options.port));
  if (options.tls) {
    const { key, cert, port } = options.tls;
    const secure = createTlsServer({ maxHeaderSize, key, cert }, handler("https"));
    servers.push(secure);
    ports.push(await listenOnLoopback(secure, port));
  }
  const [port, tlsPort] = ports;
  return {
    url: `http://localhost:${port}`,
    tlsUrl: tlsPort === undefined ? undefined : `https://localhost:${tlsPort}`,
    close: async () => {
      closing = true;
      await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
    },
    cut: () => {
      for (const server of servers) server.closeAllConnections();
    },
  };
};

const answering = (options: HttpOptions, needs: HttpNeeds) => {
  const { functions, settings, invoke, log } = needs;
  const answerWithinMs = (options.answerWithinSeconds ?? 230) * 1000;
  const admit = throttle(settings.maxOutstandingRequests, settings.maxConcurrentRequests);
  const routes = functions.map((target) => {
    const template = [settings.routePrefix, target.trigger.route].filter((part) => part !== "").join("/");
    if (/^admin(\/|$)/i.test(template))
      throw new Error(`${target.metadata.name}: the routes under admin/ are the host's.`);
    return { target, match: compileRoute(template) };
  });

  return async (received: Received, request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (/^\/admin(\/|$)/i.test(received.path)) return answerAdmin(received, request, response, needs);
    for (const { target, match } of routes) {
      const { methods } = target.trigger;
      const values = methods.length === 0 || methods.includes(received.method) ? match(received.path) : undefined;
      if (!values) continue;
      const body = await readBody(request, needs.maxBodyBytes);
      if (!body) return refuse(request, response, 413);
      const given = admit(() => invoke(target, toInput(target, received, values, body)));
      if (!given) return refuse(request, response, 429);
      const tooLate = setTimeout(() => {
        log({ level: "warning", functionName: target.metadata.name, message: `no answer within ${answerWithinMs} ms` });
        writeEmpty(response, 504);
      }, answerWithinMs);
      try {
        const { returnValue } = await given;
        if (!response.headersSent && !response.destroyed) writeAnswer(response, returnValue);
      } catch {
        writeEmpty(response, 500); // The failure is in the log; none of it is for the caller.
      } finally {
        clearTimeout(tooLate);
      }
      return;
    }
    if (received.path === "/") return answerHomePage(response, needs.showHomePage);
    return refuse(request, response, 404);
  };
};

const toInput = (target: Triggered<"http">, received: Received, values: RouteValues, body: Buffer) => {
  const http: HttpData = {
    method: received.method,
    url: received.url.href,
    nullableHeaders: nullable(received.headers),
    nullableQuery: nullable(queryOf(received.url)),
    nullableParams: nullable(values),
    ...(body.byteLength > 0 ? { body: { bytes: body } } : {}),
  };
  const { traceparent } = received.headers;
  return { data: { http }, ...(traceparent === undefined ? {} : { traceParent: traceparent }) };
};

const nullable = (values: Record<string, string>): Record<string, Nullable<string>> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]));

/**
 * Undefined: longer than allowed. Without streaming the host copies a body only when its length was announced: a chunked request
 * reaches the function empty.
 */
const readBody = async (request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> => {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > maxBytes) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of request) if (announced > 0) chunks.push(chunk);
  return Buffer.concat(chunks);
};

/** What the caller still sends is thrown away, so that it gets to read the answer. */
const refuse = (request: IncomingMessage, response: ServerResponse, status: number): void => {
  const hasBody = "content-length" in request.headers || "transfer-encoding" in request.headers;
  if (hasBody) response.setHeader("connection", "close");
  request.resume();
  writeEmpty(response, status);
};

const answerHomePage = (response: ServerResponse, shown: boolean): void => {
  if (!shown) return writeEmpty(response, 204);
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end("<!doctype html><title>m365-sync</title><p>The function host is running.</p>\n");
};

/**
 * Unlike the real host, which answers 202 at once, this one answers when the call has ended, and 500 when it failed. It asks for no
 * key; instead it refuses browsers, in which any page could call it.
 */
const answerAdmin = async (
  received: Received,
  request: IncomingMessage,
  response: ServerResponse,
  needs: HttpNeeds,
): Promise<void> => {
  if ("origin" in received.headers || "sec-fetch-site" in received.headers) return refuse(request, response, 403);
  const name = /^\/admin\/functions\/([^/]+)\/?$/i.exec(received.path)?.[1];
  if (name === undefined || received.method !== "POST") return refuse(request, response, 404);
  const body = await readBody(request, needs.maxBodyBytes);
  if (!body) return refuse(request, response, 413);
  const call = needs.invokeByHand(name, inputOf(body));
  if (!call) return writeEmpty(response, 404);
  await call.then(
    () => writeEmpty(response, 202),
    () => writeEmpty(response, 500),
  );
};

/** `{"input": "text"}`; anything else counts as no input. */
const inputOf = (body: Buffer): string => {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    const input = typeof parsed === "object" && parsed !== null && "input" in parsed ? parsed.input : undefined;
    return typeof input === "string" ? input : "";
  } catch {
    return "";
  }
};

const listenOnLoopback = (server: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : port);
    });
  });
