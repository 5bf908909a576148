/**
 * The settings of the outside world, and the only reader of the environment. Strict: everything is public, encrypted and
 * without shared secrets. `LOCAL_SERVICES=allowed` lets services on this very machine take the place of real ones; in Azure it
 * is refused. Faults are reported all together, by name and never by value.
 */
import { z } from "zod";
import type { Registration } from "./adapters/entra/registration.ts";
import {
  address,
  isGuarded,
  isLoopback,
  isMailServer,
  isReachable,
  origin,
  origins,
  redirectUri,
  webhookUrl,
} from "./config/addresses.ts";
import { ClaimMap } from "./core/access/claims.ts";
import { type MachineClient, MachineClients } from "./core/access/machine-clients.ts";
import { RateLimits } from "./core/access/rate-limits.ts";
import { StepUp } from "./core/access/recent-sign-in.ts";
import { logDayLimits } from "./core/audit/retention.ts";
import { type Tier, tiers } from "./core/connections/tiers.ts";
import { AppError } from "./core/errors.ts";
import { type NotificationKeys, notificationKeys } from "./core/notifications/client-state.ts";
import { type SsoClient, ssoClients } from "./core/sso/clients.ts";
import { type WebhookEndpoint, webhookEndpoints } from "./core/webhooks/endpoints.ts";

export interface Config {
  entra: {
    authority: string;
    registrations: Partial<Record<Tier, Registration>>;
    /** Delegated permission by which an administrator's roles are asked of Graph; null: only ID tokens tell them. */
    roleCheckScope: string | null;
  };
  graph: { baseUrl: string };
  /** Client id of the managed identity that this installation runs as; undefined = the only one there is. */
  identityClientId: string | undefined;
  cosmos: { endpoint: string; database: string; key: string | undefined };
  keyVault: { url: string; isLocal: boolean };
  queue: { connectionString: string } | { queueServiceUri: string; clientId: string | undefined };
  /** Without a slash at the end. */
  publicBaseUrl: string;
  /** Origins of the product that a browser may be sent back to. */
  returnOrigins: string[];
  corsOrigins: string[];
  tokenIssuers: TokenIssuer[];
  /** Programs of the product that may call in their own name. */
  machineClients: MachineClient[];
  rateLimits: RateLimits;
  /** How long ago somebody may have signed in who does what cannot be undone. */
  stepUp: StepUp;
  /** How long the change log and the access log are kept. */
  logDays: number;
  /** Applications that people sign in to. */
  ssoClients: SsoClient[];
  /** App registrations that Microsoft is told belong to this domain. */
  publisherAppIds: string[];
  /** Null: no `security.txt`. */
  securityContact: string | null;
  clientIpFrom: ClientIpSource;
  /** Null: no mails are sent. */
  mail: { url: string; isLocal: boolean; from: string; productUrl: string } | null;
  /** Age at which keys are replaced. */
  keyRotationMilliseconds: number;
  sync: { leaseMilliseconds: number; sliceMilliseconds: number };
  /** Loopback: whether an endpoint may be on this very machine. */
  webhooks: { endpoints: WebhookEndpoint[]; allowLoopback: boolean };
  /** Null: nothing is subscribed to, and changes are found by schedule only. */
  notificationKeys: NotificationKeys | null;
}

export interface TokenIssuer {
  issuer: string;
  audience: string;
  jwksUri: string;
  typ: string;
  claims: ClaimMap;
}

export type ClientIpSource =
  | { kind: "app-service" }
  | { kind: "front-door"; id: string }
  /** The n-th address from the right of `X-Forwarded-For`. */
  | { kind: "hops"; count: number };

/** Sign-in and Graph host belong together: https://learn.microsoft.com/graph/deployments */
const clouds = {
  global: { logins: ["https://login.microsoftonline.com"], graph: "https://graph.microsoft.com" },
  "us-government": { logins: ["https://login.microsoftonline.us"], graph: "https://graph.microsoft.us" },
  "us-defense": { logins: ["https://login.microsoftonline.us"], graph: "https://dod-graph.microsoft.us" },
  china: {
    logins: ["https://login.partner.microsoftonline.cn", "https://login.chinacloudapi.cn"],
    graph: "https://microsoftgraph.chinacloudapi.cn",
  },
} as const;
const cloudNames = ["global", "us-government", "us-defense", "china"] as const;

/** Names of settings that later parts will read. */
export const reservedSettings = ["DATA_LOCATION"] as const;

