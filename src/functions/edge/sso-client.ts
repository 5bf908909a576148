/**
 * Which application asks at the token endpoint: a secret of which we hold the hash, or an assertion signed with a key of its own.
 * https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication
 */
import { createHash } from "node:crypto";
import { createLocalJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify } from "jose";
import { isSecretOf, type SsoClient } from "../../core/sso/clients.ts";
import { assertionAlgorithms } from "../../core/sso/discovery.ts";
import { OAuthError, only } from "../../core/sso/oauth-error.ts";
import type { HandshakeStore } from "../../core/store/ports.ts";

export interface SsoClientNeeds {
  ssoClients: readonly SsoClient[];
  issuer: string;
  handshakes: Pick<HandshakeStore, "claim">;
  now: () => number;
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const maxAssertionSeconds = 300;
const clockToleranceSeconds = 30;
const longestToken = 16_384;

/** Throws `invalid_client` alike for a client that is unknown and a proof that is wrong. */
export const ssoClientVerifier =
  (needs: SsoClientNeeds) =>
  async (authorization: string | null, form: URLSearchParams): Promise<SsoClient> => {
    const [secret, assertion] = [only(form, "client_secret"), only(form, "client_assertion")];
    const ways = [authorization ?? undefined, secret, assertion].filter((way) => way !== undefined);
    if (ways.length > 1) throw new OAuthError("invalid_request", "more than one way of client authentication");
    const named = only(form, "client_id");
    const client =
      assertion === undefined
        ? bySecret(needs, authorization === null ? { id: named, secret } : basic(authorization))
        : await byAssertion(needs, only(form, "client_assertion_type"), assertion);
    if (named !== undefined && named !== client.clientId) throw unknownClient();
    return client;
  };

const unknownClient = (): OAuthError => new OAuthError("invalid_client", "the client did not prove itself");

const bySecret = (
  { ssoClients }: SsoClientNeeds,
  { id, secret = "" }: { id: string | undefined; secret: string | undefined },
): SsoClient => {
  const client = ssoClients.find(({ clientId, secretHash }) => clientId === id && secretHash !== undefined);
  if (!isSecretOf(client, secret)) throw unknownClient();
  return client;
};

/** RFC 6749 2.3.1: both halves are form-encoded before they are joined. */
const basic = (authorization: string): { id: string; secret: string } => {
  const [, encoded = ""] = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(authorization.trim()) ?? [];
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon < 0) throw unknownClient();
  try {
    const [id, secret] = [text.slice(0, colon), text.slice(colon + 1)].map((part) =>
      decodeURIComponent(part.replaceAll("+", " ")),
    );
    return { id: id ?? "", secret: secret ?? "" };
  } catch {
    throw unknownClient();
  }
};

/** An assertion works once: whoever saw it cannot use it again. */
const byAssertion = async (
  { ssoClients, issuer, handshakes, now }: SsoClientNeeds,
  type: string | undefined,
  assertion: string,
): Promise<SsoClient> => {
  if (type !== assertionType || assertion.length > longestToken) throw unknownClient();
  const id = subjectIn(assertion);
  const client = ssoClients.find(({ clientId, jwks }) => clientId === id && jwks !== undefined);
  if (!client?.jwks) throw unknownClient();
  const { payload } = await jwtVerify(assertion, createLocalJWKSet(client.jwks), {
    algorithms: [...assertionAlgorithms],
    issuer: client.clientId,
    subject: client.clientId,
    audience: [issuer, `${issuer}/sso/token`],
    clockTolerance: clockToleranceSeconds,
    currentDate: new Date(now()),
    requiredClaims: ["exp", "jti"],
  }).catch((error: unknown) => {
    if (error instanceof errors.JOSEError) throw unknownClient();
    throw error;
  });
  await spend(handshakes, client, payload, now());
  return client;
};

const spend = async (
  handshakes: SsoClientNeeds["handshakes"],
  { clientId }: SsoClient,
  { jti = "", exp = 0 }: JWTPayload,
  now: number,
): Promise<void> => {
  const left = Math.ceil(exp - now / 1000);
  if (left > maxAssertionSeconds + clockToleranceSeconds) throw unknownClient();
  const id = createHash("sha256")
    .update(JSON.stringify(["assertion", clientId, jti]))
    .digest("hex");
  if (!(await handshakes.claim(id, maxAssertionSeconds + 3 * clockToleranceSeconds))) throw unknownClient();
};

/** Only to choose the client whose keys are to be tried. */
const subjectIn = (assertion: string): string => {
  try {
    return decodeJwt(assertion).sub ?? "";
  } catch {
    throw unknownClient();
  }
};
