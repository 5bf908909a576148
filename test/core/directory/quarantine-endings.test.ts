/** A turn that ends in failure ends in order: recorded, the lease given back, and with what anybody else has changed meanwhile. */
import { describe, expect, it } from "vitest";
import { changeSettings } from "../../../src/core/connections/change-settings.ts";
import { closeConnection, restoreConnection } from "../../../src/core/connections/close.ts";
import type { WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { AppError } from "../../../src/core/errors.ts";
import { commit } from "../../../src/core/store/commit.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { cancelRun, requestRun } from "../../../src/core/views/runs.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { caller } from "../views-stage.ts";
import { end, openScene, people, range, type Scene, set, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(32, (started) => {
  stage = started;
});

const scheduled = async (head: object = {}): Promise<Scene> => {
  const s = await openScene(stage, { before: people(4) });
  await s.sync("full");
  s.change(end("delete", 1), set(2, { city: "Kiel" }));
  const now = stage.ambient.now();
  await s.lay({ settings: { automatic: true }, head: { dueAt: now, wakeAt: now, ...head } });
  return s;
};

const apiNeeds = (s: Scene) => ({
  ...stage.needs,
  keys: { ring: () => Promise.resolve(s.context.ring) },
  access: { record: () => Promise.resolve(), list: () => Promise.resolve([]) },
});
const setPaused = async (s: Scene, paused: boolean): Promise<void> => {
  const { settings, settingsVersion } = await s.connection();
  await changeSettings(apiNeeds(s))(caller(), s.connectionId, `"${settingsVersion}"`, { ...settings, paused });
};
/** As a new name would. */
const touch = async (s: Scene): Promise<void> => {
  const { _etag: etag, ...doc } = await s.connection();
  await commit(stage.needs, await s.head(), {
    writes: [{ op: "replace", etag, doc: { ...doc, createdAt: "touched" } }],
  });
};
const page = (needs: WorkerNeeds, answer: WorkerNeeds["source"]["page"]): WorkerNeeds => ({
  ...needs,
  source: { ...needs.source, page: answer },
});
const oneHint = (s: Scene, needs: WorkerNeeds) =>
  work(needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() });
const newestRun = async (s: Scene) => (await stage.store.list(s.connectionId, "run", { limit: 1 }))[0];
const ends = async (s: Scene, sequence: number): Promise<unknown[]> =>
  (await s.entriesSince(sequence)).filter(({ kind }) => kind === "run").map(({ op, evidence }) => [op, evidence]);

/** `meanwhile` happens once, just before the first write that `matches`. */
const beforeWrite = (
  needs: WorkerNeeds,
  matches: (...args: Parameters<WorkerNeeds["store"]["write"]>) => boolean,
  meanwhile: () => Promise<void>,
): WorkerNeeds => {
  let done = false;
  const write: WorkerNeeds["store"]["write"] = async (...args) => {
    if (!done && matches(...args)) {
      done = true;
      await meanwhile();
    }
    return needs.store.write(...args);
  };
  return { ...needs, store: { ...needs.store, write } };
};
const endsRun: Parameters<typeof beforeWrite>[1] = (_, writes) =>
  writes.some((one) => "doc" in one && one.doc.kind === "run" && one.doc.phase === "ended");

describe("keys that the vault has lost", () => {
  it("end the run all the same, recorded and with a back-off that grows", async () => {
    const s = await scheduled();
    const { sequence } = await s.head();
    stage.needs = { ...stage.needs, contextFor: () => Promise.reject(new AppError("key-missing")) };
    for (const _attempt of range(1, 5)) expect(await s.nextStep()).toBe("retries");
    expect(await newestRun(s)).toMatchObject({ outcome: "failed", failure: "key-missing" });
    expect(await ends(s, sequence)).toEqual([["ended", "key-missing"]]);
    expect(await s.head()).toMatchObject({ owner: null, leaseUntil: 0, failures: 1, strikes: 0 });
    while ((await s.head()).failures < 9) expect(await s.nextStep()).toBe("retries");
    expect(await s.connection()).toMatchObject({ state: "active", quarantine: null });
    expect(((await s.head()).wakeAt ?? 0) - stage.ambient.now()).toBeGreaterThan(3_500_000);
  });

  it("put off the removal of people who left, and nothing else", async () => {
    const s = await scheduled({ retireAt: stage.ambient.now() });
    stage.needs = { ...stage.needs, contextFor: () => Promise.reject(new AppError("key-missing")) };
    expect(await s.step()).toBe("retries");
    const { owner, attempts, retireAt } = await s.head();
    expect([owner, attempts]).toEqual([null, 1]);
    expect(retireAt).toBeGreaterThan(stage.ambient.now() + 3_500_000);
  });

  it("let the deletion of the connection wait longer each time, and not for the end of each lease", async () => {
    const s = await scheduled();
    const { displayName, ...needs } = { ...apiNeeds(s), displayName: "Test" };
    await closeConnection(needs)(caller(), s.connectionId, { displayName });
    stage.needs = { ...stage.needs, finishClosing: () => Promise.reject(new AppError("keys-unavailable")) };
    const waits: number[] = [];
    for (const _time of range(1, 4)) {
      expect(await s.nextStep()).toBe("retries");
      const head = await s.head();
      expect(head).toMatchObject({ owner: null, leaseUntil: 0 });
      waits.push(Math.round(((head.wakeAt ?? 0) - stage.ambient.now()) / 1000));
    }
    expect(waits).toEqual([30, 60, 120, 240]);
  });
});

describe("a failure during which somebody", () => {
  it("pauses the connection blames it for nothing, and the lease is free", async () => {
    const s = await scheduled({ attempts: 1 });
    const needs = page(stage.needs, async () => {
      await setPaused(s, true);
      throw new AppError("permission-revoked");
    });
    await oneHint(s, needs);
    expect(await s.head()).toMatchObject({ owner: null, leaseUntil: 0, wakeAt: null, failures: 0 });
    expect(await s.connection()).toMatchObject({ state: "active", attention: null });
  });

  it("pauses it while it is to be tried again leaves nothing to be tried", async () => {
    const s = await scheduled();
    const needs = page(stage.needs, async () => {
      await setPaused(s, true);
      throw new AppError("graph-unavailable");
    });
    expect(await oneHint(s, needs)).toBe("continues");
    expect(await s.head()).toMatchObject({ owner: null, leaseUntil: 0, wakeAt: null, attempts: 0 });
  });

  it("renames the connection is recorded beside the new name", async () => {
    const s = await scheduled({ attempts: 1 });
    const { sequence } = await s.head();
    const failing = page(stage.needs, () => Promise.reject(new AppError("permission-revoked")));
    await oneHint(
      s,
      beforeWrite(failing, endsRun, () => touch(s)),
    );
    expect(await s.connection()).toMatchObject({ state: "needs-attention", createdAt: "touched" });
    expect(await newestRun(s)).toMatchObject({ outcome: "failed", failure: "permission-revoked" });
    expect(await ends(s, sequence)).toEqual([["ended", "permission-revoked"]]);
    expect(await s.head()).toMatchObject({ owner: null, failures: 1 });
  });
});

it("a worker with nothing to do gives its turn back also when the settings change under it", async () => {
  const s = await scheduled({ dueAt: stage.ambient.now() + 600_000 });
  const release: Parameters<typeof beforeWrite>[1] = (_, [first]) =>
    first?.op === "replace" && first.doc.kind === "head" && first.doc.owner === null;
  const changed = beforeWrite(stage.needs, release, () => setPaused(s, true));
  expect(await oneHint(s, changed)).toBe("nothing-due");
  expect(await s.head()).toMatchObject({ owner: null, leaseUntil: 0, wakeAt: null });
});

it("a worker under whom the settings change while it removes people gives its turn back", async () => {
  const s = await scheduled({ retireAt: stage.ambient.now() });
  const removes: Parameters<typeof beforeWrite>[1] = (_, [first]) =>
    first?.op === "replace" && first.doc.kind === "head" && first.doc.owner !== null;
  expect(
    await oneHint(
      s,
      beforeWrite(stage.needs, removes, () => setPaused(s, true)),
    ),
  ).toBe("lost-turn");
  expect(await s.head()).toMatchObject({ owner: null, leaseUntil: 0, wakeAt: null });
});

describe("a run that is void", () => {
  /** A run that has come as far as its first checkpoint. */
  const begun = async (): Promise<{ s: Scene; runId: string; sequence: number }> => {
    const s = await scheduled();
    stage.needs = { ...stage.needs, sliceMilliseconds: 0 };
    expect(await s.step()).toBe("continues");
    const { run, sequence } = await s.head();
    return { s, runId: run?.id ?? "", sequence };
  };

  it("because the settings changed has its end in its document and in the log, once", async () => {
    const { s, runId, sequence } = await begun();
    await setPaused(s, true);
    await s.lay({ head: { wakeAt: stage.ambient.now() } });
    await setPaused(s, false);
    expect(await s.step()).toBe("continues");
    expect(await newestRun(s)).toMatchObject({ id: ids.run(runId), phase: "ended", outcome: "cancelled" });
    expect(await ends(s, sequence)).toEqual([["ended", "cancelled"]]);
  });

  it("because somebody cancelled it has the end that he gave it, and no other", async () => {
    const { s, runId, sequence } = await begun();
    await cancelRun(apiNeeds(s))(caller(), s.connectionId, runId);
    expect(await s.step()).toBe("continues");
    expect((await newestRun(s))?.outcome).toBe("cancelled");
    expect(await ends(s, sequence)).toEqual([["cancelled", undefined]]);
  });

  it("is put away also when its document moves meanwhile", async () => {
    const { s, runId, sequence } = await begun();
    await setPaused(s, true);
    await s.lay({ head: { wakeAt: stage.ambient.now() } });
    await setPaused(s, false);
    const moved = async (): Promise<void> => {
      const doc = await stage.store.read(s.connectionId, "run", ids.run(runId));
      if (!doc) throw new Error("the run has no document");
      const { _etag: etag, ...run } = doc;
      await commit(stage.needs, await s.head(), {
        writes: [{ op: "replace", etag, doc: { ...run, planHash: "moved" } }],
      });
    };
    expect(await oneHint(s, beforeWrite(stage.needs, endsRun, moved))).toBe("continues");
    expect(await s.head()).toMatchObject({ owner: null, run: null });
    expect(await newestRun(s)).toMatchObject({ outcome: "cancelled", planHash: "moved" });
    expect(await ends(s, sequence)).toEqual([["ended", "cancelled"]]);
  });
});

it("a run that was asked for before a deletion that is undone is done after it", async () => {
  const s = await openScene(stage, { before: people(2) });
  const { id: run } = await requestRun(apiNeeds(s))(caller(), s.connectionId, { mode: "full" });
  await closeConnection(apiNeeds(s))(caller(), s.connectionId, { displayName: "Test" });
  expect(await s.step()).toBe("nothing-due");
  await restoreConnection(apiNeeds(s))(caller(), s.connectionId);
  expect((await s.head()).wakeAt).toBeLessThanOrEqual(stage.ambient.now());
  expect(await s.step()).toBe("done");
  expect(await newestRun(s)).toMatchObject({ id: ids.run(run), phase: "ended", outcome: "done" });
});
