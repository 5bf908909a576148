/** Single sign-on as browsers and applications meet it: our functions in this process, the simulated Microsoft by HTTP. */
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { type Cookie, HttpRequest, type HttpResponseInit, InvocationContext } from "@azure/functions";
import { SignJWT } from "jose";
import { openCosmos } from "../../src/adapters/cosmos/client.ts";
import type { Tier } from "../../src/core/connections/tiers.ts";
import type { HttpFunction } from "../../src/functions/register.ts";
import { ssoFunctions } from "../../src/functions/sso.http.ts";
import { controlKeyHeader } from "../../src/local/cosmos/control.ts";
import { everybody } from "../../src/local/demo/everybody.ts";
import { type Click, clickThrough } from "../../src/local/simulator/entra/click-through.ts";
import type { Tenant } from "../../src/local/simulator/world.ts";
import { type ApiStage, routed, startApi } from "../functions/api-stage.ts";

export const issuer = "https://sync.example";
export const redirectUri = "https://portal.example/signed-in";
const signInClientId = "11111111-2222-4333-8444-666666666666";
const microsoftSecret = "another development secret";

export const portalSecret = "secret of the portal";
const signerKeys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const signerKey = signerKeys.privateKey;
export const signerPublicKey = signerKeys.publicKey;

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
export const challengeOf = (verifier: string): string => createHash("sha256").update(verifier).digest("base64url");

const clients = [
  {
    clientId: "portal",
    redirectUris: [redirectUri, "https://portal.example/other"],
    postLogoutRedirectUris: ["https://portal.example/bye"],
    secretHash: [sha256("an older secret"), sha256(portalSecret)],
    linksPeople: true,
  },
  {
    clientId: "stranger",
    redirectUris: [redirectUri],
    secretHash: sha256("secret of the stranger"),
    workspaces: ["nobody"],
  },
  {
    clientId: "rival",
    redirectUris: ["https://rival.example/cb"],
    secretHash: sha256("secret of the rival"),
    linksPeople: true,
  },
  {
    clientId: "signer",
    redirectUris: [redirectUri],
    jwks: { keys: [{ ...signerKeys.publicKey.export({ format: "jwk" }), kid: "1" }] },
  },
];

export interface Connected {
  id: string;
  tid: string;
  tenant: Tenant;
  /** Object ids of accounts that can sign in. */
  accounts: string[];
}

export interface Answer {
  status: number;
  headers: Headers;
  /** Where the browser goes next by itself. */
  location: URL | null;
  cookies: Cookie[];
  text: string;
  json: Record<string, unknown>;
}

export interface Asking {
  body?: Record<string, string> | string;
  headers?: Record<string, string>;
}

export interface SsoStage {
  api: ApiStage;
  log: string[];
  ask(method: "GET" | "POST", address: string | URL, asking?: Asking): Promise<Answer>;
  /** A tenant of its own, synchronised, where people may sign in. */
  connect(options: { domain: string; workspace?: string; tenant?: Tenant }): Promise<Connected>;
  setTier(id: string, tier: Tier, state: string): Promise<void>;
  patch(id: string, path: string, value: unknown): Promise<void>;
  patchPerson(id: string, person: string, changes: Record<string, unknown>): Promise<void>;
  /** Everything that the database holds, as text. */
  dump(): Promise<string>;
  close(): Promise<void>;
}

