/**
 * What stands before the host in Azure: the front end of App Service. It says who called in headers of its own, so those of the
 * caller must not pass as such - except the left part of `x-forwarded-for`, which stays as the caller sent it and proves nothing.
 * It also ends what takes longer than 230 seconds (see http.ts). Here it listens on loopback and serves only its own names, so that
 * a web page in a browser on this machine cannot reach the stack by a name of its own.
 */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";

const longestUrl = 8192;
const longestQuery = 4096;

export interface Received {
  method: string;
  /** Absolute, as the caller wrote it. */
  url: URL;
  /** Still encoded. */
  path: string;
  /** Lower-case names; repeated ones joined with a comma. */
  headers: Record<string, string>;
}

/** A number is the status to answer with. */
export const receive = (
  request: IncomingMessage,
  protocol: "http" | "https",
  ports: readonly number[],
): Received | number => {
  const { method = "GET", url: target = "/" } = request;
  const host = (request.headers.host ?? "").toLowerCase();
  if (!ports.some((port) => host === `localhost:${port}` || host === `127.0.0.1:${port}`)) return 400;
  if (!target.startsWith("/")) return 400;
  const url = URL.parse(`${protocol}://${host}${target}`);
  if (!url) return 400;
  if (target.length > longestUrl || url.search.length > longestQuery) return 414;
  return { method, url, path: url.pathname, headers: forwardedHeaders(request, protocol, host) };
};

const forwardedHeaders = (request: IncomingMessage, protocol: string, host: string): Record<string, string> => {
  const headers: Record<string, string> = {};
  for (const [name, values = []] of Object.entries(request.headersDistinct)) {
    if (!name.startsWith("x-ms-client-principal")) headers[name] = values.join(",");
  }
  const caller = `${request.socket.remoteAddress ?? "127.0.0.1"}:${request.socket.remotePort ?? 0}`;
  const claimed = headers["x-forwarded-for"];
  return {
    ...headers,
    "client-ip": caller,
    "x-forwarded-for": claimed === undefined ? caller : `${claimed}, ${caller}`,
    "x-forwarded-proto": protocol,
    "x-forwarded-host": host,
    "disguised-host": host,
    "x-arr-log-id": randomUUID(),
  };
};

/** As ASP.NET Core reads it: names ignore case, the first spelling stays, repeated values are joined with a comma. */
export const queryOf = (url: URL): Record<string, string> => {
  const spelling = new Map<string, string>();
  const query: Record<string, string> = {};
  for (const [name, value] of url.searchParams) {
    const key = spelling.get(name.toLowerCase()) ?? name;
    spelling.set(name.toLowerCase(), key);
    const earlier = query[key];
    query[key] = earlier === undefined ? value : `${earlier},${value}`;
  }
  return query;
};
