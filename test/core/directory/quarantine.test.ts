/** Runs that fail again and again for a cause that is not ours end in quarantine: no runs, an hourly self-test, recovery by itself. */
import { describe, expect, it } from "vitest";
import { changeSettings } from "../../../src/core/connections/change-settings.ts";
import { connectionView } from "../../../src/core/connections/views.ts";
import { AppError } from "../../../src/core/errors.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { caller } from "../views-stage.ts";
import { end, group, openScene, people, range, type Scene, set, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(31, (started) => {
  stage = started;
});

const before = [...people(5), group(500, [1, 2])];
const minute = 60_000;
const minutesUntil = (time: number | null): number => ((time ?? Number.NaN) - stage.ambient.now()) / minute;
const down = (s: Scene): void =>
  s.fault({ trouble: { kind: "status", status: 503 }, path: "^/users/delta", times: 100_000 });
const up = (): void => void stage.simulator.commands.faults.run({ clear: true });

/** Synchronised once, with a change to fetch, and due by its schedule. */
const scheduled = async (head: object = {}): Promise<Scene> => {
  const s = await openScene(stage, { before });
  await s.sync("full");
  s.change(end("delete", 1), set(2, { city: "Kiel" }));
  const now = stage.ambient.now();
  await s.lay({ settings: { automatic: true }, head: { dueAt: now, wakeAt: now, ...head } });
  return s;
};

/** One failure more than there may be. */
const quarantined = async (): Promise<Scene> => {
  const s = await scheduled({ strikes: 7, failures: 7, attempts: 4 });
  down(s);
  expect(await s.step()).toBe("retries");
  expect((await s.connection()).quarantine).toMatchObject({ code: "graph-unavailable", failures: 8 });
  return s;
};

const runs = async (s: Scene): Promise<number> =>
  (await stage.store.list(s.connectionId, "run", { limit: 200 })).length;
const told = async (s: Scene, sequence: number): Promise<unknown[]> =>
  (await s.entriesSince(sequence)).filter(({ kind }) => kind === "connection").map(({ evidence }) => evidence);
const view = async (s: Scene) => connectionView(await s.connection(), await s.head(), s.context.ring);
/** What one hint asks Graph for. */
const asked = async (what: () => Promise<unknown>): Promise<string[]> => {
  const mark = stage.simulator.graph.log.mark();
  await what();
  return stage.simulator.graph.log.since(mark).map(({ path }) => path);
};

describe("runs that Microsoft's side lets fail", () => {
  it("put the connection into quarantine at the eighth in a row; then it is only tried out, and taken up when that passes", async () => {
    const s = await scheduled();
    const { sequence } = await s.head();
    const held = await s.held();
    down(s);
    while ((await s.head()).failures < 7) expect(await s.nextStep()).toBe("retries");
    expect([(await s.connection()).quarantine, await told(s, sequence)]).toEqual([null, []]);
    while ((await s.head()).failures < 8) expect(await s.nextStep()).toBe("retries");

    expect(await s.connection()).toMatchObject({
      state: "active",
      attention: null,
      quarantine: { code: "graph-unavailable", failures: 8 },
    });
    expect(await told(s, sequence)).toEqual(["graph-unavailable"]);
    const { quarantine, nextSyncAt, nextTestAt } = await view(s);
    expect(quarantine?.advice).toMatch(/^\w.+\.$/);
    expect([nextSyncAt, minutesUntil(Date.parse(nextTestAt ?? ""))]).toEqual([null, expect.closeTo(60, 0)]);

    const begun = await runs(s);
    for (const _hour of range(1, 3)) {
      const paths = await asked(async () => expect(await s.nextStep()).toBe("retries"));
      // A request that meets a fault has no name in the log.
      expect(paths).toEqual(["/organization", "/groups/delta", "unknown"]);
      expect(minutesUntil((await s.head()).wakeAt)).toBeCloseTo(60, 0);
    }
    expect([await runs(s), await told(s, sequence), await s.held()]).toEqual([begun, ["graph-unavailable"], held]);

    up();
    expect(await s.nextStep()).toBe("done");
    expect(await s.connection()).toMatchObject({ state: "active", quarantine: null });
    expect(await s.head()).toMatchObject({ failures: 0, strikes: 0, owner: null });
    expect(await told(s, sequence)).toEqual(["graph-unavailable", "recovered"]);
    expect((await s.stored(1))?.state).toBe("deactivated");
  });

  it("after a self-test has passed lead back into quarantine at the first", async () => {
    const s = await quarantined();
    up();
    const { source } = stage.needs;
    stage.needs = { ...stage.needs, source: { ...source, page: () => Promise.reject(new AppError("graph-refused")) } };
    expect(await s.nextStep()).toBe("retries");
    expect((await s.connection()).quarantine).toBeNull();
    for (const _attempt of range(2, 4)) expect(await s.nextStep()).toBe("retries");
    expect((await s.connection()).quarantine).toMatchObject({ code: "graph-refused", failures: 9 });
  });
});

it.each(["keys-unavailable", "store-full", "plan-lost", "unexpected"] as const)(
  "runs that fail for %s, which is ours, blame nobody however many they are",
  async (code) => {
    const s = await scheduled();
    const { source } = stage.needs;
    stage.needs = { ...stage.needs, source: { ...source, page: () => Promise.reject(new AppError(code)) } };
    while ((await s.head()).failures < 9) await s.nextStep();
    expect([(await s.connection()).quarantine, (await s.head()).strikes]).toEqual([null, 0]);
    expect(minutesUntil((await s.head()).wakeAt)).toBeCloseTo(60, 0);
  },
);

describe("in quarantine", () => {
  it("a run that somebody asks for is done, and ends it when it succeeds", async () => {
    const s = await quarantined();
    const { sequence } = await s.head();
    up();
    await s.ask();
    expect(await s.step()).toBe("done");
    expect((await s.connection()).quarantine).toBeNull();
    const recovery = (await s.entriesSince(sequence)).find(({ evidence }) => evidence === "recovered");
    expect(recovery).toMatchObject({ kind: "connection", op: "updated", cause: "manual", run: expect.any(String) });
    expect((await s.stored(1))?.state).toBe("deactivated");
    expect(minutesUntil((await s.head()).dueAt)).toBeGreaterThan(600);
  });

  it("a run that somebody asks for and that fails changes nothing of it", async () => {
    const s = await quarantined();
    const { quarantine } = await s.connection();
    await s.ask();
    for (const _attempt of range(1, 5)) expect(await s.nextStep()).toBe("retries");
    expect((await s.head()).failures).toBe(9);
    expect((await s.connection()).quarantine).toEqual({ ...quarantine, failures: 9 });
    expect(minutesUntil((await s.head()).wakeAt)).toBeCloseTo(60, 0);
  });

  it("the settings may change, and the connection is tried out at once", async () => {
    const s = await quarantined();
    const { settings, settingsVersion } = await s.connection();
    const change = changeSettings({ ...stage.needs, keys: { ring: () => Promise.resolve(s.context.ring) } });
    await change(caller(), s.connectionId, `"${settingsVersion}"`, { ...settings, intervalMinutes: 600 });
    expect(minutesUntil((await s.head()).wakeAt)).toBeLessThanOrEqual(0);
    const begun = await runs(s);
    expect(await s.step()).toBe("retries");
    expect([await runs(s), minutesUntil((await s.head()).wakeAt)]).toEqual([begun, expect.closeTo(60, 0)]);
  });

  it("lost consent takes its place when it is seen twice", async () => {
    const s = await quarantined();
    const { sequence } = await s.head();
    stage.simulator.commands.revoke.run({ tid: s.tid, clientId: stage.clientId });
    expect(await s.nextStep()).toBe("retries");
    expect((await s.connection()).state).toBe("active");
    expect(minutesUntil((await s.head()).wakeAt)).toBeLessThanOrEqual(5);
    expect(await s.nextStep()).toBe("retries");
    expect(await s.connection()).toMatchObject({
      state: "needs-attention",
      attention: { code: "consent-revoked" },
      quarantine: null,
    });
    expect(await told(s, sequence)).toEqual(["consent-revoked"]);
    up();
    stage.simulator.commands.grant.run({ tid: s.tid, clientId: stage.clientId });
    expect(await s.nextStep()).toBe("done");
    expect(await s.connection()).toMatchObject({ state: "active", attention: null, quarantine: null });
  });

  it("our own credential is nobody's failure, and is tried again sooner", async () => {
    const s = await quarantined();
    const doc = await s.connection();
    stage.simulator.commands["entra-switches"].run({ expiredSecrets: ["a development secret"] });
    expect(await s.nextStep()).toBe("retries");
    expect(await s.connection()).toEqual(doc);
    expect([(await s.head()).strikes, minutesUntil((await s.head()).wakeAt)]).toEqual([8, expect.closeTo(5, 1)]);
  });

  it("a run that is asked for while the connection is tried out is not forgotten", async () => {
    const s = await quarantined();
    const { selfTest } = stage.needs;
    stage.needs = { ...stage.needs, selfTest: async (tenant) => (await s.ask(), await selfTest(tenant)) };
    expect(await s.nextStep()).toBe("retries");
    expect(await s.head()).toMatchObject({ owner: null, requested: { mode: "delta" } });
    expect(minutesUntil((await s.head()).wakeAt)).toBeLessThanOrEqual(0);
  });

  it("a pause that comes while the connection is tried out stands", async () => {
    const s = await quarantined();
    const { selfTest } = stage.needs;
    const pause = async (): Promise<void> => {
      await s.lay({
        settings: { paused: true },
        head: { epoch: (await s.head()).epoch + 1, dueAt: null, wakeAt: null },
      });
    };
    stage.needs = { ...stage.needs, selfTest: async (tenant) => (await pause(), await selfTest(tenant)) };
    expect(await s.nextStep()).toBe("retries");
    expect(await s.head()).toMatchObject({ owner: null, dueAt: null, wakeAt: null });
  });
});

it("a connection that needs attention is tried out and not run, and says the newest reason", async () => {
  const s = await scheduled();
  stage.simulator.commands.revoke.run({ tid: s.tid, clientId: stage.clientId });
  s.fault({ trouble: { kind: "status", status: 401 } });
  for (const _attempt of range(1, 2)) expect(await s.nextStep()).toBe("retries");
  const { attention } = await s.connection();
  expect(attention?.code).toBe("consent-revoked");
  const { sequence } = await s.head();
  const begun = await runs(s);
  expect(await asked(async () => expect(await s.nextStep()).toBe("retries"))).toEqual([]);
  expect(await told(s, sequence)).toEqual([]);

  stage.simulator.commands.grant.run({ tid: s.tid, clientId: stage.clientId });
  stage.simulator.commands.revoke.run({ tid: s.tid, clientId: stage.clientId, permissions: ["User.Read.All"] });
  expect(await s.nextStep()).toBe("retries");
  expect((await s.connection()).attention).toEqual({ code: "permission-revoked", since: attention?.since });
  expect([await told(s, sequence), await runs(s)]).toEqual([["permission-revoked"], begun]);
});