export const startSso = async (): Promise<SsoStage> => {
  const api = await startApi({
    ENTRA_SIGNIN_CLIENT_ID: signInClientId,
    ENTRA_SIGNIN_CLIENT_SECRET: microsoftSecret,
    SSO_CLIENTS: JSON.stringify(clients),
  });
  const { simulator } = api;
  simulator.commands["register-app"].run({
    clientId: signInClientId,
    secrets: [microsoftSecret],
    redirectUris: [`${issuer}/sso/callback/entra`],
    optionalClaims: ["acct", "auth_time", "xms_edov"],
  });
  const functions: HttpFunction[] = ssoFunctions(() => api.cases);
  const { cosmos } = api;
  const handles = openCosmos({ endpoint: cosmos.endpoint, key: cosmos.key, database: cosmos.database });

  const stage: SsoStage = {
    api,
    log: api.log,
    ask: async (method, address, { body, headers = {} } = {}) => {
      const url = new URL(address, issuer);
      const found = routed(functions, url.pathname);
      if (!found) throw new Error(`no function for ${url.pathname}`);
      const form = typeof body === "object" ? new URLSearchParams(body).toString() : body;
      const request = new HttpRequest({
        method,
        url: url.href,
        headers: {
          "client-ip": "203.0.113.7:5000",
          ...(form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
          ...headers,
        },
        ...(form === undefined ? {} : { body: { string: form } }),
      });
      const context = new InvocationContext({
        invocationId: crypto.randomUUID(),
        functionName: found.target.name,
        logHandler: (_level, ...parts) => void api.log.push(parts.join(" ")),
      });
      const answer = (await found.target.handler(request, context)) as HttpResponseInit;
      const given = new Headers(answer.headers);
      const location = given.get("location") ?? /^0; url=(.*)$/.exec(given.get("refresh") ?? "")?.[1] ?? null;
      return {
        status: answer.status ?? 200,
        headers: given,
        location: location === null ? null : new URL(location, issuer),
        cookies: answer.cookies ?? [],
        text: typeof answer.body === "string" ? answer.body : "",
        json: (answer.jsonBody ?? {}) as Record<string, unknown>,
      };
    },
    connect: async ({ domain, workspace = "acme", tenant: known }) => {
      const tid = known?.tid ?? simulator.commands["create-tenant"].run({ users: 8, groups: 1, seed: 5, domain }).tid;
      const tenant = simulator.world.tenants.get(tid);
      if (!tenant) throw new Error("the tenant was not made");
      simulator.commands.grant.run({ tid, clientId: "11111111-2222-4333-8444-555555555555" });
      const token = await api.tokenFor(workspace);
      const body = { displayName: `Sign-in ${randomBytes(4).toString("hex")}`, access: { read: true, signIn: true } };
      const made = await api.call("POST", "/api/v1/connections", { body, token });
      const id = String(made.body.id);
      await handles.directory.item("connection", id).patch([
        { op: "set", path: "/state", value: "active" },
        { op: "set", path: "/tid", value: tid },
        { op: "set", path: "/settings", value: { ...everybody, automatic: false } },
        { op: "set", path: "/tiers/read/state", value: "active" },
        { op: "set", path: "/tiers/signIn/state", value: "active" },
      ]);
      await api.call("POST", `/api/v1/connections/${id}/runs`, { body: { mode: "full" }, token });
      await api.cases.work({ connectionId: id, receivedAt: Date.now() });
      const tested = await api.call("POST", `/api/v1/connections/${id}/test`, { token });
      if (tested.status !== 200) throw new Error(`not tested: ${JSON.stringify(tested.body)}`);
      return { id, tid, tenant, accounts: tenant.accounts.map(({ objectId }) => objectId) };
    },
    setTier: (id, tier, state) => stage.patch(id, `/tiers/${tier}/state`, state),
    patch: async (id, path, value) => {
      await handles.directory.item("connection", id).patch([{ op: "set", path, value }]);
    },
    patchPerson: async (id, person, changes) => {
      const operations = Object.entries(changes).map(([name, value]) => ({
        op: "set" as const,
        path: `/${name}`,
        value,
      }));
      await handles.directory.item(`u:${person}`, id).patch(operations);
    },
    dump: async () =>
      (await fetch(`${cosmos.endpoint}/_control/dump`, { headers: { [controlKeyHeader]: cosmos.key } })).text(),
    close: async () => {
      handles.dispose();
      await api.close();
    },
  };
  return stage;
};

export interface Begun {
  verifier: string;
  /** Address at Microsoft. */
  microsoft: URL;
  cookie: string;
  parameters: Record<string, string>;
}

export const requestOf = (more: Record<string, string>, verifier = "v".repeat(50)): Record<string, string> => ({
  client_id: "portal",
  redirect_uri: redirectUri,
  response_type: "code",
  scope: "openid profile email",
  state: "state-of-the-portal",
  nonce: "nonce-of-the-portal",
  code_challenge: challengeOf(verifier),
  code_challenge_method: "S256",
  ...more,
});

export const authorizeAt = (parameters: Record<string, string>): string =>
  `/sso/authorize?${new URLSearchParams(parameters).toString()}`;

export const cookieIn = ({ cookies }: Answer): string =>
  cookies.map(({ name, value }) => `${name}=${value}`).join("; ");

/** As far as Microsoft's page. */
export const begun = async (stage: SsoStage, more: Record<string, string>): Promise<Begun> => {
  const verifier = randomBytes(32).toString("base64url");
  const parameters = requestOf(more, verifier);
  const answer = await stage.ask("GET", authorizeAt(parameters));
  if (answer.status !== 303 || !answer.location) throw new Error(`not begun: ${answer.status} ${answer.text}`);
  return { verifier, microsoft: answer.location, cookie: cookieIn(answer), parameters };
};

/** Where Microsoft sends the browser after a click. */
export const clicked = async (microsoft: URL, click: Click): Promise<URL> => {
  const landing = await clickThrough(microsoft, click);
  if (landing.kind === "page") throw new Error(`Microsoft shows: ${landing.html}`);
  return landing.url;
};

/** The whole way of a browser, to the application. */
export const signedIn = async (
  stage: SsoStage,
  more: Record<string, string>,
  account: string,
): Promise<Begun & { answer: Answer; back: URLSearchParams }> => {
  const start = await begun(stage, more);
  const answer = await stage.ask("GET", await clicked(start.microsoft, { account }), {
    headers: { cookie: start.cookie },
  });
  return { ...start, answer, back: answer.location?.searchParams ?? new URLSearchParams() };
};

export const basic = (id: string, secret: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${id}:${encodeURIComponent(secret)}`).toString("base64")}`,
});

export const redeem = (
  stage: SsoStage,
  { back, verifier }: { back: URLSearchParams; verifier: string },
  more: Record<string, string> = {},
  headers = basic("portal", portalSecret),
): Promise<Answer> =>
  stage.ask("POST", "/sso/token", {
    headers,
    body: {
      grant_type: "authorization_code",
      code: back.get("code") ?? "",
      redirect_uri: redirectUri,
      code_verifier: verifier,
      ...more,
    },
  });

export const userInfo = (stage: SsoStage, token: string): Promise<Answer> =>
  stage.ask("GET", "/sso/userinfo", { headers: { authorization: `Bearer ${token}` } });

/** How an application proves itself with its own key. */
export const assertion = (
  claims: Record<string, unknown> = {},
  header: { alg: string } = { alg: "ES256" },
  key: Parameters<SignJWT["sign"]>[0] = signerKey,
): Promise<string> => {
  const now = Math.floor(Date.now() / 1000);
  const jti = randomBytes(8).toString("hex");
  return new SignJWT({ iss: "signer", sub: "signer", aud: issuer, iat: now, exp: now + 60, jti, ...claims })
    .setProtectedHeader(header)
    .sign(key);
};
