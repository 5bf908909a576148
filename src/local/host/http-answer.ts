/** From what the library answers to what goes over the wire. */
import type { ServerResponse } from "node:http";
import type { HttpCookie, TypedData } from "./contract.ts";

/** Set by the host, whatever the function says. */
const ownHeaders = new Set(["content-length", "transfer-encoding", "connection", "keep-alive"]);

export const writeAnswer = (response: ServerResponse, returned: TypedData | null | undefined): void => {
  const answer = returned?.http;
  if (!answer) return writeEmpty(response, 204);
  for (const [name, value] of Object.entries(answer.headers ?? {})) {
    if (!ownHeaders.has(name)) response.appendHeader(name, value);
  }
  for (const cookie of answer.cookies ?? []) response.appendHeader("set-cookie", toSetCookie(cookie));
  const body = answer.body?.bytes ?? Buffer.from(answer.body?.string ?? "");
  response.statusCode = Number(answer.statusCode ?? 200);
  if (![204, 205, 304].includes(response.statusCode)) response.setHeader("content-length", body.byteLength);
  response.end(body);
};

export const writeEmpty = (response: ServerResponse, status: number): void => {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = status;
  if (status !== 204) response.setHeader("content-length", 0);
  response.end();
};

/** The host escapes the value and starts from the path "/"; both are habits of ASP.NET Core. */
const toSetCookie = (cookie: HttpCookie): string => {
  const attributes = [`${encodeURIComponent(cookie.name)}=${encodeURIComponent(cookie.value)}`];
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== "") attributes.push(`${name}=${value}`);
  };
  const expires = cookie.expires?.value?.seconds;
  add("expires", expires === undefined ? undefined : new Date(expires * 1000).toUTCString());
  add("max-age", cookie.maxAge?.value === undefined ? undefined : String(Math.trunc(cookie.maxAge.value)));
  add("domain", cookie.domain?.value);
  add("path", cookie.path?.value ?? "/");
  if (cookie.secure?.value) attributes.push("secure");
  const { sameSite = "none" } = cookie;
  if (sameSite !== "none") add("samesite", sameSite === "explicitNone" ? "none" : sameSite);
  if (cookie.httpOnly?.value) attributes.push("httponly");
  return attributes.join("; ");
};
