/**
 * One POST to an endpoint. The name is resolved here, every address it has is looked at, and the connection goes to those very
 * addresses: a name that answers differently the next time is not asked a next time. No proxy, no redirect, no connection that is
 * used again; of the answer only the status is read.
 */
import { lookup as systemLookup } from "node:dns/promises";
import * as http from "node:http";
import * as https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { callbackify } from "node:util";
import type { Answer, DeliveryFailure, WebhookSender } from "../../core/webhooks/ports.ts";
import { isLoopbackAddress, isPublicAddress } from "./public-address.ts";

export interface Resolved {
  address: string;
  family: number;
}

export interface HttpsSenderOptions {
  /** For an endpoint on this very machine, with local services only. */
  allowLoopback: boolean;
  timeoutMilliseconds?: number;
  /** All addresses of a name; absent: as the system does. */
  resolve?: (hostname: string) => Promise<Resolved[]>;
}

class AddressRefused extends Error {}

export const httpsSender = ({
  allowLoopback,
  timeoutMilliseconds = 10_000,
  resolve = (hostname) => systemLookup(hostname, { all: true }),
}: HttpsSenderOptions): WebhookSender => {
  const agents = { "https:": new https.Agent({ keepAlive: false }), "http:": new http.Agent({ keepAlive: false }) };
  const isAllowed = (address: string): boolean =>
    isPublicAddress(address) || (allowLoopback && isLoopbackAddress(address));

  /** One address that is not allowed spoils the name: who puts it there means it to be used. */
  const resolveAllowed = async (hostname: string): Promise<Resolved[]> => {
    const found = await resolve(hostname);
    if (found.length === 0 || !found.every(({ address }) => isAllowed(address))) throw new AddressRefused();
    return found;
  };
  const resolved = callbackify(resolveAllowed);
  const lookup: LookupFunction = (hostname, { all }, done) => {
    resolved(hostname, (error, found) => {
      if (error) done(error, "", 0);
      else if (all) done(null, found);
      else done(null, found[0]?.address ?? "", found[0]?.family);
    });
  };

  const post = (url: URL, headers: Readonly<Record<string, string>>, body: string): Promise<number> =>
    new Promise((done, fail) => {
      // An address in place of a name is never looked up.
      const host = url.hostname.replace(/^\[|\]$/g, "");
      const isHttp = url.protocol === "http:";
      if ((isIP(host) !== 0 && !isAllowed(host)) || (isHttp && !allowLoopback)) throw new AddressRefused();
      const { request } = isHttp ? http : https;
      const sent = request(url, {
        method: "POST",
        headers: { ...headers, "content-length": Buffer.byteLength(body) },
        agent: isHttp ? agents["http:"] : agents["https:"],
        lookup,
        signal: AbortSignal.timeout(timeoutMilliseconds),
      });
      sent.on("error", fail);
      sent.on("response", (response) => {
        response.on("error", () => undefined).destroy();
        done(response.statusCode ?? 0);
      });
      sent.end(body);
    });

  return {
    send: async (url, headers, body) => {
      const began = performance.now();
      const took = (): number => Math.round(performance.now() - began);
      try {
        const status = await post(new URL(url), headers, body);
        return { status, failure: null, milliseconds: took() };
      } catch (error) {
        return { status: null, failure: failureOf(error), milliseconds: took() } satisfies Answer;
      }
    },
  };
};

const failureOf = (error: unknown): DeliveryFailure => {
  if (error instanceof AddressRefused) return "address-refused";
  return error instanceof Error && error.name === "AbortError" ? "timeout" : "unreachable";
};
