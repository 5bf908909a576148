/**
 * A server that speaks the Cosmos DB gateway contract to the unchanged SDK, over SQLite, on loopback. Test equipment: strict where the
 * service is strict, and refusing where we do not know what the service would do. What it cannot prove: request units, the cost of an
 * array index, the timing of expiry, splits, order across partitions.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { checkSignature } from "./authorization.ts";
import { answerControl } from "./control.ts";
import { readDefinitions } from "./definitions.ts";
import { badRequest, CosmosError, errorAnswer, tooLarge } from "./errors.ts";
import { type CosmosFaults, type FaultRule, faultSource, noFaults } from "./faults.ts";
import { type GatewayAnswer, type GatewayRequest, gateway } from "./gateway.ts";
import { staleCopies } from "./stale-copies.ts";
import { openStore } from "./store.ts";

export { type CosmosStats, controlKeyHeader } from "./control.ts";
export { type CosmosFaults, type FaultRule, noFaults } from "./faults.ts";

export interface CosmosOptions {
  /** Path of the database, or `:memory:`. */
  file: string;
  port?: number;
  /** Base64. Absent: the one kept in the file, made at random the first time. */
  key?: string;
  /** Path of the containers file; absent: the project's own. */
  containers?: string;
  faults?: CosmosFaults;
  maxPartitionBytes?: number;
  /** Milliseconds since 1970; absent: the machine's clock. */
  now?: () => number;
}

export interface CosmosServer {
  /** `http://127.0.0.1:<port>` */
  endpoint: string;
  key: string;
  database: string;
  /** May be changed at any time. */
  faults: CosmosFaults;
  /** Reads, queries, writes and batches; not the SDK's metadata and query plan requests. */
  requests(): number;
  close(): Promise<void>;
}

const maxRequestBytes = 2 * 1024 * 1024;
const purgeEveryMs = 30_000;
/** Longer than a client's pool keeps a socket: closing an idle one just as a write uses it would look like a lost answer. */
const keepAliveMs = 600_000;
const projectContainers = fileURLToPath(new URL("../../../infra/containers.json", import.meta.url));

export async function startCosmos(options: CosmosOptions): Promise<CosmosServer> {
  const faults = options.faults ?? noFaults();
  if (options.maxPartitionBytes !== undefined) faults.maxPartitionBytes = options.maxPartitionBytes;
  const now = options.now ?? Date.now;
  const store = openStore({
    file: options.file,
    definition: readDefinitions(options.containers ?? projectContainers),
    key: options.key,
    now: () => now() + faults.clockAheadSeconds * 1000,
    maxPartitionBytes: () => faults.maxPartitionBytes ?? Number.POSITIVE_INFINITY,
  });
  const source = faultSource(faults);
  let endpoint = "";
  let requests = 0;
  const api = gateway(store, staleCopies(faults), source, () => endpoint);

  const answer = async (message: IncomingMessage, body: Buffer, path: string): Promise<GatewayAnswer | "reset"> => {
    const { method = "GET" } = message;
    checkSignature(
      { method, path, authorization: message.headers.authorization, date: headerOf(message, "x-ms-date") },
      store.key,
    );
    const request: GatewayRequest = {
      method,
      path: segmentsOfPath(path),
      header: (name) => headerOf(message, name),
      body: body.toString("utf8"),
    };
    const place = api.kindOf(request);
    if (!place) return api.answer(request);
    requests++;
    if (faults.latencyMs > 0) await delay(faults.latencyMs);
    const rule = source.strike(place.kind, place.container);
    if (rule && !("when" in rule && rule.when === "after")) return struck(rule);
    if (body.length > maxRequestBytes) throw tooLarge("The request", body.length, maxRequestBytes);
    const answered = api.answer(request);
    return rule ? struck(rule) : answered;
  };

  const server = createServer((message, response) => {
    void serve(message, response).catch((error: unknown) => {
      // A client that died in the middle of its request is not our fault.
      if (message.complete) console.error(error);
      response.destroy();
    });
  });
  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await bodyOf(message);
    const path = new URL(message.url ?? "/", "http://here").pathname;
    let answered: GatewayAnswer | "reset";
    try {
      if (path.startsWith("/_control/")) {
        const needs = { path, body: body.toString("utf8"), store, faults, requests: () => requests };
        return await answerControl(message, response, needs);
      }
      answered = await answer(message, body, path);
    } catch (error) {
      if (!(error instanceof CosmosError)) console.error(error);
      answered = errorAnswer(error instanceof CosmosError ? error : new CosmosError(500, "The server itself failed."));
    }
    if (answered === "reset") {
      message.socket.resetAndDestroy();
      return;
    }
    const text = Buffer.from(answered.status === 204 || answered.status === 304 ? "" : answered.body);
    response.writeHead(answered.status, {
      "content-type": "application/json",
      ...(text.length > 0 ? { "content-length": text.length } : {}),
      "x-ms-request-charge": "1",
      "x-ms-activity-id": randomUUID(),
      ...answered.headers,
    });
    response.end(text);
  };

  server.keepAliveTimeout = keepAliveMs;
  store.purgeExpired();
  const purging = setInterval(() => store.purgeExpired(), purgeEveryMs).unref();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  endpoint = `http://127.0.0.1:${addressOf(server.address()).port}`;

  return {
    endpoint,
    key: store.key,
    database: store.definition.database,
    faults,
    requests: () => requests,
    close: async () => {
      clearInterval(purging);
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      store.close();
    },
  };
}

const struck = (rule: FaultRule): GatewayAnswer | "reset" => {
  if (rule.answer === "reset") return "reset";
  const retryAfterMs = "retryAfterMs" in rule ? rule.retryAfterMs : undefined;
  const extra = rule.answer === 429 || rule.answer === 449 ? { retryAfterMs: retryAfterMs ?? 10 } : {};
  throw new CosmosError(rule.answer, `Switched on by a fault rule: ${rule.answer}.`, extra);
};

const segmentsOfPath = (path: string): string[] => {
  try {
    return path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch {
    throw badRequest("The path is not percent-encoded UTF-8.");
  }
};

const bodyOf = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
};

const headerOf = (message: IncomingMessage, name: string): string | undefined => {
  const value = message.headers[name];
  return Array.isArray(value) ? value.join(",") : value;
};

const addressOf = (address: string | AddressInfo | null): AddressInfo => {
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  return address;
};
