/** What consent needs of Microsoft: a place to sign in, a place to approve, and a look at what was granted. */
import type { Tier } from "../connections/tiers.ts";
import type { ConnectionContext } from "../context.ts";

/** What a validated ID token says. Ids are lower case. */
export interface SignedIn {
  tid: string;
  oid: string;
  /** Display only: anybody may call himself so. */
  name: string;
  preferredUsername: string;
  /** Templates of directory roles; null when the registration does not emit them. */
  wids: string[] | null;
  /** 0 member, 1 guest; null when the registration does not emit it. */
  acct: number | null;
  /** Differs from `iss` for guests. */
  idp: string | null;
  iss: string;
  /** Seconds since 1970. */
  authTime: number | null;
}

export interface ConsentGateway {
  /** Client id of the tier's app registration; null = the tier is not offered. */
  clientId(tier: Tier): string | null;
  /** Origin of Microsoft's sign-in pages: where our form may lead. */
  readonly signInOrigin: string;
  signInUrl(
    tier: Tier,
    request: { state: string; nonce: string; verifier: string; prompt: "select_account" | "login" },
  ): Promise<URL>;
  /** `query` as Microsoft sent the browser back. Throws `consent-sign-in-failed` when anything about the token is wrong. */
  redeem(
    tier: Tier,
    answer: { query: URLSearchParams; state: string; nonce: string; verifier: string },
  ): Promise<SignedIn>;
  adminConsentUrl(tier: Tier, tid: string, state: string): URL;
  /** Application permissions in a token that is asked for now, not one from before the approval. */
  roles(tier: Tier, tid: string): Promise<string[]>;
  /** The organisation that Microsoft Graph shows to the `read` tier. */
  organization(connection: ConnectionContext): Promise<{ id: string }>;
}
