/**
 * Pauses that Graph asked for. They hold for every connection to the same (registration, tenant), or for the whole registration;
 * calls made meanwhile would only count against the quota. Kept in the store for other instances, and in memory.
 */

import { AppError } from "../../core/errors.ts";
import type { SharedStore } from "../../core/store/ports.ts";

export interface Pauses {
  /** Throws `graph-throttled` with what is left of a pause. */
  check(tid: string): Promise<void>;
  /** Begins a pause when the problem names a time to wait. */
  begin(tid: string, problem: AppError): Promise<void>;
}

/** How old the knowledge of another instance's pause may be. */
const freshMs = 15_000;

export const pauses = (shared: SharedStore, clientId: string, now: () => number): Pauses => {
  const known = new Map<string, { until: number; readAt: number }>();
  const keyOf = { application: () => `pause:${clientId}`, tenant: (tid: string) => `pause:${clientId}:${tid}` };

  const pauseUntil = async (key: string): Promise<number> => {
    const entry = known.get(key);
    if (entry && now() - entry.readAt < freshMs) return entry.until;
    // Not knowing another instance's pause costs one request; Graph will repeat its answer.
    const stored = await shared.pauseUntil(key).catch(() => 0);
    const until = Math.max(stored, known.get(key)?.until ?? 0);
    known.set(key, { until, readAt: now() });
    return until;
  };

  return {
    check: async (tid) => {
      const application = await pauseUntil(keyOf.application());
      const until = Math.max(application, await pauseUntil(keyOf.tenant(tid)));
      const left = until - now();
      if (left <= 0) return;
      const scope = application === until ? "application" : "tenant";
      throw new AppError("graph-throttled", { retryAfterSeconds: Math.ceil(left / 1000), scope });
    },
    begin: async (tid, { details: { retryAfterSeconds, scope } }) => {
      if (retryAfterSeconds === undefined) return;
      const key = scope === "application" ? keyOf.application() : keyOf.tenant(tid);
      const until = Math.max(now() + retryAfterSeconds * 1000, known.get(key)?.until ?? 0);
      known.set(key, { until, readAt: now() });
      // The caller is about to learn of the pause anyway; a store that fails now must not hide it.
      await shared.pause(key, until).catch(() => undefined);
    },
  };
};
