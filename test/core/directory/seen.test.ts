import { createHash, randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { termBytes } from "../../../src/core/directory/plan.ts";
import { groupKeyBytes, idBytes, personKeyBytes, SeenSet } from "../../../src/core/directory/seen.ts";

/** `crowded` ids begin with the same bytes and so all want the same place in the table. */
const idOf = (n: number, crowded = false): Buffer => {
  const id = createHash("sha256").update(String(n)).digest().subarray(0, idBytes);
  if (crowded) id.fill(0, 0, 8);
  return id;
};
const termOf = (n: number): Buffer => Buffer.alloc(termBytes, createHash("sha256").update(`t${n}`).digest());
const noTerm = Buffer.alloc(termBytes);

interface Entry {
  chunk: number;
  term: Buffer;
}

const agree = (seen: SeenSet, model: ReadonlyMap<string, Entry>, ids: readonly Buffer[]): void => {
  expect(seen.size).toBe(model.size);
  for (const id of ids) {
    const entry = model.get(id.toString("hex"));
    const found = seen.get(id);
    expect(seen.has(id)).toBe(entry !== undefined);
    expect(found && { chunk: found.chunk, term: Buffer.from(found.term) }).toEqual(entry ?? null);
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
      term: fc.option(fc.nat({ max: 1000 })),
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
    expect([seen.size, seen.has(idOf(1)), seen.get(idOf(1))?.chunk]).toEqual([2000, true, 7]);
    const again = new SeenSet();
    again.unpack(seen.pack([idOf(1)]));
    expect([again.has(idOf(1)), again.isFlagged(idOf(1))]).toEqual([true, false]);
  });

  it("answers like a map, while it grows, when ids crowd, and after it was packed and unpacked", () => {
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 40 }), (operations) => {
        let seen = new SeenSet();
        const model = new Map<string, Entry>();
        const put = (id: Buffer, chunk: number, term: Buffer | null): void => {
          if (term) seen.set(id, chunk, term);
          else seen.set(id, chunk);
          model.set(id.toString("hex"), { chunk, term: term ?? noTerm });
        };
        for (const one of operations) {
          if (one.op === "set") put(ids[one.id] ?? noTerm, one.chunk, one.term === null ? null : termOf(one.term));
          else if (one.op === "many")
            for (let n = 0; n < one.count; n++) put(idOf(10_000 + one.from + n), n, termOf(n));
          else {
            const packed = seen.pack([...model.keys()].map((hex) => Buffer.from(hex, "hex")));
            expect(packed).toHaveLength(model.size * 48);
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
      const seen = new SeenSet(1);
      for (let n = 0; n < count; n++) seen.set(idOf(n, crowded), n + 1, termOf(n % 7));
      expect(seen.size).toBe(count);
      for (let n = 0; n < count; n += 97) expect(seen.get(idOf(n, crowded))).toMatchObject({ chunk: n + 1 });
      for (let n = count; n < count + 500; n++) expect(seen.has(idOf(n, crowded))).toBe(false);
    }
  });

  it("lets the later of two packed records of an id win", () => {
    const id = idOf(1);
    const parts = [1, 2].map((chunk) => {
      const seen = new SeenSet();
      seen.set(id, chunk, termOf(chunk));
      return seen.pack([id]);
    });
    const seen = new SeenSet();
    seen.unpack(Buffer.concat(parts));
    expect(seen.size).toBe(1);
    expect(seen.get(id)).toMatchObject({ chunk: 2 });
    expect(Buffer.from(seen.get(id)?.term ?? [])).toEqual(termOf(2));
  });

  it("packs what it has of the ids asked for, and no others", () => {
    const seen = new SeenSet();
    for (let n = 0; n < 10; n++) seen.set(idOf(n), n);
    expect(seen.pack([idOf(3), idOf(99), idOf(4)])).toHaveLength(2 * 48);
    expect(seen.pack([])).toHaveLength(0);
  });

  it("hands out copies: what is done to them changes nothing", () => {
    const seen = new SeenSet();
    seen.set(idOf(1), 1, termOf(1));
    seen.get(idOf(1))?.term.fill(0);
    seen.pack([idOf(1)]).fill(0);
    expect(Buffer.from(seen.get(idOf(1))?.term ?? [])).toEqual(termOf(1));
    const given = termOf(2);
    seen.set(idOf(2), 2, given);
    given.fill(0);
    expect(Buffer.from(seen.get(idOf(2))?.term ?? [])).toEqual(termOf(2));
  });
});

it("keys of people and groups are the 16 bytes their ids stand for", () => {
  const bytes = randomBytes(idBytes);
  expect(personKeyBytes(bytes.toString("base64url"))).toEqual(bytes);
  expect(groupKeyBytes("00112233-4455-6677-8899-aabbccddeeff").toString("hex")).toBe(
    "00112233445566778899aabbccddeeff",
  );
});
