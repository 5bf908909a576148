/** Where the stand-in is harsher than the service: what it refuses, the faults it can be told to have, and what outlives SIGKILL. */
import { createHmac } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Container, CosmosClient, type JSONObject, type OperationInput } from "@azure/cosmos";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Child, startChild } from "../../../src/local/child.ts";
import type { CosmosChildOptions, CosmosReady } from "../../../src/local/cosmos/main.ts";
import {
  type CosmosServer,
  type CosmosStats,
  controlKeyHeader,
  startCosmos,
} from "../../../src/local/cosmos/server.ts";
import { codeOf, pages, parametersOf } from "./asking.ts";

const clients: CosmosClient[] = [];
const connect = (
  { endpoint, key, database }: CosmosReady,
  options: { session?: boolean } = {},
): { client: CosmosClient; container: (id: string) => Container } => {
  const client = new CosmosClient({ endpoint, key, ...(options.session && { consistencyLevel: "Session" }) });
  clients.push(client);
  return { client, container: (id) => client.database(database).container(id) };
};

let server: CosmosServer;
let directory: Container;

beforeEach(async () => {
  server = await startCosmos({ file: ":memory:" });
  directory = connect(server).container("directory");
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.dispose();
  await server.close();
});

const exists = async (id: string): Promise<boolean> => (await directory.item(id, "A").read()).statusCode === 200;
const stateOf = async (by: Container): Promise<unknown> => (await by.item("a", "A").read()).resource?.state;

const person = (id: string, more: JSONObject = {}) => ({ id, connectionId: "A", kind: "person", ...more });
const create = (id: string): OperationInput => ({ operationType: "Create", resourceBody: person(id) });

/** Signed as the SDK would do it, with headers it would not send. */
const post = async (headers: Record<string, string>, content: unknown): Promise<number> => {
  const date = new Date().toUTCString();
  const link = `dbs/${server.database}/colls/directory`;
  const text = `post\ndocs\n${link}\n${date.toLowerCase()}\n\n`;
  const signature = createHmac("sha256", Buffer.from(server.key, "base64")).update(text).digest("base64");
  const authorization = encodeURIComponent(`type=master&ver=1.0&sig=${signature}`);
  const response = await fetch(`${server.endpoint}/${link}/docs`, {
    method: "POST",
    headers: { ...headers, authorization, "x-ms-date": date },
    body: JSON.stringify(content),
  });
  await response.text();
  return response.status;
};

