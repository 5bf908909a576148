/**
 * The whole product on one machine: the shipped bundle in a function host, and a stand-in for each service around it whose
 * setting is absent. Loopback only. The certificate authority lives as long as the stack; its key is nowhere but in this process.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Config, loadConfig } from "../config.ts";
import { isAppError } from "../core/errors.ts";
import type { CosmosProcess } from "./cosmos/process.ts";
import type { CosmosFaults } from "./cosmos/server.ts";
import type { HostOptions } from "./host/host.ts";
import type { KeyVault } from "./key-vault/server.ts";
import type { MailCatcher } from "./mail/catcher.ts";
import type { QueuesProcess } from "./queues/process.ts";
import type { SimulatorProcess } from "./simulator/process.ts";
import { emptyDataFolder } from "./stack/data-folder.ts";
import { StackFault } from "./stack/fault.ts";
import { type HostEnd, type KeptHost, keepHost } from "./stack/host-keeper.ts";
import { holdPort, hostPort, openPortBook } from "./stack/ports.ts";
import {
  database,
  isGiven,
  mail,
  microsoft,
  queues,
  type Service,
  type ServiceNeeds,
  tokens,
  vault,
} from "./stack/services.ts";
import { createCertificateAuthority, trustInThisProcess } from "./tls.ts";
import type { TokenClaims, TokenIssuer } from "./tokens/issuer.ts";

export { StackFault } from "./stack/fault.ts";
export type { HostEnd } from "./stack/host-keeper.ts";

export interface StackOptions {
  /** Where everything survives; absent: in memory. */
  dataDir?: string;
  /** Empties that folder first. */
  fresh?: boolean;
  /** Settings of the app. A service whose setting is among them is not started. */
  environment?: Readonly<Record<string, string | undefined>>;
  /** Of http; https is one above. Absent: any two free ones. */
  port?: number;
  /** Where a browser may be sent back to after consent. */
  returnOrigins?: readonly string[];
  /** The development token issuer also beside a real database, vault or issuer. */
  devTokens?: boolean;
  leaseSeconds?: number;
  /** Six fields, seconds first. */
  wakeSchedule?: string;
  queueSettings?: HostOptions["overrides"];
  cosmosFaults?: CosmosFaults;
  /** Of what the simulated Microsoft leaves to chance. */
  seed?: number;
  /** False: changes are found by schedule only, as in an installation without NOTIFICATION_KEYS. */
  notifications?: boolean;
  /** Each line that the parts say. */
  onLog?: (line: string) => void;
  onHostEnd?: (end: HostEnd) => void;
}

export interface Stack {
  /** The API over http, for pasted requests. */
  url: string;
  /** The same over https, which browsers are sent to. */
  tlsUrl: string;
  publicBaseUrl: string;
  caPem: string;
  caFile: string;
  host: KeptHost;
  /** How the host is started; a test starts a second one with them, on other ports. */
  hostOptions: HostOptions;
  hostEnvironment: Record<string, string>;
  /** Of stand-ins and given services alike. */
  config: Config;
  /** Null: the real service is used. */
  cosmos: CosmosProcess | null;
  queues: QueuesProcess | null;
  vault: KeyVault | null;
  mail: MailCatcher | null;
  simulator: SimulatorProcess | null;
  tokens: TokenIssuer | null;
  parts: { name: string; address: string; given: boolean }[];
  tokenFor(claims: TokenClaims): Promise<string>;
  /** Resolves with the name of a stand-in that ended by itself: nothing works without it. */
  broken: Promise<string>;
  stop(): Promise<void>;
}

const project = fileURLToPath(new URL("../..", import.meta.url));
const bundle = join(project, "dist/functions.mjs");

/** Shorter than in Azure: whoever kills the stack does not want to wait for the lease of the dead worker. */
const localLeaseSeconds = 15;
const localWakeSchedule = "*/5 * * * * *";
const localQueueSettings: HostOptions["overrides"] = { maxPollingIntervalMs: 500, invisibilitySeconds: 60 };

