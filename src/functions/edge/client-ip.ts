/**
 * The address of the caller, from the one header that the configured front end vouches for. What a caller could have written
 * himself is never believed, and what is not an address is `unknown`.
 */
import ipaddr from "ipaddr.js";
import type { ClientIpSource } from "../../config.ts";

export interface HeaderSource {
  get(name: string): string | null;
}

export const clientIp = (source: ClientIpSource, headers: HeaderSource): string => {
  if (source.kind === "hops") return parsed(fromRight(headers, source.count));
  if (source.kind === "front-door") {
    // Everybody can send these headers past Front Door; only our own profile knows its id.
    const isOurs = headers.get("x-azure-fdid")?.toLowerCase() === source.id.toLowerCase();
    return isOurs ? parsed(headers.get("x-azure-socketip")) : unknown;
  }
  // App Service writes `client-ip` itself, and appends to what the caller sent in the other.
  return parsed(headers.get("client-ip") ?? fromRight(headers, 1));
};

const unknown = "unknown";

const fromRight = (headers: HeaderSource, count: number): string | null =>
  (headers.get("x-forwarded-for") ?? "").split(",").at(-count) ?? null;

const parsed = (text: string | null): string => addressIn(text) ?? unknown;

/** `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]`, `[::1]:5`; a mapped IPv4 address is shown as such. Null: no address. */
export const addressIn = (text: string | null): string | null => {
  const [, bracketed, four, bare] =
    /^(?:\[([0-9a-f:.]+)\](?::\d{1,5})?|(\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5})?|([0-9a-f:.]+))$/i.exec(
      text?.trim() ?? "",
    ) ?? [];
  const six = bracketed ?? bare;
  if (four !== undefined) return ipaddr.IPv4.isValidFourPartDecimal(four) ? ipaddr.IPv4.parse(four).toString() : null;
  if (six === undefined || !ipaddr.IPv6.isValid(six)) return null;
  return ipaddr.process(six).toString();
};

/** Whoever has an IPv6 address has the 2^64 around it as well. */
export const networkOf = (address: string): string => {
  if (!ipaddr.IPv6.isValid(address)) return address;
  return ipaddr.IPv6.parse(address)
    .parts.slice(0, 4)
    .map((part) => part.toString(16))
    .join(":");
};
