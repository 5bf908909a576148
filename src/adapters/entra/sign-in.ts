/**
 * Interactive sign-in. One that proves who an administrator is goes to the path `organizations`: any work tenant may answer, and
 * which one did is known from the ID token only. One of people into an application goes to the path of the tenant that is expected.
 */
import * as client from "openid-client";
import { z } from "zod";
import type { SignedIn } from "../../core/consent/ports.ts";
import { AppError, isAppError } from "../../core/errors.ts";
import { causes, isOwnCredential, meaning, name } from "./aadsts.ts";
import { clientAuthentications } from "./client-authentication.ts";
import { type IdTokenClaims, IdTokenRefused, idTokenVerifier } from "./id-token.ts";
import { isGuid, type Registration } from "./registration.ts";
import type { RoleCheck } from "./role-check.ts";

export interface EntraSignIn {
  authorizationUrl(request: {
    state: string;
    nonce: string;
    verifier: string;
    prompt?: string;
    maxAge?: number;
    loginHint?: string;
    /** Tenant id, lower case; absent: `organizations`. */
    tid?: string;
    scope?: string;
  }): Promise<URL>;
  redeem(answer: Answer): Promise<SignedIn>;
  /** The claims of the ID token after its validation. With `tid` that of any other tenant is refused. */
  claims(answer: Answer & { tid?: string }): Promise<IdTokenClaims>;
  /** The tenant that owns a domain; null: none. */
  tenantOf(domain: string): Promise<string | null>;
  signOutUrl(parameters: Readonly<Record<string, string>>): Promise<URL>;
}

/** `query` as Microsoft sent the browser back; the address it came to is the configured one, whatever a proxy made of it. */
interface Answer {
  query: URLSearchParams;
  verifier: string;
  nonce: string;
  state: string;
}

export interface EntraSignInOptions {
  /** `https://login.microsoftonline.com`, without a tenant. */
  authority: string;
  redirectUri: string;
  now: () => number;
  timeoutMs?: number;
  /** Where ID tokens do not tell roles. */
  roleCheck?: RoleCheck;
}

interface Redeemed {
  claims: IdTokenClaims;
  accessToken: string;
}

interface Provider {
  metadata: client.ServerMetadata;
  verify: ReturnType<typeof idTokenVerifier>;
  expiresAt: number;
}

const metadataMs = 24 * 3600_000;
const Discovered = z.object({ issuer: z.string() });

