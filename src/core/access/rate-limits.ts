/**
 * How often somebody may ask: a bucket for each workspace (or address) and class of cost, in the memory of this instance. So an
 * installation of n instances lets through up to n times as much (decision 19).
 */
import { z } from "zod";
import { AppError } from "../errors.ts";

const perMinute = (usual: number) => z.int("is not a number").min(1, "is below 1").max(1_000_000).default(usual);

/** Requests a minute on one instance. A workspace that was quiet may send a minute's worth at once. */
export const RateLimits = z.strictObject({
  read: perMinute(3000),
  write: perMinute(600),
  /** Asks Microsoft, or somebody's endpoint, while the caller waits. */
  live: perMinute(120),
  /** Keeps a connection open until something happens. */
  wait: perMinute(120),
  /** Pages for browsers and public documents, for each client address: nobody is known yet. */
  address: perMinute(600),
});
export type RateLimits = z.infer<typeof RateLimits>;
export type CostClass = keyof RateLimits;

export interface RateLimiter {
  /** Throws `rate-limited` with the time after which the next one would pass. */
  take(cost: CostClass, who: string): void;
}

const windowMilliseconds = 60_000;
/** Memory stays bounded whoever asks; the one that has been quiet longest is forgotten first. */
const maxBuckets = 20_000;

/**
 * A bucket is one number: when it will be full again. Each request moves that time on by what it takes to refill one token, and
 * passes while it is not more than a minute ahead.
 */
export const rateLimiter = (limits: RateLimits, now: () => number, most = maxBuckets): RateLimiter => {
  const fullAt = new Map<string, number>();
  return {
    take: (cost, who) => {
      const time = now();
      const refill = windowMilliseconds / limits[cost];
      const bucket = `${cost} ${who}`;
      // Never further ahead than a minute, also when the clock of the machine was set back.
      const full = Math.min(Math.max(fullAt.get(bucket) ?? time, time), time + windowMilliseconds);
      const early = full + refill - time - windowMilliseconds;
      // A division that does not come out even is not worth a refusal.
      const passes = early <= refill / 1000;
      // Written anew, so that the map is in the order of last use.
      fullAt.delete(bucket);
      fullAt.set(bucket, passes ? full + refill : full);
      forget(fullAt, time, most);
      if (!passes) throw new AppError("rate-limited", { retryAfterSeconds: early / 1000 });
    },
  };
};

/** Each call puts at most one in, and takes up to two out. */
const forget = (fullAt: Map<string, number>, time: number, most: number): void => {
  let looked = 0;
  for (const [bucket, at] of fullAt) {
    if (++looked > 2 || (at > time && fullAt.size <= most)) return;
    fullAt.delete(bucket);
  }
};
