/** Workers that die, come late, meet each other, and services that fail: what is stored equals the oracle all the same. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { commit } from "../../../src/core/store/commit.ts";
import { ids, type PersonDoc, type Stored } from "../../../src/core/store/documents.ts";
import type { DirectoryStore } from "../../../src/core/store/ports.ts";
import { noFaults } from "../../../src/local/cosmos/server.ts";
import { createOracle } from "../../../src/local/simulator/directory/oracle.ts";
import { expected, held, replay } from "../../support/held.ts";
import { mortal as mortalNeeds } from "../../support/mortal.ts";
import { type Stage, startStage } from "../../support/sync-stage.ts";

let stage: Stage;
let healthy: WorkerNeeds;
beforeAll(async () => {
  stage = await startStage({ seed: 7 });
  healthy = stage.needs;
});
afterEach(() => {
  stage.needs = healthy;
  Object.assign(stage.cosmos.faults, noFaults());
  stage.simulator.commands.storm.run({ storm: null });
});
afterAll(() => stage.close());

const scene = async (seed: number, size = { users: 150, groups: 25 }) => {
  const tid = stage.tenant({ ...size, seed });
  const directory = stage.simulator.world.tenants.get(tid)!.directory;
  const { connectionId, context } = await stage.connect(tid);
  const oracle = createOracle();
  let seen = 0;
  /** The oracle counts what a completed run has seen, and no run that gave up. */
  const observe = async (): Promise<void> => {
    const head = await stage.store.read(connectionId, "head", ids.head);
    if (!head?.lastRound || head.lastRound.endedAt === seen) return;
    seen = head.lastRound.endedAt;
    oracle.observe(directory);
  };
  return {
    tid,
    connectionId,
    observe,
    context,
    change: (round: number, count = 30) =>
      stage.simulator.commands["random-changes"].run({ tid, seed: seed * 50 + round, count }),
    agrees: async () => {
      await observe();
      const view = expected(oracle.view(), context);
      expect(await held(stage.store, context)).toEqual(view);
      expect(await replay(stage.store, context)).toEqual(view);
    },
  };
};

const mortal = (needs: WorkerNeeds, operations: number): WorkerNeeds =>
  mortalNeeds(needs, operations, ["store", "work", "source", "hints"]);

const ask = async (connectionId: string, mode: "full" | "delta") => {
  const head = (await stage.store.read(connectionId, "head", ids.head))!;
  await commit(stage.needs, head, {
    advance: (fresh) => ({
      ...fresh,
      requested: { runId: stage.ambient.ulid(), mode, cause: "manual", at: stage.ambient.now() },
      wakeAt: stage.ambient.now(),
    }),
  });
};

const untilDeadThenAlive = async (
  connectionId: string,
  mode: "full" | "delta",
  needs: WorkerNeeds,
  operations: number,
): Promise<void> => {
  await ask(connectionId, mode);
  await work(mortal(needs, operations))({ connectionId, receivedAt: stage.ambient.now() }).catch(() => undefined);
  await stage.settle(connectionId);
};

describe("a worker that dies", () => {
  const small = { sliceMilliseconds: 1 };
  for (const operations of Array.from({ length: process.env.LONG ? 90 : 22 }, (_, n) =>
    process.env.LONG ? n + 1 : n * 3 + 1,
  ))
    it(`loses and doubles nothing when it dies after ${operations} steps of a first sync and of a delta`, async () => {
      const s = await scene(100 + operations);
      await untilDeadThenAlive(s.connectionId, "full", stage.needs, operations);
      await s.agrees();
      s.change(1);
      await untilDeadThenAlive(s.connectionId, "delta", stage.needs, operations);
      await s.agrees();
      s.change(2, 150);
      await untilDeadThenAlive(s.connectionId, "full", { ...stage.needs, ...small }, operations);
      await s.agrees();
    });

  it("is followed by others that die too, slice by slice, and the run still ends", async () => {
    const s = await scene(90, { users: 400, groups: 40 });
    await ask(s.connectionId, "full");
    stage.needs = { ...healthy, sliceMilliseconds: 1 };
    for (let deaths = 1; deaths <= 12; deaths++) {
      stage.ambient.advance(200_000);
      await work(mortal(stage.needs, 6 + deaths))({
        connectionId: s.connectionId,
        receivedAt: stage.ambient.now(),
      }).catch(() => undefined);
    }
    await stage.settle(s.connectionId);
    await s.agrees();
  });
});

