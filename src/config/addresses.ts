/**
 * Which addresses a setting may name: public hosts over https, and with `local` also this very machine. Faults are told in words that
 * repeat nothing of the value.
 */
import { isIP } from "node:net";
import { z } from "zod";

export const isLoopback = (url: URL): boolean =>
  url.hostname === "localhost" || url.hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(url.hostname);

/** A name that only means something inside one network, or no name at all. */
const isPrivate = (url: URL): boolean => {
  // A dot at the end changes nothing but the look of a name.
  const name = url.hostname.replace(/\.$/, "");
  return (
    isIP(name.replace(/^\[|\]$/g, "")) !== 0 ||
    !name.includes(".") ||
    /\.(localhost|local|internal|lan|home|test|invalid)$/.test(name)
  );
};

export const isReachable = (url: URL | null, local: boolean): boolean => {
  if (!url || url.username !== "" || url.password !== "") return false;
  if (local && isLoopback(url)) return url.protocol === "https:" || url.protocol === "http:";
  return url.protocol === "https:" && !isPrivate(url);
};

/** Name and password may be in it. What stands behind the host would be options of the mail library. */
export const isMailServer = (url: URL | null, local: boolean): boolean => {
  if (!url || !["smtp:", "smtps:"].includes(url.protocol) || url.hostname === "") return false;
  if (url.search !== "" || url.hash !== "" || !["", "/"].includes(url.pathname)) return false;
  return (local && isLoopback(url)) || (!isLoopback(url) && !isPrivate(url));
};

export const address = (local: boolean) =>
  z
    .string("is missing")
    .refine((text) => isReachable(URL.parse(text), local), "is not the https address of a public host");
export const origin = (local: boolean) =>
  // A star would be compared like any other sign, and match nothing that a browser sends.
  address(local).refine(
    (text) => URL.parse(text)?.origin === text && !text.includes("*"),
    "is not an origin without path",
  );
export const origins = (local: boolean) =>
  z
    .string("is missing")
    .transform((text) => text.split(",").map((part) => part.trim()))
    .pipe(z.array(origin(local)));
/** Where the vendor's back end is told of changes: on the port of every https server, so that no other service can be meant. */
export const webhookUrl = (local: boolean) =>
  address(local).refine((text) => {
    const url = URL.parse(text);
    return url !== null && url.hash === "" && (url.port === "" || (local && isLoopback(url)));
  }, "is not an address on port 443");
/** Compared character by character; a fragment would swallow the answer. */
export const redirectUri = (local: boolean) =>
  address(local).refine((text) => !text.includes("#"), "is an address with a fragment");

/** An account key may be used from a development machine, but not sent in clear to another one. */
export const isGuarded = (connectionString: string): boolean => {
  if (connectionString === "UseDevelopmentStorage=true") return true;
  const endpoints = [...connectionString.matchAll(/\w+Endpoint=([^;]+)/g)].map(([, text = ""]) => URL.parse(text));
  if (endpoints.length === 0) return /(^|;)DefaultEndpointsProtocol=https(;|$)/.test(connectionString);
  return endpoints.every((url) => isReachable(url, true));
};
