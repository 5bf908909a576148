import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { directoryStore } from "../../../src/adapters/cosmos/directory-store.ts";
import { chainStart, entriesOf, verifyChain } from "../../../src/core/audit/change-log.ts";
import type { EntryDraft } from "../../../src/core/audit/entries.ts";
import { isAppError, type ProblemCode } from "../../../src/core/errors.ts";
import { type Commit, type CommitNeeds, type CommitOutcome, commit } from "../../../src/core/store/commit.ts";
import { type Head, ids, type Stored } from "../../../src/core/store/documents.ts";
import type { DirectoryStore, Write } from "../../../src/core/store/ports.ts";
import { noFaults } from "../../../src/local/cosmos/server.ts";
import {
  creates,
  headOf,
  logDoc,
  newId,
  openTestDatabase,
  personDoc,
  type TestDatabase,
} from "../../adapters/cosmos-fixture.ts";
import { testAmbient } from "../test-ambient.ts";

let database: TestDatabase;
let store: DirectoryStore;
beforeAll(async () => {
  database = await openTestDatabase();
  store = directoryStore(database.cosmos.directory);
});
afterEach(() => Object.assign(database.server.faults, noFaults()));
afterAll(() => database.close());

const ambient = testAmbient();

const connection = async (changes: Partial<Head> = {}): Promise<Stored<Head>> => {
  const id = newId();
  await store.write(id, creates(headOf(id, { chain: chainStart(id), ...changes })));
  return headNow(id);
};

const headNow = async (connectionId: string): Promise<Stored<Head>> => {
  const head = await store.read(connectionId, "head", ids.head);
  if (!head) throw new Error("no head");
  return head;
};

const entry = (object = "connection"): EntryDraft => ({
  id: ambient.ulid(),
  at: new Date(ambient.now()).toISOString(),
  kind: "connection",
  op: "updated",
  object,
  cause: "api",
});

const send = (from: Stored<Head>, change: Commit, over: Partial<CommitNeeds> = {}) =>
  // Here what is written stands for anything; what needs which record has tests of its own.
  commit({ ambient, store, ...over }, from, { ends: true, ...change });

/** Moves head as anybody else would. */
const somebodyElse = async (connectionId: string, advance: (head: Head) => Head = (head) => head): Promise<void> => {
  expect(await send(await headNow(connectionId), { entries: [entry("somebody else")], advance })).toMatchObject({
    outcome: "committed",
  });
};

/** The objects of all entries in order, after head and log were found to agree. */
const recorded = async (connectionId: string): Promise<string[]> => {
  const docs = await store.log(connectionId, 0, 1000);
  const { fault, sequence, chain } = verifyChain(docs, { sequence: 0, chain: chainStart(connectionId) });
  expect(fault).toBeNull();
  expect(await headNow(connectionId)).toMatchObject({ sequence, chain });
  return docs.flatMap(entriesOf).map(({ object }) => object);
};

const failsWith = async (promise: Promise<unknown>, code: ProblemCode): Promise<void> => {
  const error: unknown = await promise.catch((reason: unknown) => reason);
  expect(isAppError(error, code), String(error)).toBe(true);
};

const counted = (head: Head): Head => ({ ...head, counters: { ...head.counters, people: head.counters.people + 1 } });

