/** The stores beside the directory, against the Cosmos-compatible server. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { accessStore } from "../../src/adapters/cosmos/access-store.ts";
import { connectionIndex } from "../../src/adapters/cosmos/connection-index.ts";
import { consumerStore } from "../../src/adapters/cosmos/consumer-store.ts";
import { handshakeStore } from "../../src/adapters/cosmos/handshake-store.ts";
import { sharedStore } from "../../src/adapters/cosmos/shared-store.ts";
import { workStore } from "../../src/adapters/cosmos/work-store.ts";
import { AppError } from "../../src/core/errors.ts";
import type { ConnectionRow, HandshakeDoc } from "../../src/core/store/ports.ts";
import { UnknownOutcome } from "../../src/core/store/ports.ts";
import { type FaultRule, noFaults } from "../../src/local/cosmos/faults.ts";
import { newId, openTestDatabase, sealedText, type TestDatabase } from "./cosmos-fixture.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterEach(() => Object.assign(database.server.faults, noFaults()));
afterAll(() => database.close());

const strike = (...rules: FaultRule[]): void => {
  database.server.faults.rules = rules;
};
/** The next write takes effect, and its answer is lost. */
const answerLost = (): FaultRule => ({ on: ["write", "batch"], answer: "reset", when: "after", times: 1 });

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no failure",
    (error: unknown) => (error instanceof AppError ? error.code : error),
  );

describe("the connection index", () => {
  const index = () => connectionIndex(database.cosmos.connections);
  const rowOf = (workspaceId: string, nameIndex: string): ConnectionRow => ({
    id: newId(),
    workspaceId,
    nameIndex,
    createdAt: "2026-01-01T00:00:00.000Z",
  });

  test("lists a workspace's connections and nobody else's, page by page", async () => {
    const rows = [rowOf("w1", "a"), rowOf("w1", "b"), rowOf("w1", "c")];
    for (const row of rows) await index().create(row);
    await index().create(rowOf("w2", "a"));
    const first = await index().list("w1", { limit: 2 });
    expect(first).toEqual(rows.slice(0, 2));
    expect(await index().list("w1", { limit: 2, after: rows[1]?.id ?? "" })).toEqual(rows.slice(2));
    expect(await index().read("w2", rows[0]?.id ?? "")).toBeNull();
  });

  test("gives a name to one connection of a workspace only, also when both ask at once", async () => {
    const outcomes = await Promise.all([1, 2, 3].map(() => codeOf(index().create(rowOf("w3", "same")))));
    expect(outcomes.filter((outcome) => outcome === "no failure")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === "name-taken")).toHaveLength(2);
    expect(await index().list("w3", { limit: 10 })).toHaveLength(1);
    expect(await index().read("w3", "n:same")).toBeNull();
  });

  test("frees a name by renaming and by removing", async () => {
    const one = rowOf("w4", "first");
    const other = rowOf("w4", "second");
    await index().create(one);
    await index().create(other);
    expect(await codeOf(index().rename("w4", one.id, "second"))).toBe("name-taken");
    await index().rename("w4", one.id, "third");
    expect(await index().read("w4", one.id)).toEqual({ ...one, nameIndex: "third" });
    await index().rename("w4", other.id, "first");
    await index().remove("w4", one.id);
    await index().remove("w4", one.id);
    await index().create(rowOf("w4", "third"));
    expect(await codeOf(index().rename("w4", one.id, "x"))).toBe("connection-not-found");
  });

  test("does not trip over its own write whose answer was lost", async () => {
    const row = rowOf("w5", "a");
    strike(answerLost());
    await index().create(row);
    strike(answerLost());
    await index().rename("w5", row.id, "b");
    expect(await index().list("w5", { limit: 10 })).toEqual([{ ...row, nameIndex: "b" }]);
    strike(answerLost());
    await index().remove("w5", row.id);
    expect(await index().list("w5", { limit: 10 })).toEqual([]);
  });
});

describe("the consumer store", () => {
  const consumers = () => consumerStore(database.cosmos.state);

  test("keeps a connection's consumers apart from another's, in the order of their names", async () => {
    const [one, other] = [newId(), newId()];
    await consumers().put(one, { name: "b", sequence: 2, seenAt: 20 }, null);
    await consumers().put(one, { name: "a", sequence: 1, seenAt: 10 }, null);
    await consumers().put(other, { name: "a", sequence: 9, seenAt: 90 }, null);
    expect(await consumers().list(one)).toEqual([
      { name: "a", sequence: 1, seenAt: 10 },
      { name: "b", sequence: 2, seenAt: 20 },
    ]);
    await consumers().remove(one, "a");
    await consumers().remove(one, "a");
    expect(await consumers().read(one, "a")).toBeNull();
    expect(await consumers().read(other, "a")).toMatchObject({ sequence: 9 });
  });

  test("lets one of two writers pass", async () => {
    const connection = newId();
    const row = { name: "crm", sequence: 1, seenAt: 10 };
    expect(await consumers().put(connection, row, null)).toBe(true);
    expect(await consumers().put(connection, row, null)).toBe(false);
    const etag = (await consumers().read(connection, "crm"))?._etag ?? "";
    expect(await consumers().put(connection, { ...row, sequence: 2 }, etag)).toBe(true);
    expect(await consumers().put(connection, { ...row, sequence: 3 }, etag)).toBe(false);
    await consumers().remove(connection, "crm");
    expect(await consumers().put(connection, row, etag)).toBe(false);
    expect(await consumers().list(connection)).toEqual([]);
  });

  test("writes on when an answer was lost", async () => {
    const connection = newId();
    strike(answerLost());
    await consumers().put(connection, { name: "crm", sequence: 1, seenAt: 10 }, null);
    expect(await consumers().read(connection, "crm")).toMatchObject({ sequence: 1 });
    strike(answerLost());
    await consumers().remove(connection, "crm");
    expect(await consumers().list(connection)).toEqual([]);
  });
});

