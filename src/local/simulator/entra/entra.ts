/**
 * The simulated Entra ID: discovery, keys, sign-in, tokens and admin consent for every tenant of a world, with the traps of
 * the real one. Microsoft's words are used throughout; "person" is somebody at the login page.
 */
import type { SimRequest, SimResponse } from "../http.ts";
import type { World } from "../world.ts";
import { createAccessTokens, type TokenHolder } from "./access-tokens.ts";
import { createAdminConsents } from "./admin-consent.ts";
import { resolveAuthority } from "./authority.ts";
import { createGrants } from "./grants.ts";
import { refusalPage, signedOutPage } from "./pages.ts";
import { Refusal, refusalAsJson, type Trace, traceOf } from "./refusal.ts";
import { answerSignIn } from "./sign-in.ts";
import { createSigningKeys } from "./signing-keys.ts";
import { defaultSwitches, type EntraSwitches } from "./switches.ts";
import { answerTokenRequest, type TokenRequest } from "./token-endpoint.ts";

export interface Entra {
  /** Null when the address is none of Entra's. */
  handle(request: SimRequest): Promise<SimResponse | null>;
  /** What Graph makes of an `authorization` header; null means 401. */
  verifyGraphToken(authorization: string | undefined): TokenHolder | null;
  /** Assign to its fields to make Entra misbehave. */
  readonly switches: EntraSwitches;
  /** The newest 1,000 token requests, oldest first. */
  readonly tokenRequests: readonly TokenRequest[];
  /** Kills the refresh tokens a person holds now. */
  revokeSessions(tid: string, oid: string): void;
}

export interface EntraOptions {
  /** Origin of the login host, e.g. `https://localhost:8443`. */
  url(): string;
  /** A service principal appeared or its permissions changed, through sign-in or consent. */
  onGrantsChanged?: (tid: string) => void;
}

const rememberedTokenRequests = 1000;

export const createEntra = (world: World, options: EntraOptions): Entra => {
  const origin = () => new URL(options.url()).origin;
  const switches = defaultSwitches();
  const granted = options.onGrantsChanged ?? (() => {});
  const keys = createSigningKeys(switches, origin);
  const grants = createGrants(world);
  const accessTokens = createAccessTokens(world, keys, switches);
  const consents = createAdminConsents(world, switches, granted);
  const tokenRequests: TokenRequest[] = [];
  const record = (entry: TokenRequest) => {
    tokenRequests.push(entry);
    if (tokenRequests.length > rememberedTokenRequests) tokenRequests.shift();
  };

  const needs = { world, keys, grants, accessTokens, consents, switches, origin, record, granted };

  /** `/{tenant}` is cut off; `api` answers refusals as JSON, the others as Microsoft's page. */
  const routes: { path: RegExp; methods: string[]; api?: true; answer: Answer }[] = [
    {
      path: /^\/v2\.0\/\.well-known\/openid-configuration$/,
      methods: ["GET"],
      api: true,
      answer: (tenantPath) => discovery(world, tenantPath, origin()),
    },
    {
      path: /^\/discovery\/v2\.0\/keys$/,
      methods: ["GET"],
      api: true,
      answer: async (tenantPath) => {
        resolveAuthority(world, tenantPath);
        return { status: 200, headers: { "cache-control": "max-age=86400, private" }, body: await keys.published() };
      },
    },
    {
      path: /^\/oauth2\/v2\.0\/authorize$/,
      methods: ["GET"],
      answer: (tenantPath, request, trace) => answerSignIn(needs, tenantPath, request, trace),
    },
    {
      path: /^\/login$/,
      methods: ["POST"],
      answer: (tenantPath, request, trace) => answerSignIn(needs, tenantPath, request, trace),
    },
    {
      path: /^\/oauth2\/v2\.0\/token$/,
      methods: ["POST"],
      api: true,
      answer: (tenantPath, request) => answerTokenRequest(needs, tenantPath, request),
    },
    {
      path: /^\/oauth2\/v2\.0\/logout$/,
      methods: ["GET", "POST"],
      answer: (_tenantPath, request) => signOut(world, request),
    },
    {
      path: /^\/(?:v2\.0\/)?adminconsent$/,
      methods: ["GET", "POST"],
      answer: (tenantPath, request, trace) =>
        consents.answer(tenantPath, request.url.pathname.includes("/v2.0/") ? 2 : 1, request, trace),
    },
  ];

  return {
    handle: async (request) => {
      const [, tenantPath = "", rest = ""] = /^\/([^/]+)(\/.*)$/.exec(request.url.pathname) ?? [];
      const route = routes.find(({ path }) => path.test(rest));
      if (!route) return null;
      if (!route.methods.includes(request.method))
        return { status: 405, headers: { allow: route.methods.join(", ") }, body: "" };
      const trace = traceOf(request, world.now());
      try {
        return await route.answer(tenantPath, request, trace);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return route.api ? refusalAsJson(error, trace, origin()) : refusalPage(error, trace);
      }
    },
    verifyGraphToken: (authorization) => accessTokens.verify(authorization),
    switches,
    tokenRequests,
    revokeSessions: (tid, oid) => grants.revokeSessions(tid, oid),
  };
};

type Answer = (tenantPath: string, request: SimRequest, trace: Trace) => SimResponse | Promise<SimResponse>;

/** What the document leaves out matters too: neither PKCE nor the `iss` response parameter is advertised. */
const discovery = (world: World, tenantPath: string, origin: string): SimResponse => {
  const { tenant, path } = resolveAuthority(world, tenantPath);
  const base = `${origin}/${tenant?.tid ?? path}`;
  return {
    status: 200,
    headers: { "cache-control": "max-age=86400, private", "access-control-allow-origin": "*" },
    body: {
      token_endpoint: `${base}/oauth2/v2.0/token`,
      token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt", "client_secret_basic"],
      jwks_uri: `${base}/discovery/v2.0/keys`,
      response_modes_supported: ["query", "fragment", "form_post"],
      subject_types_supported: ["pairwise"],
      id_token_signing_alg_values_supported: ["RS256"],
      response_types_supported: ["code", "id_token", "code id_token", "id_token token"],
      scopes_supported: ["openid", "profile", "email", "offline_access"],
      // A literal template where the tenant is not known yet.
      issuer: `${origin}/${tenant?.tid ?? "{tenantid}"}/v2.0`,
      request_uri_parameter_supported: false,
      userinfo_endpoint: "https://graph.microsoft.com/oidc/userinfo",
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      http_logout_supported: true,
      frontchannel_logout_supported: true,
      end_session_endpoint: `${base}/oauth2/v2.0/logout`,
      claims_supported: [
        "sub",
        "iss",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "preferred_username",
        "name",
        "tid",
        "ver",
        "email",
      ],
    },
  };
};

const signOut = (world: World, request: SimRequest): SimResponse => {
  const parameters = request.method === "GET" ? request.url.searchParams : new URLSearchParams(request.body);
  const target = parameters.get("post_logout_redirect_uri") ?? "";
  const registered = [...world.registrations.values()].some(({ redirectUris }) => redirectUris.includes(target));
  return registered ? { status: 302, headers: { location: target } } : signedOutPage();
};