describe("a commit", () => {
  it("writes head, log and documents together and returns head as it now is", async () => {
    const head = await connection();
    const { connectionId } = head;
    const person = personDoc(connectionId, "ada");
    const result = await send(head, { entries: [entry("a"), entry("b")], writes: creates(person), advance: counted });
    expect(result).toEqual({ outcome: "committed", head: await headNow(connectionId) });
    expect(await headNow(connectionId)).toMatchObject({ sequence: 2, counters: { people: 1 } });
    expect(await recorded(connectionId)).toEqual(["a", "b"]);
    expect(await store.read(connectionId, "person", person.id)).toMatchObject(person);
  });

  it("without entries leaves the log and its number alone", async () => {
    const head = await connection();
    const result = await send(head, { advance: (before) => ({ ...before, wakeAt: 5 }) });
    expect(result).toMatchObject({ outcome: "committed", head: { sequence: 0, wakeAt: 5 } });
    expect(await recorded(head.connectionId)).toEqual([]);
  });

  it("lets nobody but itself move number, chain, commit id and size", async () => {
    const head = await connection({ size: { documents: 1000, log: 0, at: 0 } });
    const advance = (before: Head): Head => ({
      ...before,
      sequence: 99,
      chain: "ff",
      commitId: "mine",
      size: { documents: 1, log: 1, at: 1 },
    });
    await send(head, { advance, entries: [entry("a")], writes: creates(personDoc(head.connectionId, "ada")) });
    expect(await recorded(head.connectionId)).toEqual(["a"]);
    const after = await headNow(head.connectionId);
    expect(after.commitId).not.toBe("mine");
    expect(after.size.documents + after.size.log).toBeGreaterThan(
      1000 + JSON.stringify(personDoc(head.connectionId, "ada")).length,
    );
  });
});

describe("when head moved", () => {
  it("lays number, chain and advance on the new head", async () => {
    const head = await connection();
    for (let n = 0; n < 3; n++) await somebodyElse(head.connectionId, counted);
    const result = await send(head, { entries: [entry("late")], advance: counted });
    expect(result).toMatchObject({ outcome: "committed", head: { sequence: 4, counters: { people: 4 } } });
    expect(await recorded(head.connectionId)).toEqual(["somebody else", "somebody else", "somebody else", "late"]);
  });

  it("keeps the sequence without a gap while two commit 50 times each", async () => {
    const { connectionId, ...rest } = await connection();
    const committer = async (name: string): Promise<void> => {
      let head: Stored<Head> = { connectionId, ...rest };
      for (let n = 0; n < 50; n++) {
        const person = personDoc(connectionId, `${name}${n}`);
        // As everybody does, it looks at what it is going to write.
        expect(await store.read(connectionId, "person", person.id)).toBeNull();
        const writes = creates(person);
        const result = await send(head, { entries: [entry(`${name}${n}`)], writes, advance: counted });
        if (result.outcome !== "committed") throw new Error(result.outcome);
        head = result.head;
      }
    };
    await Promise.all([committer("x"), committer("y")]);
    const objects = await recorded(connectionId);
    for (const name of ["x", "y"])
      expect(objects.filter((object) => object.startsWith(name))).toEqual(
        Array.from({ length: 50 }, (_, n) => `${name}${n}`),
      );
    expect(objects).toHaveLength(100);
    expect((await headNow(connectionId)).counters.people).toBe(100);
    expect(await store.listIds(connectionId, "person", { limit: 200 })).toHaveLength(100);
  });

  it("gives up with an error after some attempts, longer and longer apart, and has written nothing", async () => {
    const head = await connection();
    let attempts = 0;
    const pauses: number[] = [];
    const needs: Partial<CommitNeeds> = {
      ambient: { ...ambient, randomBytes: (count) => Buffer.alloc(count, 128) },
      wait: async (milliseconds) => void pauses.push(milliseconds),
      store: {
        ...store,
        write: async (id, writes) => {
          attempts++;
          await somebodyElse(id);
          return store.write(id, writes);
        },
      },
    };
    await failsWith(send(head, { entries: [entry("mine")] }, needs), "changed-meanwhile");
    expect(attempts).toBe(12);
    expect(pauses).toEqual([5, 10, 20, 40, 80, 125, 125, 125, 125, 125, 125]);
    expect(new Set(await recorded(head.connectionId))).toEqual(new Set(["somebody else"]));
  });

  it("once, nobody waits", async () => {
    const head = await connection();
    await somebodyElse(head.connectionId);
    const wait = (): Promise<void> => Promise.reject(new Error("waited"));
    expect(await send(head, { entries: [entry("mine")] }, { wait })).toMatchObject({ outcome: "committed" });
  });

  it("never overwrites a log document that head does not know of", async () => {
    const head = await connection();
    const foreign = logDoc(head.connectionId, 1, 1);
    await store.write(head.connectionId, creates(foreign));
    const wait = (): Promise<void> => Promise.resolve();
    await failsWith(send(head, { entries: [entry()] }, { wait }), "changed-meanwhile");
    expect(await store.read(head.connectionId, "log", foreign.id)).toMatchObject(foreign);
    expect(await headNow(head.connectionId)).toEqual(head);
  });

  it("is connection-not-found when there is no head any more", async () => {
    const head = await connection();
    const { connectionId, _etag: etag } = head;
    await store.write(connectionId, [...creates(personDoc(connectionId, "ada")), { op: "delete", id: ids.head, etag }]);
    await failsWith(send(head, { entries: [entry()] }), "connection-not-found");
    expect(await store.log(connectionId, 0, 10)).toEqual([]);
  });
});