describe("the work store", () => {
  const work = () => workStore(database.cosmos.work);

  test("replaces a part that is written again", async () => {
    const run = newId();
    await work().put(run, { id: "users:1", kind: "chunk", content: "one" });
    await work().put(run, { id: "users:1", kind: "chunk", content: "two" });
    expect(await work().get(run, "users:1")).toBe("two");
    expect(await work().get(run, "users:2")).toBeNull();
    expect(await work().get(newId(), "users:1")).toBeNull();
  });

  test("drops all parts of a run and none of another, though answers are lost", async () => {
    const run = newId();
    const other = newId();
    await work().put(other, { id: "users:0", kind: "chunk", content: "kept" });
    for (let part = 0; part < 230; part += 1)
      await work().put(run, { id: `users:${part}`, kind: "chunk", content: "x" });
    strike(answerLost());
    await work().drop(run);
    await work().drop(run);
    expect(await work().get(run, "users:0")).toBeNull();
    expect(await work().get(run, "users:229")).toBeNull();
    expect(await work().get(other, "users:0")).toBe("kept");
  });

  test("gives up dropping when the database keeps breaking off", async () => {
    const run = newId();
    await work().put(run, { id: "users:0", kind: "chunk", content: "x" });
    strike({ on: ["batch"], answer: "reset", when: "before" });
    expect(await codeOf(work().drop(run))).toBeInstanceOf(UnknownOutcome);
  });
});

describe("the handshake store", () => {
  const handshakes = () => handshakeStore(database.cosmos.handshakes);
  const docOf = (changes: Partial<HandshakeDoc> = {}): HandshakeDoc => ({
    id: newId(),
    kind: "code",
    expiresAt: 1,
    state: "open",
    content: sealedText("c"),
    ttl: 600,
    ...changes,
  });

  test("lets one of two readers use a code", async () => {
    const doc = docOf();
    strike(answerLost());
    await handshakes().create(doc);
    const one = await handshakes().read(doc.id);
    const other = await handshakes().read(doc.id);
    if (!one || !other) throw new Error("not created");
    expect(await handshakes().replace({ ...one, state: "used" })).toBe(true);
    expect(await handshakes().replace({ ...other, state: "used" })).toBe(false);
    const { _etag, ...kept } = (await handshakes().read(doc.id)) ?? { _etag: "" };
    expect(kept).toEqual({ ...doc, state: "used" });
  });

  test("does not use a code twice when the first answer was lost", async () => {
    const doc = docOf();
    await handshakes().create(doc);
    const mine = await handshakes().read(doc.id);
    if (!mine) throw new Error("not created");
    strike(answerLost());
    expect(await codeOf(handshakes().replace({ ...mine, state: "used" }))).toBeInstanceOf(UnknownOutcome);
    expect(await handshakes().replace({ ...mine, state: "used again" })).toBe(false);
  });

  test("forgets what has expired", async () => {
    const doc = docOf({ ttl: 60 });
    await handshakes().create(doc);
    const mine = await handshakes().read(doc.id);
    database.server.faults.clockAheadSeconds = 61;
    expect(await handshakes().read(doc.id)).toBeNull();
    if (mine) expect(await handshakes().replace(mine)).toBe(false);
    expect(await codeOf(handshakes().create(docOf({ id: doc.id })))).toBe("no failure");
    expect(await codeOf(handshakes().create(docOf({ id: doc.id })))).toBe("unexpected");
  });
});

describe("the access log", () => {
  test("keeps each record once and lists them in order", async () => {
    const access = accessStore(database.cosmos.access);
    const entries = ["a", "b", "c"].map((text) => ({
      id: newId(),
      at: "2026-01-01T00:00:00.000Z",
      content: sealedText(text),
    }));
    strike(answerLost());
    for (const entry of entries) await access.append({ ...entry, pk: "w1:2026-01", ttl: 600 });
    await access.append({
      id: newId(),
      pk: "w2:2026-01",
      at: "2026-01-01T00:00:00.000Z",
      ttl: 600,
      content: sealedText("x"),
    });
    expect(await access.list("w1:2026-01", { limit: 2 })).toEqual(entries.slice(0, 2));
    expect(await access.list("w1:2026-01", { limit: 2, after: entries[1]?.id ?? "" })).toEqual(entries.slice(2));
  });
});

describe("a shared pause", () => {
  test("is only ever extended", async () => {
    const shared = sharedStore(database.cosmos.shared);
    expect(await shared.pauseUntil("read:tid")).toBe(0);
    await Promise.all([1000, 3000, 2000].map((until) => shared.pause("read:tid", until)));
    expect(await shared.pauseUntil("read:tid")).toBe(3000);
    await shared.pause("read:tid", 2500);
    expect(await shared.pauseUntil("read:tid")).toBe(3000);
    strike(answerLost());
    await shared.pause("read:tid", 4000);
    expect(await shared.pauseUntil("read:tid")).toBe(4000);
    expect(await shared.pauseUntil("read:other")).toBe(0);
  });
});
