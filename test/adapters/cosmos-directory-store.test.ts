import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { containerIds } from "../../src/adapters/cosmos/client.ts";
import { directoryStore } from "../../src/adapters/cosmos/directory-store.ts";
import { isAppError } from "../../src/core/errors.ts";
import type { Head, Stored } from "../../src/core/store/documents.ts";
import { ids } from "../../src/core/store/documents.ts";
import { type DirectoryStore, UnknownOutcome } from "../../src/core/store/ports.ts";
import { noFaults } from "../../src/local/cosmos/faults.ts";
import {
  creates,
  groupDoc,
  headOf,
  logDoc,
  newId,
  openTestDatabase,
  personDoc,
  runDoc,
  shardDoc,
  type TestDatabase,
} from "./cosmos-fixture.ts";

let database: TestDatabase;
let store: DirectoryStore;
beforeAll(async () => {
  database = await openTestDatabase();
  store = directoryStore(database.cosmos.directory);
});
afterEach(() => Object.assign(database.server.faults, noFaults()));
afterAll(() => database.close());

const createConnection = async (changes: Partial<Head> = {}): Promise<{ id: string; head: Stored<Head> }> => {
  const id = newId();
  await store.write(id, creates(headOf(id, changes)));
  return { id, head: await headIn(id) };
};
const headIn = async (connectionId: string): Promise<Stored<Head>> => {
  const head = await store.read(connectionId, "head", ids.head);
  if (!head) throw new Error("no head");
  return head;
};

test("knows the containers that infra creates", async () => {
  const infra: { containers: { id: string }[] } = JSON.parse(await readFile("infra/containers.json", "utf8"));
  expect(infra.containers.map(({ id }) => id)).toEqual([...containerIds]);
});

describe("write", () => {
  test("commits all documents and answers with head's new ETag", async () => {
    const { id, head } = await createConnection();
    const person = personDoc(id, "p1");
    const outcome = await store.write(id, [
      { op: "replace", doc: { ...head, sequence: 1 }, etag: head._etag },
      { op: "create", doc: person },
    ]);
    const after = await headIn(id);
    expect(outcome).toEqual({ ok: true, headEtag: after._etag });
    expect(after.sequence).toBe(1);
    expect(after._etag).not.toBe(head._etag);
    const { _etag, ...kept } = (await store.read(id, "person", person.id)) ?? { _etag: "" };
    expect(kept).toEqual(person);
    expect(_etag).not.toBe("");
  });

  test.each([
    { what: "head moved", index: 0, reason: "changed" },
    { what: "another document moved", index: 2, reason: "changed" },
    { what: "a document to delete moved", index: 3, reason: "changed" },
    { what: "a new document exists", index: 1, reason: "exists" },
    { what: "a document to replace is gone", index: 2, reason: "missing" },
  ])("when $what names that write, and writes nothing", async ({ what, index, reason }) => {
    const { id, head } = await createConnection();
    await store.write(id, creates(personDoc(id, "replaced"), personDoc(id, "deleted")));
    const people = await store.load(id, "person", ["u:replaced", "u:deleted"]);
    const etagOf = (documentId: string): string => people.get(documentId)?._etag ?? "none";
    if (what === "head moved") await store.write(id, [{ op: "replace", doc: head, etag: head._etag }]);
    if (what === "a new document exists") await store.write(id, creates(personDoc(id, "new")));
    if (what === "another document moved") {
      await store.write(id, [{ op: "replace", doc: personDoc(id, "replaced"), etag: etagOf("u:replaced") }]);
    }
    if (what === "a document to delete moved") {
      await store.write(id, [{ op: "replace", doc: personDoc(id, "deleted"), etag: etagOf("u:deleted") }]);
    }
    if (what === "a document to replace is gone") {
      const gone = { op: "delete", id: "u:replaced", etag: etagOf("u:replaced") } as const;
      await store.write(id, [...creates(personDoc(id, "other")), gone]);
    }
    const before = await store.load(id, "person", ["u:replaced", "u:deleted", "u:new"]);

    const outcome = await store.write(id, [
      { op: "replace", doc: { ...head, sequence: 9 }, etag: head._etag },
      { op: "create", doc: personDoc(id, "new") },
      { op: "replace", doc: personDoc(id, "replaced", "removed"), etag: etagOf("u:replaced") },
      { op: "delete", id: "u:deleted", etag: etagOf("u:deleted") },
    ]);
    expect(outcome).toEqual({ ok: false, index, reason });
    expect(await store.load(id, "person", ["u:replaced", "u:deleted", "u:new"])).toEqual(before);
    expect((await headIn(id)).sequence).toBe(0);
  });

  test("that was committed before the connection broke has an unknown outcome and is not sent again", async () => {
    const { id, head } = await createConnection();
    database.server.faults.rules = [{ on: ["batch"], answer: "reset", when: "after" }];
    const before = database.server.requests();
    await expect(
      store.write(id, [{ op: "replace", doc: { ...head, commitId: "mine" }, etag: head._etag }]),
    ).rejects.toBeInstanceOf(UnknownOutcome);
    expect(database.server.requests() - before).toBe(1);
    expect((await headIn(id)).commitId).toBe("mine");
  });

  test("of one connection never reaches another's documents", async () => {
    const first = await createConnection();
    const second = await createConnection();
    await store.write(first.id, creates(personDoc(first.id, "same")));
    expect(await store.read(second.id, "person", "u:same")).toBeNull();
    expect((await store.load(second.id, "person", ["u:same"])).size).toBe(0);
    expect(await store.listIds(second.id, "person", { limit: 10 })).toEqual([]);
    expect(await store.write(second.id, creates(personDoc(second.id, "same")))).toMatchObject({ ok: true });
  });

  test("and read without a connection are refused before anything is asked", async () => {
    const before = database.server.requests();
    await expect(store.listIds("", "person", { limit: 10 })).rejects.toBeInstanceOf(RangeError);
    await expect(store.read("", "head", ids.head)).rejects.toThrow();
    expect(database.server.requests()).toBe(before);
  });

  test("into a partition that is full is store-full", async () => {
    const { id } = await createConnection();
    database.server.faults.maxPartitionBytes = 1;
    const error: unknown = await store.write(id, creates(personDoc(id, "p"))).catch((reason: unknown) => reason);
    expect(isAppError(error, "store-full")).toBe(true);
  });

  test("passes a document's time to live on", async () => {
    const { id } = await createConnection();
    await store.write(id, creates({ ...logDoc(id, 1, 1), ttl: 60 }));
    expect(await store.log(id, 0, 10)).toMatchObject([{ id: ids.log(1), ttl: 60 }]);
    database.server.faults.clockAheadSeconds = 61;
    expect(await store.log(id, 0, 10)).toEqual([]);
  });
});

