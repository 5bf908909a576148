import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contextFor } from "../../src/core/connections/open.ts";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import { noCounts } from "../../src/core/directory/run/round.ts";
import { firstDue } from "../../src/core/directory/schedule.ts";
import { isAppError } from "../../src/core/errors.ts";
import { ids, type RunDoc } from "../../src/core/store/documents.ts";
import { newHead } from "../../src/core/store/head.ts";
import { finishSetup, markStep, readSetup, resetSetup } from "../../src/core/wizard/progress.ts";
import { approve, caller, codeOf, edit, openStage, readRoles, type Stage } from "./connections-stage.ts";

const day = 86_400_000;
const ada = caller();

let stage: Stage;
let cases: ReturnType<typeof casesOf>;
const casesOf = ({ needs }: Stage) => ({
  read: readSetup(needs),
  mark: markStep(needs),
  finish: finishSetup(needs),
  reset: resetSetup(needs),
});
beforeAll(async () => {
  stage = await openStage();
  cases = casesOf(stage);
});
afterAll(() => stage.close());

let names = 0;
/** Approved by an administrator, and set up by nobody yet. */
const open = async (): Promise<string> => {
  stage.hinted.length = 0;
  stage.microsoft.granted = [...readRoles];
  const { id } = await stage.draft(ada, `Office ${++names}`);
  const ended = await approve(stage, id);
  await stage.cases.complete(ada, id, { code: ended.searchParams.get("code") ?? "" });
  return id;
};

const headOf = async (id: string) => {
  const head = await stage.store.read(id, "head", ids.head);
  if (!head) throw new Error("there is no head");
  return head;
};

const layRun = async (id: string, change: Partial<RunDoc> = {}): Promise<string> => {
  const runId = stage.ambient.ulid();
  const at = new Date(stage.ambient.now()).toISOString();
  const run: RunDoc = {
    id: ids.run(runId),
    kind: "run",
    connectionId: id,
    v: 1,
    mode: "dry-run",
    cause: "manual",
    phase: "ended",
    outcome: "dry-run",
    failure: null,
    counts: noCounts(),
    warnings: [],
    planHash: null,
    guard: [],
    requestedAt: at,
    startedAt: at,
    endedAt: at,
    settingsVersion: 1,
    requestedBy: null,
    ...change,
  };
  await stage.cosmos.directory.items.create({ ...run });
  return runId;
};

const refusal = async (call: Promise<unknown>): Promise<[string, string | undefined]> => {
  try {
    await call;
  } catch (error) {
    if (isAppError(error)) return [error.code, error.details.field];
    throw error;
  }
  return ["none", undefined];
};

const done = async (id: string): Promise<string[]> =>
  (await cases.read(ada, id)).steps.filter((step) => step.done).map((step) => step.id);

describe("progress", () => {
  test("is kept in the order of the steps, can be taken back, and is no entry of the log", async () => {
    const id = await open();
    const { sequence } = await headOf(id);
    await cases.mark(ada, id, "attributes", { done: true });
    await cases.mark(ada, id, "introduction", { done: true });
    expect(await done(id)).toEqual(["introduction", "attributes"]);
    await cases.mark(ada, id, "attributes", { done: false });
    expect(await done(id)).toEqual(["introduction"]);
    expect((await headOf(id)).sequence).toBe(sequence);
  });

  test("is not for steps that do not exist, nor for the end, nor for others", async () => {
    const id = await open();
    for (const step of ["", "another", "finish", "__proto__"])
      expect(await refusal(cases.mark(ada, id, step, { done: true }))).toEqual(["invalid-request", "step"]);
    const stranger = caller("other");
    expect(await codeOf(cases.mark(stranger, id, "finish", { done: true }))).toBe("connection-not-found");
    expect(await codeOf(cases.read(stranger, id))).toBe("connection-not-found");
    expect(await codeOf(cases.finish(stranger, id, { withoutTest: true }))).toBe("connection-not-found");
    expect(await codeOf(cases.reset(stranger, id))).toBe("connection-not-found");
  });

  test("of several people at once is kept whole", async () => {
    const id = await open();
    const steps = ["introduction", "automatic", "include-groups"];
    await Promise.all(steps.map((step) => cases.mark(ada, id, step, { done: true })));
    expect(await done(id)).toEqual(steps);
  });
});

