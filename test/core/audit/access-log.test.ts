import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { accessStore } from "../../../src/adapters/cosmos/access-store.ts";
import { type AccessLog, type AccessRecord, makeAccessLog } from "../../../src/core/audit/access-log.ts";
import { platformKeys } from "../../../src/core/crypto/platform-key.ts";
import { SealBroken } from "../../../src/core/crypto/seal.ts";
import type { AccessStore } from "../../../src/core/store/ports.ts";
import { newId, openTestDatabase, type TestDatabase } from "../../adapters/cosmos-fixture.ts";
import { testAmbient } from "../test-ambient.ts";

let database: TestDatabase;
let store: AccessStore;
beforeAll(async () => {
  database = await openTestDatabase();
  store = accessStore(database.cosmos.access);
});
afterAll(() => database.close());

const ambient = testAmbient("2026-03-31T23:59:59.000Z");
const masters = [randomBytes(32), randomBytes(32)];
const log = (generations = 1, over: AccessStore = store): AccessLog =>
  makeAccessLog({
    ambient,
    keys: {
      platform: async () =>
        platformKeys(new Map(masters.slice(0, generations).map((master, index) => [index + 1, master]))),
    },
    store: over,
  });

const record = (subject: string): AccessRecord => ({
  what: "read",
  route: "people.read",
  subject,
  ip: "192.0.2.77",
  connectionId: "01k-a",
  count: 1,
  objects: ["person-1"],
  correlationId: "correlation-1",
});

it("keeps what was read, month by month and workspace by workspace, oldest first and page by page", async () => {
  const [acme, other] = [newId(), newId()];
  await log().record(acme, record("first"));
  await log().record(other, record("elsewhere"));
  ambient.advance(1000);
  for (const subject of ["second", "third", "fourth"]) await log().record(acme, record(subject));
  const subjects = async (workspace: string, month: string): Promise<string[]> =>
    (await log().list(workspace, month, { limit: 10 })).map(({ subject }) => subject);
  expect(await subjects(acme, "2026-03")).toEqual(["first"]);
  expect(await subjects(acme, "2026-04")).toEqual(["second", "third", "fourth"]);
  expect(await subjects(other, "2026-04")).toEqual([]);
  const [page] = await log().list(acme, "2026-04", { limit: 1 });
  expect(page).toEqual({ ...record("second"), id: page?.id, at: "2026-04-01T00:00:00.000Z" });
  const rest = await log().list(acme, "2026-04", { limit: 10, after: page?.id ?? "" });
  expect(rest.map(({ subject }) => subject)).toEqual(["third", "fourth"]);
});

it("stores only times and ids in the clear, for 400 days", async () => {
  const docs: object[] = [];
  await log(1, { ...store, append: async (doc) => void docs.push(doc) }).record("acme", record("admin-7"));
  expect(docs).toHaveLength(1);
  expect(Object.keys(docs[0] ?? {}).toSorted()).toEqual(["at", "content", "id", "pk", "ttl"]);
  expect(docs[0]).toMatchObject({ ttl: 400 * 86_400 });
  for (const word of ["admin-7", "192.0.2.77", "person-1", "people.read"])
    expect(JSON.stringify(docs)).not.toContain(word);
});

it("reads what an older platform key sealed", async () => {
  const workspace = newId();
  await log(1).record(workspace, record("before"));
  await log(2).record(workspace, record("after"));
  const month = new Date(ambient.now()).toISOString().slice(0, 7);
  expect((await log(2).list(workspace, month, { limit: 10 })).map(({ subject }) => subject)).toEqual([
    "before",
    "after",
  ]);
});

it("refuses a record that was moved to another workspace or put in the place of another", async () => {
  const [from, to] = [newId(), newId()];
  await log().record(from, record("moved"));
  const month = new Date(ambient.now()).toISOString().slice(0, 7);
  const [doc] = await store.list(`${from}|${month}`, { limit: 1 });
  if (!doc) throw new Error("no record");
  await store.append({ ...doc, pk: `${to}|${month}`, ttl: 60 });
  await expect(log().list(to, month, { limit: 10 })).rejects.toThrow(SealBroken);
  await store.append({ ...doc, id: ambient.ulid(), pk: `${from}|${month}`, ttl: 60 });
  await expect(log().list(from, month, { limit: 10 })).rejects.toThrow(SealBroken);
});

it("throws when the record could not be written, so that nothing is answered", async () => {
  const failing: AccessStore = { ...store, append: () => Promise.reject(new Error("down")) };
  await expect(log(1, failing).record("acme", record("x"))).rejects.toThrow("down");
});
