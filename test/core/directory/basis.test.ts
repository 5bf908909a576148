/** What has to be read when the settings are others than those the stored directory was made under. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Settings } from "../../../src/core/connections/settings.ts";
import { type Basis, basisOf, readsBetween } from "../../../src/core/directory/run/basis.ts";
import { everybody } from "../../../src/local/demo/everybody.ts";

const guid = (number: number): string => `9f000000-1111-4222-8333-${String(number).padStart(12, "0")}`;
const [one, two] = [guid(1), guid(2)] as const;

interface Changes {
  people?: Partial<Settings["people"]>;
  groups?: Partial<Settings["groups"]>;
  attributes?: Settings["attributes"];
  leaving?: Settings["leaving"];
  blacklist?: number;
  selection?: Partial<Basis["selection"]>;
}
const basis = ({ people, groups, blacklist = 0, selection, ...more }: Changes = {}): Basis =>
  basisOf(
    {
      ...everybody,
      ...more,
      people: { ...everybody.people, ...people },
      groups: { ...everybody.groups, ...groups },
    },
    { version: blacklist, entries: blacklist },
    { users: "id,mail", groups: "id", ...selection },
  );
const kinds = (changes: Partial<Settings["people"]["kinds"]>): Changes => ({
  people: { kinds: { ...everybody.people.kinds, ...changes } },
});
const groupKinds = (changes: Partial<Settings["groups"]["kinds"]>): Changes => ({
  groups: { kinds: { ...everybody.groups.kinds, ...changes } },
});
const chosen = (...groups: string[]): Changes => ({ people: { from: "groups", groups } });
const mapped = (...groups: string[]): Changes => ({
  groups: { mapping: groups.map((group) => ({ group, productGroup: "p1" })) },
});
const job = (from: "jobTitle" | "department", clear = false): Changes => ({ attributes: { role: { from, clear } } });

/** Feeds that are read from the beginning, and what of the store is held against the settings. */
const reads = (before: Changes, now: Changes, unlisted = false): string => {
  const { full, again } = readsBetween(basis(before), basis(now), unlisted);
  const named = (which: Record<"groups" | "users", boolean>): string =>
    (["groups", "users"] as const).filter((feed) => which[feed]).join("+") || "-";
  return `read ${named(full)}, look at ${named(again)}`;
};

describe("when nothing has changed that the scope knows", () => {
  it("nothing is read and nothing looked at again", () => {
    expect(reads({}, {})).toBe("read -, look at -");
    const others: Settings = {
      ...everybody,
      automatic: false,
      paused: true,
      intervalMinutes: 5,
      guard: { share: 1, floor: 0, offUntil: null, secondPerson: true },
    };
    const { selection, blacklist } = basis();
    const { full, again } = readsBetween(basis(), basisOf(others, blacklist, selection), false);
    expect([full, again]).toEqual([
      { groups: false, users: false },
      { groups: false, users: false },
    ]);
  });
});

describe("what makes the scope narrower asks nothing of Graph", () => {
  it.each<[string, Changes, Changes, string]>([
    ["guests go", {}, kinds({ guests: false }), "groups+users"],
    ["members go", {}, kinds({ members: false }), "groups+users"],
    ["disabled accounts go", {}, kinds({ disabled: false }), "groups+users"],
    ["people without an address go", {}, kinds({ withoutMail: false }), "groups+users"],
    ["people are enabled one by one", {}, { people: { oneByOne: true } }, "groups+users"],
    ["people come from groups", {}, chosen(one), "groups+users"],
    ["a selected group less", chosen(one, two), chosen(one), "groups+users"],
    [
      "nested groups no longer count",
      chosen(one),
      { people: { ...chosen(one).people, membership: "direct" } },
      "groups+users",
    ],
    ["an entry more on the blacklist", {}, { blacklist: 1 }, "users"],
    ["a kind of groups goes", {}, groupKinds({ distribution: false }), "groups"],
    ["no groups come in any more", {}, { groups: { include: false } }, "groups"],
    ["only mapped groups are left", {}, { groups: { unmapped: "leave-out" } }, "groups"],
    ["a group stands for one of the product", {}, mapped(one), "groups"],
    ["another rule for who leaves", {}, { leaving: { rule: "keep", afterDays: 30 } }, "users"],
  ])("%s", (_, before, now, again) => {
    expect(reads(before, now)).toBe(`read -, look at ${again}`);
  });
});

