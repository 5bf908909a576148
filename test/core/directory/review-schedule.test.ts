/** What is asked for while a worker looks elsewhere is done all the same, and what nobody can do is given up. */
import { describe, expect, it } from "vitest";
import { scheduleAfter } from "../../../src/core/connections/change-settings.ts";
import { defaultSettings } from "../../../src/core/connections/settings.ts";
import type { RawObject } from "../../../src/core/directory/ports.ts";
import type { WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { AppError } from "../../../src/core/errors.ts";
import { ids, type RunState } from "../../../src/core/store/documents.ts";
import { cancelRun } from "../../../src/core/views/runs.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { caller } from "../views-stage.ts";
import { end, guid, openScene, people, range, type Scene, set, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(21, (started) => {
  stage = started;
});

/** `meanwhile` happens once, when a worker has its turn and has just read the connection. */
const whenConnectionIsRead = (meanwhile: () => Promise<void>): WorkerNeeds => {
  let done = false;
  const read: WorkerNeeds["store"]["read"] = async (connectionId, kind, id) => {
    const doc = await stage.needs.store.read(connectionId, kind, id);
    if (kind === "connection" && !done) {
      done = true;
      await meanwhile();
    }
    return doc;
  };
  return { ...stage.needs, store: { ...stage.needs.store, read } };
};

const oneHint = (s: Scene, needs: WorkerNeeds) =>
  work(needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() });

describe("a worker that finds nothing due", () => {
  it("leaves the time of a run that is asked for meanwhile, also when its hint is lost", async () => {
    const s = await openScene(stage, { before: people(2) });
    await s.sync("full");
    s.change(set(1, { jobTitle: "Chief" }));
    expect(
      await oneHint(
        s,
        whenConnectionIsRead(() => s.ask()),
      ),
    ).toBe("nothing-due");
    expect(await s.head()).toMatchObject({ owner: null, wakeAt: expect.any(Number) });
    await stage.settle(s.connectionId);
    expect((await s.stored(1))?.record.fields.jobTitle).toBe("Chief");
  });

  it("leaves the time of an approval that is redeemed meanwhile", async () => {
    const s = await openScene(stage, { before: people(2) });
    await s.lay({ settings: { paused: true, automatic: true } });
    const now = stage.ambient.now();
    const resumed = whenConnectionIsRead(() =>
      s.lay({ settings: { paused: false }, head: { dueAt: now, wakeAt: now } }),
    );
    expect(await oneHint(s, resumed)).toBe("nothing-due");
    expect((await s.head()).wakeAt).toBe(now);
    await s.step();
    expect(await s.stored(1)).not.toBeNull();
  });
});

it("a hint for a connection that was deleted meanwhile wakes nobody again", async () => {
  const s = await openScene(stage);
  await stage.handles.directory.item(ids.connection, s.connectionId).delete();
  expect(await s.step()).toBe("gone");
  expect(await s.head()).toMatchObject({ owner: null, wakeAt: null });
});

it("a run that fails leaves another one alone that was asked for meanwhile", async () => {
  const s = await openScene(stage, { before: people(2) });
  const now = stage.ambient.now();
  await s.lay({ settings: { automatic: true }, head: { dueAt: now, wakeAt: now, attempts: 1 } });
  const page: WorkerNeeds["source"]["page"] = async () => {
    await s.ask("full");
    throw new AppError("permission-revoked");
  };
  expect(await oneHint(s, { ...stage.needs, source: { ...stage.needs.source, page } })).toBe("retries");
  const head = await s.head();
  expect(head).toMatchObject({ owner: null, failures: 1, requested: { mode: "full" } });
  expect(head.wakeAt).not.toBeNull();
});

it("a dry run that has to wait leaves the schedule as it was", async () => {
  const s = await openScene(stage, { before: people(2) });
  const now = stage.ambient.now();
  const requested = { runId: stage.ambient.ulid(), mode: "dry-run", cause: "manual", at: now } as const;
  const dueAt = now + 20 * 3_600_000;
  await s.lay({ settings: { automatic: true }, head: { dueAt, requested, wakeAt: now } });
  s.fault({ trouble: { kind: "throttle", retryAfterSeconds: 3 }, path: "^/users/delta" });
  expect([await s.step(), await s.nextStep()]).toEqual(["retries", "done"]);
  expect(await s.head()).toMatchObject({ requested: null, run: null, dueAt, wakeAt: dueAt });
});

it("a dry run that another setting makes void brings no real one", () => {
  const settings = { ...defaultSettings, automatic: true, intervalMinutes: 60 };
  const run = { mode: "dry-run" } as RunState;
  const head = { connectionId: "c", run, requested: null, dueAt: 5000 };
  const { dueAt } = scheduleAfter(head, settings, { ...settings, intervalMinutes: 30 }, 1000);
  expect(dueAt).toBeGreaterThan(1000);
});

it("a run of the schedule that somebody cancels does not begin again at once", async () => {
  const s = await openScene(stage, { before: people(2) });
  const now = stage.ambient.now();
  await s.lay({ settings: { automatic: true }, head: { dueAt: now - 1, wakeAt: now - 1 } });
  stage.needs = { ...stage.needs, sliceMilliseconds: 0 };
  expect(await s.step()).toBe("continues");
  const runId = (await s.head()).run?.id ?? "";
  const keys = { ring: () => Promise.resolve(s.context.ring) };
  await cancelRun({ ...stage.needs, keys })(caller(), s.connectionId, runId);
  expect(await s.step()).toBe("continues");
  const head = await s.head();
  expect(head).toMatchObject({ run: null, requested: null });
  expect(head.wakeAt).toBeGreaterThan(stage.ambient.now() + 3_600_000);
});

describe("a run that gets nowhere", () => {
  it("is given up after workers have died over it five times", async () => {
    const s = await openScene(stage, { before: people(2) });
    await s.ask("full");
    const killed = () => Promise.reject(new Error("killed"));
    for (let deaths = 0; deaths < 5; deaths++) {
      const store = { ...stage.needs.store };
      const source = { ...stage.needs.source, page: () => ((store.read = killed), (store.write = killed), killed()) };
      await oneHint(s, { ...stage.needs, store, source }).catch(() => undefined);
      stage.ambient.advance(stage.needs.leaseMilliseconds + 1);
    }
    expect((await s.head()).failures).toBe(0);
    await s.step();
    expect(await s.head()).toMatchObject({ owner: null, failures: 1, requested: null, run: null });
  });

  it("is given up after five attempts at the same page, though a part of it could be planned each time", async () => {
    const s = await openScene(stage, { before: people(3) });
    await s.sync("full");
    s.change(set(1, { jobTitle: "Chief" }), end("delete", 2));
    s.alter = (feed: string, objects: RawObject[]) =>
      feed === "users" ? [...objects, { id: guid(2), properties: { jobTitle: "Back" } }] : objects;
    const { source } = stage.needs;
    const failing = () => Promise.reject(new AppError("graph-unavailable"));
    stage.needs = { ...stage.needs, source: { ...source, people: failing } };
    await s.ask();
    for (const _attempt of range(1, 5)) await s.nextStep();
    expect(await s.head()).toMatchObject({ run: null, requested: null, failures: 1 });
  });
});
