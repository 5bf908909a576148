/**
 * Storage queues: the queue service of Azurite 3.35 in this process, without telemetry (its own entry file would switch that on).
 * `skipApiVersionCheck` because the current client asks for a newer API version than Azurite knows.
 * On disk it saves every few seconds and on close: a message sent just before SIGKILL can be lost. Our messages are hints, so
 * that costs time, not data.
 * The emulator's own key is known to the whole world, web pages included: ours is made anew in each process.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

export interface QueuesOptions {
  /** Where messages are kept; absent: in memory. */
  dir?: string;
  /** Absent or 0: any free port. */
  port?: number;
}

export interface Queues {
  connectionString: string;
  close(): Promise<void>;
}

interface QueueServer {
  start(): Promise<void>;
  close(): Promise<void>;
  getHttpServerAddress(): string;
}

interface AzuriteModules {
  QueueServer: { default: new (configuration: object) => QueueServer };
  QueueConfiguration: { default: new (...positional: unknown[]) => object };
  constants: { EMULATOR_ACCOUNT_NAME: string };
  memory: { MemoryExtentChunkStore: new (sizeLimit?: number) => object };
}

const accountKey = randomBytes(32).toString("base64");

export const startQueues = async ({ dir, port = 0 }: QueuesOptions): Promise<Queues> => {
  const azurite = loadAzurite();
  const { EMULATOR_ACCOUNT_NAME: account } = azurite.constants;
  // Azurite takes accounts from nowhere else, and looks again every minute.
  process.env.AZURITE_ACCOUNTS = `${account}:${accountKey}`;
  if (dir !== undefined) mkdirSync(dir, { recursive: true });
  const directory = dir ?? "";
  const silent = false;
  const nothing = undefined;
  const configuration = new azurite.QueueConfiguration.default(
    "127.0.0.1",
    port,
    nothing, // keep-alive: its default
    join(directory, "queues.json"),
    join(directory, "extents.json"),
    [{ locationId: "Default", locationPath: join(directory, "extents"), maxConcurrency: 1 }],
    silent,
    nothing, // access log
    silent,
    nothing, // debug log
    false, // loose: headers it does not support are refused
    true, // skipApiVersionCheck
    "", // certificate, key and password: plain http
    "",
    "",
    nothing, // OAuth
    true, // no account names in host names
    dir === undefined,
    new azurite.memory.MemoryExtentChunkStore(),
  );
  const server = new azurite.QueueServer.default(configuration);
  await server.start();
  return {
    connectionString: [
      "DefaultEndpointsProtocol=http",
      `AccountName=${account}`,
      `AccountKey=${accountKey}`,
      `QueueEndpoint=${server.getHttpServerAddress()}/${account}`,
    ].join(";"),
    close: () => server.close(),
  };
};

/** Loaded on first use: it takes a third of a second. */
const loadAzurite = (): AzuriteModules => {
  const require = createRequire(import.meta.url);
  return {
    QueueServer: require("azurite/dist/src/queue/QueueServer"),
    QueueConfiguration: require("azurite/dist/src/queue/QueueConfiguration"),
    constants: require("azurite/dist/src/common/utils/constants"),
    memory: require("azurite/dist/src/common/persistence/MemoryExtentStore"),
  };
};
