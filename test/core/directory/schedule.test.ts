import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultSettings } from "../../../src/core/connections/settings.ts";
import { backOff, nextDue, wakeAfter } from "../../../src/core/directory/schedule.ts";
import type { Head } from "../../../src/core/store/documents.ts";

const minute = 60_000;
const startedAt = Date.parse("2026-03-01T12:00:00.000Z");
const every = (intervalMinutes: number) => ({ ...defaultSettings, intervalMinutes });

describe("the next round", () => {
  it("is due after at most the interval and at least 95 % of it, the same for the same connection", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 5, max: 1440 }), (connectionId, interval) => {
        const due = nextDue(connectionId, every(interval), startedAt) ?? 0;
        expect(due - startedAt).toBeLessThanOrEqual(interval * minute);
        expect(due - startedAt).toBeGreaterThanOrEqual(interval * minute * 0.95 - 1);
        expect(Number.isSafeInteger(due)).toBe(true);
        expect(nextDue(connectionId, every(interval), startedAt)).toBe(due);
      }),
    );
  });

  it("is spread over connections that were started together", () => {
    const due = Array.from({ length: 1000 }, (_, n) => nextDue(`01k${n}`, every(1440), startedAt) ?? 0);
    const window = 1440 * minute * 0.05;
    for (let part = 0; part < 10; part++) {
      const from = startedAt + 1440 * minute - window + (part * window) / 10;
      const inPart = due.filter((time) => time >= from && time < from + window / 10).length;
      expect(inPart).toBeGreaterThan(50);
    }
  });

  it.each([{ automatic: false }, { paused: true }, { automatic: false, paused: true }])(
    "is never due with %j",
    (change) => {
      expect(nextDue("01k", { ...defaultSettings, ...change }, startedAt)).toBeNull();
    },
  );
});

describe("head waits", () => {
  const requested: Head["requested"] = { runId: "r", mode: "full", cause: "manual", at: startedAt };
  it("for nothing longer than what is asked for, else for the schedule, else for nothing", () => {
    const idle = { run: null, requested: null, dueAt: null };
    expect(wakeAfter(idle, startedAt)).toBeNull();
    expect(wakeAfter({ ...idle, dueAt: startedAt + 5 }, startedAt)).toBe(startedAt + 5);
    expect(wakeAfter({ ...idle, dueAt: startedAt + 5, requested }, startedAt)).toBe(startedAt);
    expect(wakeAfter({ ...idle, requested }, startedAt)).toBe(startedAt);
  });
});

it("backs off 30 s, 1, 2, 4 ... minutes and never more than an hour", () => {
  expect([0, 1, 2, 3, 4, 5, 6, 7].map((failures) => backOff(failures) / minute)).toEqual([
    0.5, 0.5, 1, 2, 4, 8, 16, 32,
  ]);
  for (const failures of [8, 9, 50, 5000]) expect(backOff(failures)).toBe(60 * minute);
});