export const entraSignIn = (registration: Registration, options: EntraSignInOptions): EntraSignIn => {
  const { authority, redirectUri, now, timeoutMs = 10_000, roleCheck } = options;
  const { clientId } = registration;
  const base = authority.replace(/\/+$/, "");
  const ownScope = ["openid", "profile", ...(roleCheck ? [roleCheck.scope] : [])].join(" ");
  let provider: Promise<Provider> | null = null;

  /** With `/.well-known/` in the address the library takes the template issuer as it is; we compare issuers ourselves. */
  const discover = async (): Promise<Provider> => {
    const address = new URL(`${base}/organizations/v2.0/.well-known/openid-configuration`);
    const metadata = (
      await client.discovery(address, clientId, {}, client.None(), { timeout: timeoutMs / 1000 })
    ).serverMetadata();
    if (!metadata.jwks_uri) throw new AppError("sign-in-unavailable", { detail: "discovery without keys" });
    const verify = idTokenVerifier({
      issuerTemplate: metadata.issuer,
      jwksUri: metadata.jwks_uri,
      clientId,
      timeoutMs,
      now,
    });
    return { metadata, verify, expiresAt: now() + metadataMs };
  };
  const currentProvider = async (): Promise<Provider> => {
    provider ??= discover();
    const current = provider;
    try {
      const found = await current;
      if (now() < found.expiresAt) return found;
    } catch {
      if (provider === current) provider = null;
      throw new AppError("sign-in-unavailable", { detail: "discovery" });
    }
    if (provider === current) provider = null;
    return currentProvider();
  };

  const configured = (metadata: client.ServerMetadata, authentication: client.ClientAuth): client.Configuration => {
    const configuration = new client.Configuration(metadata, clientId, {}, authentication);
    configuration.timeout = timeoutMs / 1000;
    return configuration;
  };

  const redeemed = async ({ query, verifier, nonce, state, tid }: Answer & { tid?: string }): Promise<Redeemed> => {
    const { metadata: shared, verify } = await currentProvider();
    const metadata = ofTenant(shared, tid);
    const returned = new URL(redirectUri);
    returned.search = query.toString();
    let problem = new AppError("credential-rejected", { detail: "No certificate is configured." });
    const tokenEndpoint = metadata.token_endpoint ?? "";
    for (const authentication of clientAuthentications(registration, { authority, tokenEndpoint, now })) {
      try {
        const configuration = configured(metadata, await authentication());
        const idToken = withheldIdToken(configuration);
        const { access_token: accessToken } = await client.authorizationCodeGrant(configuration, returned, {
          pkceCodeVerifier: verifier,
          expectedState: state,
        });
        return { claims: await verify(idToken(), nonce, tid), accessToken };
      } catch (error) {
        problem = redeemFailure(error);
        if (!isOwnCredential(problem.code)) break;
      }
    }
    throw problem;
  };

  return {
    authorizationUrl: async ({ state, nonce, verifier, prompt, maxAge, loginHint, tid, scope = ownScope }) => {
      const { metadata } = await currentProvider();
      return client.buildAuthorizationUrl(configured(ofTenant(metadata, tid), client.None()), {
        redirect_uri: redirectUri,
        response_type: "code",
        response_mode: "query",
        scope,
        state,
        nonce,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
        ...(prompt === undefined ? {} : { prompt }),
        ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
        ...(loginHint === undefined ? {} : { login_hint: loginHint }),
      });
    },

    redeem: async (answer) => {
      const { claims, accessToken } = await redeemed(answer);
      const person = signedIn(claims);
      return person.wids === null && roleCheck ? { ...person, wids: await roleCheck.rolesOf(accessToken) } : person;
    },
    claims: async (answer) => (await redeemed(answer)).claims,

    tenantOf: async (domain) => {
      const address = `${base}/${encodeURIComponent(domain)}/v2.0/.well-known/openid-configuration`;
      const answer = await fetch(address, { redirect: "error", signal: AbortSignal.timeout(timeoutMs) }).catch(() => {
        throw new AppError("sign-in-unavailable", { detail: "discovery" });
      });
      if (answer.status === 400 || answer.status === 404) {
        await answer.body?.cancel();
        return null;
      }
      const issuer = Discovered.safeParse(await answer.json().catch(() => null)).data?.issuer ?? "";
      const tid = issuer
        .slice(base.length + 1)
        .split("/")[0]
        ?.toLowerCase();
      if (!answer.ok || !isGuid(tid))
        throw new AppError("sign-in-unavailable", { detail: `discovery ${answer.status}` });
      return tid;
    },

    signOutUrl: async (parameters) => {
      const { metadata } = await currentProvider();
      if (!metadata.end_session_endpoint) throw new AppError("sign-in-unavailable", { detail: "discovery" });
      const url = new URL(metadata.end_session_endpoint);
      for (const [parameter, value] of Object.entries(parameters)) url.searchParams.set(parameter, value);
      return url;
    },
  };
};

/** Both legs of a sign-in have to go to the same path; all endpoints differ in it alone. */
const ofTenant = (metadata: client.ServerMetadata, tid: string | undefined): client.ServerMetadata => {
  if (tid === undefined) return metadata;
  const moved = (address: string | undefined): string => (address ?? "").replace("/organizations/", `/${tid}/`);
  return {
    ...metadata,
    authorization_endpoint: moved(metadata.authorization_endpoint),
    token_endpoint: moved(metadata.token_endpoint),
  };
};