describe("what makes it wider is read, and no more than that", () => {
  it.each<[string, Changes, Changes, string]>([
    ["guests come", kinds({ guests: false }), {}, "read users, look at groups+users"],
    ["members come", kinds({ members: false }), {}, "read users, look at groups+users"],
    ["disabled accounts come", kinds({ disabled: false }), {}, "read users, look at groups+users"],
    ["people without an address come", kinds({ withoutMail: false }), {}, "read users, look at groups+users"],
    ["nobody has to be enabled", { people: { oneByOne: true } }, {}, "read users, look at groups+users"],
    ["everybody is meant", chosen(one), {}, "read groups+users, look at groups+users"],
    [
      "everybody is meant, where no groups come in",
      { ...chosen(one), groups: { include: false } },
      { groups: { include: false } },
      "read users, look at groups+users",
    ],
    // Its members are met one by one, or in a full read when they are many.
    ["a selected group more", chosen(one), chosen(one, two), "read -, look at groups+users"],
    [
      "nested groups count",
      { people: { ...chosen(one).people, membership: "direct" } },
      chosen(one),
      "read -, look at groups+users",
    ],
    ["a kind of groups comes", groupKinds({ distribution: false }), {}, "read groups, look at groups"],
    ["groups come in", { groups: { include: false } }, {}, "read groups, look at groups"],
    ["unmapped groups come in", { groups: { unmapped: "leave-out" } }, {}, "read groups, look at groups"],
    ["a group stands for nothing any more", mapped(one, two), mapped(one), "read groups, look at groups"],
    [
      "a group stands for nothing any more, and only mapped ones come in",
      { groups: { ...mapped(one).groups, unmapped: "leave-out" } },
      { groups: { unmapped: "leave-out" } },
      "read -, look at groups",
    ],
    [
      "a group stands for another one",
      mapped(one),
      { groups: { mapping: [{ group: one, productGroup: "p2" }] } },
      "read -, look at groups",
    ],
    [
      "a kind is switched on while no groups come in",
      { groups: { ...groupKinds({ distribution: false }).groups, include: false } },
      { groups: { include: false } },
      "read -, look at groups",
    ],
    ["another field", {}, job("jobTitle"), "read users, look at -"],
    ["a field from another property", job("jobTitle"), job("department"), "read users, look at -"],
    ["a field that follows its end", job("jobTitle"), job("jobTitle", true), "read users, look at -"],
    ["another list of properties in the link of people", {}, { selection: { users: "id" } }, "read users, look at -"],
    [
      "another list of properties in the link of groups",
      {},
      { selection: { groups: "id,x" } },
      "read groups, look at -",
    ],
    [
      "one kind goes and another comes",
      kinds({ guests: false }),
      kinds({ disabled: false }),
      "read users, look at groups+users",
    ],
  ])("%s", (_, before, now, expected) => {
    expect(reads(before, now)).toBe(expected);
  });

  it("an entry less on the blacklist, even when there are more of them now", () => {
    expect(reads({ blacklist: 1 }, { blacklist: 2 }, true)).toBe("read users, look at users");
    expect(reads({ blacklist: 1 }, { blacklist: 2 }, false)).toBe("read -, look at users");
  });
});

it("going there and back leaves nothing out: what one way looks at again, or reads, the other does as well", () => {
  const flag = fc.boolean();
  const some = (values: string[]) => fc.subarray(values, { minLength: 1 });
  const any: fc.Arbitrary<Changes> = fc
    .record({
      guests: flag,
      disabled: flag,
      from: fc.constantFrom("everybody" as const, "groups" as const),
      groups: some([one, two]),
      oneByOne: flag,
      include: flag,
      distribution: flag,
      mapping: fc.subarray([one, two]),
      unmapped: fc.constantFrom("import" as const, "leave-out" as const),
      blacklist: fc.integer({ min: 0, max: 2 }),
    })
    .map((made) => ({
      people: {
        from: made.from,
        groups: made.groups,
        oneByOne: made.oneByOne,
        kinds: { ...everybody.people.kinds, guests: made.guests, disabled: made.disabled },
      },
      groups: {
        include: made.include,
        kinds: { ...everybody.groups.kinds, distribution: made.distribution },
        ...mapped(...made.mapping).groups,
        unmapped: made.unmapped,
      },
      blacklist: made.blacklist,
    }));
  fc.assert(
    fc.property(any, any, (before, now) => {
      const there = readsBetween(basis(before), basis(now), false);
      const back = readsBetween(basis(now), basis(before), false);
      expect(there.again).toEqual(back.again);
      // Nothing is read for the sake of the scope that the store is not held against as well.
      for (const feed of ["groups", "users"] as const) if (there.full[feed]) expect(there.again[feed]).toBe(true);
    }),
  );
});
