/**
 * The application redeems a code, and asks with the access token who it was. A code works once, for a minute, and only for the
 * client, redirect address, challenge and connection it was made for. Whoever shows it a second time takes away what the first got.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { AccessLog } from "../audit/access-log.ts";
import type { OpenNeeds } from "../connections/open.ts";
import { type Found, isOpen, type OneTimeNeeds } from "../one-time.ts";
import type { HandshakeStore } from "../store/ports.ts";
import type { SsoClient } from "./clients.ts";
import type { Identity } from "./identity.ts";
import { OAuthError, required } from "./oauth-error.ts";
import type { SigningKeys } from "./signing-keys.ts";
import { accessSeconds, begin, look, type Steps } from "./steps.ts";
import { type UsableConnection, usableConnection } from "./usable.ts";

export interface ExchangeNeeds extends OneTimeNeeds, OpenNeeds {
  keys: OneTimeNeeds["keys"] & OpenNeeds["keys"];
  handshakes: HandshakeStore;
  signing: Pick<SigningKeys, "sign">;
  access: Pick<AccessLog, "record">;
  ssoClients: readonly SsoClient[];
  issuer: string;
}

/** Where a request of an application came from. */
export interface Origin {
  ip: string;
  correlationId: string;
}

export interface TokenAnswer {
  access_token: string;
  token_type: "Bearer";
  expires_in: number;
  scope: string;
  id_token: string;
}

/** An ID token is read at once and kept by nobody. */
const idTokenSeconds = 300;

/** Throws an `OAuthError`. `client` has proven itself. */
export const exchangeCode =
  (needs: ExchangeNeeds) =>
  async (client: SsoClient, form: URLSearchParams, origin: Origin): Promise<TokenAnswer> => {
    if (required(form, "grant_type") !== "authorization_code")
      throw new OAuthError("unsupported_grant_type", "only authorization_code is answered");
    const code = required(form, "code");
    const [redirectUri, verifier] = [required(form, "redirect_uri"), required(form, "code_verifier")];

    const found = await look(needs)("code", code);
    if (!found) throw unusable();
    if (found.doc.state !== "open") return refuseReuse(needs, client, found, origin);
    const { asked, identity } = found.content;
    const isMeant =
      asked.clientId === client.clientId &&
      asked.redirectUri === redirectUri &&
      matches(asked.challenge, verifier) &&
      (await usableConnection(needs)(client, identity.connection)) !== null;
    if (!isMeant) {
      // It is in the wrong hands, or was: it must not work later in the right ones.
      await needs.handshakes.replace({ ...found.doc, state: "used" });
      await record(needs, client, identity, origin, "sign-in-attempt-unusable");
      throw unusable();
    }
    if (!isOpen(needs, found)) throw unusable();

    const idToken = await needs.signing.sign(idTokenClaims(needs, asked, identity));
    // Before the code is spent, so that whoever spends it again finds what to revoke.
    const issued = await begin(needs)("access", { clientId: client.clientId, identity });
    if (!(await needs.handshakes.replace({ ...found.doc, state: "used", issued: issued.id }))) {
      await revoke(needs, issued.id);
      const faster = await look(needs)("code", code);
      if (faster) return refuseReuse(needs, client, faster, origin);
      throw unusable();
    }
    return {
      access_token: issued.secret,
      token_type: "Bearer",
      expires_in: accessSeconds,
      scope: asked.scopes.join(" "),
      id_token: idToken,
    };
  };

export const userInfo =
  (needs: ExchangeNeeds) =>
  async (token: string, origin: Origin): Promise<Identity> => {
    const { client, identity } = await signedInBy(needs)(token);
    await record(needs, client, identity, origin);
    return identity;
  };

/** Throws `invalid_token` alike for what is unknown, expired, revoked, or of a connection that is no longer used. */
export const signedInBy =
  (needs: OneTimeNeeds & OpenNeeds & Pick<ExchangeNeeds, "keys" | "ssoClients">) =>
  async (token: string): Promise<{ client: SsoClient; identity: Identity; usable: UsableConnection }> => {
    const found = await look(needs)("access", token);
    const { clientId, identity } = found && isOpen(needs, found) ? found.content : {};
    const client = needs.ssoClients.find((known) => known.clientId === clientId);
    const usable = client && identity ? await usableConnection(needs)(client, identity.connection) : null;
    if (!client || !identity || !usable) throw new OAuthError("invalid_token", "the access token is not valid");
    return { client, identity, usable };
  };

const unusable = (): OAuthError => new OAuthError("invalid_grant", "the code is not valid here, or no longer");

const matches = (challenge: string, verifier: string): boolean =>
  /^[A-Za-z0-9._~-]{43,128}$/.test(verifier) &&
  timingSafeEqual(createHash("sha256").update(verifier).digest(), Buffer.from(challenge, "base64url"));

const refuseReuse = async (
  needs: ExchangeNeeds,
  client: SsoClient,
  { doc, content }: Found<Steps["code"]>,
  origin: Origin,
): Promise<never> => {
  if (doc.issued !== undefined) await revoke(needs, doc.issued);
  await record(needs, client, content.identity, origin, "sign-in-attempt-unusable");
  throw unusable();
};

const revoke = async ({ handshakes }: Pick<ExchangeNeeds, "handshakes">, id: string): Promise<void> => {
  const doc = await handshakes.read(id);
  // Nobody else changes it but another revocation.
  if (doc && doc.state === "open") await handshakes.replace({ ...doc, state: "revoked" });
};

const idTokenClaims = (
  { ambient, issuer }: Pick<ExchangeNeeds, "ambient" | "issuer">,
  { clientId, nonce }: Steps["code"]["asked"],
  identity: Identity,
): object => {
  const now = Math.floor(ambient.now() / 1000);
  return {
    iss: issuer,
    aud: clientId,
    iat: now,
    exp: now + idTokenSeconds,
    ...(nonce === null ? {} : { nonce }),
    ...identity,
  };
};

const record = (
  { access }: Pick<ExchangeNeeds, "access">,
  { clientId }: SsoClient,
  { workspace, connection, person }: Identity,
  { ip, correlationId }: Origin,
  refusal?: string,
): Promise<void> =>
  access.record(workspace, {
    what: refusal === undefined ? "read" : "refused",
    route: refusal === undefined ? "sso.userinfo" : "sso.token",
    subject: `client:${clientId}`,
    machine: true,
    ip,
    connectionId: connection,
    ...(refusal === undefined ? { count: 1 } : { refusal }),
    ...(person === undefined ? {} : { objects: [person] }),
    correlationId,
  });
