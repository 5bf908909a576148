/**
 * The guard weighs what a whole plan would take away. A plan that takes more than a share of what there is - in this run and
 * the last seven days together - waits until somebody has looked at it. Pure.
 */
import type { GuardSettings } from "../connections/settings.ts";
import type { Head, RunCounts } from "../store/documents.ts";

export const guarded = ["people", "groups", "memberships"] as const;
export type Guarded = (typeof guarded)[number];

/** Removals of one day, by kind; `day` counts days since 1970. */
export interface GuardDay extends Record<Guarded, number> {
  day: number;
}

export interface GuardFinding {
  kind: Guarded;
  /** What the plan would take away, and what the last days have. */
  planned: number;
  recent: number;
  /** The most that both together may be. */
  limit: number;
}

const dayMilliseconds = 86_400_000;
const windowDays = 7;

const removals = (counts: RunCounts): Record<Guarded, number> => ({
  people: counts.peopleDeactivated,
  groups: counts.groupsRemoved,
  memberships: counts.membershipsRemoved,
});

const windowOf = (days: readonly GuardDay[], now: number): GuardDay[] =>
  days.filter(({ day }) => day > Math.floor(now / dayMilliseconds) - windowDays);

/** What the plan takes away beyond the limits; empty = nothing stands in its way. */
export const weighGuard = (
  settings: GuardSettings,
  head: Pick<Head, "guard" | "counters">,
  counts: RunCounts,
  now: number,
): GuardFinding[] => {
  if (settings.offUntil !== null && Date.parse(settings.offUntil) > now) return [];
  const planned = removals(counts);
  const window = windowOf(head.guard, now);
  return guarded.flatMap((kind) => {
    const recent = window.reduce((sum, day) => sum + day[kind], 0);
    // The share is one of what there was when the window began.
    const limit = Math.max(settings.floor, Math.floor(((head.counters[kind] + recent) * settings.share) / 100));
    return planned[kind] > 0 && planned[kind] + recent > limit ? [{ kind, planned: planned[kind], recent, limit }] : [];
  });
};

/** The window after a run. What somebody has approved is not held against the next plan. */
export const guardAfter = (
  days: readonly GuardDay[],
  counts: RunCounts,
  approved: boolean,
  now: number,
): GuardDay[] => {
  const window = windowOf(days, now);
  const taken = removals(counts);
  if (approved || guarded.every((kind) => taken[kind] === 0)) return window;
  const today = Math.floor(now / dayMilliseconds);
  const known = window.find(({ day }) => day === today) ?? { day: today, people: 0, groups: 0, memberships: 0 };
  const sum = {
    day: today,
    people: known.people + taken.people,
    groups: known.groups + taken.groups,
    memberships: known.memberships + taken.memberships,
  };
  return [...window.filter(({ day }) => day !== today), sum];
};