describe("when the answer is lost", () => {
  /** The store, told what to do just before head is looked up for the first time. */
  const beforeHeadIsRead = (work: () => Promise<unknown>): Partial<CommitNeeds> => {
    let done = false;
    return {
      store: {
        write: (id, writes) => store.write(id, writes),
        read: async (id, kind, documentId) => {
          if (!done) await work();
          done = true;
          return store.read(id, kind, documentId);
        },
      },
    };
  };
  const batchesSent = (): { needs: Partial<CommitNeeds>; count(): number } => {
    let count = 0;
    const write: DirectoryStore["write"] = (id, writes) => {
      count++;
      return store.write(id, writes);
    };
    return { needs: { store: { ...store, write } }, count: () => count };
  };

  it.each(["reset", 408, 503] as const)("after the batch was carried out (%s), it is done once", async (answer) => {
    for (const entries of [[entry("once")], []]) {
      const head = await connection();
      database.server.faults.rules = [{ on: ["batch"], answer, when: "after", times: 1 }];
      const sent = batchesSent();
      const result = await send(head, { entries, advance: counted }, sent.needs);
      expect(sent.count()).toBe(1);
      expect(result).toEqual({ outcome: "committed", head: await headNow(head.connectionId) });
      expect(await recorded(head.connectionId)).toEqual(entries.map(({ object }) => object));
      expect((await headNow(head.connectionId)).counters.people).toBe(1);
    }
  });

  it.each(["reset", 503] as const)("before anything was done (%s), the batch is sent again", async (answer) => {
    const head = await connection();
    database.server.faults.rules = [{ on: ["batch"], answer, when: "before", times: 1 }];
    const sent = batchesSent();
    expect(await send(head, { entries: [entry("again")] }, sent.needs)).toMatchObject({ outcome: "committed" });
    expect(sent.count()).toBe(2);
    expect(await recorded(head.connectionId)).toEqual(["again"]);
  });

  it("and somebody else commits before head is asked, it is still recorded once", async () => {
    const head = await connection();
    const { connectionId } = head;
    database.server.faults.rules = [{ on: ["batch"], answer: "reset", when: "after", times: 1 }];
    const overtaking = beforeHeadIsRead(() => somebodyElse(connectionId, counted));
    const result = await send(head, { entries: [entry("mine")], advance: counted }, overtaking);
    expect(result).toEqual({ outcome: "committed", head: await headNow(connectionId) });
    expect(await recorded(connectionId)).toEqual(["mine", "somebody else"]);
    expect((await headNow(connectionId)).counters.people).toBe(2);
  });

  it("and the batch was beaten to its number by another, it is sent again behind it", async () => {
    const head = await connection();
    const { connectionId } = head;
    database.server.faults.rules = [{ on: ["batch"], answer: "reset", when: "before", times: 1 }];
    const overtaking = beforeHeadIsRead(() => somebodyElse(connectionId));
    expect(await send(head, { entries: [entry("mine")] }, overtaking)).toMatchObject({ outcome: "committed" });
    expect(await recorded(connectionId)).toEqual(["somebody else", "mine"]);
  });

  it("a failure that certainly wrote nothing is passed on", async () => {
    const head = await connection();
    database.server.faults.maxPartitionBytes = 1;
    const writes = creates(personDoc(head.connectionId, "ada"));
    await failsWith(send(head, { entries: [entry()], writes }), "store-full");
    database.server.faults.maxPartitionBytes = null;
    expect(await recorded(head.connectionId)).toEqual([]);
  });
});

