import { describe, expect, test } from "vitest";
import example from "../local.settings.example.json" with { type: "json" };
import { type Environment, loadConfig, wakeSchedule } from "../src/config.ts";
import { faultsOf, issuer, deployed as strict } from "./support/deployed-settings.ts";

const local: Environment = {
  ...strict,
  LOCAL_SERVICES: "allowed",
  ENTRA_AUTHORITY: "https://localhost:7443",
  GRAPH_BASE_URL: "https://localhost:7444/v1.0",
  ENTRA_READ_FEDERATED_CLIENT_ID: "",
  ENTRA_READ_CLIENT_SECRET: "a development secret",
  AZURE_CLIENT_ID: "",
  COSMOS_ENDPOINT: "http://127.0.0.1:8081",
  COSMOS_KEY: "a2V5",
  KEY_VAULT_URL: "https://localhost:7445",
  AzureWebJobsStorage: "UseDevelopmentStorage=true",
  AzureWebJobsStorage__queueServiceUri: "",
  AzureWebJobsStorage__credential: "",
  PUBLIC_BASE_URL: "https://localhost:7072",
  RETURN_ORIGINS: "http://localhost:3000",
  NODE_EXTRA_CA_CERTS: "ca.pem",
  API_TOKEN_ISSUERS: JSON.stringify([
    { ...issuer, issuer: "http://localhost:7446", jwksUri: "http://localhost:7446/jwks" },
  ]),
};

const mailing: Environment = {
  SMTP_URL: "smtps://user:p%40ss@mail.product.example",
  MAIL_FROM: "sync@product.example",
  PRODUCT_URL: "https://app.product.example/integrations",
};