export const startStack = async (options: StackOptions = {}): Promise<Stack> => {
  if (!existsSync(bundle)) throw new StackFault("dist/functions.mjs is missing: run npm run build first.");
  const given = options.environment ?? {};
  const port = await hostPort(options.port);
  const [url, tlsUrl] = [`http://localhost:${port}`, `https://localhost:${port + 1}`];
  const publicBaseUrl = isGiven(given, "PUBLIC_BASE_URL") ? (given.PUBLIC_BASE_URL ?? tlsUrl) : tlsUrl;

  const dataDir = options.dataDir === undefined ? undefined : resolve(options.dataDir);
  const directory = dataDir ?? mkdtempSync(join(tmpdir(), "m365-sync-"));
  makeFolder(directory);
  const lifetime = trackParts(
    dataDir === undefined ? () => rmSync(directory, { recursive: true, force: true }) : () => {},
  );
  try {
    const ports = openPortBook(dataDir);
    const claim = await ports.start(["stack"], holdPort, ({ address }) => [address]);
    lifetime.own("stack", () => claim.close());
    if (options.fresh && dataDir !== undefined) emptyDataFolder(dataDir);
    const authority = await createCertificateAuthority();
    trustInThisProcess(authority.caPem);
    const trust = writeTrust(directory, authority.caPem, given.NODE_EXTRA_CA_CERTS);
    const certificate = await authority.issueServerCertificate();
    const say = options.onLog ?? (() => {});
    const needs: ServiceNeeds = {
      given,
      directory,
      dataDir,
      ports,
      certificate,
      own: lifetime.own,
      log: (part) => (line) => say(`${part}: ${line}`),
    };
    // All are awaited, also when one fails: what has started by then must be known to be stopped.
    const [cosmos, queue, keys, mails, directories, issuer] = await allStarted([
      database(needs, options.cosmosFaults),
      queues(needs),
      vault(needs),
      mail(needs),
      microsoft(needs, {
        publicBaseUrl,
        seed: options.seed ?? 1,
        trust: authority.caPem,
        notifies: options.notifications ?? true,
      }),
      tokens(needs, options.devTokens ?? false),
    ]);
    const services = { cosmos, queue, keys, mails, directories, issuer };

    const returnOrigins = [...(given.RETURN_ORIGINS ?? "").split(","), ...(options.returnOrigins ?? [])].filter(
      Boolean,
    );
    const env: Record<string, string> = {
      LEASE_SECONDS: String(options.leaseSeconds ?? localLeaseSeconds),
      WAKE_SCHEDULE: options.wakeSchedule ?? localWakeSchedule,
      ...Object.fromEntries(Object.entries(given).filter(isSetting)),
      ...Object.assign({}, ...Object.values(services).map(({ settings }) => settings)),
      LOCAL_SERVICES: "allowed",
      PUBLIC_BASE_URL: publicBaseUrl,
      RETURN_ORIGINS: returnOrigins.length > 0 ? returnOrigins.join(",") : url,
    };
    const config = configOf(env);
    const hostOptions: HostOptions = {
      entry: bundle,
      appDirectory: project,
      env,
      http: { port, tls: { ...certificate, port: port + 1 } },
      queues: { connectionString: env.AzureWebJobsStorage ?? "" },
      overrides: { ...localQueueSettings, ...options.queueSettings },
      ...(dataDir === undefined ? {} : { statusDir: join(dataDir, "timers") }),
    };
    const hostEnvironment = { NODE_EXTRA_CA_CERTS: trust.all };
    const host = await keepHost(
      hostOptions,
      { env: hostEnvironment, onOutput: needs.log("host") },
      options.onHostEnd ?? (() => {}),
    );
    lifetime.ownHost(host);
    return {
      url,
      tlsUrl,
      publicBaseUrl,
      caPem: authority.caPem,
      caFile: trust.own,
      host,
      hostOptions,
      hostEnvironment,
      config,
      cosmos: cosmos.handle,
      queues: queue.handle,
      vault: keys.handle,
      mail: mails.handle,
      simulator: directories.handle,
      tokens: issuer.handle,
      parts: partsOf(services),
      tokenFor: async (claims) => {
        if (!issuer.handle) throw new StackFault("There is no development token issuer: add --dev-tokens.");
        return issuer.handle.sign(claims);
      },
      broken: lifetime.broken,
      stop: lifetime.stop,
    };
  } catch (error) {
    await lifetime.stop();
    throw error;
  }
};