describe("slices", () => {
  it("give the same result when every page ends one", async () => {
    const s = await scene(80, { users: 500, groups: 60 });
    stage.needs = { ...healthy, sliceMilliseconds: 0 };
    await stage.sync(s.connectionId, "full");
    await s.agrees();
    s.change(1, 200);
    await stage.sync(s.connectionId);
    await s.agrees();
    stage.needs = healthy;
    s.change(2, 60);
    await stage.sync(s.connectionId, "full");
    await s.agrees();
  });
});

describe("two workers", () => {
  it("on one connection do the work once", async () => {
    const s = await scene(70);
    await ask(s.connectionId, "full");
    const hint = { connectionId: s.connectionId, receivedAt: stage.ambient.now() };
    const outcomes = await Promise.all([work(stage.needs)(hint), work(stage.needs)(hint), work(stage.needs)(hint)]);
    expect(outcomes.toSorted()).toEqual(["done", "held", "held"]);
    await stage.settle(s.connectionId);
    await s.agrees();
  });

  it("a late one, whose lease another has taken, writes nothing more", async () => {
    const s = await scene(71);
    await ask(s.connectionId, "full");
    let release: () => void = () => undefined;
    const paused = new Promise<void>((resolve) => {
      release = resolve;
    });
    let pages = 0;
    const slow: WorkerNeeds = {
      ...stage.needs,
      source: new Proxy(stage.needs.source, {
        get: (target, name) =>
          name === "page"
            ? async (...args: Parameters<typeof target.page>) => {
                if (++pages === 2) await paused;
                return target.page(...args);
              }
            : Reflect.get(target, name),
      }),
    };
    const late = work(slow)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() });
    while (pages < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await stage.settle(s.connectionId);
    await s.agrees();
    const before = await stage.store.read(s.connectionId, "head", ids.head);
    release();
    expect(await late).toBe("lost-turn");
    expect(await stage.store.read(s.connectionId, "head", ids.head)).toEqual(before);
  });
});

describe("a database that fails", () => {
  it("commits and then loses the answer, and nothing is recorded twice", async () => {
    const s = await scene(60);
    stage.cosmos.faults.rules = [{ on: ["batch"], container: "directory", answer: "reset", when: "after", share: 0.4 }];
    await stage.sync(s.connectionId, "full");
    await s.observe();
    s.change(1);
    await stage.sync(s.connectionId);
    Object.assign(stage.cosmos.faults, noFaults());
    await s.agrees();
  });

  it("throttles, answers short pages and breaks off before it has done anything", async () => {
    const s = await scene(61);
    Object.assign(stage.cosmos.faults, {
      shortPages: 0.5,
      rules: [
        { answer: 429, retryAfterMs: 1, share: 0.1 },
        { on: ["batch", "write"], answer: "reset", when: "before", share: 0.1 },
        { on: ["batch", "write"], answer: 503, when: "after", share: 0.1 },
      ],
    });
    await stage.sync(s.connectionId, "full").finally(() => undefined);
    await s.observe();
    s.change(1);
    await stage.sync(s.connectionId);
    await s.observe();
    Object.assign(stage.cosmos.faults, noFaults());
    await stage.settle(s.connectionId);
    await s.agrees();
  });
});

