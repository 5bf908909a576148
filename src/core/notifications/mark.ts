/**
 * What a notification leaves in head, so that a round follows that begins later. Head knows the first receipt that no round has
 * answered (lateness is counted from it) and the last one (a round that began before it does not answer it).
 *
 * Graph may tell of a change before its delta feed does, so a notified round that finds nothing is repeated twice.
 */
import type { Head } from "../store/documents.ts";

export interface Notified {
  /** Null: nothing was received, and something may have been missed. */
  first: number | null;
  last: number;
}

/** What somebody has to tell: that something changed, or may have. */
export interface News {
  /** A round that begins later answers it. */
  at: number;
  /** When the first notification of it was received; null: none was, and something may have been missed. */
  since: number | null;
}

/** A notified round has found nothing: when `first` was received, and how many times it was looked again. */
export interface LookAgain {
  first: number;
  times: number;
}

/** A storm costs no more than a round in so long, however many instances receive it. */
const roundSpacingMilliseconds = 10_000;

/** After the end of a notified round that found nothing: once, and once more. */
const lookAgainMilliseconds = [60_000, 300_000] as const;

type Scheduled = Pick<Head, "notified" | "dueAt" | "wakeAt" | "run" | "lastRound" | "failures" | "restUntil">;

const earliest = (...times: readonly (number | null)[]): number | null => {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
};

/** When the latest round began to read; a dry run answers nothing. */
const begunAt = ({ run, lastRound }: Pick<Head, "run" | "lastRound">): number =>
  run && run.mode !== "dry-run" ? run.startedAt : (lastRound?.startedAt ?? 0);

/** Head with the mark; null when a round that began later has answered it. */
export const marked = <H extends Scheduled>(head: H, { at, since }: News, now: number): H | null => {
  if (at <= begunAt(head)) return null;
  const known = head.notified ?? null;
  const notified: Notified = {
    first: earliest(known?.first ?? null, since),
    last: Math.max(known?.last ?? 0, at),
  };
  // Back-off comes first; and the first round of all begins when the schedule says, its end looks for this mark.
  if (head.failures > 0 || !head.lastRound) return { ...head, notified };
  const due = Math.max(now, head.lastRound.startedAt + roundSpacingMilliseconds, head.restUntil ?? 0);
  // The end of a run that is under way looks for this mark.
  const wakeAt = head.run ? head.wakeAt : earliest(head.wakeAt, due);
  return { ...head, notified, dueAt: earliest(head.dueAt, due), wakeAt };
};

export const unmarked = { notified: null, again: null } as const;

/** For the hint that saves the wait for the timer. */
export const secondsTo = ({ dueAt }: Pick<Head, "dueAt">, now: number): number =>
  Math.max(0, Math.ceil(((dueAt ?? now) - now) / 1000));

/** The receipts that a round answers: those before it began. Null when there are none. */
export const answered = (
  { notified, again }: Pick<Head, "notified" | "again">,
  startedAt: number,
): { since: number | null } | null => {
  const received = notified && (notified.first ?? notified.last) <= startedAt ? notified : null;
  if (!received && !again) return null;
  return { since: earliest(received?.first ?? null, again?.first ?? null) };
};

/** What is left of mark and repetitions after a round, and when they want the next one. */
export const markAfter = (
  head: Pick<Head, "notified" | "again">,
  { startedAt, endedAt, isEmpty }: { startedAt: number; endedAt: number; isEmpty: boolean },
): { notified: Notified | null; again: LookAgain | null; dueAt: number | null } => {
  const { notified = null } = head;
  if (notified && notified.last > startedAt) {
    // What was received first after the beginning is not known any more: not before it.
    const left = { first: notified.first === null ? null : Math.max(notified.first, startedAt), last: notified.last };
    return { notified: left, again: null, dueAt: Math.max(endedAt, startedAt + roundSpacingMilliseconds) };
  }
  const again = isEmpty ? nextLook(head, notified) : null;
  const pause = again && lookAgainMilliseconds[again.times - 1];
  return { notified: null, again, dueAt: pause ? endedAt + pause : null };
};

const nextLook = ({ again }: Pick<Head, "again">, answeredMark: Notified | null): LookAgain | null => {
  if (answeredMark && answeredMark.first !== null) return { first: answeredMark.first, times: 1 };
  return again && again.times < lookAgainMilliseconds.length ? { ...again, times: again.times + 1 } : null;
};
