/** A dry run is a run that ends when its plan has been weighed: same plan, same hash, and nothing of the directory is stored. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { runKey } from "../../../src/core/crypto/key-ring.ts";
import { openPacked, type Packed } from "../../../src/core/crypto/packed.ts";
import { open } from "../../../src/core/crypto/seal.ts";
import type { Change } from "../../../src/core/directory/plan.ts";
import { runKeyPlace, type WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { createOracle } from "../../../src/local/simulator/directory/oracle.ts";
import { expected, held } from "../../support/held.ts";
import { type Stage, startStage } from "../../support/sync-stage.ts";

let stage: Stage;
let healthy: WorkerNeeds;
beforeAll(async () => {
  stage = await startStage({ seed: 3 });
  healthy = stage.needs;
});
afterEach(() => {
  stage.needs = healthy;
});
afterAll(() => stage.close());

const newest = async (connectionId: string) => {
  const [run] = await stage.store.list(connectionId, "run", { limit: 1 });
  if (!run) throw new Error("no run");
  return run;
};

const counts = (run: Awaited<ReturnType<typeof newest>>) => {
  const {
    peopleRead: _1,
    groupsRead: _2,
    graphRequests: _3,
    documentsWritten: _4,
    keptThoughCleared: _5,
    ...planned
  } = run.counts;
  return planned;
};

it("plans what the run does, hash and counts, first in full and then as a delta, and stores nobody", async () => {
  const tid = stage.tenant({ users: 220, groups: 30, seed: 901 });
  const { connectionId, context } = await stage.connect(tid);
  const oracle = createOracle();
  for (const round of [1, 2]) {
    const before = await held(stage.store, context);
    const links = (await stage.store.read(connectionId, "head", ids.head))?.links;
    await stage.sync(connectionId, "dry-run");
    const planned = await newest(connectionId);
    expect(planned).toMatchObject({ outcome: "dry-run", mode: "dry-run", phase: "ended", failure: null });
    expect(await held(stage.store, context)).toEqual(before);
    expect((await stage.store.read(connectionId, "head", ids.head))?.links).toEqual(links);
    await stage.sync(connectionId);
    const done = await newest(connectionId);
    expect(done.outcome).toBe("done");
    expect([done.planHash, counts(done)]).toEqual([planned.planHash, counts(planned)]);
    oracle.observe(stage.simulator.world.tenants.get(tid)!.directory);
    expect(await held(stage.store, context)).toEqual(expected(oracle.view(), context));
    stage.simulator.commands["random-changes"].run({ tid, seed: 40 + round, count: 60 });
  }
});

it("has another hash when the directory has changed since", async () => {
  const tid = stage.tenant({ users: 40, groups: 6, seed: 902 });
  const { connectionId } = await stage.connect(tid);
  await stage.sync(connectionId, "dry-run");
  const before = (await newest(connectionId)).planHash;
  stage.simulator.commands["random-changes"].run({ tid, seed: 5, count: 5 });
  await stage.sync(connectionId, "dry-run");
  expect((await newest(connectionId)).planHash).not.toBe(before);
});

it("stages ids and hash terms of people, and no attribute, also over many slices", async () => {
  const tid = stage.tenant({ users: 300, groups: 20, seed: 903 });
  const { connectionId, context } = await stage.connect(tid);
  const staged: Change[] = [];
  stage.needs = {
    ...healthy,
    sliceMilliseconds: 0,
    work: {
      ...healthy.work,
      put: async (runId, part) => {
        // The run's key is in head as soon as the first slice has ended.
        const run = (await stage.store.read(connectionId, "head", ids.head))?.run;
        if (run && part.id.startsWith("people+:")) {
          const key = runKey(open(context.ring.sealing, runKeyPlace(connectionId, run.id), run.key));
          const place = { container: "work" as const, partition: runId, document: part.id, fields: "content" };
          staged.push(...(await openPacked(key, place, part.content as Packed<Change[]>)));
        }
        await healthy.work.put(runId, part);
      },
    },
  };
  await stage.sync(connectionId, "dry-run");
  const people = staged.filter((change) => change.kind === "person");
  expect(people.length).toBeGreaterThan(50);
  expect(people.flatMap((change) => Object.keys(change)).filter((name) => name === "record")).toEqual([]);
  const planned = await newest(connectionId);
  stage.needs = healthy;
  await stage.sync(connectionId);
  expect((await newest(connectionId)).planHash).toBe(planned.planHash);
});

it("leaves the directory alone, also when a worker dies in it, and its plan to be read", async () => {
  const tid = stage.tenant({ users: 200, groups: 10, seed: 904 });
  const { connectionId, context } = await stage.connect(tid);
  let puts = 0;
  stage.needs = {
    ...healthy,
    sliceMilliseconds: 0,
    work: {
      ...healthy.work,
      put: async (runId, part) => {
        if (++puts === 4) throw new Error("killed");
        await healthy.work.put(runId, part);
      },
    },
  };
  await stage.sync(connectionId, "dry-run");
  const run = await newest(connectionId);
  expect(run.outcome).toBe("dry-run");
  expect(await stage.needs.work.get(run.id.slice(2), run.plan?.part ?? "")).not.toBeNull();
  expect((await held(stage.store, context)).people).toEqual({});
  expect(await work(healthy)({ connectionId, receivedAt: stage.ambient.now() })).toBe("nothing-due");
});