export type Environment = Readonly<Record<string, string | undefined>>;

const everyMinute = "0 * * * * *";

/** What the timer's registration names: the host replaces `%WAKE_SCHEDULE%`, but knows no default for it. */
export const wakeSchedule = (env: Environment = process.env): string =>
  env.WAKE_SCHEDULE?.trim() ? "%WAKE_SCHEDULE%" : everyMinute;

export const configFromEnvironment = (): Config => loadConfig(process.env);

/** Set by the services that run function apps, each its own. */
const azureMarks = ["WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID", "CONTAINER_APP_NAME"] as const;
const runsInAzure = (env: Environment): boolean => azureMarks.some((name) => env[name] !== undefined);

/** Throws `not-configured` with every fault. */
export const loadConfig = (environment: Environment): Config => {
  const env = present(environment);
  const local = env.LOCAL_SERVICES === "allowed" && !runsInAzure(env);
  const parsed = schema(local).safeParse(env);
  const faults = [...crossFaults(env, local)];
  for (const { path, message } of parsed.error?.issues ?? []) faults.push(`${path.join(".")} ${message}`);
  if (!parsed.success || faults.length > 0)
    throw new AppError("not-configured", { detail: [...new Set(faults)].toSorted().join("; ") });
  return nested(parsed.data, env, local);
};

/** An empty setting counts as absent. */
const present = (environment: Environment): Record<string, string> =>
  Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value?.trim() ? [[name, value.trim()]] : [])),
  );

const guid = z.guid("is not a GUID");

const schema = (local: boolean) => settings(local).superRefine(knownIssuers).superRefine(foreignIssuers);

const settings = (local: boolean) =>
  z.object({
    CLOUD: z.enum(cloudNames, "is not one of the known clouds").default("global"),
    ENTRA_AUTHORITY: origin(local).optional(),
    GRAPH_BASE_URL: address(local)
      .refine((text) => URL.parse(text)?.pathname === "/v1.0", "does not end in /v1.0")
      .optional(),
    ...registrationFields,
    ROLE_CHECK_SCOPE: z
      .string()
      .regex(/^[A-Za-z]+(\.[A-Za-z]+)+$/, "is not the name of a permission")
      .optional(),
    AZURE_CLIENT_ID: local ? guid.optional() : z.guid("is missing or not a GUID"),
    COSMOS_ENDPOINT: address(local),
    COSMOS_DATABASE: z.string().default("m365-sync"),
    COSMOS_KEY: z.string().optional(),
    KEY_VAULT_URL: address(local),
    PUBLIC_BASE_URL: origin(local).refine((text) => text.startsWith("https://"), "is not https"),
    RETURN_ORIGINS: origins(local),
    CORS_ALLOWED_ORIGINS: origins(local).default([]),
    API_TOKEN_ISSUERS: z.string("is missing").transform(json).pipe(issuers(local)),
    MACHINE_CLIENTS: z.string().transform(json).pipe(MachineClients).default([]),
    RATE_LIMITS: z.string().transform(json).pipe(RateLimits).default(RateLimits.parse({})),
    STEP_UP: z.string().transform(json).pipe(StepUp).default(StepUp.parse({})),
    SSO_CLIENTS: z
      .string()
      .transform(json)
      .pipe(ssoClients(redirectUri(local)))
      .default([]),
    WEBHOOK_ENDPOINTS: z
      .string()
      .transform(json)
      .pipe(webhookEndpoints(webhookUrl(local)))
      .default([]),
    NOTIFICATION_KEYS: notificationKeys.optional(),
    PUBLISHER_APP_IDS: z
      .string()
      .transform((text) => text.split(",").map((part) => part.trim().toLowerCase()))
      .pipe(z.array(guid))
      .default([]),
    SECURITY_CONTACT: z
      .string()
      .regex(/^(mailto:[^\s@]+@[^\s@]+|https:\/\/\S+)$/, "is neither mailto: nor https://")
      .optional(),
    CLIENT_IP_FROM: z
      .string()
      .regex(/^(app-service|front-door|hops:[1-9])$/, "is not app-service, front-door or hops:n")
      .default("app-service"),
    FRONT_DOOR_ID: guid.optional(),
    SMTP_URL: z
      .string()
      .refine((text) => isMailServer(URL.parse(text), local), "is not the smtps or smtp address of a public host")
      .optional(),
    MAIL_FROM: z
      .string()
      .regex(/^[\w.+-]{1,64}@[a-z0-9-]+(\.[a-z0-9-]+)*$/i, "is not a plain mail address")
      .optional(),
    PRODUCT_URL: address(local).optional(),
    KEY_ROTATION_DAYS: z
      .string()
      .regex(/^\d{1,3}$/, "is not a number of days")
      .transform(Number)
      .pipe(z.int().min(1, "is too short").max(365, "is too long"))
      .default(365),
    LOG_DAYS: z
      .string()
      .regex(/^\d{1,4}$/, "is not a number of days")
      .transform(Number)
      .pipe(z.int().min(logDayLimits.least, "is too short").max(logDayLimits.most, "is too long"))
      .default(logDayLimits.usual),
    LEASE_SECONDS: z
      .string()
      .regex(/^\d{1,4}$/, "is not a number of seconds")
      .transform(Number)
      .pipe(z.int().min(1, "is too short").max(600, "is too long"))
      .default(120),
  });

