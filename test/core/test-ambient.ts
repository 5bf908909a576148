/** Real randomness, and a clock that stands still until it is moved. */
import { randomBytes } from "node:crypto";
import { monotonicFactory } from "ulid";
import type { Ambient } from "../../src/core/ambient.ts";

export interface TestAmbient extends Ambient {
  advance(milliseconds: number): void;
}

export const testAmbient = (start = "2026-03-01T12:00:00.000Z"): TestAmbient => {
  let time = Date.parse(start);
  const ulid = monotonicFactory();
  return {
    now: () => time,
    randomBytes: (count) => randomBytes(count),
    ulid: () => ulid(time).toLowerCase(),
    advance: (milliseconds) => {
      time += milliseconds;
    },
  };
};
