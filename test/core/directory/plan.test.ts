import { describe, expect, it } from "vitest";
import { defaultSettings } from "../../../src/core/connections/settings.ts";
import { keyRing, newRingContent, personId } from "../../../src/core/crypto/key-ring.ts";
import {
  type GroupChange,
  groupHash,
  type KnownGroup,
  type KnownPerson,
  personHash,
  planGroup,
  planPerson,
  version,
} from "../../../src/core/directory/plan.ts";
import type { RawObject } from "../../../src/core/directory/ports.ts";
import type { PersonRecord } from "../../../src/core/directory/records.ts";
import type { PersonState } from "../../../src/core/store/documents.ts";
import { testAmbient } from "../test-ambient.ts";

const ring = keyRing(newRingContent(testAmbient()));
const oid = "0a1b2c3d-1111-4222-8333-abcdefabcdef";
const [boss, chief] = ["b0550000-1111-4222-8333-abcdefabcdef", "c41ef000-1111-4222-8333-abcdefabcdef"] as const;
const id = personId(ring, oid);
const live = (of: string) => ({ id: of, removed: false });
const gone = (of: string) => ({ id: of, removed: true });

const record = (more: Partial<PersonRecord> = {}): PersonRecord => ({
  oid,
  manager: null,
  fields: { displayName: "Ada", mail: "ada@x.example", accountEnabled: true },
  ...more,
});
const known = (state: PersonState = "active", stored = record()): KnownPerson => ({
  state,
  hash: personHash(ring, stored),
  record: stored,
});
const seen = (properties: RawObject["properties"], more: Partial<RawObject> = {}): RawObject => ({
  id: oid,
  properties,
  ...more,
});
const same = { displayName: "Ada", mail: "ada@x.example", accountEnabled: true };
const plan = (stored: KnownPerson | null, object: RawObject, complete = false, earlier: PersonRecord | null = null) =>
  planPerson(ring, defaultSettings, stored, object, complete, earlier);

