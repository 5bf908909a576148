import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultSettings } from "../../../src/core/connections/settings.ts";
import { keyRing, newRingContent } from "../../../src/core/crypto/key-ring.ts";
import { emptyBlacklist } from "../../../src/core/directory/blacklist.ts";
import {
  edgeTerm,
  type GroupChange,
  type PersonChange,
  planHash,
  planPerson,
  planTerm,
  TermSum,
  termBytes,
} from "../../../src/core/directory/plan.ts";
import type { RawObject } from "../../../src/core/directory/ports.ts";
import { testAmbient } from "../test-ambient.ts";

const ring = keyRing(newRingContent(testAmbient()));

describe("the plan's hash", () => {
  const base: PersonChange = { kind: "person", id: "p", op: "update", from: "a", to: "b" };
  const text = fc.string({ maxLength: 8 });
  const change: fc.Arbitrary<PersonChange | GroupChange> = fc.oneof(
    fc.record({
      kind: fc.constant("person" as const),
      id: text,
      op: fc.constantFrom(
        "create" as const,
        "update" as const,
        "revive" as const,
        "deactivate" as const,
        "keep" as const,
      ),
      from: fc.option(text),
      to: text,
    }),
    fc.record({
      kind: fc.constant("group" as const),
      id: text,
      role: fc.constantFrom("shown" as const, "filter" as const, "product" as const, "scope" as const),
      of: fc.option(text),
      op: fc.constantFrom("create" as const, "update" as const, "remove" as const),
      from: fc.option(text),
      to: fc.option(text),
    }),
  );
  const sumOf = (terms: readonly Buffer[]): TermSum => {
    const sum = new TermSum();
    for (const term of terms) sum.add(term);
    return sum;
  };
  const term = fc.uint8Array({ minLength: termBytes, maxLength: termBytes }).map((bytes) => Buffer.from(bytes));
  const shuffled = (terms: readonly Buffer[]) =>
    fc.shuffledSubarray([...terms], { minLength: terms.length, maxLength: terms.length });

  it("is the same for the same changes in any order", () => {
    const permuted = fc
      .array(change, { maxLength: 12 })
      .map((changes) => changes.map((one) => planTerm(ring, one)))
      .chain((terms) => fc.tuple(fc.constant(terms), shuffled(terms)));
    fc.assert(
      fc.property(permuted, ([terms, other]) => {
        const counts = { peopleCreated: terms.length };
        expect(planHash(3, counts, sumOf(other))).toBe(planHash(3, counts, sumOf(terms)));
      }),
    );
  });

  it("can take a term out again, down to nothing, and goes on after being written down", () => {
    const many = fc
      .array(term, { maxLength: 12 })
      .chain((terms) => fc.tuple(fc.constant(terms), shuffled(terms), fc.nat()));
    fc.assert(
      fc.property(many, fc.array(term), ([terms, order, cut], others) => {
        const sum = sumOf([...terms, ...others]);
        let resumed = sum;
        for (const [index, one] of order.entries()) {
          if (index === cut % (order.length + 1)) resumed = new TermSum(resumed.toString());
          resumed.remove(one);
        }
        expect(resumed.toString()).toBe(sumOf(others).toString());
        for (const one of others) resumed.remove(one);
        expect(resumed.toString()).toBe("0");
      }),
    );
  });

  it("takes a term out of the middle of a larger buffer", () => {
    const term = planTerm(ring, base);
    const inside = Buffer.concat([Buffer.alloc(5, 7), term, Buffer.alloc(5, 7)]).subarray(5, 5 + termBytes);
    expect(sumOf([inside]).toString()).toBe(sumOf([Buffer.from(term)]).toString());
    expect(sumOf([inside]).toString()).toBe(BigInt(`0x${term.toString("hex")}`).toString(16));
  });

  it("wraps around at 224 bits in both directions", () => {
    const [most, one] = [Buffer.alloc(termBytes, 0xff), Buffer.alloc(termBytes)];
    one.writeUInt8(1, termBytes - 1);
    const sum = sumOf([most, one]);
    expect(sum.toString()).toBe("0");
    sum.remove(one);
    expect(sum.toString()).toBe("f".repeat(termBytes * 2));
  });

  it.each<[string, Partial<PersonChange>]>([
    ["object", { id: "q" }],
    ["operation", { op: "revive" }],
    ["way of leaving", { op: "keep" }],
    ["version it starts from", { from: "c" }],
    ["start from nothing", { from: null }],
    ["version it leads to", { to: "c" }],
  ])("is another one for another %s", (_, different) => {
    expect(planTerm(ring, { ...base, ...different }).equals(planTerm(ring, base))).toBe(false);
  });

  it("does not depend on evidence or on the record beside its version", () => {
    expect(
      planTerm(ring, {
        ...base,
        evidence: "confirmed-absent",
        record: { oid: "o", manager: null, fields: {}, known: {} },
      }),
    ).toEqual(planTerm(ring, base));
    expect(planTerm(ring, base)).toHaveLength(termBytes);
  });

  it("tells people from groups, and every edge from every other", () => {
    const terms = [
      planTerm(ring, { kind: "person", id: "x", op: "create", from: null, to: "v" }),
      planTerm(ring, { kind: "group", id: "x", role: "shown", of: null, op: "create", from: null, to: "v" }),
      edgeTerm(ring, "g", "add", "m"),
      edgeTerm(ring, "g", "remove", "m"),
      edgeTerm(ring, "m", "add", "g"),
      edgeTerm(ring, "g", "add", "n"),
    ];
    expect(new Set(terms.map((one) => one.toString("hex"))).size).toBe(terms.length);
  });

  it("is another one for other counts, another settings version, another sum", () => {
    const sum = sumOf([planTerm(ring, base)]);
    const hashes = [
      planHash(1, { peopleUpdated: 1 }, sum),
      planHash(2, { peopleUpdated: 1 }, sum),
      planHash(1, { peopleUpdated: 2 }, sum),
      planHash(1, { groupsUpdated: 1 }, sum),
      planHash(1, { peopleUpdated: 1 }, new TermSum()),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(planHash(1, { a: 1, b: 2 }, sum)).toBe(planHash(1, { b: 2, a: 1 }, sum));
  });

  it("comes out the same when the same input is planned twice", () => {
    const oid = "0a1b2c3d-1111-4222-8333-abcdefabcdef";
    const objects: RawObject[] = [
      { id: oid, properties: { displayName: "Ada", city: "Bonn" } },
      { id: oid.replace("0a", "0b"), properties: { displayName: "Bob" }, manager: [{ id: oid, removed: false }] },
    ];
    const kinds = { ...defaultSettings.people.kinds, withoutMail: true };
    const settings = { ...defaultSettings, people: { ...defaultSettings.people, kinds } };
    const rules = { settings, blacklist: emptyBlacklist };
    const standing = { marker: null, isMember: false };
    const once = (): string => {
      const sum = new TermSum();
      for (const object of objects) {
        const { change: planned } = planPerson(ring, rules, standing, null, object, true);
        if (planned) sum.add(planTerm(ring, planned));
      }
      expect(sum.toString()).not.toBe("0");
      return planHash(1, { peopleCreated: 2 }, sum);
    };
    expect(once()).toBe(once());
  });
});
