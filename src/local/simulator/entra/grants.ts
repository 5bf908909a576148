/** Authorization codes and refresh tokens that were handed out, in memory, with what each is good for. */
import { createHash, randomBytes } from "node:crypto";
import type { World } from "../world.ts";
import { Refusal } from "./refusal.ts";

/** Scopes of OpenID Connect itself; every other scope names a permission of a resource. */
export const oidcScopes = new Set(["openid", "profile", "email", "offline_access"]);

export interface Grant {
  clientId: string;
  tid: string;
  oid: string;
  scopes: string[];
  authenticatedAt: number;
}

export interface CodeGrant extends Grant {
  /** Path of the authorize request: a GUID, a domain or `organizations`. */
  authorityPath: string;
  redirectUri: string;
  nonce: string | null;
  challenge: { value: string; method: "S256" | "plain" } | null;
}

export interface Redemption {
  clientId: string;
  authorityPath: string;
  redirectUri: string | null;
  codeVerifier: string | null;
}

export interface Grants {
  issueCode(grant: CodeGrant): string;
  redeemCode(code: string, redemption: Redemption): CodeGrant;
  issueRefreshToken(grant: Grant): string;
  /** The old token stays good, as at Microsoft; whoever replaces it has to forget it. */
  useRefreshToken(token: string, clientId: string, tid: string | null): Grant;
  /** "Revoke sessions" of an administrator: refresh tokens issued until now are dead. */
  revokeSessions(tid: string, oid: string): void;
}

const codeLifetimeMs = 10 * 60_000;
const refreshTokenLifetimeMs = 90 * 24 * 3600_000;

export const createGrants = (world: World): Grants => {
  const codes = new Map<string, { grant: CodeGrant; issuedAt: number; redeemed: boolean }>();
  const refreshTokens = new Map<string, { grant: Grant; issuedAt: number }>();
  const revokedAt = new Map<string, number>();

  return {
    issueCode: (grant) => {
      const code = `1.${randomBytes(64).toString("base64url")}`;
      codes.set(code, { grant, issuedAt: world.now(), redeemed: false });
      return code;
    },
    redeemCode: (code, { clientId, authorityPath, redirectUri, codeVerifier }) => {
      const entry = codes.get(code);
      if (!entry || entry.grant.clientId !== clientId) throw new Refusal(70000);
      if (entry.redeemed) throw new Refusal(54005);
      if (world.now() - entry.issuedAt > codeLifetimeMs) throw new Refusal(70008);
      const { grant } = entry;
      if (grant.authorityPath !== authorityPath) throw new Refusal(700005);
      if (grant.redirectUri !== redirectUri) throw new Refusal(500112);
      if (!verifierMatches(grant.challenge, codeVerifier)) throw new Refusal(501481);
      entry.redeemed = true;
      return grant;
    },
    issueRefreshToken: (grant) => {
      const token = `1.${randomBytes(96).toString("base64url")}`;
      refreshTokens.set(token, { grant, issuedAt: world.now() });
      return token;
    },
    useRefreshToken: (token, clientId, tid) => {
      const entry = refreshTokens.get(token);
      if (!entry || entry.grant.clientId !== clientId) throw new Refusal(70000, { suberror: "bad_token" });
      const { grant, issuedAt } = entry;
      if (tid !== null && tid !== grant.tid) throw new Refusal(70000, { suberror: "bad_token" });
      if (world.now() - issuedAt > refreshTokenLifetimeMs) throw new Refusal(700082, { suberror: "bad_token" });
      if ((revokedAt.get(`${grant.tid} ${grant.oid}`) ?? -1) >= issuedAt)
        throw new Refusal(50173, { suberror: "bad_token" });
      return grant;
    },
    revokeSessions: (tid, oid) => {
      revokedAt.set(`${tid} ${oid}`, world.now());
    },
  };
};

const verifierMatches = (challenge: CodeGrant["challenge"], verifier: string | null): boolean => {
  if (challenge === null) return verifier === null;
  if (verifier === null) return false;
  return challenge.method === "plain"
    ? challenge.value === verifier
    : challenge.value === createHash("sha256").update(verifier).digest("base64url");
};
