/**
 * The stand-ins of the services around the app. Each is started only when its setting is absent, and answers with the
 * settings that make the app use it.
 */
import { join } from "node:path";
import { z } from "zod";
import { type CosmosProcess, startCosmosProcess } from "../cosmos/process.ts";
import type { CosmosFaults } from "../cosmos/server.ts";
import { keptKey } from "../kept-key.ts";
import { type KeyVault, startKeyVault } from "../key-vault/server.ts";
import { type MailCatcher, startMailCatcher } from "../mail/catcher.ts";
import { type QueuesProcess, startQueuesProcess } from "../queues/process.ts";
import { type SimulatorProcess, startSimulatorProcess } from "../simulator/process.ts";
import type { ServerCertificate } from "../tls.ts";
import { startIdentityEndpoint } from "../tokens/identity.ts";
import { startTokenIssuer, type TokenIssuer } from "../tokens/issuer.ts";
import { StackFault } from "./fault.ts";
import type { PortBook } from "./ports.ts";
import {
  developmentClientId,
  developmentSignInClientId,
  registerApplications,
  registrationCertificate,
} from "./registration.ts";

export type Settings = Readonly<Record<string, string>>;

export interface Service<Handle> {
  /** Null: the real service is used. */
  handle: Handle | null;
  settings: Settings;
  address: string;
}

export interface ServiceNeeds {
  /** What was set by whoever started the stack. */
  given: Readonly<Record<string, string | undefined>>;
  /** Always there; on disk only what is in `dataDir` survives. */
  directory: string;
  /** Absent: in memory. */
  dataDir: string | undefined;
  ports: PortBook;
  certificate: ServerCertificate;
  /** Registers what ends when the stack does. */
  own(part: string, close: () => Promise<void>, ended?: Promise<unknown>): void;
  log(part: string): (line: string) => void;
}

export const isGiven = (given: ServiceNeeds["given"], name: string): boolean => (given[name] ?? "") !== "";

const asGiven = (address: string | undefined): Service<never> => ({
  handle: null,
  settings: {},
  address: address ?? "",
});

const inData = ({ dataDir }: ServiceNeeds, name: string): string | undefined =>
  dataDir === undefined ? undefined : join(dataDir, name);

export const database = async (
  needs: ServiceNeeds,
  faults: CosmosFaults | undefined,
): Promise<Service<CosmosProcess>> => {
  if (isGiven(needs.given, "COSMOS_ENDPOINT")) return asGiven(needs.given.COSMOS_ENDPOINT);
  const file = inData(needs, "cosmos.sqlite") ?? ":memory:";
  const cosmos = await needs.ports.start(
    ["cosmos"],
    (port) => startCosmosProcess({ file, port, ...(faults ? { faults } : {}) }, { onOutput: needs.log("Cosmos DB") }),
    ({ endpoint }) => [endpoint],
  );
  needs.own("Cosmos DB", () => cosmos.stop(), cosmos.exited);
  const { endpoint, database: name, key } = cosmos;
  return {
    handle: cosmos,
    settings: { COSMOS_ENDPOINT: endpoint, COSMOS_DATABASE: name, COSMOS_KEY: key },
    address: endpoint,
  };
};

export const queues = async (needs: ServiceNeeds): Promise<Service<QueuesProcess>> => {
  const { given } = needs;
  if (isGiven(given, "AzureWebJobsStorage")) return asGiven(queueAddress(given.AzureWebJobsStorage ?? ""));
  if (isGiven(given, "AzureWebJobsStorage__queueServiceUri"))
    throw new StackFault(
      "The local function host reads queues by connection string: set AzureWebJobsStorage instead of AzureWebJobsStorage__queueServiceUri.",
    );
  const dir = inData(needs, "queues");
  const azurite = await needs.ports.start(
    ["queues"],
    (port) => startQueuesProcess({ port, ...(dir === undefined ? {} : { dir }) }, { onOutput: needs.log("queues") }),
    ({ connectionString }) => [queueAddress(connectionString)],
  );
  needs.own("queues", () => azurite.stop(), azurite.exited);
  const { connectionString } = azurite;
  return {
    handle: azurite,
    settings: { AzureWebJobsStorage: connectionString },
    address: queueAddress(connectionString),
  };
};

/** A connection string holds a key: only its address may be shown. */
const queueAddress = (connectionString: string): string => {
  if (connectionString === "UseDevelopmentStorage=true") return "http://127.0.0.1:10001/devstoreaccount1";
  const part = (name: string): string | undefined => new RegExp(`(?:^|;)${name}=([^;]+)`).exec(connectionString)?.[1];
  const account = part("AccountName") ?? "";
  return part("QueueEndpoint") ?? `https://${account}.queue.${part("EndpointSuffix") ?? "core.windows.net"}`;
};

/** The vault, and the managed identity whose tokens it takes. */
export const vault = async (needs: ServiceNeeds): Promise<Service<KeyVault>> => {
  const { given, ports, certificate } = needs;
  if (isGiven(given, "KEY_VAULT_URL")) return asGiven(given.KEY_VAULT_URL);
  if (isGiven(given, "COSMOS_ENDPOINT") && !isGiven(given, "COSMOS_KEY"))
    throw new StackFault(
      "A database without COSMOS_KEY is opened with this machine's managed identity, and the stand-in for Key Vault brings one of its own: set KEY_VAULT_URL as well.",
    );
  const identity = await ports.start(
    ["identity"],
    (port) => startIdentityEndpoint({ port }),
    ({ endpoint }) => [endpoint],
  );
  needs.own("managed identity", () => identity.close());
  const file = inData(needs, "vault.json");
  const verifyToken = (bearer: string): boolean => identity.verify(bearer);
  const keyVault = await ports.start(
    ["vault"],
    (port) => startKeyVault({ tls: certificate, port, verifyToken, ...(file === undefined ? {} : { file }) }),
    ({ url }) => [url],
  );
  needs.own("Key Vault", () => keyVault.close());
  return {
    handle: keyVault,
    settings: {
      KEY_VAULT_URL: keyVault.url,
      IDENTITY_ENDPOINT: identity.endpoint,
      IDENTITY_HEADER: identity.header,
    },
    address: keyVault.url,
  };
};

