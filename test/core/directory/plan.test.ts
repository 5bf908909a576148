import { describe, expect, it } from "vitest";
import type { Settings } from "../../../src/core/connections/settings.ts";
import { keyRing, newRingContent, personId } from "../../../src/core/crypto/key-ring.ts";
import { blacklistOf, emptyBlacklist } from "../../../src/core/directory/blacklist.ts";
import {
  hashIn,
  type KnownPerson,
  personHash,
  planLeaving,
  planPerson,
  type Rules,
  versionOf,
} from "../../../src/core/directory/plan.ts";
import type { RawObject } from "../../../src/core/directory/ports.ts";
import type { PersonRecord } from "../../../src/core/directory/records.ts";
import type { Standing } from "../../../src/core/directory/scope.ts";
import type { PersonState } from "../../../src/core/store/documents.ts";
import { everybody } from "../../../src/local/demo/everybody.ts";
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
  known: {},
  ...more,
});
type Known = KnownPerson & { record: PersonRecord };
const leftAt = "2026-01-01T00:00:00.000Z";
/** As the document says it: `kept` is active, and has left. */
const version = (state: PersonState | "kept", hash: string): string =>
  versionOf(
    state === "kept" ? { state: "active", hash, leftAt } : { state, hash, leftAt: state === "active" ? null : leftAt },
  );
const known = (state: PersonState | "kept" = "active", stored = record()): Known => {
  const hash = personHash(ring, stored);
  const left = state === "kept";
  return { version: version(state, hash), state: left ? "active" : state, left, hash, record: stored };
};
const seen = (properties: RawObject["properties"], more: Partial<RawObject> = {}): RawObject => ({
  id: oid,
  properties,
  ...more,
});
const same = { displayName: "Ada", mail: "ada@x.example", accountEnabled: true };
const rules: Rules = { settings: everybody, blacklist: emptyBlacklist };
const nobodySpecial: Standing = { marker: null, isMember: false };
const plan = (stored: KnownPerson | null, object: RawObject, complete = false, earlier: PersonRecord | null = null) =>
  planPerson(ring, rules, nobodySpecial, stored, object, complete, earlier);

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
    ["says no more than what decides", seen({ mail: "ada@x.example", accountEnabled: true })],
    ["says the same in another order", seen({ accountEnabled: true, mail: "ada@x.example", displayName: "Ada" })],
    ["has empty fields beside", seen({ ...same, displayName: null, jobTitle: "", otherMails: [] })],
  ])("of whom the feed %s is left alone", (_, object) => {
    expect(plan(known(), object).change).toBeNull();
    expect(plan(known(), object, true).change).toBeNull();
  });

  it("of whom a delta says nothing is left alone; in a full read that is the end of what decides, and of nothing else", () => {
    expect(plan(known(), seen({}))).toEqual({ change: null, kept: 0 });
    const { change, kept } = plan(known(), seen({}), true);
    expect([change?.op, kept]).toEqual(["update", 0]);
    expect(change?.record).toEqual(record({ known: { mail: null, accountEnabled: null } }));
  });

  it.each<[string, RawObject["properties"], number]>([
    ["absent", {}, 0],
    ["null", { displayName: null }, 1],
    ["an empty text", { displayName: "" }, 1],
    ["white space", { displayName: " \u00a0" }, 1],
    ["two empty fields", { displayName: null, department: "" }, 2],
    ["empty without ever having had data", { jobTitle: null }, 0],
  ])("keeps data that is now %s; it is counted when it was in the answer", (_, properties, kept) => {
    const fields = { ...same, department: "Sales" };
    const stored = known("active", record({ fields }));
    expect(plan(stored, seen(properties))).toEqual({ change: null, kept });
    // Also beside a real change, and in a full read.
    const beside = plan(stored, seen({ mail: same.mail, accountEnabled: true, ...properties, city: "Bonn" }), true);
    expect(beside.kept).toBe(kept);
    expect(beside.change?.record).toEqual(record({ fields: { ...fields, city: "Bonn" } }));
  });

  it("whose address ends keeps it as a field, while the scope knows: a change, once", () => {
    const after = record({ known: { mail: null } });
    const ended = plan(known(), seen({ mail: "" }));
    expect(ended).toMatchObject({ change: { op: "update", record: after }, kept: 1 });
    expect(plan(known("active", after), seen({ mail: null }))).toEqual({ change: null, kept: 1 });
    expect(plan(known("active", after), seen({ mail: "ada@x.example" })).change?.record).toEqual(record());
  });

  it("whose field follows its end loses it", () => {
    const attributes = { ...everybody.attributes, displayName: { from: "displayName", clear: true } } as const;
    const follows: Rules = { ...rules, settings: { ...everybody, attributes } };
    const { change, kept } = planPerson(ring, follows, nobodySpecial, known(), seen({ displayName: null }), false);
    const { displayName: _, ...rest } = same;
    expect([change?.op, change?.record?.fields, kept]).toEqual(["update", rest, 0]);
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
    // In a full read the first occurrence has told what is empty; a later piece of it ends nothing.
    expect(plan(null, seen({ jobTitle: "Engineer" }), true, record()).change?.record).toEqual(
      record({ fields: { ...same, jobTitle: "Engineer" } }),
    );
  });

  it("of whom only a stub is left is made anew from what Graph says", () => {
    const stub = { ...known("removed"), record: null };
    expect(plan(stub, seen({ displayName: "Ada" }), true).change).toMatchObject({
      op: "revive",
      from: version("removed", stub.hash),
      record: record({ fields: { displayName: "Ada" } }),
    });
    expect(plan(stub, seen({}, { removed: "deleted" })).change).toBeNull();
  });
});