describe("when another document moved", () => {
  it.each<[string, string]>([
    ["one to replace", "u:replaced"],
    ["one to delete", "u:deleted"],
    ["one to create, which is there already", "u:created"],
    ["one to replace, which is gone", "u:replaced"],
  ])("%s: names it and writes nothing", async (what, moved) => {
    for (const entries of [[entry("mine")], []]) {
      const head = await connection();
      const { connectionId } = head;
      await store.write(connectionId, creates(personDoc(connectionId, "replaced"), personDoc(connectionId, "deleted")));
      const before = await store.load(connectionId, "person", ["u:replaced", "u:deleted"]);
      const etag = (id: string): string => before.get(id)?._etag ?? "";
      const elsewhere: Record<string, Write> = {
        "one to replace": {
          op: "replace",
          doc: personDoc(connectionId, "replaced", "removed"),
          etag: etag("u:replaced"),
        },
        "one to delete": { op: "replace", doc: personDoc(connectionId, "deleted", "removed"), etag: etag("u:deleted") },
        "one to create, which is there already": { op: "create", doc: personDoc(connectionId, "created") },
        "one to replace, which is gone": { op: "delete", id: "u:replaced", etag: etag("u:replaced") },
      };
      // Head moves as well: the rebase comes first, and then the other document is looked at.
      const change = elsewhere[what];
      if (!change) throw new Error(what);
      await send(head, { entries: [entry("somebody else")], writes: [change] });
      const stored = await store.load(connectionId, "person", ["u:replaced", "u:deleted", "u:created"]);

      const result = await send(head, {
        entries,
        advance: counted,
        writes: [
          { op: "replace", doc: personDoc(connectionId, "replaced", "deactivated"), etag: etag("u:replaced") },
          { op: "delete", id: "u:deleted", etag: etag("u:deleted") },
          { op: "create", doc: personDoc(connectionId, "created") },
        ],
      });
      expect(result).toEqual({ outcome: "moved", id: moved, head: await headNow(connectionId) });
      expect(await recorded(connectionId)).toEqual(["somebody else"]);
      expect(await store.load(connectionId, "person", ["u:replaced", "u:deleted", "u:created"])).toEqual(stored);
      expect((await headNow(connectionId)).counters.people).toBe(0);
    }
  });
});

describe("a worker", () => {
  const worker = { owner: "me", epoch: 1 };
  const mine = (): Promise<Stored<Head>> => connection({ owner: "me", epoch: 1 });

  it("commits while it holds the lease and its epoch lasts", async () => {
    const head = await mine();
    await somebodyElse(head.connectionId);
    expect(await send(head, { entries: [entry("work")], worker })).toMatchObject({ outcome: "committed" });
  });

  it.each<[string, Partial<Head>, CommitOutcome["outcome"]]>([
    ["somebody else holds the lease", { owner: "other" }, "lost-turn"],
    ["nobody holds the lease", { owner: null }, "lost-turn"],
    ["settings, pause or erasure came between", { epoch: 2 }, "superseded"],
    ["both happened: silence is right", { owner: "other", epoch: 2 }, "lost-turn"],
  ])("stops when %s, known before or found out on the way", async (_, change, outcome) => {
    const head = await mine();
    const { connectionId } = head;
    await somebodyElse(connectionId, (before) => ({ ...before, ...change }));
    const after = await headNow(connectionId);
    for (const from of [after, head]) {
      const result = await send(from, { entries: [entry("work")], advance: counted, worker });
      expect(result).toEqual(outcome === "superseded" ? { outcome, head: after } : { outcome });
    }
    expect(await recorded(connectionId)).toEqual(["somebody else"]);
    expect(await headNow(connectionId)).toEqual(after);
  });

  it("does not stop anybody who is no worker", async () => {
    const head = await mine();
    await somebodyElse(head.connectionId, (before) => ({ ...before, owner: "other", epoch: 2 }));
    expect(await send(head, { entries: [entry("api")] })).toMatchObject({ outcome: "committed" });
  });
});
