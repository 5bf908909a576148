import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultSettings } from "../../../src/core/connections/settings.ts";
import { type GuardDay, guardAfter, weighGuard } from "../../../src/core/directory/guard.ts";
import { noCounts } from "../../../src/core/directory/run/round.ts";
import { waitingMilliseconds } from "../../../src/core/directory/run/waiting.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { approveRun, cancelRun, requestRun } from "../../../src/core/views/runs.ts";
import { createOracle } from "../../../src/local/simulator/directory/oracle.ts";
import { expected, held, replay } from "../../support/held.ts";
import { type Stage, startStage, wideSettings } from "../../support/sync-stage.ts";
import { caller, codeOf } from "../views-stage.ts";

const day = 86_400_000;
const now = 20_000 * day;
const head = (people: number, guard: GuardDay[] = []) => ({
  counters: { people, groups: 50, memberships: 1000 },
  guard,
});
const leaving = (people: number) => ({ ...noCounts(), peopleDeactivated: people });
const of = (daysAgo: number, people: number): GuardDay => ({
  day: 20_000 - daysAgo,
  people,
  groups: 0,
  memberships: 0,
});

describe("the guard", () => {
  const settings = { share: 20, floor: 10, offUntil: null, secondPerson: false };
  it.each([
    ["lets a share pass", leaving(20), head(100), false],
    ["stops one more", leaving(21), head(100), true],
    ["lets the floor pass in a small tenant", leaving(10), head(12), false],
    ["stops what is beyond the floor there", leaving(11), head(12), true],
    ["adds the last seven days", leaving(1), head(80, [of(6, 20)]), true],
    ["forgets what is older", leaving(1), head(80, [of(7, 20)]), false],
    ["measures the share against what there was before these days", leaving(5), head(85, [of(1, 15)]), false],
    ["takes nothing for something", leaving(0), head(10, [of(1, 90)]), false],
  ])("%s", (_, counts, known, stops) => {
    expect(weighGuard(settings, known, counts, now).length > 0).toBe(stops);
  });

  it("watches groups and memberships as it does people, and says what it found", () => {
    const counts = { ...noCounts(), groupsRemoved: 11, membershipsRemoved: 201 };
    expect(weighGuard(settings, head(100), counts, now)).toEqual([
      { kind: "groups", planned: 11, recent: 0, limit: 10 },
      { kind: "memberships", planned: 201, recent: 0, limit: 200 },
    ]);
  });

  it("sleeps until the time that was set, and not longer", () => {
    const until = (at: number) => ({ ...settings, offUntil: new Date(at).toISOString() });
    expect(weighGuard(until(now + 1), head(100), leaving(99), now)).toEqual([]);
    expect(weighGuard(until(now), head(100), leaving(99), now)).toHaveLength(1);
  });

  it("holds against the next plan what went unasked, and not what was approved", () => {
    const once = guardAfter([of(8, 5), of(2, 3)], leaving(4), false, now);
    expect(once).toEqual([of(2, 3), of(0, 4)]);
    expect(guardAfter(once, leaving(6), false, now)).toEqual([of(2, 3), of(0, 10)]);
    expect(guardAfter(once, leaving(6), true, now)).toEqual(once);
  });
});

