/**
 * The steps of an attempt to connect. Each hands a secret of 256 bits to somebody outside and keeps its SHA-256 as the id of a
 * document; what has to be remembered is sealed in it. A secret works once, for ten minutes, and for its own step only.
 *
 *   ticket (link to our page) -> sign-in (state) -> consent (state) -> code (redeemed by the product)
 */
import { timingSafeEqual } from "node:crypto";
import type { Tier } from "../connections/tiers.ts";
import { hashOf, type OneTimeNeeds, oneTime } from "../one-time.ts";

export { hashOf, isSecret, newSecret } from "../one-time.ts";

/** Who asked for which access, and where the browser goes in the end. */
export interface Asked {
  workspaceId: string;
  subject: string;
  connectionId: string;
  tier: Tier;
  returnUrl: string;
}

export interface Administrator {
  tid: string;
  oid: string;
  name: string;
  userPrincipalName: string;
}

export interface Steps {
  ticket: Asked;
  /** `browser` is the hash of the cookie; `repeated` = the sign-in was already asked to be a fresh one. */
  "sign-in": Asked & { browser: string; nonce: string; verifier: string; repeated: boolean };
  consent: Asked & { browser: string; administrator: Administrator };
  /** `provenAt` names the very approval this code stands for. */
  code: Omit<Asked, "returnUrl"> & { tid: string; provenAt: string };
}
export type Step = keyof Steps;

export type HandshakeNeeds = OneTimeNeeds;

export const handshakeMilliseconds = 600_000;

/** Throws `consent-attempt-unusable` alike for what is unknown, expired, used, or meant for another step. */
export const { begin, find, consume } = oneTime<Steps>({
  kind: (step) => (step === "code" ? "code" : "connect"),
  milliseconds: () => handshakeMilliseconds,
  unusable: "consent-attempt-unusable",
});

/** Whether the cookie that came with a request is the one the attempt began with. */
export const sameBrowser = (content: { browser: string }, cookie: string | undefined): boolean =>
  cookie !== undefined && timingSafeEqual(Buffer.from(hashOf(cookie), "hex"), Buffer.from(content.browser, "hex"));

/** Where the browser goes when the attempt has ended. */
export const backTo = (returnUrl: string, parameters: Readonly<Record<string, string>>): string => {
  const url = new URL(returnUrl);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
};
