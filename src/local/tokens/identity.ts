/**
 * The managed identity of the embedded stack: the App Service endpoint that the real ManagedIdentityCredential asks, behind
 * IDENTITY_ENDPOINT and IDENTITY_HEADER. Its tokens are good for the stand-ins that `verify` them, and as federated
 * assertions at the simulated Entra ID, which takes `issuer` and `jwks`.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import type { SimRequest, SimResponse } from "../simulator/http.ts";
import { startLoopbackServer } from "./loopback-server.ts";
import { sameSecret } from "./same-secret.ts";

export interface IdentityEndpointOptions {
  port?: number;
  /** Issuer of the tokens; at Azure `https://login.microsoftonline.com/{tenant}/v2.0`. */
  issuer?: string;
  now?: () => number;
}

export interface IdentityEndpoint {
  /** Value of IDENTITY_ENDPOINT. */
  endpoint: string;
  /** Value of IDENTITY_HEADER. */
  header: string;
  /** A token of this endpoint that has not expired; with `resource` also issued for just that. */
  verify(bearer: string, resource?: string): boolean;
  issuer: string;
  /** Object id of the identity: the `subject` of a federated credential. */
  principalId: string;
  jwks: JWK[];
  close(): Promise<void>;
}

const lifetimeSeconds = 24 * 3600;

export const startIdentityEndpoint = async (options: IdentityEndpointOptions = {}): Promise<IdentityEndpoint> => {
  const now = options.now ?? Date.now;
  const header = randomBytes(32).toString("hex");
  const principalId = randomUUID();
  const kid = randomBytes(12).toString("base64url");
  const { privateKey, publicKey } = await generateKeyPair("RS256");
  const issued = new Map<string, { resource: string; expiresAt: number }>();

  const answer = async (request: SimRequest): Promise<SimResponse> => {
    const { pathname, searchParams } = request.url;
    if (pathname !== "/msi/token" || request.method !== "GET") return { status: 404, body: { message: "Not found." } };
    if (!sameSecret(request.headers["x-identity-header"] ?? "", header))
      return { status: 401, body: { statusCode: 401, message: "The header X-IDENTITY-HEADER is missing or wrong." } };
    const resource = searchParams.get("resource");
    if (searchParams.get("api-version") !== "2019-08-01" || !resource)
      return { status: 400, body: { statusCode: 400, message: "api-version 2019-08-01 and resource are needed." } };
    const issuedAt = Math.floor(now() / 1000);
    const token = await new SignJWT({
      aud: resource,
      iss: issuer,
      sub: principalId,
      oid: principalId,
      idtyp: "app",
      iat: issuedAt,
      nbf: issuedAt,
      exp: issuedAt + lifetimeSeconds,
      jti: randomUUID(),
    })
      .setProtectedHeader({ typ: "JWT", alg: "RS256", kid })
      .sign(privateKey);
    issued.set(token, { resource, expiresAt: (issuedAt + lifetimeSeconds) * 1000 });
    return {
      status: 200,
      body: {
        access_token: token,
        expires_on: String(issuedAt + lifetimeSeconds),
        resource,
        token_type: "Bearer",
        client_id: searchParams.get("client_id") ?? principalId,
      },
    };
  };

  const server = await startLoopbackServer({ port: options.port, answer });
  const issuer = options.issuer ?? server.url;
  return {
    endpoint: `http://127.0.0.1:${server.port}/msi/token`,
    header,
    verify: (bearer, resource) => {
      const known = issued.get(bearer);
      return known !== undefined && known.expiresAt > now() && (resource === undefined || known.resource === resource);
    },
    issuer,
    principalId,
    jwks: [{ ...(await exportJWK(publicKey)), kid, alg: "RS256", use: "sig" }],
    close: () => server.close(),
  };
};