/** Everything that is started ends with the stack: the host first, so that it still has its services while it ends. */
const trackParts = (cleanUp: () => void) => {
  const closers: (() => Promise<void>)[] = [];
  const { promise: broken, resolve: breakDown } = Promise.withResolvers<string>();
  let host: KeptHost | null = null;
  let stopped: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    await host?.stop();
    await Promise.all(closers.map((close) => close()));
    cleanUp();
  };
  return {
    broken,
    own: (part: string, close: () => Promise<void>, ended?: Promise<unknown>): void => {
      closers.push(close);
      void ended?.then(() => stopped ?? breakDown(part));
    },
    ownHost: (kept: KeptHost): void => {
      host = kept;
    },
    stop: (): Promise<void> => (stopped ??= stop()),
  };
};

const makeFolder = (directory: string): void => {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new StackFault(`${directory} cannot be a folder for data.`, cause);
  }
};

/** What the app will make of the settings; faults it would tell only to whoever calls it first. */
const configOf = (env: Record<string, string>): Config => {
  try {
    return loadConfig(env);
  } catch (cause) {
    if (!isAppError(cause, "not-configured")) throw cause;
    throw new StackFault(`The settings cannot be used: ${cause.details.detail}.`, cause);
  }
};

/** `own` is the stack's certificate; `all` also what NODE_EXTRA_CA_CERTS named, of which Node takes only one file. */
const writeTrust = (directory: string, caPem: string, extra: string | undefined): { own: string; all: string } => {
  const own = join(directory, "ca.pem");
  writeFileSync(own, caPem);
  if (extra === undefined || extra === "") return { own, all: own };
  const all = join(directory, "trusted.pem");
  try {
    writeFileSync(all, `${caPem}\n${readFileSync(extra, "utf8")}`);
  } catch (cause) {
    throw new StackFault(`NODE_EXTRA_CA_CERTS names a file that cannot be read: ${extra}.`, cause);
  }
  return { own, all };
};

const allStarted = async <const Starting extends readonly Promise<unknown>[]>(
  starting: Starting,
): Promise<{ -readonly [Index in keyof Starting]: Awaited<Starting[Index]> }> => {
  await Promise.allSettled(starting);
  return Promise.all(starting);
};

/** Names that the app may know. The rest of a shell's environment is none of its business. */
const settingName =
  /^(CLOUD|(ENTRA|GRAPH|AZURE|COSMOS|KEY_VAULT|KEY_ROTATION|PUBLIC|PRODUCT|RETURN|CORS|API|MACHINE|RATE|ROLE|SSO|WEBHOOK|NOTIFICATION|SMTP|MAIL|CLIENT_IP|FRONT_DOOR|PUBLISHER|DATA|WAKE|LEASE|LOG|STEP|IDENTITY)_\w+|AzureWebJobsStorage\w*)$/;

const isSetting = (entry: [string, string | undefined]): entry is [string, string] =>
  settingName.test(entry[0]) && entry[1] !== undefined && entry[1] !== "";

type Services = Record<"cosmos" | "queue" | "keys" | "mails" | "directories" | "issuer", Service<unknown>>;

const partsOf = ({ cosmos, queue, keys, mails, directories, issuer }: Services): Stack["parts"] =>
  (
    [
      ["Microsoft 365", directories],
      ["Cosmos DB", cosmos],
      ["Storage queues", queue],
      ["Key Vault", keys],
      ["Mail", mails],
      ["Token issuer", issuer],
    ] as const
  ).map(([name, { handle, address }]) => ({ name, address, given: handle === null }));
