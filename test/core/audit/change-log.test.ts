import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  chainNext,
  chainStart,
  draftEntry,
  entriesOf,
  logDocument,
  openActor,
  openChanges,
  verifyChain,
} from "../../../src/core/audit/change-log.ts";
import { type Actor, type EntryDraft, subjectsOf } from "../../../src/core/audit/entries.ts";
import { keyRing, newPersonKey, newRingContent, openPersonKey } from "../../../src/core/crypto/key-ring.ts";
import { SealBroken, type Sealed } from "../../../src/core/crypto/seal.ts";
import type { LogDoc } from "../../../src/core/store/documents.ts";
import { testAmbient } from "../test-ambient.ts";

const ambient = testAmbient();
const ring = keyRing(newRingContent(ambient));
const connectionId = "01k-a";
const start = { sequence: 0, chain: chainStart(connectionId) };
const ada = newPersonKey(ambient, ring, connectionId, "ada");
const bob = newPersonKey(ambient, ring, connectionId, "bob");
const nameChange = [{ field: "displayName", before: null, after: "Ada Minh" }];
const actor: Actor = { subject: "admin-7", ip: "192.0.2.1" };

const personEntry = (object = "ada", key = ada.key): EntryDraft =>
  draftEntry(ambient, ring, connectionId, {
    kind: "person",
    op: "updated",
    object,
    cause: "manual",
    changes: nameChange,
    key,
    actor,
  });

/** Documents of so many entries each, one after the other. */
const logOf = (sizes: readonly number[]): { docs: LogDoc[]; end: { sequence: number; chain: string } } => {
  const docs: LogDoc[] = [];
  let end = start;
  for (const size of sizes) {
    const { doc, ...next } = logDocument(
      connectionId,
      end,
      ambient.now(),
      Array.from({ length: size }, () => personEntry()),
    );
    docs.push(doc);
    end = next;
  }
  return { docs, end };
};

describe("the chain", () => {
  it("starts with the connection and takes in prev, numbers as 8 bytes big-endian, and the body", () => {
    const sha = (...parts: (string | Buffer)[]): Buffer =>
      createHash("sha256")
        .update(Buffer.concat(parts.map((part) => Buffer.from(part))))
        .digest();
    const { doc, chain } = logDocument(connectionId, start, ambient.now(), [personEntry(), personEntry()]);
    const numbers = Buffer.from("00000000000000010000000000000002", "hex");
    expect(chain).toBe(sha(sha(connectionId), numbers, doc.body).toString("hex"));
    expect(doc).toMatchObject({ id: "l:0000000000000001", first: 1, last: 2, prev: start.chain });
    const large = 2 ** 53 - 2;
    expect(chainNext(chain, large, large + 1, "[]")).toBe(
      sha(Buffer.from(chain, "hex"), Buffer.from("001ffffffffffffe001fffffffffffff", "hex"), "[]").toString("hex"),
    );
  });

  it("holds over commits of any size, from zero and from any trusted point between", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 }), fc.nat(), (sizes, cut) => {
        const { docs, end } = logOf(sizes);
        expect(verifyChain(docs, start)).toEqual({ fault: null, ...end });
        expect(end.sequence).toBe(sizes.reduce((sum, size) => sum + size, 0));
        const at = cut % docs.length;
        const { fault: _, ...trusted } = verifyChain(docs.slice(0, at), start);
        expect(verifyChain(docs.slice(at), trusted)).toEqual({ fault: null, ...end });
        expect(docs.flatMap(entriesOf).map(({ sequence }) => sequence)).toEqual(
          Array.from({ length: end.sequence }, (_entry, index) => index + 1),
        );
      }),
      { numRuns: 30 },
    );
  });

  const { docs, end } = logOf([2, 1, 3, 1, 2]);
  const [d1, d2, d3, d4, d5] = docs as [LogDoc, LogDoc, LogDoc, LogDoc, LogDoc];
  const swapBody = (one: LogDoc, other: LogDoc): LogDoc => ({ ...one, body: other.body });
  it.each<[string, LogDoc[], { sequence: number; fault: string }]>([
    ["a document that was removed", [d1, d2, d4, d5], { sequence: 7, fault: "gap" }],
    ["a first document that was removed", [d2, d3], { sequence: 3, fault: "gap" }],
    ["two documents that were swapped", [d1, d3, d2, d4], { sequence: 4, fault: "gap" }],
    ["a document that is there twice", [d1, d2, d2], { sequence: 3, fault: "gap" }],
    ["contents of two documents that were swapped", [d1, swapBody(d2, d4), d3], { sequence: 4, fault: "prev" }],
    ["a prev that was altered", [d1, { ...d2, prev: start.chain }], { sequence: 3, fault: "prev" }],
    [
      "one letter of a body",
      [d1, { ...d2, body: d2.body.replace("updated", "created") }, d3],
      { sequence: 4, fault: "prev" },
    ],
    ["an entry taken out of a body", [d1, d2, { ...d3, body: "[]" }], { sequence: 4, fault: "order" }],
    ["a last number that was altered", [d1, { ...d2, last: 4 }], { sequence: 3, fault: "order" }],
    ["a body that is no JSON", [d1, { ...d2, body: "" }, d3], { sequence: 3, fault: "order" }],
    ["a body that is no list", [d1, { ...d2, body: '"x"' }, d3], { sequence: 3, fault: "order" }],
    ["a body that is null", [d1, { ...d2, body: "null" }, d3], { sequence: 3, fault: "order" }],
  ])("shows %s", (_, altered, fault) => {
    expect(verifyChain(altered, start).fault).toEqual(fault);
  });

  it("shows a log of another connection, and a wrong point of trust", () => {
    expect(verifyChain(docs, { sequence: 0, chain: chainStart("01k-b") }).fault).toEqual({
      sequence: 1,
      fault: "prev",
    });
    expect(verifyChain(docs.slice(1), { sequence: 2, chain: start.chain }).fault).toEqual({
      sequence: 3,
      fault: "prev",
    });
  });

  it("shows by its end what no later document can tell: the last one altered or taken away", () => {
    const altered = verifyChain([d1, d2, d3, d4, { ...d5, body: d5.body.replace("manual", "timing") }], start);
    expect(altered.fault).toBeNull();
    expect(altered.sequence).toBe(end.sequence);
    expect(altered.chain).not.toBe(end.chain);
    expect(verifyChain([d1, d2, d3, d4], start).sequence).toBe(end.sequence - 2);
  });

  it("reports how far it was good", () => {
    const good = verifyChain([d1, d2], start);
    expect(verifyChain([d1, d2, d4], start)).toMatchObject({ sequence: good.sequence, chain: good.chain });
  });
});

