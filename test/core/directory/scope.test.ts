import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Settings } from "../../../src/core/connections/settings.ts";
import { blacklistOf, emptyBlacklist } from "../../../src/core/directory/blacklist.ts";
import {
  type Facts,
  type GroupKind,
  groupKind,
  inScope,
  type Marker,
  type ScopeRule,
  type Standing,
  scopeRules,
} from "../../../src/core/directory/scope.ts";
import { everybody } from "../../../src/local/demo/everybody.ts";

type People = Settings["people"];
type Kinds = People["kinds"];

const member: Facts = {
  mail: "ada@x.example",
  userPrincipalName: "ada@x.example",
  otherMails: null,
  proxyAddresses: null,
  accountEnabled: true,
  userType: "Member",
};
const settings = (people: Partial<Omit<People, "kinds">> = {}, kinds: Partial<Kinds> = {}): Settings => ({
  ...everybody,
  people: { ...everybody.people, ...people, kinds: { ...everybody.people.kinds, ...kinds } },
});
const chosen = { from: "groups", groups: ["9f000000-1111-4222-8333-abcdefabcdef"] } as const;
const outside: Standing = { marker: null, isMember: false };
const inside: Standing = { marker: null, isMember: true };

describe("the rules", () => {
  interface Case {
    facts: Facts;
    settings: Settings;
    entries: string[];
    standing: Standing;
  }
  /** Everything speaks against this person. */
  const hopeless = (userType: "Member" | "Guest"): Case => ({
    facts: { ...member, mail: null, accountEnabled: false, userType },
    settings: settings(
      { ...chosen, groups: [...chosen.groups], oneByOne: true },
      { members: false, guests: false, disabled: false, withoutMail: false },
    ),
    entries: ["*@x.example"],
    standing: { marker: "erased", isMember: false },
  });
  const people = (at: Case, change: Partial<People>): Case => ({
    ...at,
    settings: { ...at.settings, people: { ...at.settings.people, ...change } },
  });
  const kinds = (at: Case, change: Partial<Kinds>): Case =>
    people(at, { kinds: { ...at.settings.people.kinds, ...change } });
  const marked = (at: Case, marker: Marker | null): Case => ({ ...at, standing: { ...at.standing, marker } });
  /** One objection after the other is taken away; what decides is always the next. */
  const cures: [ScopeRule, (at: Case) => Case][] = [
    ["erased", (at) => marked(at, "excluded")],
    ["excluded", (at) => marked(at, null)],
    ["not-enabled", (at) => marked(at, "enabled")],
    ["blacklisted", (at) => ({ ...at, entries: [] })],
    ["guest", (at) => kinds(at, { guests: true })],
    ["member", (at) => kinds(at, { members: true })],
    ["disabled", (at) => kinds(at, { disabled: true })],
    ["without-mail", (at) => kinds(at, { withoutMail: true })],
    ["not-in-groups", (at) => ({ ...at, standing: { ...at.standing, isMember: true } })],
    ["in-groups", (at) => people(at, { from: "everybody" })],
    ["everybody", (at) => at],
  ];

  it.each([
    ["Member", "guest"],
    ["Guest", "member"],
  ] as const)("decide in their order, for a %s", (userType, other) => {
    expect(cures.map(([rule]) => rule)).toEqual(scopeRules);
    let at = hopeless(userType);
    for (const [rule, cure] of cures) {
      if (rule === other) continue;
      const admitted = rule === "in-groups" || rule === "everybody";
      expect(inScope(at.facts, at.settings, blacklistOf(at.entries), at.standing)).toEqual({ admitted, rule });
      at = cure(at);
    }
  });

  it("admit where nothing speaks against it, and refuse for a reason that is in the settings or was decided by hand", () => {
    const text = fc.option(fc.constantFrom("ada@x.example", "a@y.example", "ada_x#EXT#@y.example"));
    const facts: fc.Arbitrary<Facts> = fc.record({
      mail: text,
      userPrincipalName: text,
      otherMails: fc.option(fc.constant(["o@x.example"])),
      proxyAddresses: fc.option(fc.constant(["smtp:p@x.example"])),
      accountEnabled: fc.option(fc.boolean()),
      userType: fc.option(fc.constantFrom("Member", "Guest", "guest")),
    });
    const standing: fc.Arbitrary<Standing> = fc.record({
      marker: fc.option(fc.constantFrom<Marker>("enabled", "excluded", "erased")),
      isMember: fc.boolean(),
    });
    const kindsOf: fc.Arbitrary<Kinds> = fc.record({
      members: fc.boolean(),
      guests: fc.boolean(),
      disabled: fc.boolean(),
      withoutMail: fc.boolean(),
    });
    const all = fc.record({ facts, standing, kinds: kindsOf, oneByOne: fc.boolean(), fromGroups: fc.boolean() });
    fc.assert(
      fc.property(all, (one) => {
        const from = one.fromGroups ? { ...chosen, groups: [...chosen.groups] } : {};
        const decide = (wider: Partial<People>, with_: Partial<Kinds>) =>
          inScope(
            one.facts,
            settings({ ...from, oneByOne: one.oneByOne, ...wider }, { ...one.kinds, ...with_ }),
            emptyBlacklist,
            one.standing,
          );
        const { admitted } = decide({}, {});
        // No choice that is wider puts somebody out.
        if (admitted)
          for (const wider of [{ oneByOne: false }, { from: "everybody" as const }] satisfies Partial<People>[])
            expect(decide(wider, {}).admitted).toBe(true);
        if (admitted)
          for (const kind of ["members", "guests", "disabled", "withoutMail"] as const)
            expect(decide({}, { [kind]: true }).admitted).toBe(true);
        // Under the widest settings only what was decided by hand is left.
        const marker = one.standing.marker === "enabled" ? null : one.standing.marker;
        const widest = inScope(one.facts, everybody, emptyBlacklist, one.standing);
        expect(widest).toEqual({ admitted: marker === null, rule: marker ?? "everybody" });
      }),
    );
  });
});

