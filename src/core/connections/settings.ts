/** What an administrator chose about the directory sync of one connection. Unknown fields are refused. */
import { z } from "zod";

/** A plan that takes away more than this waits for approval; see `src/core/directory/guard.ts`. */
export const GuardSettings = z.strictObject({
  /** Percent of the people, groups or memberships there are, within seven days. */
  share: z.int().min(1).max(100),
  /** So many may always go: a share of little is nothing. */
  floor: z.int().min(0).max(10_000),
  /** The guard sleeps until then; at most seven days ahead, so that nobody forgets it. */
  offUntil: z.iso.datetime().nullable(),
});
export type GuardSettings = z.infer<typeof GuardSettings>;

export const defaultGuard: GuardSettings = { share: 20, floor: 10, offUntil: null };
export const longestGuardPauseMilliseconds = 7 * 86_400_000;

export const Settings = z.strictObject({
  /** Whether the schedule starts runs. Manual runs work either way; pausing stops everything. */
  automatic: z.boolean(),
  intervalMinutes: z.int().min(5).max(1440),
  paused: z.boolean(),
  guard: GuardSettings.default(defaultGuard),
});
export type Settings = z.infer<typeof Settings>;

export const defaultSettings: Settings = { automatic: true, intervalMinutes: 1440, paused: false, guard: defaultGuard };