/** A program of an issuer that nobody is accepted from would never be met. */
const knownIssuers = (
  { MACHINE_CLIENTS: clients, API_TOKEN_ISSUERS: known }: z.output<ReturnType<typeof settings>>,
  context: z.RefinementCtx,
): void => {
  for (const [index, client] of clients.entries())
    if (!known.some(({ issuer }) => issuer === client.issuer))
      context.addIssue({
        code: "custom",
        path: ["MACHINE_CLIENTS", index, "issuer"],
        message: "is none of API_TOKEN_ISSUERS",
      });
};
/** What people sign in to with us gives nobody the rights of a caller: our own tokens are for the applications. */
const foreignIssuers = (
  { PUBLIC_BASE_URL: own, API_TOKEN_ISSUERS: known }: z.output<ReturnType<typeof settings>>,
  context: z.RefinementCtx,
): void => {
  if (known.some(({ issuer, jwksUri }) => [issuer, jwksUri].some((text) => URL.parse(text)?.origin === own)))
    context.addIssue({ code: "custom", path: ["API_TOKEN_ISSUERS"], message: "names this installation itself" });
};
type Parsed = z.output<ReturnType<typeof schema>>;

const registrationFields = {
  ENTRA_READ_CLIENT_ID: z.guid("is missing or not a GUID"),
  ENTRA_WRITE_CLIENT_ID: guid.optional(),
  ENTRA_LICENCES_CLIENT_ID: guid.optional(),
  ENTRA_SIGNIN_CLIENT_ID: guid.optional(),
  ENTRA_CALENDAR_CLIENT_ID: guid.optional(),
};

const json = (text: string, context: z.RefinementCtx): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: "custom", message: "is not JSON" });
    return z.NEVER;
  }
};

const issuers = (local: boolean) =>
  z
    .array(
      z.strictObject({
        issuer: address(local),
        audience: z.string("is missing").min(1, "is missing"),
        jwksUri: address(local),
        typ: z.string().min(1, "is empty").default("at+jwt"),
        claims: ClaimMap,
      }),
      "is not a list",
    )
    .min(1, "names no issuer")
    .refine((list) => new Set(list.map(({ issuer }) => issuer)).size === list.length, "names an issuer twice");

const prefixOf = (tier: Tier): string => `ENTRA_${tier.toUpperCase()}`;
const credentialSuffixes = ["_CLIENT_CERTIFICATE_PATH", "_FEDERATED_CLIENT_ID", "_CLIENT_SECRET"] as const;