describe("before the setup is finished", () => {
  test("the schedule starts nothing: not after consent, a change, a pause, or a deletion that was undone", async () => {
    const id = await open();
    const idle = async () => {
      const { dueAt, wakeAt } = await headOf(id);
      expect([dueAt, wakeAt, stage.hinted]).toEqual([null, null, []]);
    };
    await idle();
    const change = async (settings: object) =>
      stage.cases.changeSettings(ada, id, (await cases.read(ada, id)).etag, { ...defaultSettings, ...settings });
    await change({ intervalMinutes: 5 });
    await idle();
    await change({ paused: true });
    await change({ paused: false });
    await idle();
    const { displayName } = await stage.cases.read(ada, id);
    await stage.cases.close(ada, id, { displayName });
    await stage.cases.restore(ada, id);
    await idle();
    expect(await stage.cases.read(ada, id)).toMatchObject({ setup: "unfinished", nextSyncAt: null });
  });

  test("a run by hand ends without a next one", async () => {
    const id = await open();
    const doc = await stage.store.read(id, "connection", ids.connection);
    if (!doc) throw new Error("there is no connection");
    expect((await contextFor(stage.needs)(doc)).settings.automatic).toBe(false);
    await cases.finish(ada, id, { withoutTest: true });
    const after = await stage.store.read(id, "connection", ids.connection);
    expect(after && (await contextFor(stage.needs)(after)).settings.automatic).toBe(true);
  });
});

describe("finishing", () => {
  test("takes an approval, settings without a gap, and a test or the word that there shall be none", async () => {
    const draft = (await stage.draft(ada, "Draft of the setup")).id;
    expect(await refusal(cases.finish(ada, draft, { withoutTest: true }))).toEqual([
      "setup-incomplete",
      "steps.introduction",
    ]);
    const id = await open();
    expect(await refusal(cases.finish(ada, id, { withoutTest: false }))).toEqual(["setup-incomplete", "steps.test"]);
    const { people } = defaultSettings;
    const nobody = { ...defaultSettings, people: { ...people, kinds: { ...people.kinds, members: false } } };
    await stage.cases.changeSettings(ada, id, '"1"', nobody);
    expect(await refusal(cases.finish(ada, id, { withoutTest: true }))).toEqual([
      "setup-incomplete",
      "steps.account-kinds",
    ]);
    await edit(stage, id, (doc) => ({ ...doc, settings: defaultSettings, state: "needs-attention" }));
    expect(await refusal(cases.finish(ada, id, { withoutTest: true }))).toEqual([
      "setup-incomplete",
      "steps.introduction",
    ]);
  });

  test("accepts the test of these very settings and no other run", async () => {
    const id = await open();
    await layRun(id, { settingsVersion: 0 });
    await layRun(id, { mode: "full", outcome: "done" });
    await layRun(id, { outcome: "failed" });
    await layRun(id, { impact: true });
    await layRun(id, { phase: "reading", outcome: null, endedAt: null });
    expect((await cases.read(ada, id)).tested).toBeNull();
    expect(await codeOf(cases.finish(ada, id, { withoutTest: false }))).toBe("setup-incomplete");
    const run = await layRun(id);
    expect((await cases.read(ada, id)).tested).toMatchObject({ run });
    await stage.cases.changeSettings(ada, id, '"1"', { ...defaultSettings, intervalMinutes: 60 });
    expect((await cases.read(ada, id)).tested).toBeNull();
    await layRun(id, { settingsVersion: 2 });
    expect(await cases.finish(ada, id, { withoutTest: false })).toMatchObject({ finished: true });
  });

  test("begins the schedule, says when, and is recorded", async () => {
    const id = await open();
    const view = await stage.ambient.frozen(() => cases.finish(ada, id, { withoutTest: true }));
    const finishedAt = Date.parse(view.finishedAt ?? "");
    expect(view.steps.every((step) => step.done)).toBe(true);
    expect(Date.parse(view.nextSyncAt ?? "")).toBe(firstDue(id, defaultSettings, finishedAt));
    const { dueAt, wakeAt } = await headOf(id);
    expect(wakeAt).toBe(dueAt);
    expect(await stage.cases.read(ada, id)).toMatchObject({ setup: "finished", nextSyncAt: view.nextSyncAt });
    expect((await stage.log(id)).at(-1)).toMatchObject({
      kind: "connection",
      op: "updated",
      changes: [
        { field: "setup", before: "unfinished", after: "finished" },
        { field: "setup.test", before: null, after: "without" },
      ],
      actor: { subject: "alice" },
    });
    const again = await cases.finish(ada, id, { withoutTest: true });
    expect([again.finishedAt, again.nextSyncAt]).toEqual([view.finishedAt, view.nextSyncAt]);
  });

  test("begins no schedule where none is wanted", async () => {
    const id = await open();
    await stage.cases.changeSettings(ada, id, '"1"', { ...defaultSettings, automatic: false });
    expect(await cases.finish(ada, id, { withoutTest: true })).toMatchObject({ finished: true, nextSyncAt: null });
    expect((await headOf(id)).wakeAt).toBeNull();
  });

  test("waits for a run that was begun by hand", async () => {
    const id = await open();
    const requested = { runId: stage.ambient.ulid(), mode: "full", cause: "manual", at: stage.ambient.now() };
    const patch = (value: unknown) =>
      stage.cosmos.directory.item("head", id).patch([{ op: "set", path: "/requested", value }]);
    await patch(requested);
    expect(await codeOf(cases.finish(ada, id, { withoutTest: true }))).toBe("run-in-progress");
    await patch(null);
    expect(await codeOf(cases.finish(ada, id, { withoutTest: true }))).toBe("none");
  });

  test("once makes a later approval start a sync at once", async () => {
    const id = await open();
    await cases.finish(ada, id, { withoutTest: true });
    stage.ambient.advance(1000);
    const ended = await approve(stage, id);
    await stage.cases.complete(ada, id, { code: ended.searchParams.get("code") ?? "" });
    expect((await headOf(id)).wakeAt).toBeLessThanOrEqual(stage.ambient.now());
    expect(stage.hinted.map(({ connectionId }) => connectionId)).toEqual([id]);
  });
});

