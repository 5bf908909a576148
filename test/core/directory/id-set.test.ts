import { randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { IdSet } from "../../../src/core/directory/id-set.ts";

/** Ids whose first bytes, by which they are placed, are often the same. */
const crowded = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 50 }))
  .map(([first, fourth, last]) => {
    const bytes = Buffer.alloc(16);
    bytes[0] = first * 85;
    bytes[3] = fourth;
    bytes[15] = last;
    return bytes.toString("base64url");
  });
const idOf = (): string => randomBytes(16).toString("base64url");

it("holds what was put into it, each once, and nothing else", () => {
  fc.assert(
    fc.property(fc.array(crowded, { maxLength: 400 }), fc.array(crowded, { maxLength: 50 }), (put, asked) => {
      const set = new IdSet();
      const naive = new Set<string>();
      for (const id of put) {
        set.add(id);
        naive.add(id);
        expect(set.size).toBe(naive.size);
      }
      expect([...set].toSorted()).toEqual([...naive].toSorted());
      for (const id of [...put, ...asked]) expect(set.has(id)).toBe(naive.has(id));
    }),
  );
});

it("grows as often as it has to", () => {
  const ids = Array.from({ length: 20_000 }, idOf);
  const set = new IdSet();
  for (const id of ids) set.add(id);
  for (const id of ids) set.add(id);
  expect(set.size).toBe(ids.length);
  expect(ids.filter((id) => !set.has(id))).toEqual([]);
  expect(Array.from({ length: 1000 }, idOf).filter((id) => set.has(id))).toEqual([]);
  expect(new Set(set)).toEqual(new Set(ids));
});

it("holds the id of nothing but zeros like any other", () => {
  const zeros = Buffer.alloc(16).toString("base64url");
  const set = new IdSet();
  expect(set.has(zeros)).toBe(false);
  set.add(zeros);
  expect([set.has(zeros), set.size, [...set]]).toEqual([true, 1, [zeros]]);
});
