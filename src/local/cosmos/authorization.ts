/** The master key check: HMAC-SHA-256 over verb, resource type, resource link and date. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { CosmosError } from "./errors.ts";

export interface SignedRequest {
  method: string;
  /** Path as sent, percent-encoded. */
  path: string;
  authorization: string | undefined;
  date: string | undefined;
}

export const checkSignature = (request: SignedRequest, key: string): void => {
  const { authorization, date } = request;
  if (authorization === undefined || date === undefined) throw unauthorized("The request is not signed.");
  const fields = new Map(
    decoded(authorization, decodeURIComponent)
      .split("&")
      .map((field) => [field.slice(0, field.indexOf("=")), field.slice(field.indexOf("=") + 1)] as const),
  );
  if (fields.get("type") !== "master")
    throw unauthorized("Only a master key is accepted: the service's identity tokens need TLS.");
  const signature = Buffer.from(fields.get("sig") ?? "", "base64");
  const secret = Buffer.from(key, "base64");
  // The client signs the link it addresses, which it may have written with or without percent signs.
  const links = new Set([request.path, decoded(request.path, decodeURI), decoded(request.path, decodeURIComponent)]);
  for (const path of links) {
    const { type, link } = resourceOf(path);
    const text = `${request.method.toLowerCase()}\n${type}\n${link}\n${date.toLowerCase()}\n\n`;
    const expected = createHmac("sha256", secret).update(text).digest();
    if (signature.length === expected.length && timingSafeEqual(signature, expected)) return;
  }
  throw unauthorized("The signature does not belong to this request and key.");
};

/** `dbs/x/colls/y/docs` is the feed `docs` of `dbs/x/colls/y`; with an id behind it, the link is the whole. */
const resourceOf = (path: string): { type: string; link: string } => {
  const parts = path.split("/").filter((part) => part !== "");
  const isFeed = parts.length % 2 === 1;
  return { type: parts.at(isFeed ? -1 : -2) ?? "", link: (isFeed ? parts.slice(0, -1) : parts).join("/") };
};

const decoded = (text: string, decode: (text: string) => string): string => {
  try {
    return decode(text);
  } catch {
    return text;
  }
};

const unauthorized = (message: string): CosmosError => new CosmosError(401, message);