/** What no single setting can tell. Works on the texts, so it also speaks when others are missing. */
function* crossFaults(env: Readonly<Record<string, string>>, local: boolean): Generator<string> {
  const isLocalUrl = (name: string): boolean => {
    const url = URL.parse(env[name] ?? "");
    return local && url !== null && isLoopback(url);
  };
  if (env.LOCAL_SERVICES !== undefined && env.LOCAL_SERVICES !== "allowed") yield "LOCAL_SERVICES is not `allowed`";
  if (env.LOCAL_SERVICES !== undefined && runsInAzure(env)) yield "LOCAL_SERVICES is not allowed in Azure";
  if (env.SMTP_URL !== undefined)
    for (const name of ["MAIL_FROM", "PRODUCT_URL"])
      if (env[name] === undefined) yield `${name} is missing beside SMTP_URL`;
  if (env.NODE_TLS_REJECT_UNAUTHORIZED === "0") yield "NODE_TLS_REJECT_UNAUTHORIZED switches verification off";
  if (env.NODE_EXTRA_CA_CERTS !== undefined && !local) yield "NODE_EXTRA_CA_CERTS is for local services only";
  for (const name of Object.keys(env))
    if (env[name]?.startsWith("@Microsoft.KeyVault(")) yield `${name} is a reference that was not resolved`;

  yield* cloudFaults(env, isLocalUrl);
  for (const tier of tiers) yield* registrationFaults(env, prefixOf(tier), local);
  if (env.SSO_CLIENTS !== undefined && env.ENTRA_SIGNIN_CLIENT_ID === undefined)
    yield "ENTRA_SIGNIN_CLIENT_ID is missing beside SSO_CLIENTS";
  if (env.COSMOS_KEY !== undefined && !isLocalUrl("COSMOS_ENDPOINT")) yield "COSMOS_KEY is for local services only";
  if (env.CLIENT_IP_FROM === "front-door" && env.FRONT_DOOR_ID === undefined) yield "FRONT_DOOR_ID is missing";
  yield* storageFaults(env, local, isLocalUrl);
}

function* cloudFaults(env: Readonly<Record<string, string>>, isLocalUrl: (name: string) => boolean): Generator<string> {
  const cloud = clouds[cloudNames.find((name) => name === env.CLOUD) ?? "global"];
  const { ENTRA_AUTHORITY: login, GRAPH_BASE_URL: graph } = env;
  const isOfCloud = {
    login: login === undefined || cloud.logins.some((known) => known === login),
    graph: graph === undefined || URL.parse(graph)?.origin === cloud.graph,
  };
  if (!isOfCloud.login && !isLocalUrl("ENTRA_AUTHORITY")) yield "ENTRA_AUTHORITY is not of this cloud";
  if (!isOfCloud.graph && !isLocalUrl("GRAPH_BASE_URL")) yield "GRAPH_BASE_URL is not of this cloud";
  // Tokens of one directory must never reach the Graph of another.
  if (isLocalUrl("ENTRA_AUTHORITY") !== isLocalUrl("GRAPH_BASE_URL"))
    yield "GRAPH_BASE_URL and ENTRA_AUTHORITY are not of one cloud";
}

function* registrationFaults(env: Readonly<Record<string, string>>, prefix: string, local: boolean): Generator<string> {
  const given = credentialSuffixes.filter((suffix) => env[prefix + suffix] !== undefined);
  const hasClient = env[`${prefix}_CLIENT_ID`] !== undefined;
  if (!hasClient && given.length > 0 && prefix !== "ENTRA_READ") yield `${prefix}_CLIENT_ID is missing`;
  if (hasClient && given.length !== 1) yield `${prefix}_CLIENT_ID needs exactly one credential`;
  if (env[`${prefix}_CLIENT_SECRET`] !== undefined && !local)
    yield `${prefix}_CLIENT_SECRET is for local services only`;
  const federated = env[`${prefix}_FEDERATED_CLIENT_ID`];
  if (federated !== undefined && !guid.safeParse(federated).success)
    yield `${prefix}_FEDERATED_CLIENT_ID is not a GUID`;
  if (pathsIn(env[`${prefix}_CLIENT_CERTIFICATE_PATH`]).length > 2)
    yield `${prefix}_CLIENT_CERTIFICATE_PATH names more than two files`;
}

const pathsIn = (text: string | undefined): string[] => (text ?? "").split(",").flatMap((path) => path.trim() || []);

function* storageFaults(
  env: Readonly<Record<string, string>>,
  local: boolean,
  isLocalUrl: (name: string) => boolean,
): Generator<string> {
  const { AzureWebJobsStorage: connectionString, AzureWebJobsStorage__queueServiceUri: uri } = env;
  if ((connectionString === undefined) === (uri === undefined))
    yield "AzureWebJobsStorage or AzureWebJobsStorage__queueServiceUri is needed, and not both";
  if (connectionString !== undefined && !local) yield "AzureWebJobsStorage with a key is for development only";
  else if (connectionString !== undefined && !isGuarded(connectionString))
    yield "AzureWebJobsStorage does not name an https address";
  if (uri === undefined) return;
  if (!isReachable(URL.parse(uri), local))
    yield "AzureWebJobsStorage__queueServiceUri is not the https address of a public host";
  if (env.AzureWebJobsStorage__credential !== "managedidentity" && !isLocalUrl("AzureWebJobsStorage__queueServiceUri"))
    yield "AzureWebJobsStorage__credential is not `managedidentity`";
}

