import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseSchedule } from "../../src/local/host/schedule.ts";
import { scratchPath, startFixture } from "./fixtures/host.ts";

test.each([
  ["0 */5 * * * *", "2026-11-21T10:05:00.000Z", "2026-11-21T10:10:00.000Z"],
  ["*/10 * * * * *", "2026-11-21T10:05:09.999Z", "2026-11-21T10:05:10.000Z"],
  ["0 0 3 * * 1-5", "2026-11-21T10:00:00.000Z", "2026-11-23T03:00:00.000Z"],
  ["0 30 9 * JAN MON", "2026-11-21T10:00:00.000Z", "2027-01-04T09:30:00.000Z"],
  ["15 4 * * *", "2026-11-21T10:00:00.000Z", "2026-11-22T04:15:00.000Z"],
  // Both day fields must match: the next Friday the 13th.
  ["0 0 0 13 * FRI", "2026-11-21T10:00:00.000Z", "2027-08-13T00:00:00.000Z"],
])("%s after %s is %s", (schedule, after, expected) => {
  expect(parseSchedule(schedule).next(new Date(after))?.toISOString()).toBe(expected);
});

test.each(["@daily", "00:30:00", "0 0 0 L * *", "0 0 0 ? * *", "0 0 0 * * FRI#2", "0 0 25 * * *", "* * *"])(
  "refuses %s, which the real host does not take",
  (schedule) => {
    expect(() => parseSchedule(schedule)).toThrow();
  },
);

test("runs on schedule and never twice at the same time", async () => {
  const host = await startFixture({ env: { EVERY_SECOND: "* * * * * *" } });
  await host.traced((line) => line.tick === "begin");
  await host.traced(() => host.trace().filter((line) => line.tick === "end").length >= 2);
  await host.stop();
  const ticks = host.trace().flatMap((line) => line.tick ?? []);
  expect(ticks).toEqual(ticks.map((_, index) => (index % 2 === 0 ? "begin" : "end")));
  expect(ticks.at(-1)).toBe("end");
});

const startWithStatus = async (name: string, daily: object | undefined) => {
  const statusDir = scratchPath(name);
  mkdirSync(statusDir, { recursive: true });
  const file = join(statusDir, "daily.json");
  if (daily) writeFileSync(file, JSON.stringify(daily));
  const host = await startFixture({ statusDir, env: { DAILY: "0 0 3 * * *" } });
  const status = (): { last: string | null; next: string } => JSON.parse(readFileSync(file, "utf8"));
  return { host, status };
};

test("makes up once for occurrences missed while it was down", async () => {
  const missed = {
    last: "2026-01-01T03:00:00.000Z",
    lastUpdated: "2026-01-01T03:00:00.000Z",
    next: "2026-01-02T03:00:00.000Z",
  };
  const first = await startWithStatus("missed", missed);
  const { timer } = await first.host.traced((line) => "timer" in line);
  expect(timer).toMatchObject({ isPastDue: true, scheduleStatus: { last: missed.last, next: missed.next } });
  await first.host.stop();
  expect(new Date(first.status().next).getTime()).toBeGreaterThan(Date.now());

  const second = await startWithStatus("missed", undefined);
  await second.host.stop();
  expect(second.host.trace().filter((line) => "timer" in line)).toEqual([]);
});

test("a schedule that was changed while it was down has missed nothing", async () => {
  const ofAnotherSchedule = { last: null, lastUpdated: "2026-01-01T03:00:00.000Z", next: "2026-01-01T05:00:00.000Z" };
  const { host, status } = await startWithStatus("changed", ofAnotherSchedule);
  await host.stop();
  expect(host.trace().filter((line) => "timer" in line)).toEqual([]);
  expect(status().next).toMatch(/T03:00:00\.000Z$/);
});
