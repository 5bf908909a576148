/** Every benchmark runs, at a size that says nothing about speed: counts only, never times. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { benchChosen } from "../bench/chosen.ts";
import { benchDelta } from "../bench/delta.ts";
import { benchFairness } from "../bench/fairness.ts";
import { benchImport } from "../bench/import.ts";
import { benchKeys } from "../bench/keys.ts";
import { benchMemory } from "../bench/memory.ts";
import { benchNotifications } from "../bench/notifications.ts";
import { type Kept, withTables } from "../bench/report.ts";

const document = readFileSync(join(resolve(import.meta.dirname, ".."), "docs/performance.md"), "utf8");
const kept = <R>(result: R): Kept<R> => ({
  measuredAt: "2026-01-02T03:04:05.000Z",
  machine: { processor: "test", cores: 1, node: "v1" },
  result,
});

test("import: the floor does what the import does, and the tables show it", async () => {
  const result = await benchImport(300, 1);
  expect([result.people, result.groups, result.turns.length]).toEqual([expect.any(Number), 15, 1]);
  expect(result.people).toBeGreaterThan(280);
  // Key, record and log entry of each person; their ids, hashes and terms.
  expect(result.crypto.seals).toBeGreaterThanOrEqual(result.people * 3);
  expect(result.crypto.macs).toBeGreaterThanOrEqual(result.people * 3 + result.memberships * 2);
  expect(result.costs.documentsPerPerson).toBeLessThanOrEqual(1.1);
  expect(result.costs.documentsPerPerson).toBeGreaterThan(1);
  expect(result.costs.documentsPerMembership).toBeLessThanOrEqual(0.2);
  expect(result.costs.personLogBytes).toBeGreaterThan(500);
  expect(result.median.ratio.wall).toBeGreaterThan(0);
  const tables = withTables(document, { import: kept(result) });
  expect(tables).toContain("keyed hashes");
  expect(tables).toContain("Measured 2026-01-02 on 1 cores");
});

test("delta: a quiet round asks Graph twice and the store three times, and only changes write to people", async () => {
  const result = await benchDelta([150, 400]);
  for (const { quiet, changed, full, changedPeople } of result.sizes) {
    expect(quiet).toMatchObject({ graphRequests: 2, storeOperations: 3, written: 1, writtenPeople: 0 });
    expect(changed.writtenPeople).toBeGreaterThan(changedPeople * 0.9);
    expect(changed.writtenPeople).toBeLessThanOrEqual(changedPeople);
    expect(full.writtenPeople).toBe(0);
  }
  expect(withTables(document, { delta: kept(result) })).toContain("| nothing changed | 400 | 2 | 3 | 1 | 0 |");
});

test("people from selected groups cost no more: neither documents, nor a round in which no group was told of", async () => {
  const result = await benchChosen([150, 400]);
  for (const { users, selected, mapped, people, groups, costs, quiet, changed, changedPeople, full } of result.sizes) {
    expect([selected, mapped]).toEqual([users === 150 ? 2 : 5, 3]);
    expect(people).toBeGreaterThan(users / 10);
    expect(people).toBeLessThan(users * 0.9);
    expect(groups).toBeGreaterThan(selected);
    expect(costs.documentsPerPerson).toBeLessThanOrEqual(1.1);
    expect(quiet).toMatchObject({ graphRequests: 2, storeOperations: 3, written: 1, writtenPeople: 0 });
    expect(changed.writtenPeople).toBeGreaterThan(0);
    expect(changed.writtenPeople).toBeLessThan(changedPeople);
    expect(full.writtenPeople).toBe(0);
  }
  expect(withTables(document, { chosen: kept(result) })).toContain("| nothing changed | 400 | 2 | 3 | 1 | 0 |");
});

test("fairness: a throttled tenant delays nobody, and the timer asks as much for one as for many", async () => {
  const result = await benchFairness(24, { batchSize: 2, newBatchThreshold: 0 });
  const { timer, hinted, started, quiet, throttled, long } = result;
  expect(timer).toEqual({
    idle: { storeOperations: timer.due.storeOperations, hints: 0 },
    due: { storeOperations: 3, hints: 24 },
  });
  // Spread over half a minute.
  expect([hinted.first, hinted.last, hinted.most]).toEqual([0, 28, 1]);
  expect(started.last).toBeGreaterThan(20);
  expect(quiet).toMatchObject({ delayedSeconds: 0, hints: 24 });
  // A round has three, and reads the pauses of tenant and application when it has not done so for a while.
  expect(quiet.storeOperations).toBeLessThanOrEqual(24 * 5 + timer.due.storeOperations);
  // Each pause costs one request, and at most its own hint, the timer's, and one that met the lease.
  expect(throttled).toMatchObject({ delayedSeconds: 0, special: { graphRequests: 5 } });
  expect(throttled.special?.hints).toBeLessThanOrEqual(10);
  expect(throttled.special?.seconds).toBeGreaterThan(throttled.pauseSeconds);
  // Two at a time, and the next two when both are done: whoever comes behind a long round waits for it.
  expect(long.delayedSeconds).toBeGreaterThan(100);
  const freed = await benchFairness(24, { batchSize: 1, newBatchThreshold: 1 });
  expect(freed.long.delayedSeconds).toBeLessThan(2);
  expect(withTables(document, { fairness: kept(result) })).toContain("one tenant is throttled for 360 s");
});

test("notifications: a change comes to the log by itself, and a storm costs few hints, which are followed by a round", async () => {
  // The second hint of a storm comes after half a minute.
  const storm = process.env.LONG ? { seconds: 2, perSecond: 20 } : { seconds: 0, perSecond: 0 };
  const result = await benchNotifications({ changes: 1, restMilliseconds: 0, coldStarts: 1, ...storm });
  expect(result.arrival.changes).toBe(1);
  expect(result.cold.first).toBeGreaterThan(0);
  if (result.storm) {
    expect(result.storm).toMatchObject({ posts: 40, taken: 40 });
    expect(result.storm.hints).toBeLessThanOrEqual(3);
    expect(result.storm.rounds).toBeGreaterThanOrEqual(1);
    expect(result.storm.rounds).toBeLessThanOrEqual(5);
    expect(result.storm.followedAfterSeconds).toBeGreaterThan(0);
  }
  expect(withTables(document, { notifications: kept(result) })).toContain("from the first notification to its 202");
});

test("memory: imports in processes of their own, and tells when the heap was too small", async () => {
  const sizes = { users: 60, times: 2, groupMembers: 120, fromMb: 4, toMb: 128, precisionMb: 100 };
  const result = await benchMemory(sizes);
  // Half way between 4 and 128; the other half is within the precision.
  expect(result.small.heapLimitMb).toBe(66);
  expect(result.large.attempt?.people).toBeGreaterThan(100);
  expect(result.group.attempt?.memberships).toBeGreaterThan(100);
  await expect(benchMemory({ ...sizes, toMb: 4 })).rejects.toThrow("4 MB are not enough");
  expect(withTables(document, { memory: kept(result) })).toContain("one group of 120 people");
});

test("keys: every operation is counted, and the bare cipher beside it", async () => {
  const result = await benchKeys(50);
  expect([result.perSecond, result.bare].flatMap((rates) => Object.values(rates)).every((count) => count > 0)).toBe(
    true,
  );
  expect(withTables(document, { keys: kept(result) })).toContain("| person keys opened |");
});

test("a table that was not measured again stays as it is", () => {
  expect(withTables(document, {})).toBe(document);
});