describe("the settings", () => {
  test("become a nested config, with the cloud's own hosts where none are named", () => {
    expect(loadConfig({ ...strict, CORS_ALLOWED_ORIGINS: "https://a.example, https://b.example" })).toMatchObject({
      entra: {
        authority: "https://login.microsoftonline.com",
        registrations: {
          read: {
            clientId: strict.ENTRA_READ_CLIENT_ID,
            credential: { kind: "federated", managedIdentityClientId: strict.ENTRA_READ_FEDERATED_CLIENT_ID },
          },
        },
      },
      graph: { baseUrl: "https://graph.microsoft.com/v1.0" },
      cosmos: { database: "m365-sync", key: undefined },
      keyVault: { isLocal: false },
      queue: { queueServiceUri: strict.AzureWebJobsStorage__queueServiceUri, clientId: strict.AZURE_CLIENT_ID },
      corsOrigins: ["https://a.example", "https://b.example"],
      tokenIssuers: [{ typ: "at+jwt", claims: { subject: "sub" } }],
      clientIpFrom: { kind: "app-service" },
      sync: { leaseMilliseconds: 120_000, sliceMilliseconds: 240_000 },
    });
    expect(loadConfig({ ...strict, CLOUD: "china" }).graph.baseUrl).toBe(
      "https://microsoftgraph.chinacloudapi.cn/v1.0",
    );
    expect(loadConfig({ ...strict, LEASE_SECONDS: "2" }).sync.sliceMilliseconds).toBe(4000);
    expect(loadConfig(strict).keyRotationMilliseconds).toBe(365 * 86_400_000);
    expect(loadConfig({ ...strict, KEY_ROTATION_DAYS: "1" }).keyRotationMilliseconds).toBe(86_400_000);
    expect(loadConfig({ ...strict, CLIENT_IP_FROM: "hops:2" }).clientIpFrom).toEqual({ kind: "hops", count: 2 });
  });

  test("send mails only when a server is named", () => {
    expect(loadConfig(strict).mail).toBeNull();
    expect(loadConfig({ ...strict, ...mailing }).mail).toEqual({
      url: mailing.SMTP_URL,
      isLocal: false,
      from: mailing.MAIL_FROM,
      productUrl: mailing.PRODUCT_URL,
    });
    expect(loadConfig({ ...local, ...mailing, SMTP_URL: "smtp://127.0.0.1:2525" }).mail?.isLocal).toBe(true);
  });

  test("have an example that loads", () => {
    const { AzureWebJobsStorage, ...values } = example.Values;
    expect(faultsOf({ ...values, AzureWebJobsStorage })).toBe("");
  });

  test("report every fault together, by name and never by value", () => {
    const secret = "s3cret-value";
    const faults = faultsOf({
      ENTRA_READ_CLIENT_ID: secret,
      COSMOS_ENDPOINT: `https://${secret}`,
      COSMOS_KEY: secret,
      API_TOKEN_ISSUERS: `[{"issuer": "${secret}"}]`,
      LEASE_SECONDS: secret,
      ENTRA_WRITE_CLIENT_SECRET: secret,
    });
    for (const name of [
      "ENTRA_READ_CLIENT_ID",
      "COSMOS_ENDPOINT",
      "COSMOS_KEY",
      "KEY_VAULT_URL",
      "PUBLIC_BASE_URL",
      "RETURN_ORIGINS",
      "API_TOKEN_ISSUERS.0.claims",
      "LEASE_SECONDS",
      "AZURE_CLIENT_ID",
      "ENTRA_WRITE_CLIENT_ID",
      "ENTRA_WRITE_CLIENT_SECRET",
      "AzureWebJobsStorage",
    ])
      expect(faults).toContain(name);
    expect(faults).not.toContain(secret);
  });

  test.each<[string, Environment]>([
    ["KEY_ROTATION_DAYS", { KEY_ROTATION_DAYS: "0" }],
    ["KEY_ROTATION_DAYS", { KEY_ROTATION_DAYS: "366" }],
    ["KEY_ROTATION_DAYS", { KEY_ROTATION_DAYS: "never" }],
    ["COSMOS_ENDPOINT", { COSMOS_ENDPOINT: "http://account.documents.azure.com" }],
    ["COSMOS_ENDPOINT", { COSMOS_ENDPOINT: "https://localhost:8081" }],
    ["COSMOS_ENDPOINT", { COSMOS_ENDPOINT: "https://10.0.0.4" }],
    ["COSMOS_ENDPOINT", { COSMOS_ENDPOINT: "https://user:password@account.documents.azure.com" }],
    ["KEY_VAULT_URL", { KEY_VAULT_URL: "https://vault.internal" }],
    ["KEY_VAULT_URL", { KEY_VAULT_URL: "https://[::1]:7445" }],
    ["COSMOS_KEY", { COSMOS_KEY: "a2V5" }],
    ["ENTRA_READ_CLIENT_ID", { ENTRA_READ_CLIENT_CERTIFICATE_PATH: "read.pem" }],
    ["ENTRA_SIGNIN_CLIENT_ID", { ENTRA_SIGNIN_CLIENT_ID: strict.ENTRA_READ_CLIENT_ID }],
    ["ENTRA_READ_CLIENT_SECRET", { ENTRA_READ_FEDERATED_CLIENT_ID: "", ENTRA_READ_CLIENT_SECRET: "x" }],
    ["CERTIFICATE_PATH", { ENTRA_READ_FEDERATED_CLIENT_ID: "", ENTRA_READ_CLIENT_CERTIFICATE_PATH: "a,b,c" }],
    ["NODE_TLS_REJECT_UNAUTHORIZED", { NODE_TLS_REJECT_UNAUTHORIZED: "0" }],
    ["NODE_EXTRA_CA_CERTS", { NODE_EXTRA_CA_CERTS: "ca.pem" }],
    ["ENTRA_AUTHORITY", { ENTRA_AUTHORITY: "https://login.attacker.example" }],
    ["NOTIFICATION_KEYS", { NOTIFICATION_KEYS: "too-short" }],
    ["GRAPH_BASE_URL", { GRAPH_BASE_URL: "https://graph.microsoft.us/v1.0" }],
    ["GRAPH_BASE_URL", { CLOUD: "us-government", GRAPH_BASE_URL: "https://dod-graph.microsoft.us/v1.0" }],
    ["GRAPH_BASE_URL", { GRAPH_BASE_URL: "https://graph.microsoft.com" }],
    ["PUBLIC_BASE_URL", { PUBLIC_BASE_URL: "https://sync.product.example/api" }],
    ["RETURN_ORIGINS", { RETURN_ORIGINS: "https://app.product.example/" }],
    ["CORS_ALLOWED_ORIGINS", { CORS_ALLOWED_ORIGINS: "*" }],
    ["API_TOKEN_ISSUERS", { API_TOKEN_ISSUERS: local.API_TOKEN_ISSUERS }],
    ["API_TOKEN_ISSUERS", { API_TOKEN_ISSUERS: "[]" }],
    ["API_TOKEN_ISSUERS", { API_TOKEN_ISSUERS: JSON.stringify([issuer, issuer]) }],
    ["claims", { API_TOKEN_ISSUERS: JSON.stringify([{ ...issuer, claims: { workspace: "w" } }]) }],
    ["ROLE_CHECK_SCOPE", { ROLE_CHECK_SCOPE: "Directory.Read.All offline_access" }],
    ["SECURITY_CONTACT", { SECURITY_CONTACT: "mailto:security@product.example\nContact: mailto:eve@evil.example" }],
    ["PUBLISHER_APP_IDS", { PUBLISHER_APP_IDS: "11111111-2222-4333-8444-555555555555, my-app" }],
    ["FRONT_DOOR_ID", { CLIENT_IP_FROM: "front-door" }],
    ["CLIENT_IP_FROM", { CLIENT_IP_FROM: "x-forwarded-for" }],
    ["AzureWebJobsStorage", { AzureWebJobsStorage: "UseDevelopmentStorage=true" }],
    ["AzureWebJobsStorage", { AzureWebJobsStorage__queueServiceUri: "" }],
    ["AzureWebJobsStorage__credential", { AzureWebJobsStorage__credential: "" }],
    ["RETURN_ORIGINS", { RETURN_ORIGINS: "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/o/)" }],
    ["LOCAL_SERVICES", { LOCAL_SERVICES: "yes" }],
    ["MAIL_FROM", { ...mailing, MAIL_FROM: "" }],
    ["PRODUCT_URL", { ...mailing, PRODUCT_URL: "" }],
    ["PRODUCT_URL", { ...mailing, PRODUCT_URL: "http://app.product.example" }],
    ["MAIL_FROM", { ...mailing, MAIL_FROM: "sync@product.example, eve@evil.example" }],
    ["SMTP_URL", { ...mailing, SMTP_URL: "smtp://127.0.0.1:25" }],
    ["SMTP_URL", { ...mailing, SMTP_URL: "smtps://mail.internal" }],
    ["SMTP_URL", { ...mailing, SMTP_URL: "https://mail.product.example" }],
    ["SMTP_URL", { ...mailing, SMTP_URL: "smtps://mail.product.example?tls.rejectUnauthorized=false" }],
  ])("are strict by default: %s is refused (%o)", (name, changes) => {
    expect(faultsOf({ ...strict, ...changes })).toContain(name);
  });

  test("let services on this machine stand in only when that is asked for, and never in Azure", () => {
    expect(loadConfig(local)).toMatchObject({
      keyVault: { isLocal: true },
      entra: { registrations: { read: { credential: { kind: "secret" } } } },
    });
    expect(faultsOf({ ...local, LOCAL_SERVICES: "" })).toContain("COSMOS_ENDPOINT");
    const inAzure = faultsOf({ ...local, WEBSITE_SITE_NAME: "app" });
    for (const name of [
      "LOCAL_SERVICES",
      "COSMOS_KEY",
      "ENTRA_READ_CLIENT_SECRET",
      "NODE_EXTRA_CA_CERTS",
      "PUBLIC_BASE_URL",
    ])
      expect(inAzure).toContain(name);
  });

  test.each<[string, Environment]>([
    ["COSMOS_ENDPOINT", { COSMOS_ENDPOINT: "http://cosmos.example:8081" }],
    ["COSMOS_KEY", { COSMOS_ENDPOINT: "https://account.documents.azure.com" }],
    ["GRAPH_BASE_URL", { GRAPH_BASE_URL: "" }],
    ["NODE_TLS_REJECT_UNAUTHORIZED", { NODE_TLS_REJECT_UNAUTHORIZED: "0" }],
    ["AzureWebJobsStorage", { AzureWebJobsStorage: "AccountName=a;AccountKey=k;QueueEndpoint=http://queues.example" }],
  ])("stay strict beside local services: %s is refused (%o)", (name, changes) => {
    expect(faultsOf({ ...local, ...changes })).toContain(name);
  });
});

