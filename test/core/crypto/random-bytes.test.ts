import { expect, it } from "vitest";
import { pooledRandomBytes, randomFraction } from "../../../src/core/crypto/random-bytes.ts";

it("gives as many bytes as asked for, no piece twice, and nothing that changes later", () => {
  const next = pooledRandomBytes();
  const pieces = Array.from({ length: 3000 }, (_, index) => next([6, 12, 32, 64, 65, 500][index % 6] ?? 0));
  expect(pieces.map((piece) => piece.length)).toEqual(pieces.map((_, index) => [6, 12, 32, 64, 65, 500][index % 6]));
  const first = pieces.map((piece) => piece.toString("hex"));
  for (let more = 0; more < 3000; more++) next(32);
  expect(pieces.map((piece) => piece.toString("hex"))).toEqual(first);
  expect(new Set(first).size).toBe(3000);
  expect(first.filter((text) => /^0+$/.test(text) || text.includes("0".repeat(16)))).toEqual([]);
});

it("shares no memory between two pieces", () => {
  const next = pooledRandomBytes();
  const [one, other] = [next(12), next(12)];
  const before = other.toString("hex");
  one.fill(0);
  expect(one.buffer).not.toBe(other.buffer);
  expect(other.toString("hex")).toBe(before);
});

it("chooses each of 32 letters about as often, and nothing beyond them", () => {
  const next = randomFraction(pooledRandomBytes());
  const chosen = Array.from({ length: 32_000 }, () => Math.floor(next() * 32));
  const counts = Map.groupBy(chosen, (letter) => letter);
  expect([...counts.keys()].toSorted((one, other) => one - other)).toEqual(Array.from({ length: 32 }, (_, at) => at));
  // Of 1,000 expected, ten standard deviations are some 310.
  for (const { length } of counts.values()) expect(Math.abs(length - 1000)).toBeLessThan(310);
});
