import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byLeaf, maxShardMembers, sortByBits, split } from "../../../src/core/directory/shards.ts";

/** Person ids, spread like keyed hashes; with `common` all begin with the same two bytes, as a very unlucky group's would. */
const person = (n: number, common = false): string => {
  const bytes = createHash("sha256").update(String(n)).digest().subarray(0, 16);
  if (common) bytes.writeUInt16BE(0xa5c3, 0);
  return bytes.toString("base64url");
};

const bits = (id: string): string =>
  [...Buffer.from(id, "base64url")].map((byte) => byte.toString(2).padStart(8, "0")).join("");

/** A group as it is stored: shards by leaf, changed the way a run does it. */
class Shards {
  readonly leaves = new Map<string, string[]>();

  change(op: "add" | "remove", ids: readonly string[]): void {
    for (const [leaf, ofLeaf] of byLeaf([...this.leaves.keys()], ids)) {
      const members = new Set(this.leaves.get(leaf));
      for (const id of ofLeaf)
        if (op === "add") members.add(id);
        else members.delete(id);
      this.leaves.delete(leaf);
      for (const [half, ofHalf] of split(leaf, [...members])) this.leaves.set(half, ofHalf);
    }
  }

  get members(): string[] {
    return [...this.leaves.values()].flat();
  }

  /** Every id has exactly one leaf, no leaf is too large, and each holds what begins with its bits. */
  check(): void {
    for (const [leaf, members] of this.leaves) {
      expect(members.length).toBeLessThanOrEqual(maxShardMembers);
      expect(members).toEqual(members.toSorted());
      expect(members.every((id) => bits(id).startsWith(leaf))).toBe(true);
      for (const other of this.leaves.keys()) expect(other !== leaf && other.startsWith(leaf)).toBe(false);
    }
    const covered = [...this.leaves.keys()].reduce((sum, leaf) => sum + 2 ** -leaf.length, 0);
    if (this.leaves.size > 0) expect(covered).toBe(1);
  }
}

describe("shards", () => {
  it("hold what a set would hold, after any additions and removals, repeated ones too", () => {
    const step = fc.record({
      op: fc.constantFrom("add", "add", "remove") satisfies fc.Arbitrary<"add" | "remove">,
      from: fc.nat({ max: 4000 }),
      count: fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 3000 })),
      repeat: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), fc.boolean(), (steps, common) => {
        const shards = new Shards();
        const model = new Set<string>();
        for (const { op, from, count, repeat } of steps) {
          const ids = Array.from({ length: count }, (_, n) => person(from + n, common));
          for (let times = 0; times <= Number(repeat); times++) shards.change(op, ids);
          for (const id of ids)
            if (op === "add") model.add(id);
            else model.delete(id);
          shards.check();
        }
        expect(shards.members.toSorted()).toEqual([...model].toSorted());
      }),
      { numRuns: 25 },
    );
  });

  it("split exactly above the limit, as deep as it takes", () => {
    const ids = Array.from({ length: maxShardMembers + 1 }, (_, n) => person(n));
    expect([...split("", ids.slice(1)).keys()]).toEqual([""]);
    expect([...split("", ids).keys()]).toEqual(["0", "1"]);
    const unlucky = split(
      "",
      Array.from({ length: maxShardMembers + 1 }, (_, n) => person(n, true)),
    );
    // 16 bits are common to all: one half of each of these splits is empty, and is a leaf all the same.
    expect(unlucky.size).toBe(18);
    expect([...unlucky.values()].filter((members) => members.length === 0)).toHaveLength(16);
    expect([...unlucky.values()].flat()).toHaveLength(maxShardMembers + 1);
  });
});

describe("ids by leaf", () => {
  it("are each named once, below the leaf that covers them, in the order of leaves", () => {
    const leaves = ["00", "010", "011", "1"];
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 5000 })), (numbers) => {
        const ids = numbers.map((n) => person(n));
        const found = byLeaf(leaves, ids);
        expect([...found.values()].flat().toSorted()).toEqual(ids.toSorted());
        for (const [leaf, members] of found) {
          expect(leaves).toContain(leaf);
          expect(members.length).toBeGreaterThan(0);
          expect(members.every((id) => bits(id).startsWith(leaf))).toBe(true);
        }
        expect([...found.keys()]).toEqual([...found.keys()].toSorted());
      }),
    );
  });

  it("are all in the one leaf of a group that has no members yet, or has one shard", () => {
    const ids = [person(1), person(2)];
    expect(byLeaf([], ids)).toEqual(new Map([["", ids]]));
    expect(byLeaf([""], ids)).toEqual(new Map([["", ids]]));
    expect(byLeaf(["0", "1"], [])).toEqual(new Map());
  });
});

it("sorting by bits keeps every leaf's ids together and changes nothing else", () => {
  const ids = Array.from({ length: 3000 }, (_, n) => person(n));
  const sorted = sortByBits([...ids]);
  expect(sorted.toSorted()).toEqual(ids.toSorted());
  expect(sorted.map(bits)).toEqual(ids.map(bits).toSorted());
  const leaves = [...split("", ids).keys()];
  const visited = sorted.map((id) => leaves.find((leaf) => bits(id).startsWith(leaf)));
  const changes = visited.filter((leaf, index) => leaf !== visited[index - 1]).length;
  expect(changes).toBe(leaves.length);
});
