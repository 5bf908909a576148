/** The API as the host would call it: composed from settings, with real tokens, on stand-ins of every service around it. */
import { HttpRequest, type HttpResponseInit, InvocationContext } from "@azure/functions";
import { vi } from "vitest";
import { z } from "zod";
import { openCosmos } from "../../src/adapters/cosmos/client.ts";
import { compose, type UseCases } from "../../src/composition.ts";
import { loadConfig } from "../../src/config.ts";
import { permissions } from "../../src/core/context.ts";
import { connectFunctions } from "../../src/functions/connect.http.ts";
import { handlers } from "../../src/functions/handlers.ts";
import { healthFunctions } from "../../src/functions/health.http.ts";
import { publisherFunctions } from "../../src/functions/publisher.http.ts";
import { apiFunctions, type HttpFunction } from "../../src/functions/register.ts";
import { securityTxtFunctions } from "../../src/functions/security-txt.http.ts";
import { setupFunctions } from "../../src/functions/setup.http.ts";
import { unknownFunctions } from "../../src/functions/zz-unknown.http.ts";
import { type CosmosServer, startCosmos } from "../../src/local/cosmos/server.ts";
import { everybody } from "../../src/local/demo/everybody.ts";
import { compileRoute } from "../../src/local/host/routes.ts";
import { type KeyVault, startKeyVault } from "../../src/local/key-vault/server.ts";
import { startQueues } from "../../src/local/queues/azurite.ts";
import { type Simulator, startSimulator } from "../../src/local/simulator/server.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";
import { startIdentityEndpoint } from "../../src/local/tokens/identity.ts";
import { startTokenIssuer, type TokenIssuer, type TokenOverrides } from "../../src/local/tokens/issuer.ts";
import { readPermissions } from "../support/sync-stage.ts";

export const audience = "https://sync.example";
export const pageOrigin = "https://app.product.example";
const clientId = "11111111-2222-4333-8444-555555555555";

/** Walks over all routes send more in a second than any product would. */
const most = 1_000_000;

export interface Call {
  body?: unknown;
  /** Text of a body that is not JSON. */
  text?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  token?: string | null;
}

export interface Answered {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
  /** Of an answer that is not JSON. */
  text: string;
}

export interface ApiStage {
  cases: UseCases;
  cosmos: CosmosServer;
  queues: { connectionString: string };
  vault: KeyVault;
  issuer: TokenIssuer;
  simulator: Simulator;
  functions: HttpFunction[];
  /** Lines that were logged. */
  log: string[];
  advance(milliseconds: number): void;
  tokenFor(workspace: string, granted?: readonly string[], overrides?: TokenOverrides): Promise<string>;
  call(method: string, path: string, call?: Call): Promise<Answered>;
  /** A connection of `acme` that is active on a simulated tenant and has run once. */
  connect(users: number, groups: number): Promise<{ id: string; tid: string }>;
  close(): Promise<void>;
}

type Settings = Readonly<Record<string, string>>;

