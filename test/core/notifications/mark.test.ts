/** The rules of the mark in head, by themselves; time in seconds. */
import { expect, it } from "vitest";
import { answered, markAfter, marked } from "../../../src/core/notifications/mark.ts";
import type { Head } from "../../../src/core/store/documents.ts";
import { newHead } from "../../../src/core/store/head.ts";

const seconds = (time: number): number => time * 1000;
const round = (began: number): NonNullable<Head["lastRound"]> => ({
  startedAt: seconds(began),
  endedAt: seconds(began + 2),
  cause: "schedule",
  outcome: "nothing",
  requests: 2,
});
const head = (changes: Partial<Head> = {}): Head => ({
  ...newHead("c", "c0"),
  lastRound: round(100),
  dueAt: seconds(9000),
  wakeAt: seconds(9000),
  ...changes,
});
const at = (time: number, since: number | null = time) => ({
  at: seconds(time),
  since: since === null ? null : seconds(since),
});

it.each([
  ["what a round answers that began later", head({ lastRound: round(150) }), 140, null],
  ["a quiet connection is due at once", head(), 140, { dueAt: 140, first: 140, last: 140 }],
  ["not sooner than ten seconds after the round before began", head({ lastRound: round(135) }), 140, { dueAt: 145 }],
  ["a back-off goes on", head({ failures: 1 }), 140, { dueAt: 9000, first: 140 }],
  ["so does what a broken slice waits for", head({ restUntil: seconds(170) }), 140, { dueAt: 170, first: 140 }],
  ["the first round of all comes when the schedule says", head({ lastRound: null }), 140, { dueAt: 9000, first: 140 }],
  ["what is due before stays", head({ dueAt: seconds(120) }), 140, { dueAt: 120 }],
  [
    "the first receipt stays, the last one moves",
    head({ notified: { first: seconds(110), last: seconds(120) } }),
    140,
    { first: 110, last: 140 },
  ],
] as const)("%s", (_case, before, time, expected) => {
  const after = marked(before, at(time), seconds(140));
  if (expected === null) expect(after).toBeNull();
  else
    expect({
      dueAt: (after?.dueAt ?? 0) / 1000,
      first: (after?.notified?.first ?? 0) / 1000,
      last: (after?.notified?.last ?? 0) / 1000,
    }).toMatchObject(expected);
});

it("a dry run answers nothing, a run that reads answers what came before it", () => {
  const running = (mode: "delta" | "dry-run") =>
    head({ run: { mode, startedAt: seconds(139) } as NonNullable<Head["run"]>, lastRound: round(100) });
  expect(marked(running("delta"), at(138), seconds(140))).toBeNull();
  expect(marked(running("dry-run"), at(138), seconds(140))).not.toBeNull();
});

it("while a run is under way nobody is woken before its lease ends", () => {
  const run = { mode: "full", startedAt: seconds(120) } as NonNullable<Head["run"]>;
  const after = marked(head({ run, wakeAt: seconds(400) }), at(138), seconds(140));
  expect([after?.notified?.last, after?.dueAt, after?.wakeAt]).toEqual([seconds(138), seconds(140), seconds(400)]);
});

it("a round answers what was received before it began, and no more", () => {
  const notified = { first: seconds(110), last: seconds(130) };
  expect(answered({ notified }, seconds(111))).toEqual({ since: seconds(110) });
  expect(answered({ notified }, seconds(109))).toBeNull();
  expect(answered({}, seconds(109))).toBeNull();
  expect(answered({ notified: { first: null, last: seconds(90) } }, seconds(109))).toEqual({ since: null });
});

const end = (changes: Partial<Head>, isEmpty: boolean) =>
  markAfter(changes, { startedAt: seconds(200), endedAt: seconds(203), isEmpty });

it("what came after the beginning is still to be answered, not before the spacing is over", () => {
  expect(end({ notified: { first: seconds(190), last: seconds(201) } }, true)).toEqual({
    notified: { first: seconds(200), last: seconds(201) },
    again: null,
    dueAt: seconds(210),
  });
});

it("an empty round that a notification asked for is repeated after one and after five minutes, then no more", () => {
  const first = end({ notified: { first: seconds(190), last: seconds(199) } }, true);
  expect(first).toEqual({ notified: null, again: { first: seconds(190), times: 1 }, dueAt: seconds(263) });
  const second = end({ again: first.again }, true);
  expect(second).toEqual({ notified: null, again: { first: seconds(190), times: 2 }, dueAt: seconds(503) });
  expect(end({ again: second.again }, true)).toEqual({ notified: null, again: null, dueAt: null });
  expect(end({ again: first.again }, false)).toEqual({ notified: null, again: null, dueAt: null });
});

it("a round after a gap is not repeated: nobody has said that something changed", () => {
  expect(end({ notified: { first: null, last: seconds(199) } }, true)).toMatchObject({ again: null, dueAt: null });
});
