import { describe, expect, it } from "vitest";
import { nothingStaged } from "../../../src/core/directory/run/cursor.ts";
import { type Pace, paceOf, progressOf, rateOf } from "../../../src/core/directory/run/progress.ts";
import { noCounts, type Round } from "../../../src/core/directory/run/round.ts";
import type { Head, RunState } from "../../../src/core/store/documents.ts";
import { readRun, requestRun } from "../../../src/core/views/runs.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { caller } from "../views-stage.ts";
import { openScene, people, type Scene, withStage } from "./trap-scene.ts";

const staged = { ...nothingStaged(), "groups+": 1, "people+": 2, "members+": 1 };
type Place = Round["cursor"]["at"];
const reading: Place = { phase: "reading", feed: "users", link: null };
const applying = (pass: number, chunk: number): Place => ({ phase: "applying", pass, chunk });

const pace = (at: Place, now: number, before: Pace | null, counts: Partial<Round["counts"]>): Pace =>
  paceOf({
    needs: { ambient: { now: () => now } } as Round["needs"],
    head: { run: before && { id: "r", pace: before } } as Round["head"],
    id: "r",
    cursor: { at, staged } as Round["cursor"],
    counts: { ...noCounts(), ...counts },
    startedAt: 1000,
  });
const run = (of: Partial<RunState>): RunState => ({ counts: noCounts(), mode: "full", ...of }) as RunState;
const counters = (stored: number): Pick<Head, "counters"> => ({
  counters: { people: stored, groups: 0, memberships: 9 },
});

describe("the pace of a run", () => {
  it("of reading counts objects since the run began", () => {
    const first = pace(reading, 3000, null, { peopleRead: 40, groupsRead: 10 });
    expect(first).toEqual({ phase: "reading", since: 1000, from: 0, at: 3000, done: 50 });
    const second = pace(reading, 9000, first, { peopleRead: 150, groupsRead: 10 });
    expect(rateOf(run({ phase: "reading", pace: second }))).toBe(20);
  });

  it("begins anew with a phase, and with a round that starts again", () => {
    const before: Pace = { phase: "reading", since: 1000, from: 0, at: 3000, done: 50 };
    const now = pace(applying(1, 0), 5000, before, { groupsCreated: 10, peopleCreated: 30 });
    expect(now).toEqual({ phase: "applying", since: 5000, from: 10, at: 5000, done: 10 });
    expect(rateOf(run({ phase: "applying", pace: now }))).toBeNull();
    expect(pace(reading, 5000, before, { peopleRead: 20 })).toMatchObject({ since: 5000, from: 20 });
  });

  it("of applying counts planned changes by the staged parts that are done", () => {
    const counts = { groupsCreated: 10, peopleCreated: 30 };
    const before: Pace = { phase: "applying", since: 5000, from: 10, at: 5000, done: 10 };
    const later = pace(applying(2, 0), 9000, before, counts);
    expect(later.done).toBe(30);
    const state = run({ phase: "applying", pace: later, counts: { ...noCounts(), ...counts } });
    expect([progressOf(state, counters(7)), rateOf(state)]).toEqual([{ done: 30, total: 40 }, 5]);
  });

  it("knows a total only where something is stored and everything is read anew, and never less than has come", () => {
    const state = run({ phase: "reading", pace: pace(reading, 3000, null, { peopleRead: 50 }) });
    expect(progressOf(state, counters(80))).toEqual({ done: 50, total: 80 });
    expect(progressOf(state, counters(30))).toEqual({ done: 50, total: 50 });
    expect(progressOf(state, counters(0))).toEqual({ done: 50, total: null });
    expect(progressOf({ ...state, mode: "delta" }, counters(80))).toEqual({ done: 50, total: null });
  });

  it("says nothing while a plan is weighed or waits, and nothing of an earlier phase", () => {
    const old = pace(reading, 3000, null, { peopleRead: 50 });
    for (const phase of ["weighing", "waiting"] as const)
      expect([progressOf(run({ phase, pace: old }), counters(80)), rateOf(run({ phase, pace: old }))]).toEqual([
        null,
        null,
      ]);
    const approved = run({ phase: "applying", pace: old, counts: { ...noCounts(), peopleDeactivated: 4 } });
    expect([progressOf(approved, counters(80)), rateOf(approved)]).toEqual([{ done: 0, total: 4 }, null]);
  });
});

describe("a run under way", () => {
  let stage: Stage;
  withStage(33, (started) => {
    stage = started;
  });
  const views = (s: Scene) => {
    const needs = { ...stage.needs, keys: { ring: () => Promise.resolve(s.context.ring) } };
    return {
      ask: () => requestRun(needs)(caller(), s.connectionId, { mode: "full" }),
      read: (id: string, ...rights: Parameters<typeof caller>) => readRun(needs)(caller(...rights), s.connectionId, id),
    };
  };

  it("shows what it has read of what is stored, how fast, and to whom may know it who asked", async () => {
    const s = await openScene(stage, { before: people(20), traits: { pageSize: 5 } });
    await s.sync("full");
    const { people: stored, groups } = (await s.head()).counters;
    const { ask, read } = views(s);
    const asked = await ask();
    expect(asked).toMatchObject({ phase: "queued", progress: null, rate: null });
    expect(asked).not.toHaveProperty("startedBy");
    stage.needs = { ...stage.needs, sliceMilliseconds: 0 };
    let seen = 0;
    for (let turn = 1; turn <= 4; turn++) {
      stage.ambient.advance(10_000);
      await s.step();
      const shown = await read(asked.id);
      if (shown.phase !== "reading") break;
      expect(shown.progress?.total).toBe(Math.max(stored + groups, shown.progress?.done ?? 0));
      expect(shown.progress?.done).toBe(shown.counts.peopleRead + shown.counts.groupsRead);
      seen = shown.progress?.done ?? 0;
      if (turn > 1) expect(shown.rate).toBeCloseTo(seen / (10 * (turn - 1)), 0);
    }
    expect(seen).toBeGreaterThan(4);
    stage.needs = { ...stage.needs, sliceMilliseconds: 240_000 };
    await stage.settle(s.connectionId);
    expect(await read(asked.id, "audit:read")).toMatchObject({ progress: null, rate: null, startedBy: "ada" });
    expect(await read(asked.id)).not.toHaveProperty("startedBy");
  });
});