describe("content", () => {
  const entry = personEntry();

  it("opens for who has the key, and shows in no clear part of the entry", () => {
    expect(openChanges(ada.key, connectionId, entry)).toEqual(nameChange);
    expect(openActor(ring, connectionId, { ...entry, actor: entry.actor as Sealed<Actor> })).toEqual(actor);
    const { doc } = logDocument(connectionId, start, ambient.now(), [entry]);
    for (const word of ["Ada Minh", "displayName", "admin-7", "192.0.2.1"])
      expect(JSON.stringify(doc)).not.toContain(word);
  });

  it("of a person who was erased is gone for ever, and the chain still holds", () => {
    const { docs, end } = logOf([1, 2]);
    const key = openPersonKey(ring, connectionId, "ada", ada.wrapped);
    expect(docs.flatMap(entriesOf).map((one) => openChanges(key, connectionId, one))).toHaveLength(3);
    // Only the person's document held the key; what is left are the ring and other people's keys.
    for (const left of [ring.sealing, ring.wrapping, bob.key])
      for (const one of docs.flatMap(entriesOf)) expect(() => openChanges(left, connectionId, one)).toThrow(SealBroken);
    expect(verifyChain(docs, start)).toEqual({ fault: null, ...end });
  });

  it("does not open in another entry, another connection or another part of its own entry", () => {
    const other = personEntry();
    expect(() => openChanges(ada.key, connectionId, { ...other, changes: entry.changes as Sealed<[]> })).toThrow(
      SealBroken,
    );
    expect(() => openChanges(ada.key, "01k-b", entry)).toThrow(SealBroken);
    expect(() => openActor(ring, connectionId, { ...other, actor: entry.actor as Sealed<Actor> })).toThrow(SealBroken);
    expect(() => openActor(ring, "01k-b", { ...entry, actor: entry.actor as Sealed<Actor> })).toThrow(SealBroken);
    const group = draftEntry(ambient, ring, connectionId, {
      kind: "group",
      op: "created",
      object: "g",
      cause: "schedule",
      changes: nameChange,
    });
    expect(openChanges(ring.sealing, connectionId, group)).toEqual(nameChange);
    const moved = String(group.changes) as Sealed<Actor>;
    expect(() => openActor(ring, connectionId, { ...group, actor: moved })).toThrow(SealBroken);
  });

  it("opens at whatever number the entry ended up", () => {
    const { doc } = logDocument(connectionId, { sequence: 41, chain: start.chain }, ambient.now(), [entry]);
    const [read] = entriesOf(doc);
    expect(read?.sequence).toBe(42);
    expect(openChanges(ada.key, connectionId, read as EntryDraft)).toEqual(nameChange);
  });

  it("is absent when there is nothing to say", () => {
    const bare = draftEntry(ambient, ring, connectionId, {
      kind: "run",
      op: "ended",
      object: "r1",
      cause: "schedule",
      changes: [],
    });
    expect(Object.keys(bare).toSorted()).toEqual(["at", "cause", "id", "kind", "object", "op"]);
    expect(openChanges(ring.sealing, connectionId, bare)).toEqual([]);
  });
});

it("subjects are the people an entry is about, each once, and never groups or the members of one", () => {
  const entry = (kind: EntryDraft["kind"], object: string, more: Partial<EntryDraft> = {}): EntryDraft => ({
    id: ambient.ulid(),
    at: "2026-03-01T12:00:00.000Z",
    kind,
    op: "updated",
    object,
    cause: "api",
    ...more,
  });
  const entries = [
    entry("person", "ada"),
    entry("product-user", "ada"),
    entry("product-user", "bob"),
    entry("group", "g1"),
    entry("members", "g1", { added: ["eve"], removed: ["dan"] }),
    entry("connection", "connection"),
    entry("run", "r1"),
    entry("settings", "connection"),
    entry("tier", "read"),
  ];
  expect(subjectsOf(entries)).toEqual(["ada", "bob"]);
  expect(logDocument(connectionId, start, ambient.now(), entries).doc.subjects).toEqual(["ada", "bob"]);
});