describe("a guest", () => {
  const rows: [string, Facts["userType"], Facts["userPrincipalName"], boolean][] = [
    ["is told by the type", "Guest", "ada@x.example", true],
    ["however it is spelled", "guest", "ada@x.example", true],
    ["also when the name is a guest's", "Guest", "ada_x.example#EXT#@y.example", true],
    ["has become a member although the name is still a guest's", "Member", "ada_x.example#EXT#@y.example", false],
    ["is told by the name where there is no type", null, "ada_x.example#EXT#@y.example", true],
    ["in any case of it", null, "ada_x.example#ext#@y.example", true],
    ["is nobody whose name only has these letters", null, "next@x.example", false],
    ["is nobody of whom neither type nor name is known", null, null, false],
  ];
  it.each(rows)("%s", (_, userType, userPrincipalName, guest) => {
    const facts = { ...member, userType, userPrincipalName };
    expect(inScope(facts, settings({}, { guests: false }), emptyBlacklist, outside)).toEqual(
      guest ? { admitted: false, rule: "guest" } : { admitted: true, rule: "everybody" },
    );
    expect(inScope(facts, settings({}, { members: false }), emptyBlacklist, outside)).toEqual(
      guest ? { admitted: true, rule: "everybody" } : { admitted: false, rule: "member" },
    );
  });
});

it("an account that is not known to be disabled is not", () => {
  const rule = (accountEnabled: boolean | null) =>
    inScope({ ...member, accountEnabled }, settings({}, { disabled: false }), emptyBlacklist, outside).rule;
  expect([rule(null), rule(true), rule(false)]).toEqual(["everybody", "everybody", "disabled"]);
});

it("only the address counts as an address: no sign-in name, no alias stands for it", () => {
  const aliases = { otherMails: ["a@y.example"], proxyAddresses: ["SMTP:ada@x.example"] };
  const rule = (facts: Facts) => inScope(facts, settings({}, { withoutMail: false }), emptyBlacklist, outside).rule;
  expect([rule({ ...member, ...aliases, mail: null }), rule(member)]).toEqual(["without-mail", "everybody"]);
});

it("somebody who was enabled by hand has to be admitted all the same, and needs it only where it is asked for", () => {
  const enabled = { ...outside, marker: "enabled" } as const;
  const disabled = { ...member, accountEnabled: false };
  expect(inScope(disabled, settings({ oneByOne: true }, { disabled: false }), emptyBlacklist, enabled).rule).toBe(
    "disabled",
  );
  expect(inScope(member, settings({ oneByOne: true }), blacklistOf(["ada@x.example"]), enabled).rule).toBe(
    "blacklisted",
  );
  expect(inScope(member, settings(), emptyBlacklist, outside).admitted).toBe(true);
});

it("who is in the groups means nothing where everybody is meant", () => {
  const from = { ...chosen, groups: [...chosen.groups] };
  expect(inScope(member, settings(from), emptyBlacklist, outside).rule).toBe("not-in-groups");
  expect(inScope(member, settings(from), emptyBlacklist, inside).rule).toBe("in-groups");
  for (const standing of [outside, inside])
    expect(inScope(member, settings(), emptyBlacklist, standing).rule).toBe("everybody");
});

describe("the kind of a group", () => {
  // https://learn.microsoft.com/graph/api/resources/groups-overview
  it.each<[string[] | null, boolean | null, boolean | null, GroupKind | null]>([
    [["Unified"], true, false, "microsoft365"],
    [["Unified"], true, true, "microsoft365"],
    [["unified", "DynamicMembership"], true, false, "microsoft365"],
    [[], false, true, "security"],
    [["DynamicMembership"], false, true, "security"],
    [[], true, true, "mailEnabledSecurity"],
    [[], true, false, "distribution"],
    [null, true, false, "distribution"],
    [null, false, true, "security"],
    [[], false, false, null],
    [null, null, null, null],
    [null, null, true, "security"],
    [null, true, null, "distribution"],
  ])("groupTypes %j, mailEnabled %s, securityEnabled %s: %s", (groupTypes, mailEnabled, securityEnabled, kind) => {
    expect(groupKind({ groupTypes, mailEnabled, securityEnabled })).toBe(kind);
    const present = Object.entries({ groupTypes, mailEnabled, securityEnabled }).filter(([, value]) => value !== null);
    expect(groupKind(Object.fromEntries(present))).toBe(kind);
  });
});