describe("claim", () => {
  const now = 1_760_000_000_000;
  const claimOf = (owner: string, at = now) => ({ owner, now: at, leaseUntil: at + 1000 });

  test("takes a free lease with one request, returns head and schedules the end of the lease", async () => {
    const { id } = await createConnection({ wakeAt: now });
    const before = database.server.requests();
    const head = await store.claim(id, claimOf("w1"));
    expect(database.server.requests() - before).toBe(1);
    expect(head).toMatchObject({
      owner: "w1",
      leaseUntil: now + 1000,
      wakeAt: now + 1000,
      attempts: 0,
      commitId: "c0",
    });
    expect(head).toEqual(await headIn(id));
  });

  test("gives null to the second worker and leaves the first one's lease alone", async () => {
    const { id } = await createConnection();
    const mine = await store.claim(id, claimOf("w1"));
    expect(await store.claim(id, claimOf("w2", now + 999))).toBeNull();
    expect(await headIn(id)).toEqual(mine);
  });

  test("lets exactly one of several workers win", async () => {
    const { id } = await createConnection({ owner: "dead", leaseUntil: now - 1 });
    const claims = await Promise.all(["a", "b", "c", "d"].map((owner) => store.claim(id, claimOf(owner))));
    expect(claims.filter((head) => head !== null)).toHaveLength(1);
    expect((await headIn(id)).attempts).toBe(1);
  });

  test("counts an attempt only when the lease before it ran out", async () => {
    const { id } = await createConnection();
    await store.claim(id, claimOf("w1"));
    const second = await store.claim(id, claimOf("w2", now + 1001));
    expect(second).toMatchObject({ owner: "w2", attempts: 1 });
    if (!second) return;
    await store.write(id, [{ op: "replace", doc: { ...second, owner: null, leaseUntil: 0 }, etag: second._etag }]);
    expect(await store.claim(id, claimOf("w3", now + 1002))).toMatchObject({ owner: "w3", attempts: 1 });
  });

  test("invalidates the ETag of whoever held the lease before", async () => {
    const { id } = await createConnection();
    const late = await store.claim(id, claimOf("late"));
    await store.claim(id, claimOf("next", now + 5000));
    if (!late) throw new Error("not claimed");
    expect(await store.write(id, [{ op: "replace", doc: late, etag: late._etag }])).toEqual({
      ok: false,
      index: 0,
      reason: "changed",
    });
  });

  test("recognises its own lease when the answer was lost, and says so when it cannot know", async () => {
    const { id } = await createConnection();
    database.server.faults.rules = [{ on: ["write"], answer: "reset", when: "after", times: 1 }];
    expect(await store.claim(id, claimOf("w1"))).toMatchObject({ owner: "w1" });
    database.server.faults.rules = [{ on: ["write"], answer: "reset", when: "before", times: 1 }];
    await expect(store.claim(id, claimOf("w2", now + 5000))).rejects.toBeInstanceOf(UnknownOutcome);
  });

  test("gives null for a connection that is gone", async () => {
    expect(await store.claim(newId(), claimOf("w1"))).toBeNull();
  });
});

