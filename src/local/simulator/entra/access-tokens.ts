/**
 * Graph access tokens. Entra and Graph are one process here, so a token is known by having been issued: what Graph accepts
 * is exact, whatever the token looks like. Clients get a decodable JWT (version 1.0, as Graph's are) or an opaque text.
 */
import { createHash, randomBytes, randomInt } from "node:crypto";
import { SignJWT } from "jose";
import type { World } from "../world.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { EntraSwitches } from "./switches.ts";

export const graphResource = "https://graph.microsoft.com";

export interface TokenHolder {
  tid: string;
  clientId: string;
  /** Application permissions; empty for a token on behalf of a person. */
  roles: string[];
  /** On whose behalf; absent for an application's own token. */
  person?: Delegation;
}

export interface Delegation {
  oid: string;
  scopes: string[];
}

export interface AccessTokens {
  issue(holder: TokenHolder, delegation?: Delegation): Promise<{ token: string; expiresInSeconds: number }>;
  /** Takes an `authorization` header. */
  verify(authorization: string | undefined): TokenHolder | null;
}

export const createAccessTokens = (world: World, keys: SigningKeys, switches: EntraSwitches): AccessTokens => {
  const issued = new Map<string, { holder: TokenHolder; expiresAt: number }>();

  const encode = async (holder: TokenHolder, delegation: Delegation | undefined, now: number, lifetime: number) => {
    if (switches.opaqueAccessTokens) return randomBytes(96).toString("base64url");
    const key = await keys.current();
    return new SignJWT({
      aud: graphResource,
      iss: `https://sts.windows.net/${holder.tid}/`,
      iat: now,
      nbf: now,
      exp: now + lifetime,
      appid: holder.clientId,
      appidacr: "1",
      idtyp: delegation ? "user" : "app",
      oid: delegation?.oid ?? servicePrincipalId(holder.tid, holder.clientId),
      // A token without any role is issued all the same; the claim is then missing, not empty.
      ...(holder.roles.length > 0 ? { roles: holder.roles } : {}),
      ...(delegation ? { scp: delegation.scopes.join(" ") } : {}),
      tid: holder.tid,
      uti: randomBytes(16).toString("base64url"),
      ver: "1.0",
    })
      .setProtectedHeader({ typ: "JWT", alg: "RS256", kid: key.kid })
      .sign(key.privateKey);
  };

  return {
    issue: async (holder, delegation) => {
      const now = world.now();
      for (const [token, { expiresAt }] of issued) if (expiresAt <= now) issued.delete(token);
      const expiresInSeconds = switches.tokenLifetimeSeconds ?? randomInt(3600, 5401);
      const token = await encode(holder, delegation, Math.floor(now / 1000), expiresInSeconds);
      const known = delegation ? { ...holder, person: delegation } : holder;
      issued.set(token, { holder: known, expiresAt: now + expiresInSeconds * 1000 });
      return { token, expiresInSeconds };
    },
    verify: (authorization) => {
      const known = issued.get(/^Bearer (.+)$/i.exec(authorization ?? "")?.[1] ?? "");
      if (!known || known.expiresAt <= world.now()) return null;
      const tenant = world.tenants.get(known.holder.tid);
      return tenant && !tenant.gone ? { ...known.holder, roles: [...known.holder.roles] } : null;
    },
  };
};

/** Object id of the enterprise application, stable per tenant and registration. */
const servicePrincipalId = (tid: string, clientId: string): string => {
  const hex = createHash("sha256").update(`service-principal ${tid} ${clientId}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
};