describe("a plan that takes away too much", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage({ seed: 21 });
  });
  afterAll(() => stage.close());

  const scene = async (seed: number) => {
    const tid = stage.tenant({ users: 80, groups: 10, seed });
    const { directory, accounts } = stage.simulator.world.tenants.get(tid)!;
    const { connectionId, context } = await stage.connect(tid, {
      ...wideSettings,
      guard: defaultSettings.guard,
    });
    const needs = { ...stage.needs, keys: { ring: async () => context.ring } };
    const oracle = createOracle();
    await stage.sync(connectionId, "full");
    oracle.observe(directory);
    const keep = new Set(accounts.map(({ objectId }) => objectId));
    const people = [...directory.users.values()].filter(({ properties }) => properties["@odata.type"] === undefined);
    const gone = people
      .map(({ id }) => id)
      .filter((id) => !keep.has(id))
      .slice(0, 30);
    for (const id of gone) stage.simulator.commands.mutate.run({ tid, mutations: [{ op: "delete-user", id }] });
    const before = await held(stage.store, context);
    const who = caller("integration:approve");
    const { id: run } = await requestRun(needs)(who, connectionId, { mode: "delta" });
    await work(stage.needs)({ connectionId, receivedAt: stage.ambient.now() });
    const waiting = (await stage.store.read(connectionId, "run", ids.run(run)))!;
    return { tid, directory, connectionId, context, needs, oracle, before, who, run, waiting, hash: waiting.planHash! };
  };

  it("waits, applies nothing, and lets no other run begin", async () => {
    const s = await scene(1);
    expect(s.waiting).toMatchObject({ phase: "waiting", outcome: null, guard: [{ kind: "people", planned: 30 }] });
    expect(await held(stage.store, s.context)).toEqual(s.before);
    const head = (await stage.store.read(s.connectionId, "head", ids.head))!;
    expect([head.owner, head.wakeAt]).toEqual([null, head.run?.stopped?.expiresAt]);
    expect(await codeOf(requestRun(s.needs)(s.who, s.connectionId, { mode: "full" }))).toBe("run-in-progress");
    expect(await work(stage.needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() })).toBe("waiting");
  });

  it("is applied as it stands when its hash is approved, once", async () => {
    const s = await scene(2);
    const approve = (planHash: string, run = s.run) => approveRun(s.needs)(s.who, s.connectionId, run, { planHash });
    expect(await codeOf(approve("0".repeat(64)))).toBe("plan-not-waiting");
    expect(await approve(s.hash)).toMatchObject({ id: s.run, phase: "applying", waitsUntil: null });
    expect(await codeOf(approve(s.hash))).toBe("plan-not-waiting");
    // What happens meanwhile is for the next run.
    stage.simulator.commands["random-changes"].run({ tid: s.tid, seed: 3, count: 5 });
    await stage.settle(s.connectionId);
    const done = (await stage.store.read(s.connectionId, "run", ids.run(s.run)))!;
    expect(done).toMatchObject({
      phase: "ended",
      outcome: "done",
      planHash: s.hash,
      counts: { peopleDeactivated: 30 },
    });
    expect((await stage.store.read(s.connectionId, "head", ids.head))?.guard).toEqual([]);
    await stage.sync(s.connectionId);
    s.oracle.observe(s.directory);
    expect(await held(stage.store, s.context)).toEqual(expected(s.oracle.view(), s.context));
    expect(await replay(stage.store, s.context)).toEqual(await held(stage.store, s.context));
  });

  it("is forgotten when it is rejected, and planned again from the same links", async () => {
    const s = await scene(3);
    expect(await cancelRun(s.needs)(s.who, s.connectionId, s.run)).toMatchObject({ outcome: "rejected" });
    await stage.settle(s.connectionId);
    expect(await held(stage.store, s.context)).toEqual(s.before);
    expect(await stage.store.read(s.connectionId, "run", ids.run(s.run))).toMatchObject({
      phase: "ended",
      outcome: "rejected",
    });
    expect(await stage.needs.work.get(s.run, "seen:users:0")).toBeNull();
    const { id: again } = await requestRun(s.needs)(s.who, s.connectionId, { mode: "delta" });
    await work(stage.needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() });
    expect(await stage.store.read(s.connectionId, "run", ids.run(again))).toMatchObject({
      phase: "waiting",
      planHash: s.hash,
    });
  });

  it("expires when nobody decides", async () => {
    const s = await scene(4);
    stage.ambient.advance(waitingMilliseconds + 1000);
    const approve = approveRun(s.needs)(s.who, s.connectionId, s.run, { planHash: s.hash });
    expect(await codeOf(approve)).toBe("plan-not-waiting");
    expect(await work(stage.needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() })).toBe(
      "continues",
    );
    expect(await stage.store.read(s.connectionId, "run", ids.run(s.run))).toMatchObject({
      phase: "ended",
      outcome: "expired",
    });
    expect((await stage.store.read(s.connectionId, "head", ids.head))?.run).toBeNull();
    expect(await held(stage.store, s.context)).toEqual(s.before);
  });

  it("tells a dry run what it would be stopped for, and waits for nobody", async () => {
    const s = await scene(5);
    await cancelRun(s.needs)(s.who, s.connectionId, s.run);
    await stage.settle(s.connectionId);
    const { id: dry } = await requestRun(s.needs)(s.who, s.connectionId, { mode: "dry-run" });
    await stage.settle(s.connectionId);
    expect(await stage.store.read(s.connectionId, "run", ids.run(dry))).toMatchObject({
      outcome: "dry-run",
      planHash: s.hash,
      guard: [{ kind: "people", planned: 30 }],
    });
  });

  it("that has lost a staged part is given up, and nothing of it is applied", async () => {
    const s = await scene(6);
    await stage.needs.work.drop(s.run);
    await approveRun(s.needs)(s.who, s.connectionId, s.run, { planHash: s.hash });
    await work(stage.needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() });
    expect(await stage.store.read(s.connectionId, "run", ids.run(s.run))).toMatchObject({
      outcome: "failed",
      failure: "plan-lost",
    });
    expect(await held(stage.store, s.context)).toEqual(s.before);
  });
});