describe("reading", () => {
  test("by an id that cannot exist finds nothing", async () => {
    const { id } = await createConnection();
    expect(await store.read(id, "person", "u:a/../b")).toBeNull();
    expect(await store.read(id, "person", "u:a?b#c")).toBeNull();
  });

  test("loads any number of ids, whatever the pages, and leaves out what is missing or of another kind", async () => {
    const { id } = await createConnection();
    const people = Array.from({ length: 250 }, (_, index) =>
      personDoc(id, `p${index}`, index % 2 ? "active" : "removed"),
    );
    for (let from = 0; from < people.length; from += 95)
      await store.write(id, creates(...people.slice(from, from + 95)));
    database.server.faults.shortPages = 0.5;
    const wanted = [...people.map((person) => person.id), "u:nobody", ids.head, "u:p0"];
    const loaded = await store.load(id, "person", wanted);
    expect([...loaded.keys()].toSorted()).toEqual(people.map((person) => person.id).toSorted());
    const states = await store.personStates(id, wanted);
    expect(states).toEqual(new Map(people.map((person) => [person.id, person.state])));
    expect((await store.load(id, "person", [])).size).toBe(0);
    expect(await store.read(id, "person", ids.head)).toBeNull();
  });

  test("lists a kind in id order, from page to page, by state if asked", async () => {
    const { id } = await createConnection();
    const names = ["A", "Z", "_", "a", "b", "c", "z"];
    await store.write(
      id,
      creates(
        ...names.map((name) => personDoc(id, name, name === "b" ? "removed" : "active")),
        shardDoc(id, "g1", "", []),
      ),
    );
    const seen: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await store.list(id, "person", { limit: 3, ...(after === undefined ? {} : { after }) });
      seen.push(...page.map((person) => person.id));
      if (page.length < 3) break;
      after = page.at(-1)?.id;
    }
    expect(seen).toEqual(names.map((name) => ids.person(name)));
    expect(await store.listIds(id, "person", { after: "u:_", limit: 2 })).toEqual(["u:a", "u:b"]);
    expect((await store.list(id, "person", { limit: 10, state: "removed" })).map((person) => person.id)).toEqual([
      "u:b",
    ]);
    expect((await store.list(id, "members", { limit: 10 })).map((shard) => shard.id)).toEqual([ids.shard("g1", "")]);
    await expect(store.list(id, "person", { limit: 0 })).rejects.toBeInstanceOf(RangeError);
  });

  test("lists the newest run first", async () => {
    const { id } = await createConnection();
    const runs = [newId(), newId(), newId()];
    await store.write(id, creates(...runs.map((run) => runDoc(id, run))));
    const [oldest, middle, newest] = runs.map((run) => ids.run(run));
    expect((await store.list(id, "run", { limit: 2 })).map((run) => run.id)).toEqual([newest, middle]);
    expect((await store.list(id, "run", { limit: 2, after: middle ?? "" })).map((run) => run.id)).toEqual([oldest]);
  });

  test("finds the log documents that go beyond a sequence, oldest first", async () => {
    const { id } = await createConnection();
    await store.write(id, creates(logDoc(id, 11, 11), logDoc(id, 1, 4), logDoc(id, 5, 10)));
    const from = async (after: number, limit = 10): Promise<number[]> =>
      (await store.log(id, after, limit)).map(({ first }) => first);
    expect(await from(0)).toEqual([1, 5, 11]);
    expect(await from(4)).toEqual([5, 11]);
    expect(await from(7, 1)).toEqual([5]);
    expect(await from(11)).toEqual([]);
  });

  test("finds the groups of a person, each once", async () => {
    const { id } = await createConnection();
    await store.write(
      id,
      creates(shardDoc(id, "g1", "0", ["p1", "p2"]), shardDoc(id, "g1", "1", ["p1"]), shardDoc(id, "g2", "", ["p2"])),
    );
    expect(await store.groupsOf(id, "p1")).toEqual(["g1"]);
    expect((await store.groupsOf(id, "p2")).toSorted()).toEqual(["g1", "g2"]);
    expect(await store.groupsOf(id, "p3")).toEqual([]);
  });

  test("finds the groups that are shown and in which a group lies", async () => {
    const { id } = await createConnection();
    const hidden = groupDoc(id, "g4", ["g3"], false);
    await store.write(id, creates(groupDoc(id, "g1", ["g2", "g3"]), groupDoc(id, "g2", ["g3"]), hidden));
    expect((await store.groupsAround(id, "g3")).toSorted()).toEqual(["g1", "g2"]);
    expect(await store.groupsAround(id, "g1")).toEqual([]);
  });

  test("finds the connections whose time has come, longest overdue first", async () => {
    const now = 1_000_000;
    const second = await createConnection({ wakeAt: now });
    const first = await createConnection({ wakeAt: now - 500 });
    await createConnection({ wakeAt: now + 1 });
    await createConnection({ wakeAt: null });
    database.server.faults.shortPages = 0.5;
    expect(await store.due(now, 100)).toEqual([first.id, second.id]);
    expect(await store.due(now, 1)).toHaveLength(1);
  });
});