describe("endpoints of webhooks", () => {
  const secret = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString("base64")}`;
  const good = { id: "crm", url: "https://hooks.product.example/m365", secrets: [secret(32)] };
  const faults = (...endpoints: object[]) => faultsOf({ ...strict, WEBHOOK_ENDPOINTS: JSON.stringify(endpoints) });

  test("are none, or a list; a secret is a key, which no log shows", () => {
    expect(loadConfig(strict).webhooks).toEqual({ endpoints: [], allowLoopback: false });
    const second = { ...good, id: "billing-2", secrets: [secret(24), secret(64)], workspaces: ["acme", "Contoso.1"] };
    const { webhooks } = loadConfig({ ...strict, WEBHOOK_ENDPOINTS: JSON.stringify([good, second]) });
    expect(webhooks.endpoints).toMatchObject([{ id: "crm", url: good.url }, { workspaces: ["acme", "Contoso.1"] }]);
    expect(webhooks.endpoints.map(({ secrets }) => secrets.map((key) => key.symmetricKeySize))).toEqual([
      [32],
      [24, 64],
    ]);
    expect(JSON.stringify(webhooks)).not.toContain(secret(32).slice(6));
  });

  test.each<[string, object]>([
    ["0.url", { url: "http://hooks.product.example/" }],
    ["0.url", { url: "https://hooks.product.example:8443/" }],
    ["0.url", { url: "https://user:word@hooks.product.example/" }],
    ["0.url", { url: "https://hooks.product.example/#part" }],
    ["0.url", { url: "https://127.0.0.1/" }],
    ["0.url", { url: "https://169.254.169.254/" }],
    ["0.url", { url: "https://2130706433/" }],
    ["0.url", { url: "https://[::1]/" }],
    ["0.url", { url: "https://hooks.internal/" }],
    ["0.url", { url: "https://localhost/" }],
    ["0.id", { id: "CRM" }],
    ["0.id", { id: "" }],
    ["0.secrets", { secrets: [] }],
    ["0.secrets", { secrets: [secret(32), secret(33), secret(34)] }],
    ["0.secrets.0", { secrets: [secret(23)] }],
    ["0.secrets.0", { secrets: [secret(65)] }],
    ["0.secrets.0", { secrets: [secret(32).slice(6)] }],
    ["0.secrets.0", { secrets: [`${secret(32)}\n`] }],
    ["0.workspaces", { workspaces: [] }],
    ["WEBHOOK_ENDPOINTS", { surprise: 1 }],
  ])("name what is wrong and not its value: %s (%o)", (where, change) => {
    expect(faults(good)).toBe("");
    const text = faults({ ...good, ...change });
    expect(text).toContain("WEBHOOK_ENDPOINTS");
    expect(text).toContain(where);
    expect(text).not.toContain(secret(32).slice(6, 20));
    expect(text).not.toContain("product.example");
  });

  test("have an id of their own, and are ten at most", () => {
    expect(faults(good, good)).toContain("names an id twice");
    expect(faults(...Array.from({ length: 11 }, (_, index) => ({ ...good, id: `e${index}` })))).toContain(
      "more than 10",
    );
    expect(faultsOf({ ...strict, WEBHOOK_ENDPOINTS: "crm" })).toContain("WEBHOOK_ENDPOINTS is not JSON");
  });

  test("may be on this very machine with local services, and still nowhere near it", () => {
    const here = (url: string) => faultsOf({ ...local, WEBHOOK_ENDPOINTS: JSON.stringify([{ ...good, url }]) });
    expect([here("https://localhost:9443/hooks"), here("http://127.0.0.1:3000/hooks")]).toEqual(["", ""]);
    expect(here("https://10.0.0.4/")).toContain("WEBHOOK_ENDPOINTS.0.url");
    expect(here("https://hooks.product.example:8443/")).toContain("WEBHOOK_ENDPOINTS.0.url");
  });
});

describe("programs that may call", () => {
  const good = { issuer: issuer.issuer, clientId: "crm", permissions: ["directory:read"] };
  const faults = (...clients: unknown[]) => faultsOf({ ...strict, MACHINE_CLIENTS: JSON.stringify(clients) });

  test("are none, or a list", () => {
    expect(loadConfig(strict).machineClients).toEqual([]);
    const { machineClients } = loadConfig({ ...strict, MACHINE_CLIENTS: JSON.stringify([good]) });
    expect(machineClients).toEqual([good]);
  });

  test("are of an issuer whose tokens are taken", () => {
    expect(faults(good)).toBe("");
    const text = faults(good, { ...good, issuer: `${issuer.issuer}/` });
    expect(text).toBe("MACHINE_CLIENTS.1.issuer is none of API_TOKEN_ISSUERS");
    expect(faults({ ...good, permissions: ["workspace:act-as"] })).toContain("MACHINE_CLIENTS.0.permissions.0");
    expect(faultsOf({ ...strict, MACHINE_CLIENTS: "crm" })).toContain("MACHINE_CLIENTS is not JSON");
  });
});

describe("limits of the rate", () => {
  const faults = (limits: unknown) => faultsOf({ ...strict, RATE_LIMITS: JSON.stringify(limits) });

  test("have defaults, of which some may be set", () => {
    const usual = { read: 3000, write: 600, live: 120, wait: 120, address: 600 };
    expect(loadConfig(strict).rateLimits).toEqual(usual);
    expect(loadConfig({ ...strict, RATE_LIMITS: '{"live": 10}' }).rateLimits).toEqual({ ...usual, live: 10 });
  });

  test.each<[string, unknown]>([
    ["RATE_LIMITS.read", { read: 0 }],
    ["RATE_LIMITS.read", { read: -5 }],
    ["RATE_LIMITS.read", { read: 1.5 }],
    ["RATE_LIMITS.read", { read: null }],
    ["RATE_LIMITS.read", { read: "3000" }],
    ["RATE_LIMITS.read", { read: 1e9 }],
    ["RATE_LIMITS", { reads: 10 }],
    ["RATE_LIMITS", []],
  ])("cannot be switched off by mistake: %s (%j)", (where, limits) => {
    expect(faults(limits)).toContain(where);
  });
});

describe("how long logs are kept, and how recent a sign-in has to be", () => {
  test("have defaults", () => {
    expect(loadConfig(strict)).toMatchObject({ logDays: 400, stepUp: { minutes: 10, required: false } });
    const chosen = { ...strict, LOG_DAYS: "1095", STEP_UP: '{"required": true}' };
    expect(loadConfig(chosen)).toMatchObject({ logDays: 1095, stepUp: { minutes: 10, required: true } });
  });

  test.each([
    ["LOG_DAYS", "89"],
    ["LOG_DAYS", "1096"],
    ["LOG_DAYS", "a year"],
    ["STEP_UP", '{"minutes": 0}'],
    ["STEP_UP", "{"],
  ])("%s is not %s", (name, value) => {
    expect(faultsOf({ ...strict, [name]: value })).toContain(name);
  });
});

describe("applications that people sign in to", () => {
  const tier = {
    ENTRA_SIGNIN_CLIENT_ID: "11111111-2222-4333-8444-777777777777",
    ENTRA_SIGNIN_FEDERATED_CLIENT_ID: "11111111-2222-4333-8444-666666666666",
  };
  const hash = "a".repeat(64);
  const portal = { clientId: "portal", redirectUris: ["https://app.product.example/in"], secretHash: hash };
  const faults = (...list: object[]): string => faultsOf({ ...strict, ...tier, SSO_CLIENTS: JSON.stringify(list) });

  test("have exact addresses and one kind of proof", () => {
    const keyed = {
      ...portal,
      clientId: "keyed",
      secretHash: undefined,
      jwks: { keys: [{ kty: "EC", x: "x", y: "y" }] },
    };
    const config = loadConfig({ ...strict, ...tier, SSO_CLIENTS: JSON.stringify([portal, keyed]) });
    expect(config.ssoClients).toMatchObject([{ clientId: "portal", secretHash: [hash] }, { clientId: "keyed" }]);
    expect(loadConfig(strict).ssoClients).toEqual([]);
  });

  test.each<[string, object]>([
    ["no address", { redirectUris: [] }],
    ["an address in clear", { redirectUris: ["http://app.product.example/in"] }],
    ["an address on this machine", { redirectUris: ["https://localhost/in"] }],
    ["an address with a fragment", { redirectUris: ["https://app.product.example/in#x"] }],
    ["a secret instead of its hash", { secretHash: "a secret" }],
    ["no proof", { secretHash: undefined }],
    ["two kinds of proof", { jwks: { keys: [{ kty: "EC" }] } }],
    ["a private key", { secretHash: undefined, jwks: { keys: [{ kty: "EC", d: "d" }] } }],
    ["a shared key", { secretHash: undefined, jwks: { keys: [{ kty: "oct", k: "k" }] } }],
    ["an unknown field", { public: true }],
  ])("are refused with %s", (_, change) => {
    expect(faults({ ...portal, ...change })).toContain("SSO_CLIENTS");
  });

  test("are named once, and take the tier of sign-in", () => {
    expect(faults(portal, portal)).toContain("names a client twice");
    expect(faultsOf({ ...strict, SSO_CLIENTS: JSON.stringify([portal]) })).toContain(
      "ENTRA_SIGNIN_CLIENT_ID is missing",
    );
  });

  test("get tokens that the API never takes, whatever its settings say", () => {
    const own = { ...issuer, issuer: strict.PUBLIC_BASE_URL };
    const keys = { ...issuer, jwksUri: `${strict.PUBLIC_BASE_URL}/sso/jwks.json` };
    for (const named of [own, keys])
      expect(faultsOf({ ...strict, API_TOKEN_ISSUERS: JSON.stringify([named]) })).toContain(
        "names this installation itself",
      );
  });
});

test.each([
  "*",
  "null",
  "https://*.product.example",
  "https://app.product.example/",
  "http://app.product.example",
  "app",
])("an origin is exact: %s is none", (origin) => {
  for (const name of ["CORS_ALLOWED_ORIGINS", "RETURN_ORIGINS"]) {
    expect(faultsOf({ ...strict, [name]: origin })).toContain(name);
    expect(faultsOf({ ...strict, [name]: `https://a.product.example,${origin}` })).toContain(`${name}.1`);
  }
});

test("the timer's schedule is a setting with a default, which the host itself does not know", () => {
  expect(wakeSchedule({})).toBe("0 * * * * *");
  expect(wakeSchedule({ WAKE_SCHEDULE: "*/2 * * * * *" })).toBe("%WAKE_SCHEDULE%");
});