/** `settings` beside those of the services; some name the issuer of the tokens. */
export const startApi = async (settings: Settings | ((issuer: string) => Settings) = {}): Promise<ApiStage> => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  const tls = await authority.issueServerCertificate();
  let offset = 0;
  const now = (): number => Date.now() + offset;
  const identity = await startIdentityEndpoint({ now });
  vi.stubEnv("IDENTITY_ENDPOINT", identity.endpoint);
  vi.stubEnv("IDENTITY_HEADER", identity.header);
  const [cosmos, vault, queues, simulator, issuer] = await Promise.all([
    startCosmos({ file: ":memory:", now }),
    startKeyVault({ tls, verifyToken: (bearer) => identity.verify(bearer), now }),
    startQueues({}),
    startSimulator({ tls, seed: 1 }),
    startTokenIssuer({ audience, now }),
  ]);
  simulator.commands["register-app"].run({
    clientId,
    displayName: "Read",
    secrets: ["a development secret"],
    applicationPermissions: readPermissions,
  });
  const config = loadConfig({
    LOCAL_SERVICES: "allowed",
    RATE_LIMITS: JSON.stringify({ read: most, write: most, live: most, wait: most, address: most }),
    ...(typeof settings === "function" ? settings(issuer.issuer) : settings),
    ENTRA_AUTHORITY: simulator.entraUrl,
    GRAPH_BASE_URL: simulator.graphUrl,
    ENTRA_READ_CLIENT_ID: clientId,
    ENTRA_READ_CLIENT_SECRET: "a development secret",
    COSMOS_ENDPOINT: cosmos.endpoint,
    COSMOS_DATABASE: cosmos.database,
    COSMOS_KEY: cosmos.key,
    KEY_VAULT_URL: vault.url,
    AzureWebJobsStorage: queues.connectionString,
    PUBLIC_BASE_URL: "https://sync.example",
    RETURN_ORIGINS: pageOrigin,
    CORS_ALLOWED_ORIGINS: pageOrigin,
    API_TOKEN_ISSUERS: JSON.stringify([
      {
        issuer: issuer.issuer,
        audience,
        jwksUri: issuer.jwksUri,
        claims: { workspace: "workspace", permissions: "permissions", roles: "roles" },
      },
    ]),
  });
  const cases = compose(config, now);
  const functions = [
    ...apiFunctions(() => cases, handlers),
    ...connectFunctions(() => cases),
    ...setupFunctions(() => cases),
    ...healthFunctions(() => cases),
    ...publisherFunctions(() => cases),
    ...securityTxtFunctions(() => cases),
    ...unknownFunctions,
  ];
  const log: string[] = [];

  const stage: ApiStage = {
    cases,
    cosmos,
    queues,
    vault,
    issuer,
    simulator,
    functions,
    log,
    advance: (milliseconds) => {
      offset += milliseconds;
    },
    tokenFor: (workspace, granted = permissions, overrides = {}) =>
      issuer.sign({ workspace, subject: "ada", permissions: [...granted] }, overrides),
    call: async (method, path, call = {}) => {
      const token = call.token === undefined ? await stage.tokenFor("acme") : call.token;
      return performOn(functions, log, method, path, { ...call, token });
    },
    connect: async (users, groups) => {
      const { tid } = simulator.commands["create-tenant"].run({ users, groups, seed: 1, domain: "contoso.example" });
      simulator.commands.grant.run({ tid, clientId });
      const made = await stage.call("POST", "/api/v1/connections", {
        body: { displayName: `Tenant ${tid}`, access: { read: true } },
      });
      const id = z.string().parse(made.body.id);
      await activate(cosmos, id, tid);
      const asked = await stage.call("POST", `/api/v1/connections/${id}/runs`, { body: { mode: "full" } });
      if (asked.status !== 202) throw new Error(`no run: ${JSON.stringify(asked.body)}`);
      await cases.work({ connectionId: id, receivedAt: now() });
      return { id, tid };
    },
    close: async () => {
      cases.dispose();
      vi.unstubAllEnvs();
      await Promise.all([cosmos, vault, queues, simulator, issuer, identity].map((part) => part.close()));
    },
  };
  return stage;
};

/** As the host does it: names in order, the first route that fits. */
export const routed = (
  functions: readonly HttpFunction[],
  path: string,
): { target: HttpFunction; params: Record<string, string> } | null => {
  const inOrder = functions.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const target of inOrder) {
    const params = compileRoute(target.route)(path);
    if (params) return { target, params };
  }
  return null;
};

export const performOn = async (
  functions: readonly HttpFunction[],
  log: string[],
  method: string,
  path: string,
  { body, text, query = {}, headers = {}, token }: Call,
): Promise<Answered> => {
  const found = routed(functions, path);
  if (!found) throw new Error(`no function for ${path}`);
  const sent = text ?? (body === undefined ? undefined : JSON.stringify(body));
  const request = new HttpRequest({
    method,
    url: `https://sync.example${path}`,
    query,
    params: found.params,
    headers: {
      "client-ip": "203.0.113.7:5000",
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...headers,
    },
    ...(sent === undefined ? {} : { body: { string: sent } }),
  });
  const context = new InvocationContext({
    invocationId: crypto.randomUUID(),
    functionName: found.target.name,
    logHandler: (_level, ...parts) => void log.push(parts.join(" ")),
  });
  const answer = (await found.target.handler(request, context)) as HttpResponseInit;
  return {
    status: answer.status ?? 200,
    headers: new Headers(answer.headers as Record<string, string>),
    body: (answer.jsonBody ?? {}) as Record<string, unknown>,
    text: typeof answer.body === "string" ? answer.body : "",
  };
};

/** Consent has tests of its own; here the connection is laid down as one that went through it. */
const activate = async ({ endpoint, key, database }: CosmosServer, id: string, tid: string): Promise<void> => {
  const handles = openCosmos({ endpoint, key, database });
  await handles.directory.item("connection", id).patch([
    { op: "set", path: "/state", value: "active" },
    { op: "set", path: "/tid", value: tid },
    { op: "set", path: "/settings", value: { ...everybody, automatic: false } },
    { op: "set", path: "/tiers/read/state", value: "active" },
  ]);
  handles.dispose();
};