export const mail = async (needs: ServiceNeeds): Promise<Service<MailCatcher>> => {
  if (isGiven(needs.given, "SMTP_URL")) return asGiven(URL.parse(needs.given.SMTP_URL ?? "")?.host);
  const dir = inData(needs, "mail");
  const catcher = await needs.ports.start(
    ["mail"],
    (port) => startMailCatcher({ port, ...(dir === undefined ? {} : { dir }) }),
    ({ smtpUrl }) => [smtpUrl],
  );
  needs.own("mail", () => catcher.close());
  return {
    handle: catcher,
    settings: {
      SMTP_URL: catcher.smtpUrl,
      MAIL_FROM: "m365-sync@localhost",
      PRODUCT_URL: needs.given.PRODUCT_URL || "https://product.example",
    },
    address: catcher.smtpUrl,
  };
};

export interface MicrosoftOptions {
  publicBaseUrl: string;
  seed: number;
  /** PEM text of the authority that notifications trust. */
  trust: string;
  /** The app is given a key for notifications, unless it has one. */
  notifies: boolean;
}

/** Entra ID and Graph are one: tokens of one are good for the other only. */
export const microsoft = async (
  needs: ServiceNeeds,
  { publicBaseUrl, seed, trust, notifies }: MicrosoftOptions,
): Promise<Service<SimulatorProcess>> => {
  const { given, ports, certificate, dataDir } = needs;
  if (isGiven(given, "ENTRA_AUTHORITY") || isGiven(given, "GRAPH_BASE_URL"))
    return asGiven([given.ENTRA_AUTHORITY, given.GRAPH_BASE_URL].filter(Boolean).join("  "));
  const simulator = await ports.start(
    ["entra", "graph", "simulator-control"],
    (entraPort, graphPort, controlPort) =>
      startSimulatorProcess(
        {
          tls: certificate,
          trust,
          seed,
          ...(entraPort === undefined ? {} : { entraPort }),
          ...(graphPort === undefined ? {} : { graphPort }),
          ...(controlPort === undefined ? {} : { controlPort }),
          ...(dataDir === undefined ? {} : { dataDir: join(dataDir, "simulator") }),
        },
        { onOutput: needs.log("Microsoft") },
      ),
    ({ entraUrl, graphUrl, controlUrl }) => [entraUrl, graphUrl, controlUrl],
  );
  needs.own("Microsoft", () => simulator.stop(), simulator.exited);
  const certificatePath = await registrationCertificate(needs.directory);
  await registerApplications(simulator.command, { certificatePath, publicBaseUrl });
  return {
    handle: simulator,
    settings: {
      ENTRA_AUTHORITY: simulator.entraUrl,
      GRAPH_BASE_URL: simulator.graphUrl,
      ENTRA_READ_CLIENT_ID: developmentClientId,
      ENTRA_READ_CLIENT_CERTIFICATE_PATH: certificatePath,
      ENTRA_SIGNIN_CLIENT_ID: developmentSignInClientId,
      ENTRA_SIGNIN_CLIENT_CERTIFICATE_PATH: certificatePath,
      ...(notifies && !isGiven(given, "NOTIFICATION_KEYS")
        ? { NOTIFICATION_KEYS: keptKey(inData(needs, "notifications.key")).toString("base64url") }
        : {}),
    },
    address: `${simulator.entraUrl}  ${simulator.graphUrl}`,
  };
};

const audience = "m365-sync";

/**
 * Tokens for whoever is at this machine. With a real database or vault that would be a back door to real data, so it has to
 * be asked for; then it stands beside the product's own issuers.
 */
export const tokens = async (needs: ServiceNeeds, askedFor: boolean): Promise<Service<TokenIssuer>> => {
  const { given, ports } = needs;
  const hasIssuers = isGiven(given, "API_TOKEN_ISSUERS");
  if (hasIssuers && !askedFor) return asGiven("see API_TOKEN_ISSUERS");
  if (!askedFor && (isGiven(given, "COSMOS_ENDPOINT") || isGiven(given, "KEY_VAULT_URL")))
    throw new StackFault(
      "With a real database or key vault the development token issuer stays off: set API_TOKEN_ISSUERS, or add --dev-tokens.",
    );
  const file = inData(needs, "token-issuer.json");
  const issuer = await ports.start(
    ["tokens"],
    (port) => startTokenIssuer({ port, audience, ...(file === undefined ? {} : { file }) }),
    (started) => [started.issuer],
  );
  needs.own("tokens", () => issuer.close());
  const development = {
    issuer: issuer.issuer,
    audience,
    jwksUri: issuer.jwksUri,
    typ: "at+jwt",
    claims: { workspace: "workspace", subject: "sub", permissions: "permissions" },
  };
  const others = hasIssuers ? listIn("API_TOKEN_ISSUERS", given.API_TOKEN_ISSUERS ?? "") : [];
  return {
    handle: issuer,
    settings: { API_TOKEN_ISSUERS: JSON.stringify([...others, development]) },
    address: issuer.issuer,
  };
};

const listIn = (name: string, text: string): unknown[] => {
  try {
    return z.array(z.unknown()).parse(JSON.parse(text));
  } catch (cause) {
    throw new StackFault(`${name} is not a list in JSON.`, cause);
  }
};