describe("a person", () => {
  it("who is new is created from what has data", () => {
    const { change, kept } = plan(null, seen({ ...same, jobTitle: "", department: null }));
    expect(change).toEqual({
      kind: "person",
      id,
      op: "create",
      from: null,
      to: version("active", personHash(ring, record())),
      record: record(),
    });
    expect(kept).toBe(0);
  });

  it("who changed is updated, field over field", () => {
    const { change } = plan(known(), seen({ displayName: "Ada Minh" }));
    const after = record({ fields: { ...same, displayName: "Ada Minh" } });
    expect(change).toMatchObject({ op: "update", from: version("active", known().hash), record: after });
    expect(change?.to).toBe(version("active", personHash(ring, after)));
  });

  it.each<[string, RawObject]>([
    ["says the same again", seen(same)],
    ["says nothing", seen({})],
    ["says the same in another order", seen({ accountEnabled: true, mail: "ada@x.example", displayName: "Ada" })],
    ["has empty fields only", seen({ displayName: null, mail: "  ", jobTitle: "", otherMails: [] })],
  ])("of whom the feed %s is left alone", (_, object) => {
    expect(plan(known(), object).change).toBeNull();
    expect(plan(known(), object, true).change).toBeNull();
  });

  it.each<[string, RawObject["properties"], number]>([
    ["absent", {}, 0],
    ["null", { mail: null }, 1],
    ["an empty text", { mail: "" }, 1],
    ["white space", { mail: " \u00a0" }, 1],
    ["two empty fields", { mail: null, displayName: "" }, 2],
    ["empty without ever having had data", { jobTitle: null }, 0],
  ])("keeps data that is now %s; it is counted when it was in the answer", (_, properties, kept) => {
    expect(plan(known(), seen(properties))).toEqual({ change: null, kept });
    // Also beside a real change, and in a full read.
    const beside = plan(known(), seen({ ...properties, city: "Bonn" }), true);
    expect(beside.kept).toBe(kept);
    expect(beside.change?.record?.fields).toEqual({ ...same, city: "Bonn" });
  });

  it("takes false for data", () => {
    const { change, kept } = plan(known(), seen({ accountEnabled: false }));
    expect(change?.record?.fields["accountEnabled"]).toBe(false);
    expect(kept).toBe(0);
  });

  it.each<["changed" | "deleted", string]>([
    ["changed", "soft-deleted"],
    ["deleted", "deleted"],
  ])("with a tombstone (%s) is deactivated, with their record as it was", (removed, evidence) => {
    const { change } = plan(known(), seen({}, { removed }));
    expect(change).toEqual({
      kind: "person",
      id,
      op: "deactivate",
      from: version("active", known().hash),
      to: version("deactivated", known().hash),
      evidence,
    });
  });

  it.each<PersonState | null>(["deactivated", "removed", "erased", null])(
    "with a tombstone who is %s already changes nothing",
    (state) => {
      const stored = state && known(state);
      expect(plan(stored, seen({}, { removed: "changed" })).change).toBeNull();
      expect(plan(stored, seen({}, { removed: "deleted" })).change).toBeNull();
    },
  );

  it.each<PersonState>(["deactivated", "removed"])(
    "who was %s and is there again is revived, changed or not",
    (state) => {
      const unchanged = plan(known(state), seen(same));
      expect(unchanged.change).toMatchObject({ op: "revive", from: version(state, known().hash), record: record() });
      expect(unchanged.change?.to).toBe(version("active", known().hash));
      expect(plan(known(state), seen({ city: "Bonn" })).change).toMatchObject({ op: "revive" });
    },
  );

  it("who was erased stays erased, whatever the feed says", () => {
    for (const object of [seen(same), seen({ displayName: "Ada Minh" }), seen({}, { manager: [live(boss)] })])
      for (const complete of [false, true]) expect(plan(known("erased"), object, complete).change).toBeNull();
  });

  it("met again in a round is planned from all that was said, and from the version that is stored", () => {
    const first = plan(known(), seen({ city: "Bonn" })).change;
    const second = plan(known(), seen({ jobTitle: "Engineer" }), false, first?.record ?? null).change;
    expect(second).toMatchObject({ op: "update", from: version("active", known().hash) });
    expect(second?.record?.fields).toEqual({ ...same, city: "Bonn", jobTitle: "Engineer" });
    const back = plan(known(), seen({ displayName: "Ada" }), false, record({ fields: { ...same, displayName: "X" } }));
    expect(back.change).toBeNull();
    const created = plan(null, seen({ jobTitle: "Engineer" }), false, record()).change;
    expect(created).toMatchObject({ op: "create", from: null });
    expect(created?.record?.fields).toEqual({ ...same, jobTitle: "Engineer" });
  });
});

describe("a manager", () => {
  const [bossId, chiefId] = [personId(ring, boss), personId(ring, chief)];
  const cases: [string, RawObject["manager"], string | null, string | null][] = [
    // entries, then the manager after a delta, then after a full read; before, it was the boss
    ["not mentioned", undefined, bossId, null],
    ["an empty list", [], null, null],
    ["a live entry", [live(chief)], chiefId, chiefId],
    ["the same live entry", [live(boss)], bossId, bossId],
    ["a removed entry", [gone(boss)], null, null],
    ["the old one removed, then the new one", [gone(boss), live(chief)], chiefId, chiefId],
    ["the new one, then the old one removed", [live(chief), gone(boss)], chiefId, chiefId],
    ["two live entries: the last", [live(boss), live(chief)], chiefId, chiefId],
    ["removed ones only", [gone(boss), gone(chief)], null, null],
    ["spelled with capitals", [live(chief.toUpperCase())], chiefId, chiefId],
  ];
  it.each(cases)("%s", (_, manager, afterDelta, afterFull) => {
    const before = record({ manager: bossId });
    const object = seen({ ...same, city: "Bonn" }, manager === undefined ? {} : { manager });
    expect(plan(known("active", before), object).change?.record?.manager).toBe(afterDelta);
    expect(plan(known("active", before), object, true).change?.record?.manager).toBe(afterFull);
  });

  it("alone is a change, and its end is one too", () => {
    expect(plan(known(), seen({}, { manager: [live(boss)] })).change).toMatchObject({ op: "update" });
    const led = known("active", record({ manager: bossId }));
    expect(plan(led, seen({}, { manager: [gone(boss)] })).change).toMatchObject({ op: "update" });
    expect(plan(led, seen(same), true).change?.record?.manager).toBeNull();
    expect(plan(led, seen(same)).change).toBeNull();
  });

  it("told by an earlier occurrence of the same full read stands when a later one does not mention it", () => {
    const led = known("active", record({ manager: bossId }));
    const earlier = record({ manager: chiefId });
    expect(plan(led, seen(same), true, earlier).change?.record?.manager).toBe(chiefId);
    expect(plan(led, seen(same, { manager: [gone(chief)] }), true, earlier).change?.record?.manager).toBeNull();
  });
});

