import { expect, it } from "vitest";
import { pooledRandomBytes } from "../../../src/core/crypto/random-bytes.ts";

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