describe("beginning anew", () => {
  test("takes the progress back and nothing else, and can be finished again without moving the schedule", async () => {
    const id = await open();
    const { nextSyncAt, finishedAt } = await cases.finish(ada, id, { withoutTest: true });
    const before = await headOf(id);
    expect(await cases.reset(ada, id)).toMatchObject({ finished: false, finishedAt, nextSyncAt });
    expect(await done(id)).toEqual([]);
    expect(await stage.cases.read(ada, id)).toMatchObject({ setup: "unfinished", nextSyncAt });
    expect((await headOf(id)).epoch).toBe(before.epoch);
    expect((await stage.log(id)).at(-1)).toMatchObject({
      changes: [{ field: "setup", before: "finished", after: "unfinished" }],
    });
    expect(await refusal(cases.finish(ada, id, { withoutTest: false }))).toEqual(["setup-incomplete", "steps.test"]);
    stage.ambient.advance(60_000);
    const again = await cases.finish(ada, id, { withoutTest: true });
    expect(again).toMatchObject({ finished: true, nextSyncAt });
    expect(Date.parse(again.finishedAt ?? "")).toBeGreaterThan(Date.parse(finishedAt ?? ""));
  });

  test("is nothing where nothing was done", async () => {
    const id = await open();
    const { _etag } = await headOf(id);
    await cases.reset(ada, id);
    expect((await headOf(id))._etag).toBe(_etag);
  });
});

test("the first syncs of many connections are spread over the interval, and none waits longer than a day", () => {
  const waits = Array.from(
    { length: 500 },
    (_, n) => (firstDue(newHead(`01k${n}`, "c").connectionId, defaultSettings, 0) ?? -1) / day,
  );
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...waits)).toBeLessThanOrEqual(1);
  for (const quarter of [0, 1, 2, 3])
    expect(waits.filter((wait) => Math.floor(wait * 4) === quarter).length).toBeGreaterThan(80);
  expect(firstDue("c", { ...defaultSettings, paused: true }, 0)).toBeNull();
});