describe("somebody who leaves", () => {
  const leaving = (rule: Settings["leaving"]["rule"]) => ({ leaving: { rule, afterDays: 30 } });
  type Leaver = PersonState | "kept" | null;
  const nobody: Leaver[] = ["deactivated", "removed", "erased", null];
  const cases: [Settings["leaving"]["rule"], Leaver, "deactivate" | "keep" | null][] = [
    ["deactivate", "active", "deactivate"],
    ["deactivate", "kept", "deactivate"],
    ["remove", "active", "deactivate"],
    ["remove", "kept", "deactivate"],
    ["keep", "active", "keep"],
    ["keep", "kept", null],
    ...(["deactivate", "remove", "keep"] as const).flatMap((rule) =>
      nobody.map((state): [typeof rule, Leaver, null] => [rule, state, null]),
    ),
  ];

  it.each(cases)("by the rule %s, and is %s: %s", (rule, state, op) => {
    const stored = state && known(state);
    const change = planLeaving(leaving(rule), id, stored, "why");
    if (op === null) expect(change).toBeNull();
    else {
      expect(change).toEqual({
        kind: "person",
        id,
        op,
        from: stored?.version,
        to: version(op === "keep" ? "kept" : "deactivated", stored?.hash ?? ""),
        evidence: "why",
      });
      // What is written then is what the plan leads to, with the record as it was.
      expect(hashIn(change?.to ?? "")).toBe(stored?.hash);
    }
  });

  const onlyEnabled: Rules = {
    settings: { ...everybody, people: { ...everybody.people, kinds: { ...everybody.people.kinds, disabled: false } } },
    blacklist: emptyBlacklist,
  };
  const planUnder = (by: Rules, stored: KnownPerson | null, object: RawObject, standing = nobodySpecial) =>
    planPerson(ring, by, standing, stored, object, false);

  it("the scope leaves as a tombstone does, with the rule for evidence and without the new record", () => {
    const disabled = seen({ accountEnabled: false, displayName: "Ada Minh" });
    expect(planUnder(onlyEnabled, known(), disabled)).toEqual({
      change: {
        kind: "person",
        id,
        op: "deactivate",
        from: version("active", known().hash),
        to: version("deactivated", known().hash),
        evidence: "scope: disabled",
      },
      kept: 0,
    });
    const listed = { ...rules, blacklist: blacklistOf(["*@x.example"]) };
    expect(planUnder(listed, known(), seen({})).change).toMatchObject({ evidence: "scope: blacklisted" });
    const excluded = { marker: "excluded", isMember: true } as const;
    expect(planUnder(rules, known(), seen(same), excluded).change).toMatchObject({ evidence: "scope: excluded" });
  });

  it("the scope without ever having been in it is nobody", () => {
    expect(planUnder(onlyEnabled, null, seen({ ...same, accountEnabled: false }))).toEqual({ change: null, kept: 0 });
    expect(planUnder(onlyEnabled, known("deactivated"), seen({ accountEnabled: false })).change).toBeNull();
  });

  it("for want of an address does so although the product keeps the old one", () => {
    const withMail: Rules = {
      settings: {
        ...everybody,
        people: { ...everybody.people, kinds: { ...everybody.people.kinds, withoutMail: false } },
      },
      blacklist: emptyBlacklist,
    };
    expect(planUnder(withMail, known(), seen({ mail: null })).change).toMatchObject({
      op: "deactivate",
      evidence: "scope: without-mail",
    });
    expect(planUnder(withMail, known(), seen({ city: "Bonn" })).change).toMatchObject({ op: "update" });
  });

  it("and is kept stays as he was last seen, and is revived when he is in the scope again", () => {
    const keeps: Rules = { ...onlyEnabled, settings: { ...onlyEnabled.settings, ...leaving("keep") } };
    expect(planUnder(keeps, known(), seen({ accountEnabled: false })).change).toMatchObject({
      op: "keep",
      to: version("kept", known().hash),
    });
    const kept = known("kept");
    for (const object of [seen({ accountEnabled: false, displayName: "X" }), seen({}, { removed: "deleted" })])
      expect(planUnder(keeps, kept, object).change).toBeNull();
    expect(planUnder(keeps, kept, seen(same)).change).toMatchObject({
      op: "revive",
      from: version("kept", kept.hash),
      to: version("active", kept.hash),
      record: record(),
    });
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
      record({ known: { mail: null } }),
      record({ known: { userType: "Guest" } }),
    ];
    const states = ["active", "kept", "deactivated", "removed", "erased"] as const;
    const versions = contents.flatMap((one) => states.map((state) => version(state, personHash(ring, one))));
    expect(new Set(versions).size).toBe(versions.length);
    expect(contents.map((one) => hashIn(version("kept", personHash(ring, one))))).toEqual(
      contents.map((one) => personHash(ring, one)),
    );
    const reordered = Object.fromEntries(Object.entries(same).toReversed());
    expect(personHash(ring, record({ fields: reordered }))).toBe(personHash(ring, record()));
  });

  it("of another connection say nothing about ours: the hash is keyed", () => {
    const other = keyRing(newRingContent(testAmbient()));
    expect(personHash(other, record())).not.toBe(personHash(ring, record()));
  });
});
