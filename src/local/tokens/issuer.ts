/**
 * The product's own token issuer, for development: signs the access tokens with which a person at the keyboard, or a test,
 * calls the API. It has a port of its own and wants a secret, so that a tunnel to the API never publishes it.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import { z } from "zod";
import type { SimRequest, SimResponse } from "../simulator/http.ts";
import type { ServerCertificate } from "../tls.ts";
import { startLoopbackServer } from "./loopback-server.ts";
import { sameSecret } from "./same-secret.ts";

const TokenClaims = z.strictObject({
  workspace: z.string().min(1).optional(),
  subject: z.string().min(1),
  name: z.string().optional(),
  permissions: z.array(z.string()),
  lifetimeSeconds: z.int().min(1).max(3600).optional(),
  /** Client id: makes it a machine's token; a person's token has no `client_id`. */
  client: z.string().min(1).optional(),
});
export type TokenClaims = z.infer<typeof TokenClaims>;

/** What a test alters to get a token that must be refused. A claim set to `undefined` is left out. */
export interface TokenOverrides {
  header?: Record<string, unknown>;
  claims?: Record<string, unknown>;
  /** Signs with a key that is not published, under the published key's id. */
  foreignKey?: boolean;
}

export interface TokenIssuerOptions {
  port?: number;
  /** Absent: random. */
  secret?: string;
  audience: string;
  tls?: ServerCertificate;
  /** Keeps the signing key over restarts (private JWK, mode 600). */
  file?: string;
  now?: () => number;
}

export interface TokenIssuer {
  issuer: string;
  jwksUri: string;
  secret: string;
  sign(claims: TokenClaims, overrides?: TokenOverrides): Promise<string>;
  close(): Promise<void>;
}

const alg = "ES256";
const jwksPath = "/.well-known/jwks.json";

export const startTokenIssuer = async (options: TokenIssuerOptions): Promise<TokenIssuer> => {
  const now = options.now ?? Date.now;
  const secret = options.secret ?? randomBytes(24).toString("base64url");
  const { privateKey, publicJwk } = await signingKey(options.file);

  const sign: TokenIssuer["sign"] = async (claims, overrides = {}) => {
    const issuedAt = Math.floor(now() / 1000);
    const { workspace, subject, name, permissions, lifetimeSeconds = 3600, client } = claims;
    const payload: Record<string, unknown> = {
      iss: server.url,
      aud: options.audience,
      sub: subject,
      workspace,
      name,
      permissions,
      client_id: client,
      iat: issuedAt,
      exp: issuedAt + lifetimeSeconds,
      jti: randomUUID(),
      ...overrides.claims,
    };
    const key = overrides.foreignKey ? (await generateKeyPair(alg)).privateKey : privateKey;
    return new SignJWT(payload)
      .setProtectedHeader({ alg, typ: "at+jwt", kid: publicJwk.kid ?? "", ...overrides.header })
      .sign(key);
  };

  const answer = async (request: SimRequest): Promise<SimResponse> => {
    const route = `${request.method} ${request.url.pathname}`;
    if (route === `GET ${jwksPath}`) return { status: 200, body: { keys: [publicJwk] } };
    if (route !== "POST /token") return { status: 404, body: { error: "not_found" } };
    const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? "";
    if (!sameSecret(given, secret))
      return { status: 401, headers: { "www-authenticate": "Bearer" }, body: { error: "invalid_client" } };
    const claims = TokenClaims.safeParse(jsonOf(request.body));
    if (!claims.success)
      return { status: 400, body: { error: "invalid_request", error_description: z.prettifyError(claims.error) } };
    return {
      status: 200,
      headers: { "cache-control": "no-store" },
      body: {
        access_token: await sign(claims.data),
        token_type: "Bearer",
        expires_in: claims.data.lifetimeSeconds ?? 3600,
      },
    };
  };

  const server = await startLoopbackServer({ port: options.port, tls: options.tls, answer });
  return { issuer: server.url, jwksUri: `${server.url}${jwksPath}`, secret, sign, close: () => server.close() };
};

const jsonOf = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
};

const PrivateJwk = z.object({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: z.string(),
  y: z.string(),
  d: z.string(),
});

const signingKey = async (
  file: string | undefined,
): Promise<{ privateKey: CryptoKey | Uint8Array; publicJwk: JWK }> => {
  const jwk =
    file !== undefined && existsSync(file)
      ? PrivateJwk.parse(JSON.parse(readFileSync(file, "utf8")))
      : await newJwk(file);
  const { d: _d, ...publicPart } = jwk;
  const kid = await calculateJwkThumbprint(publicPart);
  return { privateKey: await importJWK(jwk, alg), publicJwk: { ...publicPart, kid, alg, use: "sig" } };
};

const newJwk = async (file: string | undefined) => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = PrivateJwk.parse(await exportJWK(privateKey));
  if (file !== undefined) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(jwk), { mode: 0o600 });
  }
  return jwk;
};