const control = async ({ endpoint, key }: CosmosReady, path: string, body?: object): Promise<string> => {
  const response = await fetch(`${endpoint}/_control/${path}`, {
    headers: { [controlKeyHeader]: key },
    ...(body && { method: "POST", body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return response.ok ? text : expect.fail(text);
};

describe("refusals", () => {
  it.each<[query: string, values: Record<string, unknown>, says: RegExp]>([
    ["SELECT * FROM c WHERE c.name = 'x'", {}, /\/name is not indexed/],
    ["SELECT * FROM c ORDER BY c.name", {}, /\/name is not indexed/],
    ["SELECT * FROM c WHERE c.kind = 'a' OR c.nested.name = 'x'", {}, /\/nested\/name is not indexed/],
    ["SELECT * FROM c WHERE ARRAY_CONTAINS(c.groups, 'x')", {}, /\/groups\/\[\] is not indexed/],
    ["SELECT * FROM c WHERE c.members = 'x'", {}, /\/members is not indexed/],
    ["SELECT VALUE MAX(c.name) FROM c", {}, /\/name is not indexed/],
    ["SELECT * FROM c ORDER BY c.kind, c.id", {}, /composite index/],
    ["SELECT * FROM c OFFSET 1 LIMIT 2", {}, /OFFSET/],
    ["SELECT * FROM c JOIN m IN c.members", {}, /JOIN/],
    ["SELECT * FROM c GROUP BY c.kind", {}, /GROUP/],
    ["SELECT DISTINCT c.kind FROM c", {}, /DISTINCT/],
    ["SELECT c.id || 'x' FROM c", {}, /not understood/],
    ["SELECT * FROM c WHERE LOWER(c.kind) = 'a'", {}, /LOWER is not supported/],
    ["SELECT * FROM c WHERE ARRAY_CONTAINS(c.members, 'x', true)", {}, /three arguments/],
    ["SELECT * FROM c WHERE NOT ARRAY_CONTAINS(c.members, 'x')", {}, /NOT ARRAY_CONTAINS/],
    ["SELECT * FROM c WHERE ARRAY_CONTAINS(@list, c.kind)", { list: ["a"] }, /c\.id only/],
    ["SELECT * FROM c WHERE c.kind IN (@list)", { list: ["a"] }, /not with a property or a list/],
    ["SELECT * FROM c WHERE c.kind = @missing", {}, /@missing is missing/],
    ["SELECT * FROM c WHERE c.kind = c.state", {}, /property with a string/],
    ["SELECT * FROM c WHERE 1 = 1", {}, /has to be a property/],
    ["SELECT * FROM c WHERE c.connectionId > 'A'", {}, /only be compared/],
    ["SELECT * FROM c WHERE c.kind = 'a' AND", {}, /was expected/],
  ])("%s", async (query, values, says) => {
    const asked = directory.items.query({ query, parameters: parametersOf(values) }, { partitionKey: "A" }).fetchAll();
    await expect(asked).rejects.toMatchObject({ code: 400, message: expect.stringMatching(says) });
  });

  it("lets no query run over all partitions but those of the containers file", async () => {
    const { container } = connect(server);
    const ask = (id: string, query: string) => codeOf(container(id).items.query(query).fetchAll());
    expect(await ask("directory", "SELECT * FROM c WHERE c.kind = 'person'")).toBe(400);
    expect(await ask("directory", "SELECT * FROM c WHERE c.wakeAt < 5 OR c.kind = 'person'")).toBe(400);
    expect(await ask("directory", "SELECT * FROM c WHERE c.wakeAt < 5 ORDER BY c.wakeAt")).toBe(400);
    expect(await ask("directory", "SELECT VALUE COUNT(1) FROM c WHERE c.wakeAt < 5")).toBe(400);
    expect(await ask("directory", "SELECT * FROM c WHERE c.wakeAt < 5 AND ARRAY_CONTAINS(c.members, 'p')")).toBe(400);
    expect(await ask("work", "SELECT * FROM c WHERE c.id = 'x'")).toBe(400);
    expect(await ask("directory", "SELECT * FROM c WHERE c.wakeAt < 5 AND c.kind = 'head'")).toBe("succeeded");
    expect(await ask("connections", "SELECT * FROM c")).toBe(400);
  });

  it("refuses a missing, null or foreign partition key and odd ids", async () => {
    expect(await codeOf(directory.items.create({ id: "x" }))).toBe(400);
    expect(await codeOf(directory.items.create({ id: "x", connectionId: null }))).toBe(400);
    expect((await directory.items.batch([create("x")], "B")).result?.[0]?.statusCode).toBe(400);
    expect(await codeOf(directory.items.create(person("a?b")))).toBe(400);
    expect(await codeOf(directory.items.create(person("a ")))).toBe(400);
    expect(await codeOf(directory.items.create(person("x".repeat(1024))))).toBe(400);
    expect(await codeOf(directory.items.create(person("x".repeat(1023))))).toBe("succeeded");
    expect(await codeOf(directory.items.create({ ...person("ttl"), ttl: 0 }))).toBe(400);
  });

  it("asks other clients for the same: the header for all partitions, a partition key, 100 operations", async () => {
    const query = { query: "SELECT * FROM c WHERE c.wakeAt < 5" };
    const asQuery = { "x-ms-documentdb-isquery": "true" };
    expect(await post(asQuery, query)).toBe(400);
    expect(await post({ ...asQuery, "x-ms-documentdb-query-enablecrosspartition": "true" }, query)).toBe(200);
    expect(await post({}, person("a"))).toBe(400);
    const inPartition = { "x-ms-documentdb-partitionkey": '["A"]' };
    expect(await post(inPartition, person("a"))).toBe(201);
    const asBatch = { ...inPartition, "x-ms-cosmos-is-batch-request": "true", "x-ms-cosmos-batch-atomic": "true" };
    const operations = Array.from({ length: 101 }, (_, n) => create(`b:${n}`));
    expect(await post(asBatch, operations)).toBe(400);
    expect(await post(asBatch, operations.slice(1))).toBe(200);
    expect(await post(asBatch, [])).toBe(400);
  });

  it("refuses bulk requests, new containers, an unknown key and a continuation of another query", async () => {
    const bulk = await directory.items.executeBulkOperations([{ ...create("x"), partitionKey: "A" }]);
    expect(bulk[0]?.error?.code).toBe(400);
    const { client } = connect(server);
    expect(await codeOf(client.database(server.database).containers.create({ id: "new" }))).toBe(403);
    const stranger = connect({ ...server, key: Buffer.from("another").toString("base64") });
    expect(await codeOf(stranger.container("directory").item("x", "A").read())).toBe(401);
    await directory.items.batch([create("a"), create("b")], "A");
    const page = await directory.items.query("SELECT * FROM c", { partitionKey: "A", maxItemCount: 1 }).fetchNext();
    const foreign = { partitionKey: "B", maxItemCount: 1, continuationToken: page.continuationToken };
    expect(page.continuationToken).toBeTypeOf("string");
    expect(await codeOf(directory.items.query("SELECT * FROM c", foreign).fetchNext())).toBe(400);
  });
});

describe("faults", () => {
  it("throttles: the SDK waits and tries again by itself", async () => {
    server.faults.rules = [{ answer: 429, retryAfterMs: 1, on: ["write"], times: 2 }];
    const before = server.requests();
    const { headers } = await directory.items.create(person("a"));
    expect(headers["x-ms-throttle-retry-count"]).toBe(2);
    expect(server.requests() - before).toBe(3);
  });

  it.each([449, 408, 503] as const)("answers %d without executing, or after it", async (answer) => {
    const rule = answer === 449 ? { answer } : { answer, when: "before" as const };
    server.faults.rules = [{ ...rule, on: ["write"], times: 1 }];
    expect(await codeOf(directory.items.create(person("a")))).toBe(answer);
    expect(await exists("a")).toBe(false);
    if (answer === 449) return;
    server.faults.rules = [{ answer, when: "after", on: ["write"], skip: 2, times: 1 }];
    await directory.items.create(person("first"));
    await directory.items.create(person("second"));
    expect(await codeOf(directory.items.create(person("a")))).toBe(answer);
    expect(await exists("a")).toBe(true);
  });

  it("resets the connection before or after the commit; the writer cannot tell which", async () => {
    server.faults.rules = [{ answer: "reset", when: "before", on: ["batch"], times: 1 }];
    const before = await codeOf(directory.items.batch([create("lost")], "A"));
    server.faults.rules = [{ answer: "reset", when: "after", on: ["batch"], container: "directory", times: 1 }];
    const after = await codeOf(directory.items.batch([create("kept")], "A"));
    expect(after).toBe(before);
    expect(after).toBe("ECONNRESET");
    expect(await exists("lost")).toBe(false);
    expect(await exists("kept")).toBe(true);
    expect(server.faults.rules).toEqual([]);
  });

  it("shortens pages, also to nothing, and still gives everything once; the same seed gives the same pages", async () => {
    const ids = Array.from({ length: 40 }, (_, n) => `u:${String(n).padStart(2, "0")}`);
    await directory.items.batch(ids.map(create), "A");
    const walk = async (seed: number): Promise<string[][]> => {
      Object.assign(server.faults, { seed: 0, shortPages: 0 });
      await pages(directory, { query: "SELECT * FROM c", values: {} }, { partitionKey: "A" });
      Object.assign(server.faults, { seed, shortPages: 0.8 });
      const query = { query: "SELECT c.id FROM c WHERE c.kind = 'person' ORDER BY c.id", values: {} };
      const found = await pages<{ id: string }>(directory, query, { partitionKey: "A", maxItemCount: 10 });
      return found.map((page) => page.map(({ id }) => id));
    };
    const first = await walk(7);
    expect(first.flat()).toEqual(ids);
    expect(first.some((page) => page.length === 0)).toBe(true);
    expect(first.length).toBeGreaterThan(5);
    expect(await walk(7)).toEqual(first);
    expect(await walk(8)).not.toEqual(first);
  });

  it("serves a second client the version before, so often for each write, never the writer", async () => {
    const writer = connect(server, { session: true }).container("directory");
    const reader = connect(server, { session: true }).container("directory");
    await writer.items.create(person("a", { state: 1 }));
    server.faults.staleReads = 2;
    await writer.item("a", "A").replace(person("a", { state: 2 }));
    expect(await stateOf(writer)).toBe(2);
    // Twice: the first stale answer must not tell the reader's session that it has seen the write.
    expect(await stateOf(reader)).toBe(1);
    expect(await stateOf(reader)).toBe(1);
    expect(await stateOf(reader)).toBe(2);
    server.faults.staleReads = 1;
    await writer.items.create(person("b", { state: 1 }));
    expect((await reader.item("b", "A").read()).statusCode).toBe(404);
    expect((await reader.item("b", "A").read()).statusCode).toBe(200);
    await writer.item("a", "A").replace(person("a", { state: 3 }));
    const stale = reader.items.query("SELECT VALUE c.state FROM c WHERE c.state = 3", { partitionKey: "A" });
    expect((await stale.fetchAll()).resources).toEqual([]);
  });

  it("answers 403 when a partition is full, for all that would leave it so, and lets deletes through", async () => {
    server.faults.maxPartitionBytes = 10_000;
    await directory.items.create(person("head", { n: 1 }));
    await directory.items.create(person("big", { text: "x".repeat(9_800) }));
    expect(await codeOf(directory.items.create(person("more", { text: "x".repeat(200) })))).toBe(403);
    const batch = await directory.items.batch([create("one"), create("two"), create("three")], "A");
    expect(batch.result?.map(({ statusCode }) => statusCode)).toEqual([424, 403, 424]);
    expect(await codeOf(directory.items.create({ ...person("more"), connectionId: "B", text: "x".repeat(200) }))).toBe(
      "succeeded",
    );
    await directory.item("big", "A").delete();
    expect(await codeOf(directory.items.create(person("more", { text: "x".repeat(200) })))).toBe("succeeded");
  });

  it("counts requests without the SDK's own metadata and query plans", async () => {
    await directory.items.create(person("a"));
    const before = server.requests();
    await directory.item("a", "A").read();
    await directory.items.query("SELECT * FROM c", { partitionKey: "A" }).fetchAll();
    await directory.items.batch([create("b")], "A");
    expect(server.requests() - before).toBe(3);
  });
});

describe("a process of its own", () => {
  let folder: string;
  let child: Child<CosmosReady> | undefined;

  const start = async (): Promise<{ ready: CosmosReady; directory: Container }> => {
    const main = new URL("../../../src/local/cosmos/main.ts", import.meta.url);
    child = await startChild<CosmosChildOptions, CosmosReady>(main, { file: join(folder, "cosmos.db") });
    return { ready: child.ready, directory: connect(child.ready).container("directory") };
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "cosmos-"));
  });
  afterEach(async () => {
    await child?.stop();
    child = undefined;
    await rm(folder, { recursive: true });
  });

  it("keeps every acknowledged batch whole through SIGKILL, its key, and never reuses an etag", async () => {
    const first = await start();
    const acknowledged: string[] = [];
    const writing = (async () => {
      for (let n = 0; ; n++) {
        const batch = await first.directory.items.batch([create(`a:${n}`), create(`b:${n}`)], "A");
        acknowledged.push(batch.result?.[1]?.eTag ?? "");
        if (n === 25) void child?.kill();
      }
    })();
    await expect(writing).rejects.toThrow();
    const second = await start();
    expect(second.ready.key).toBe(first.ready.key);
    const { resources } = await second.directory.items
      .query<{ id: string; _etag: string }>("SELECT c.id, c._etag FROM c", { partitionKey: "A" })
      .fetchAll();
    const stored = new Map(resources.map(({ id, _etag }) => [id, _etag]));
    expect(acknowledged.length).toBeGreaterThan(25);
    for (const [n, etag] of acknowledged.entries()) expect(stored.get(`b:${n}`)).toBe(etag);
    const halves = [...stored.keys()].map((id) => `${id.startsWith("a:") ? "b" : "a"}:${id.slice(2)}`);
    expect(halves.every((id) => stored.has(id))).toBe(true);
    const fresh = await second.directory.items.create(person("fresh"));
    expect([...stored.values()]).not.toContain(fresh.etag);
  });

  it("purges what has expired, with its index entries and its share of the partition's size", async () => {
    const at = Date.UTC(2026, 0, 1);
    const file = join(folder, "cosmos.db");
    const first = await startCosmos({ file, now: () => at });
    const items = connect(first).container("directory");
    await items.items.create({ ...person("a", { members: ["p"] }), ttl: 60 });
    const { resource } = await items.items.create(person("b", { members: ["p"] }));
    await items.items.upsert(resource);
    await first.close();
    const second = await startCosmos({ file, now: () => at + 61_000 });
    const stats: CosmosStats = JSON.parse(await control(second, "stats"));
    expect(stats.containers["directory"]?.documents).toBe(1);
    expect(stats.bytes).toBe(Buffer.byteLength(JSON.stringify(person("b", { members: ["p"] }))));
    await second.close();
    const database = new DatabaseSync(file);
    expect(database.prepare(`SELECT count(*) AS terms FROM "terms:directory"`).get()).toEqual({ terms: 1 });
    database.close();
  });

  it("shares its file with no second server, and takes none made for other containers", async () => {
    const file = join(folder, "cosmos.db");
    const first = await startCosmos({ file });
    await expect(startCosmos({ file })).rejects.toThrow(/locked/);
    await first.close();
    const project = new URL("../../../infra/containers.json", import.meta.url);
    const containers = join(folder, "containers.json");
    await writeFile(containers, (await readFile(project, "utf8")).replace("/state/?", "/status/?"));
    await expect(startCosmos({ file, containers })).rejects.toThrow(/other keys or indexes/);
  });

  it("is controlled from outside: faults, clock, figures, and every stored document", async () => {
    const { ready, directory: remote } = await start();
    await remote.items.create({ ...person("a", { text: "plain" }), ttl: 10 });
    await remote.items.create({ ...person("b"), connectionId: "B" });
    const dump = (await control(ready, "dump"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(dump).toMatchObject([
      { container: "directory", partitionKey: "A", document: { id: "a", text: "plain" } },
      { container: "directory", partitionKey: "B", document: { id: "b" } },
    ]);
    const stats: CosmosStats = JSON.parse(await control(ready, "stats"));
    expect(stats).toMatchObject({
      requests: 2,
      writes: 2,
      containers: { directory: { documents: 2 }, work: { documents: 0 } },
    });
    await control(ready, "faults", { clockAheadSeconds: 11 });
    expect((await remote.item("a", "A").read()).statusCode).toBe(404);
    await control(ready, "faults", { rules: [{ answer: 408, when: "before", times: 1 }] });
    expect(await codeOf(remote.items.create(person("c")))).toBe(408);
    expect(JSON.parse(await control(ready, "faults"))).toMatchObject({ clockAheadSeconds: 11, rules: [] });
    await expect(control({ ...ready, key: "wrong" }, "dump")).rejects.toThrow(/account key/);
    await expect(control(ready, "faults", { rules: [{ answer: 429, when: "after" }] })).rejects.toThrow(/BadRequest/);
  });
});
