import { createHash, randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { keyBytes, RecordTable } from "../../../src/core/directory/record-table.ts";
import { groupKeyBytes, personKeyBytes, SeenSet } from "../../../src/core/directory/seen.ts";

/** `crowded` ids begin and end with the same bytes and so all want the same place in the table. */
const idOf = (n: number, crowded = false): Buffer => {
  const id = createHash("sha256").update(String(n)).digest().subarray(0, keyBytes);
  if (crowded) id.fill(0, 0, 4).fill(0, 12);
  return id;
};
/** What is stored of an object between two slices. */
const packedBytes = 20;

const agree = (seen: SeenSet, model: ReadonlyMap<string, number>, ids: readonly Buffer[]): void => {
  expect(seen.size).toBe(model.size);
  for (const id of ids) {
    const chunk = model.get(id.toString("hex"));
    expect(seen.has(id)).toBe(chunk !== undefined);
    expect(seen.get(id)).toBe(chunk ?? null);
  }
};

describe("the set of objects met", () => {
  const crowd = 60;
  const ids = [
    ...Array.from({ length: crowd }, (_, n) => idOf(n)),
    ...Array.from({ length: crowd }, (_, n) => idOf(n, true)),
  ];
  const operation = fc.oneof(
    fc.record({
      op: fc.constant("set" as const),
      id: fc.nat({ max: ids.length - 1 }),
      chunk: fc.oneof(fc.nat({ max: 5 }), fc.constantFrom(0xffffffff, 2 ** 31, 5 * 2 ** 28 + 1)),
    }),
    fc.record({ op: fc.constant("many" as const), from: fc.nat({ max: 1000 }), count: fc.nat({ max: 400 }) }),
    fc.record({ op: fc.constant("reload" as const) }),
  );

  it("keeps a flag beside a record while it grows and when it is set again, and never packs it", () => {
    const seen = new SeenSet();
    seen.flag(idOf(0), true);
    expect([seen.isFlagged(idOf(0)), seen.has(idOf(0))]).toEqual([false, false]);
    for (let n = 0; n < 10; n++) seen.set(idOf(n), n);
    for (const n of [1, 2]) seen.flag(idOf(n), true);
    seen.flag(idOf(2), false);
    for (let n = 10; n < 2000; n++) seen.set(idOf(n), n);
    seen.set(idOf(1), 7);
    expect([0, 1, 2, 1999].map((n) => seen.isFlagged(idOf(n)))).toEqual([false, true, false, false]);
    expect([seen.size, seen.has(idOf(1)), seen.get(idOf(1))]).toEqual([2000, true, 7]);
    const again = new SeenSet();
    again.unpack(seen.pack([idOf(1)]));
    expect([again.has(idOf(1)), again.isFlagged(idOf(1))]).toEqual([true, false]);
  });

  it("answers like a map, while it grows, when ids crowd, and after it was packed and unpacked", () => {
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 40 }), (operations) => {
        let seen = new SeenSet();
        const model = new Map<string, number>();
        const put = (id: Buffer, chunk: number): void => {
          seen.set(id, chunk);
          model.set(id.toString("hex"), chunk);
        };
        for (const one of operations) {
          if (one.op === "set") put(ids[one.id] ?? idOf(0), one.chunk);
          else if (one.op === "many") for (let n = 0; n < one.count; n++) put(idOf(10_000 + one.from + n), n);
          else {
            const packed = seen.pack([...model.keys()].map((hex) => Buffer.from(hex, "hex")));
            expect(packed).toHaveLength(model.size * packedBytes);
            seen = new SeenSet();
            seen.unpack(packed);
          }
        }
        agree(seen, model, [...ids, ...[...model.keys()].map((hex) => Buffer.from(hex, "hex"))]);
      }),
      { numRuns: 60 },
    );
  });

  it("keeps 2,000 ids that crowd and 50,000 that do not, growing from its smallest size", () => {
    for (const [count, crowded] of [
      [2000, true],
      [50_000, false],
    ] as const) {
      const seen = new SeenSet();
      for (let n = 0; n < count; n++) seen.set(idOf(n, crowded), n + 1);
      expect(seen.size).toBe(count);
      for (let n = 0; n < count; n += 97) expect(seen.get(idOf(n, crowded))).toBe(n + 1);
      for (let n = count; n < count + 500; n++) expect(seen.has(idOf(n, crowded))).toBe(false);
    }
  });

  it("lets the later of two packed records of an id win", () => {
    const id = idOf(1);
    const parts = [1, 2].map((chunk) => {
      const seen = new SeenSet();
      seen.set(id, chunk);
      return seen.pack([id]);
    });
    const seen = new SeenSet();
    seen.unpack(Buffer.concat(parts));
    expect([seen.size, seen.get(id)]).toEqual([1, 2]);
  });

  it("packs what it has of the ids asked for, and no others, in copies", () => {
    const seen = new SeenSet();
    for (let n = 0; n < 10; n++) seen.set(idOf(n), n);
    expect(seen.pack([idOf(3), idOf(99), idOf(4)])).toHaveLength(2 * packedBytes);
    expect(seen.pack([])).toHaveLength(0);
    seen.pack([idOf(3)]).fill(0);
    expect(seen.get(idOf(3))).toBe(3);
  });
});

it("a table takes little more than its records outside of the heap, however it has grown", () => {
  for (const count of [100, 5000, 100_000]) {
    const table = new RecordTable(4);
    for (let n = 0; n < count; n++) table.put(idOf(n));
    // Of the index 4 bytes a slot, at most 8/3 slots for each record; of the blocks the last may be empty.
    expect(table.bytesTaken / count).toBeLessThan(20 + 32 / 3 + (4096 * 20) / Math.max(count, 4096));
  }
});

it("keys of people and groups are the 16 bytes their ids stand for", () => {
  const bytes = randomBytes(keyBytes);
  expect(personKeyBytes(bytes.toString("base64url"))).toEqual(bytes);
  expect(groupKeyBytes("00112233-4455-6677-8899-aabbccddeeff").toString("hex")).toBe(
    "00112233445566778899aabbccddeeff",
  );
});