describe("a group", () => {
  const groupId = "9f000000-1111-4222-8333-abcdefabcdef";
  const fields = { displayName: "Sales", groupTypes: ["Unified"], mailEnabled: false };
  const stored: KnownGroup = { hash: groupHash(ring, { fields }), record: { fields } };
  const group = (properties: RawObject["properties"], removed?: "changed" | "deleted"): RawObject => ({
    id: groupId,
    properties,
    ...(removed ? { removed } : {}),
  });

  it.each<[string, KnownGroup | null, RawObject, Partial<GroupChange> | null, number]>([
    ["new", null, group(fields), { op: "create", from: null, to: stored.hash, record: { fields } }, 0],
    ["unchanged", stored, group(fields), null, 0],
    ["not mentioned", stored, group({}), null, 0],
    ["emptied", stored, group({ displayName: "", groupTypes: [] }), null, 2],
    [
      "changed",
      stored,
      group({ mailEnabled: true }),
      { op: "update", from: stored.hash, record: { fields: { ...fields, mailEnabled: true } } },
      0,
    ],
    [
      "soft-deleted",
      stored,
      group({}, "changed"),
      { op: "remove", from: stored.hash, to: null, evidence: "soft-deleted" },
      0,
    ],
    ["deleted", stored, group({}, "deleted"), { op: "remove", from: stored.hash, to: null, evidence: "deleted" }, 0],
    ["gone that nobody knew", null, group({}, "deleted"), null, 0],
  ])("that is %s", (_, before, object, change, kept) => {
    const planned = planGroup(ring, before, object);
    if (change === null) expect(planned.change).toBeNull();
    else expect(planned.change).toMatchObject({ kind: "group", id: groupId, ...change });
    expect(planned.kept).toBe(kept);
  });

  it("met again in a round is planned from all that was said", () => {
    const first = planGroup(ring, null, group({ displayName: "Sales" })).change;
    const second = planGroup(ring, null, group({ description: "All of them" }), first?.record ?? null).change;
    expect(second).toMatchObject({
      op: "create",
      record: { fields: { displayName: "Sales", description: "All of them" } },
    });
  });
});

describe("versions", () => {
  it("tell every state and every content apart, and the order of fields not", () => {
    const contents = [
      record(),
      record({ manager: "m" }),
      record({ oid: boss }),
      record({ fields: {} }),
      record({ fields: { ...same, accountEnabled: false } }),
      record({ fields: { ...same, otherMails: ["a", "b"] } }),
      record({ fields: { ...same, otherMails: ["b", "a"] } }),
    ];
    const versions = contents.flatMap((one) =>
      (["active", "deactivated", "removed", "erased"] as const).map((state) => version(state, personHash(ring, one))),
    );
    expect(new Set(versions).size).toBe(versions.length);
    const reordered = Object.fromEntries(Object.entries(same).toReversed());
    expect(personHash(ring, record({ fields: reordered }))).toBe(personHash(ring, record()));
  });

  it("of another connection say nothing about ours: the hash is keyed", () => {
    const other = keyRing(newRingContent(testAmbient()));
    expect(personHash(other, record())).not.toBe(personHash(ring, record()));
  });
});