describe("Graph in a storm", () => {
  for (const seed of process.env.LONG ? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] : [1, 2, 3])
    it(`is waited out (seed ${seed})`, async () => {
      const s = await scene(40 + seed);
      const storm = {
        seed,
        throttle: 0.08,
        throttleInBatch: 0.05,
        unavailable: 0.08,
        error: 0.05,
        badGateway: 0.05,
        reset: 0.04,
        truncated: 0.03,
        html: 0.03,
        longestRetryAfterSeconds: 40,
      };
      stage.simulator.commands.storm.run({ storm });
      await stage.sync(s.connectionId, "full");
      await s.observe();
      s.change(1);
      await stage.sync(s.connectionId);
      await s.observe();
      stage.simulator.commands.storm.run({ storm: null });
      // A run that gave up in the storm left everything as it was; the next one catches up.
      await stage.sync(s.connectionId);
      await s.agrees();
    });
});

describe("somebody else writes while a run applies", () => {
  type Writes = Parameters<DirectoryStore["write"]>[1];

  /** Needs that let somebody else act on the people whom a commit is about to change. */
  const meddled = (meddle: (people: Stored<PersonDoc>[]) => Promise<void>, connectionId: string): WorkerNeeds => {
    const write = async (id: string, writes: Writes) => {
      const planned = writes.flatMap((each) =>
        each.op === "replace" && each.doc.kind === "person" ? [each.doc.id] : [],
      );
      await meddle([...(await stage.store.load(connectionId, "person", planned)).values()]);
      return stage.store.write(id, writes);
    };
    return {
      ...healthy,
      store: new Proxy(healthy.store, {
        get: (target, name) => (name === "write" ? write : Reflect.get(target, name)),
      }),
    };
  };
  const headOf = async (connectionId: string) => (await stage.store.read(connectionId, "head", ids.head))!;

  it("keeps both: the API's write and the plan's changes", async () => {
    const s = await scene(30);
    await stage.sync(s.connectionId, "full");
    await s.observe();
    s.change(1, 150);
    let writes = 0;
    /** What a person link does: another field of the same document. */
    const touch = async (people: Stored<PersonDoc>[]): Promise<void> => {
      if (++writes % 3 !== 1) return;
      for (const { _etag: etag, ...doc } of people.slice(0, 2))
        await commit(healthy, await headOf(s.connectionId), {
          writes: [{ op: "replace", etag, doc: { ...doc, changedAt: "touched" } }],
        });
    };
    stage.needs = meddled(touch, s.connectionId);
    await stage.sync(s.connectionId);
    await s.agrees();
  });

  it("leaves to the next round whom the plan has not seen like this, and takes everybody else along", async () => {
    const s = await scene(31);
    await stage.sync(s.connectionId, "full");
    await s.observe();
    s.change(1, 60);
    let other: string | null = null;
    const change = async ([person]: Stored<PersonDoc>[]): Promise<void> => {
      if (other !== null || !person) return;
      other = person.id;
      const { _etag: headEtag, ...head } = await headOf(s.connectionId);
      const { _etag: etag, ...doc } = person;
      await stage.store.write(s.connectionId, [
        { op: "replace", etag: headEtag, doc: { ...head, commitId: stage.ambient.ulid() } },
        { op: "replace", etag, doc: { ...doc, hash: "another" } },
      ]);
    };
    stage.needs = meddled(change, s.connectionId);
    await stage.sync(s.connectionId);
    const [run] = await stage.store.list(s.connectionId, "run", { limit: 1 });
    expect(run).toMatchObject({ mode: "delta", outcome: "done", counts: { moved: 1 } });
    expect(run?.counts.peopleUpdated).toBeGreaterThan(1);
    const [left] = (await stage.store.load(s.connectionId, "person", [other ?? ""])).values();
    expect(left?.hash).toBe("another");

    stage.needs = healthy;
    // What was left may be nothing that the product sees: the round has something to tell all the same.
    s.change(2, 40);
    await stage.sync(s.connectionId);
    const [next] = await stage.store.list(s.connectionId, "run", { limit: 1 });
    expect(next).toMatchObject({ mode: "full", outcome: "done", counts: { moved: 0 } });
    await s.agrees();
  });
});