/**
 * Takes the ID token out of the token answer before the library sees it: the library compares `iss` with one fixed issuer, and on
 * `organizations` the issuer is known only from the token. `id-token.ts` validates it in full.
 */
const withheldIdToken = (configuration: client.Configuration): (() => string) => {
  let withheld: unknown;
  configuration[client.customFetch] = async (url, init) => {
    const response = await fetch(url, { ...init, body: init.body ?? null, signal: init.signal ?? null }).catch(() => {
      throw new AppError("sign-in-unavailable", { detail: "token endpoint" });
    });
    if (response.status === 429 || response.status >= 500) {
      await response.body?.cancel();
      throw new AppError("sign-in-unavailable", { detail: `token endpoint ${response.status}` });
    }
    if (!response.ok) return response;
    const answer: unknown = await response.json().catch(() => null);
    if (typeof answer !== "object" || answer === null)
      throw new AppError("sign-in-unavailable", { detail: "token answer" });
    const { id_token, ...rest } = { id_token: undefined, ...answer };
    withheld = id_token;
    return Response.json(rest, { status: response.status });
  };
  return () => {
    if (typeof withheld !== "string") throw new IdTokenRefused("missing");
    return withheld;
  };
};

const signedIn = (claims: IdTokenClaims): SignedIn => ({
  tid: claims.tid.toLowerCase(),
  oid: claims.oid.toLowerCase(),
  name: claims.name,
  preferredUsername: claims.preferred_username,
  wids: claims.wids?.map((role) => role.toLowerCase()) ?? null,
  acct: claims.acct,
  idp: claims.idp,
  iss: claims.iss,
  authTime: claims.auth_time,
});

/** Errors of the libraries carry the answer and its claims: only codes are taken from them. */
const redeemFailure = (error: unknown): AppError => {
  if (error instanceof client.AuthorizationResponseError || error instanceof client.ResponseBodyError) {
    const number = error instanceof client.ResponseBodyError ? firstNumber(error.cause.error_codes) : null;
    const known = meaning(number, error.error);
    const ours = known && (isOwnCredential(known) || known === "not-configured" || known === "sign-in-unavailable");
    return new AppError(ours ? known : "consent-sign-in-failed", { detail: name(number, error.error) });
  }
  for (const each of causes(error)) {
    if (isAppError(each)) return each;
    if (each instanceof IdTokenRefused)
      return new AppError("consent-sign-in-failed", { detail: `ID token: ${each.message}` });
  }
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "fetch";
  const claim = error instanceof Error && "claim" in error && typeof error.claim === "string" ? ` ${error.claim}` : "";
  const unreachable =
    error instanceof TypeError || ["ERR_JWKS_TIMEOUT", "ERR_JOSE_GENERIC", "OAUTH_TIMEOUT"].includes(code);
  return new AppError(unreachable ? "sign-in-unavailable" : "consent-sign-in-failed", { detail: `${code}${claim}` });
};

const firstNumber = (list: unknown): number | null => {
  const first: unknown = Array.isArray(list) ? list[0] : null;
  return typeof first === "number" && Number.isSafeInteger(first) ? first : null;
};

export interface AdminConsentRequest {
  authority: string;
  tid: string;
  clientId: string;
  redirectUri: string;
  state: string;
  /** `graphResource(GRAPH_BASE_URL)`; the global cloud's when absent. */
  resource?: string;
}

/** Application permissions can be asked for only all together, by `.default`. */
export const adminConsentUrl = ({
  authority,
  tid,
  clientId,
  redirectUri,
  state,
  resource,
}: AdminConsentRequest): URL => {
  const url = new URL(`${authority.replace(/\/+$/, "")}/${encodeURIComponent(tid)}/v2.0/adminconsent`);
  url.searchParams.set("client_id", clientId);
  url.searchParams.set("scope", `${resource ?? "https://graph.microsoft.com"}/.default`);
  url.searchParams.set("redirect_uri", redirectUri);
  url.searchParams.set("state", state);
  return url;
};