const nested = (parsed: Parsed, env: Readonly<Record<string, string>>, local: boolean): Config => {
  const cloud = clouds[parsed.CLOUD];
  const lease = parsed.LEASE_SECONDS * 1000;
  const { AzureWebJobsStorage: connectionString, AzureWebJobsStorage__queueServiceUri: uri = "" } = env;
  const vault = URL.parse(parsed.KEY_VAULT_URL);
  return {
    entra: {
      authority: parsed.ENTRA_AUTHORITY ?? cloud.logins[0],
      registrations: registrationsIn(env),
      roleCheckScope: parsed.ROLE_CHECK_SCOPE ?? null,
    },
    graph: { baseUrl: parsed.GRAPH_BASE_URL ?? `${cloud.graph}/v1.0` },
    identityClientId: parsed.AZURE_CLIENT_ID,
    cosmos: { endpoint: parsed.COSMOS_ENDPOINT, database: parsed.COSMOS_DATABASE, key: parsed.COSMOS_KEY },
    keyVault: { url: parsed.KEY_VAULT_URL, isLocal: vault !== null && isLoopback(vault) },
    queue:
      connectionString !== undefined
        ? { connectionString }
        : { queueServiceUri: uri, clientId: env.AzureWebJobsStorage__clientId ?? parsed.AZURE_CLIENT_ID },
    publicBaseUrl: parsed.PUBLIC_BASE_URL,
    returnOrigins: parsed.RETURN_ORIGINS,
    corsOrigins: parsed.CORS_ALLOWED_ORIGINS,
    tokenIssuers: parsed.API_TOKEN_ISSUERS,
    machineClients: parsed.MACHINE_CLIENTS,
    rateLimits: parsed.RATE_LIMITS,
    stepUp: parsed.STEP_UP,
    logDays: parsed.LOG_DAYS,
    mail: mailIn(parsed),
    ssoClients: parsed.SSO_CLIENTS,
    publisherAppIds: [...new Set(parsed.PUBLISHER_APP_IDS)],
    securityContact: parsed.SECURITY_CONTACT ?? null,
    clientIpFrom: clientIpSource(parsed.CLIENT_IP_FROM, parsed.FRONT_DOOR_ID ?? ""),
    keyRotationMilliseconds: parsed.KEY_ROTATION_DAYS * 86_400_000,
    // A slice is longer than a lease, which its checkpoints renew, and ends well before the host's time limit.
    sync: { leaseMilliseconds: lease, sliceMilliseconds: Math.min(2 * lease, 240_000) },
    webhooks: { endpoints: parsed.WEBHOOK_ENDPOINTS, allowLoopback: local },
    notificationKeys: parsed.NOTIFICATION_KEYS ?? null,
  };
};

const mailIn = ({ SMTP_URL: url, MAIL_FROM: from, PRODUCT_URL: productUrl }: Parsed): Config["mail"] => {
  if (url === undefined || from === undefined || productUrl === undefined) return null;
  return { url, isLocal: isLoopback(new URL(url)), from, productUrl };
};

const registrationsIn = (env: Readonly<Record<string, string>>): Config["entra"]["registrations"] => {
  const found: Partial<Record<Tier, Registration>> = {};
  for (const tier of tiers) {
    const prefix = prefixOf(tier);
    const clientId = env[`${prefix}_CLIENT_ID`];
    if (clientId === undefined) continue;
    const paths = pathsIn(env[`${prefix}_CLIENT_CERTIFICATE_PATH`]);
    const federated = env[`${prefix}_FEDERATED_CLIENT_ID`];
    const credential: Registration["credential"] =
      paths.length > 0
        ? { kind: "certificate", paths }
        : federated !== undefined
          ? { kind: "federated", managedIdentityClientId: federated }
          : { kind: "secret", secret: env[`${prefix}_CLIENT_SECRET`] ?? "" };
    found[tier] = { clientId, credential };
  }
  return found;
};

const clientIpSource = (text: string, frontDoorId: string): ClientIpSource => {
  if (text === "front-door") return { kind: "front-door", id: frontDoorId };
  return text.startsWith("hops:") ? { kind: "hops", count: Number(text.slice(5)) } : { kind: "app-service" };
};
