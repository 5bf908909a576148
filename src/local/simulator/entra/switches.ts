/**
 * What a test, or a person at the control port, can ask the simulated Entra ID to do wrong. Plain JSON, so that it travels
 * over HTTP; everything here is read at the moment it matters, so a change takes effect with the next request.
 */
import type { JWK } from "jose";

export type IdTokenFault =
  | "alg-none"
  /** Signed with HMAC, the published RSA key's PEM taken as the secret. */
  | "alg-hs256"
  /** The kid of a published key, the signature of a key that nobody published. */
  | "foreign-signature"
  | "unknown-kid"
  | "wrong-audience"
  | "wrong-issuer"
  /** Issuer and tid of another tenant, consistent with each other. */
  | "other-tenant"
  /** The issuer stays, tid names another tenant. */
  | "issuer-tid-mismatch"
  /** Signed by a published key whose `issuer` binds it to personal accounts. */
  | "key-issuer-mismatch"
  | "expired"
  | "not-yet-valid"
  | "wrong-nonce"
  | "no-nonce"
  | "no-oid"
  | "version-1";

/** Token requests that match are refused before anything else is looked at. */
export interface TokenFault {
  /** So many of them; absent: all, until the fault is taken away, as a policy of the tenant refuses them. */
  times?: number;
  tid?: string;
  clientId?: string;
  grantType?: "client_credentials" | "authorization_code" | "refresh_token";
  /** Without it the answer is an HTML page, as from a proxy in front of Entra. */
  aadsts?: number;
  status?: number;
  suberror?: string;
  /** JSON text of a claims challenge. */
  claims?: string;
  retryAfterSeconds?: number;
}

export interface EntraSwitches {
  /** Raising it by one rotates the signing key: the new one signs at once, its predecessor stays published. */
  keyGeneration: number;
  idTokenFault: IdTokenFault | null;
  /** AADSTS number shown on Microsoft's own page after an account was chosen; there is no way back to the application. */
  signInError: number | null;
  /** Age of the browser's session, seen in `auth_time` unless `prompt=login` or `max_age` forces a fresh one. */
  sessionAgeSeconds: number;
  tokenFaults: TokenFault[];
  /** Null: random between 60 and 90 minutes. */
  tokenLifetimeSeconds: number | null;
  /** Graph access tokens that cannot be decoded. */
  opaqueAccessTokens: boolean;
  /** Client secrets that have expired (AADSTS7000222). */
  expiredSecrets: string[];
  /** Issuer of federated credentials -> its public keys; stands for what Entra would fetch from that issuer. */
  federatedKeys: Record<string, JWK[]>;
  /** The tenant whose administrator really approves, whatever tenant was asked. */
  approvingTenant: string | null;
  /** Application permissions that an approval leaves out. */
  withheldPermissions: string[];
  /** Newly approved permissions reach tokens only after this time of the world's clock. */
  grantDelaySeconds: number;
  /** `error` of a declined admin consent on the v2 endpoint; both are seen in practice. */
  consentDenial: "consent_required" | "access_denied";
}

export const defaultSwitches = (): EntraSwitches => ({
  keyGeneration: 1,
  idTokenFault: null,
  signInError: null,
  sessionAgeSeconds: 0,
  tokenFaults: [],
  tokenLifetimeSeconds: null,
  opaqueAccessTokens: false,
  expiredSecrets: [],
  federatedKeys: {},
  approvingTenant: null,
  withheldPermissions: [],
  grantDelaySeconds: 0,
  consentDenial: "consent_required",
});
