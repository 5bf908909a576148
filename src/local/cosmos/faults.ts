/** Switches that make the server as unfriendly as the service can be. All of them repeat exactly for the same seed and order of requests. */
import { z } from "zod";

export type RequestKind = "read" | "query" | "write" | "batch";

const Matching = {
  /** Absent: every kind. */
  on: z.array(z.enum(["read", "query", "write", "batch"])).optional(),
  container: z.string().optional(),
  /** So many matching requests pass first. */
  skip: z.int().nonnegative().optional(),
  /** The rule is used up after so many hits; absent: never. */
  times: z.int().positive().optional(),
  /** Share of the matching requests, 0 to 1; absent: all. */
  share: z.number().min(0).max(1).optional(),
};

const FaultRule = z.union([
  /** Throttled, or told to try again: never executed. */
  z.strictObject({
    ...Matching,
    answer: z.union([z.literal(429), z.literal(449)]),
    retryAfterMs: z.int().nonnegative().optional(),
  }),
  /**
   * `after`: the request has taken effect and only its answer is lost, so `reset` after is "commit, then reset".
   * `before`: nothing was done.
   */
  z.strictObject({
    ...Matching,
    answer: z.union([z.literal(408), z.literal(503), z.literal("reset")]),
    when: z.enum(["before", "after"]),
  }),
]);

const Faults = z.strictObject({
  /** Another seed starts its own sequence with the next request. */
  seed: z.int(),
  rules: z.array(FaultRule),
  /** Share of query pages that are cut short; one in three of those comes empty, with a continuation. */
  shortPages: z.number().min(0).max(1),
  /** How often the version before a write is still served to readers without its session token; 0: never. */
  staleReads: z.int().nonnegative(),
  /** Writes that leave a partition larger than this are answered 403; null: no limit. */
  maxPartitionBytes: z.int().positive().nullable(),
  latencyMs: z.int().nonnegative(),
  /** The server's clock runs ahead by so much: lets documents expire. */
  clockAheadSeconds: z.int().nonnegative(),
});

export type FaultRule = z.infer<typeof FaultRule>;
export type CosmosFaults = z.infer<typeof Faults>;

export const noFaults = (): CosmosFaults => ({
  seed: 1,
  rules: [],
  shortPages: 0,
  staleReads: 0,
  maxPartitionBytes: null,
  latencyMs: 0,
  clockAheadSeconds: 0,
});

/** What another process may send: some switches, each replaced as a whole. */
export const FaultsChange = Faults.partial();

export interface FaultSource {
  /** The rule that hits this request, if one does; counts it. */
  strike(kind: RequestKind, container: string): FaultRule | undefined;
  /** How many documents of a page that could hold `size` are really answered. */
  pageSize(size: number): number;
}

export const faultSource = (faults: CosmosFaults): FaultSource => {
  let seed = faults.seed;
  let random = randomFrom(seed);
  return {
    strike: (kind, container) => {
      if (faults.seed !== seed) {
        seed = faults.seed;
        random = randomFrom(seed);
      }
      for (const rule of faults.rules) {
        if (rule.on && !rule.on.includes(kind)) continue;
        if (rule.container !== undefined && rule.container !== container) continue;
        if (rule.skip !== undefined && rule.skip > 0) {
          rule.skip--;
          continue;
        }
        if (rule.share !== undefined && random() >= rule.share) continue;
        if (rule.times !== undefined && --rule.times === 0)
          faults.rules = faults.rules.filter((other) => other !== rule);
        return rule;
      }
      return undefined;
    },
    pageSize: (size) => {
      if (faults.shortPages === 0 || random() >= faults.shortPages) return size;
      return random() < 1 / 3 ? 0 : 1 + Math.floor(random() * Math.max(1, size - 1));
    },
  };
};

/** mulberry32: 32 bits of state are plenty for choosing faults. */
const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};
