import { expect, test } from "vitest";
import { RateLimits, rateLimiter } from "../../../src/core/access/rate-limits.ts";
import { isAppError } from "../../../src/core/errors.ts";

const limits = RateLimits.parse({ read: 3, write: 2, live: 1 });

/** `passed`, or the seconds to wait. */
const limiter = (most?: number) => {
  let time = 1_000_000;
  const { take } = rateLimiter(limits, () => time, most);
  return {
    advance: (milliseconds: number) => {
      time += milliseconds;
    },
    ask: (cost: keyof RateLimits = "read", who = "acme"): string | number => {
      try {
        take(cost, who);
        return "passed";
      } catch (error) {
        if (!isAppError(error, "rate-limited")) throw error;
        return error.details.retryAfterSeconds ?? Number.NaN;
      }
    },
  };
};

test("a minute's worth passes at once, then one for each share of a minute", () => {
  const { ask, advance } = limiter();
  expect([ask(), ask(), ask(), ask()]).toEqual(["passed", "passed", "passed", 20]);
  advance(19_000);
  expect(ask()).toBe(1);
  advance(1000);
  expect([ask(), ask()]).toEqual(["passed", 20]);
  advance(60_000);
  expect([ask(), ask(), ask(), ask()]).toEqual(["passed", "passed", "passed", 20]);
});

test("being refused costs nothing", () => {
  const { ask, advance } = limiter();
  for (let n = 0; n < 100; n++) ask();
  advance(20_000);
  expect(ask()).toBe("passed");
});

test("classes and workspaces have buckets of their own", () => {
  const { ask } = limiter();
  expect([ask("live"), ask("live"), ask("read"), ask("live", "other")]).toEqual(["passed", 60, "passed", "passed"]);
});

test("a clock that was set back makes nobody wait longer than a minute", () => {
  const { ask, advance } = limiter();
  for (let n = 0; n < 3; n++) ask();
  advance(-86_400_000);
  expect(ask()).toBe(20);
  advance(20_000);
  expect(ask()).toBe("passed");
});

test("whoever asks, so many buckets are remembered and the quietest is forgotten", () => {
  const { ask } = limiter(3);
  for (const who of ["a", "b", "c"]) ask("live", who);
  expect([ask("live", "d"), ask("live", "d"), ask("live", "b"), ask("live", "a")]).toEqual([
    "passed",
    60,
    60,
    "passed",
  ]);
});
