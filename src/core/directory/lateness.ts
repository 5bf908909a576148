/**
 * How late changes of the directory arrive, by what made the round look that brought them. Counted to the commit that ends the
 * round: from the first receipt of a notification that it answers; where there was none, from the beginning of the round before,
 * the earliest that the change can have come after it was last looked at. So only the first is a measurement, the other a bound.
 */
import type { Head, RunCause } from "../store/documents.ts";

const arrivalCauses = ["notification", "schedule", "manual"] as const;
export type ArrivalCause = (typeof arrivalCauses)[number];

/** Of rounds that brought changes: how many, and how late the last ones were, newest last. */
export type Arrivals = Partial<Record<ArrivalCause, { rounds: number; seconds: number[] }>>;

export interface Lateness {
  seconds: number;
  from: "notification" | "round-before";
}

const kept = 50;

/** Null where nothing can be said: there was no round before. */
export const latenessOf = (
  since: number | null,
  { lastRound }: Pick<Head, "lastRound">,
  endedAt: number,
): Lateness | null => {
  const from = since ?? lastRound?.startedAt;
  if (from === undefined) return null;
  const seconds = Math.max(0, Math.round((endedAt - from) / 1000));
  return { seconds, from: since === null ? "round-before" : "notification" };
};

export const arrivalsAfter = (arrivals: Arrivals, cause: RunCause, { seconds }: Lateness): Arrivals => {
  const known = arrivalCauses.find((each) => each === cause);
  if (known === undefined) return arrivals;
  const before = arrivals[known] ?? { rounds: 0, seconds: [] };
  return { ...arrivals, [known]: { rounds: before.rounds + 1, seconds: [...before.seconds, seconds].slice(-kept) } };
};

/** The smallest value that so large a share does not exceed; null of nothing. */
export const percentile = (values: readonly number[], share: number): number | null =>
  values.toSorted((one, other) => one - other)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? null;
