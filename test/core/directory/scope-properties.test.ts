/** The pure rules against the naive ones, over settings and directories by chance. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Settings } from "../../../src/core/connections/settings.ts";
import { keyRing, newRingContent } from "../../../src/core/crypto/key-ring.ts";
import { decisive } from "../../../src/core/directory/attributes.ts";
import { blacklistOf } from "../../../src/core/directory/blacklist.ts";
import { derivedGroups, roleOf } from "../../../src/core/directory/group-roles.ts";
import { planPerson } from "../../../src/core/directory/plan.ts";
import { factsOf, overlayGroup, overlayPerson, type PersonRecord } from "../../../src/core/directory/records.ts";
import { inScope } from "../../../src/core/directory/scope.ts";
import { generateDirectory } from "../../../src/local/simulator/directory/generator.ts";
import { createDirectory, type MemoryDirectory } from "../../../src/local/simulator/directory/memory-directory.ts";
import { createOracle, everything, isEmpty } from "../../../src/local/simulator/directory/oracle.ts";
import {
  admittedPeople,
  consultedGroups,
  isPerson,
  type OracleScope,
  type OracleSettings,
} from "../../../src/local/simulator/directory/oracle-rules.ts";
import { randomChanges } from "../../../src/local/simulator/directory/random-change.ts";
import { anyChoice, markersFor, settingsFor } from "../../support/scope-settings.ts";
import { wideSettings } from "../../support/sync-stage.ts";
import { testAmbient } from "../test-ambient.ts";

const ring = keyRing(newRingContent(testAmbient()));

const directories = [1, 2, 3].map((seed): MemoryDirectory => {
  const directory = createDirectory();
  directory.load(generateDirectory({ seed, users: 40, groups: 16, domain: "contoso.example" }));
  randomChanges({ directory, seed, count: 60 });
  return directory;
});

/** As settings, as the oracle's scope, and what follows from them for the groups of the directory. */
const chosen = fc
  .record({ choice: anyChoice, seed: fc.nat(1e6), directory: fc.constantFrom(...directories) })
  .map(({ choice, seed, directory }) => {
    const { settings: part, blacklist } = settingsFor(choice, directory, seed);
    const markers = markersFor(directory, seed);
    const settings = Settings.parse({ ...wideSettings, ...part });
    const scope: OracleScope = { settings, blacklist, markers, readsHiddenMembership: false, admits: isPerson };
    return { directory, settings, scope };
  });

const idsOf = (objects: Iterable<{ id: string }>): Set<string> => new Set([...objects].map(({ id }) => id));
const withPeople = (settings: Settings, people: Partial<Settings["people"]>): Settings => ({
  ...settings,
  people: { ...settings.people, ...people },
});
const withGroups = (settings: Settings, groups: Partial<Settings["groups"]>): Settings => ({
  ...settings,
  groups: { ...settings.groups, ...groups },
});

const closuresOf = (directory: MemoryDirectory, scope: OracleScope) => ({
  scope: idsOf(
    consultedGroups(directory, { ...scope, settings: withGroups(scope.settings as Settings, { mapping: [] }) }),
  ),
  sources: idsOf(
    consultedGroups(directory, { ...scope, settings: withPeople(scope.settings as Settings, { from: "everybody" }) }),
  ),
});

/** In a selected group: everybody is in scope as soon as nothing else keeps him out. */
const membersOf = (directory: MemoryDirectory, scope: OracleScope): Set<string> => {
  const { people } = scope.settings;
  const open: OracleSettings["people"] = {
    ...everything.people,
    from: people.from,
    groups: people.groups,
    membership: people.membership,
  };
  return admittedPeople(directory, {
    ...scope,
    settings: { ...scope.settings, people: open },
    blacklist: [],
    markers: new Map(),
  });
};

describe("the pure rules, over settings by chance", () => {
  it("plan whom the naive rules admit, with the attributes they expect", () => {
    fc.assert(
      fc.property(chosen, ({ directory, settings, scope }) => {
        const oracle = createOracle(scope);
        oracle.observe(directory);
        const { people } = oracle.view();
        const members = membersOf(directory, scope);
        const rules = { settings, blacklist: blacklistOf(scope.blacklist) };
        const persons = [...directory.users.values()].filter(isPerson);
        const planned = persons.map(({ id, properties }) => {
          const standing = { marker: scope.markers.get(id) ?? null, isMember: members.has(id) };
          const { change } = planPerson(ring, rules, standing, null, { id, properties }, true);
          return [id, change?.op, change?.record?.fields];
        });
        const expected = persons.map(({ id }) => {
          const person = people.get(id);
          return [id, person && "create", person?.attributes];
        });
        expect(planned).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it("show and hold the groups that the naive rules show and hold", () => {
    fc.assert(
      fc.property(chosen, ({ directory, settings, scope }) => {
        const oracle = createOracle(scope);
        oracle.observe(directory);
        const view = oracle.view();
        const closures = closuresOf(directory, scope);
        const roles = [...directory.groups.values()].map(({ id, properties }) => {
          const { fields } = overlayGroup(undefined, properties);
          return { id, role: roleOf(settings, closures, id, fields) };
        });
        expect(idsOf(roles.filter(({ role }) => role === "shown"))).toEqual(new Set(view.groups.keys()));
        expect(idsOf(roles.filter(({ role }) => role === "filter"))).toEqual(view.filters);
        const products = derivedGroups(ring, settings).filter(({ role }) => role === "product");
        const standing = products.filter(({ roots }) => roots.some((root) => directory.groups.has(root)));
        expect(new Set(standing.map(({ of }) => of))).toEqual(new Set(view.productGroups.keys()));
      }),
      { numRuns: 500 },
    );
  });

  it("do not look at what is switched off", () => {
    const two = fc.tuple(chosen, chosen).map(([one, other]) => ({ ...one, other: other.settings }));
    fc.assert(
      fc.property(two, ({ directory, settings, scope, other }) => {
        const said = (changed: Settings) => {
          const now = { ...scope, settings: changed };
          const closures = closuresOf(directory, now);
          const roles = [...directory.groups.values()].map(({ id, properties }) =>
            roleOf(changed, closures, id, properties),
          );
          const products = derivedGroups(ring, changed).map(({ id, role, roots }) => ({ id, role, roots }));
          return { roles, products };
        };
        const everybody = withPeople(settings, { from: "everybody" });
        expect(said(withPeople(everybody, { groups: other.people.groups }))).toEqual(said(everybody));
        const peopleOnly = withGroups(settings, { include: false });
        expect(said(withGroups(peopleOnly, { ...other.groups, include: false }))).toEqual(said(peopleOnly));
        const leftOut = withGroups(settings, { unmapped: "leave-out" });
        expect(said(withGroups(leftOut, { kinds: other.groups.kinds }))).toEqual(said(leftOut));
      }),
      { numRuns: 200 },
    );
  });

  it("decide by the first of the rules that refuses", () => {
    const flags = fc.record({
      excluded: fc.boolean(),
      oneByOne: fc.boolean(),
      listed: fc.boolean(),
      guest: fc.boolean(),
      disabled: fc.boolean(),
      withoutMail: fc.boolean(),
      outside: fc.boolean(),
    });
    const none = { members: false, guests: false, disabled: false, withoutMail: false };
    fc.assert(
      fc.property(flags, fc.boolean(), (is, membersWanted) => {
        const settings = withPeople(wideSettings, {
          from: "groups",
          groups: ["00000000-0000-4000-8000-000000000001"],
          kinds: { ...none, members: membersWanted },
          oneByOne: is.oneByOne,
        });
        const facts = {
          mail: is.withoutMail ? null : "a@b.example",
          userPrincipalName: "u@b.example",
          otherMails: null,
          proxyAddresses: null,
          accountEnabled: !is.disabled,
          userType: is.guest ? "Guest" : "Member",
        };
        const order: [boolean, string][] = [
          [is.excluded, "excluded"],
          [is.oneByOne, "not-enabled"],
          [is.listed, "blacklisted"],
          [is.guest, "guest"],
          [!is.guest && !membersWanted, "member"],
          [is.disabled, "disabled"],
          [is.withoutMail, "without-mail"],
          [is.outside, "not-in-groups"],
        ];
        const refused = order.find(([applies]) => applies)?.[1];
        const standing = { marker: is.excluded ? ("excluded" as const) : null, isMember: !is.outside };
        const blacklist = blacklistOf(is.listed ? ["U@b.example"] : []);
        expect(inScope(facts, settings, blacklist, standing)).toEqual({
          admitted: refused === undefined,
          rule: refused ?? "in-groups",
        });
      }),
    );
  });
});

describe("a record laid over with answers of Graph", () => {
  const names = ["mail", "userPrincipalName", "accountEnabled", "otherMails", "city", "jobTitle"] as const;
  const text = fc.constantFrom("x@a.example", "y@b.example", "", " ", null);
  const answer = fc.record(
    {
      mail: text,
      userPrincipalName: text,
      city: text,
      jobTitle: text,
      accountEnabled: fc.constantFrom(true, false, null),
      otherMails: fc.constantFrom(["x@a.example"], ["x@a.example", "y@b.example"], [], null),
    },
    { requiredKeys: [] },
  );
  const fields = fc.constantFrom("mail", "one", "two", "accountEnabled", "otherMails");
  const from = fc.constantFrom(...names);
  // A field keeps its kind: what a list was is no text when the settings change.
  const kindOf = {
    mail: "mail",
    one: "city",
    two: "jobTitle",
    accountEnabled: "accountEnabled",
    otherMails: "otherMails",
  } as const;
  const attributes = fc.dictionary(fields, fc.record({ from, clear: fc.boolean() }), { minKeys: 1 }).map((given) =>
    Object.fromEntries(
      Object.entries(given).map(([field, { from: origin, clear }]) => {
        const own = kindOf[field as keyof typeof kindOf];
        const isText = (name: string): boolean => name !== "accountEnabled" && name !== "otherMails";
        return [field, { from: isText(own) && isText(origin) ? origin : own, clear }];
      }),
    ),
  );

  it("holds the last data of each field, none where it is cleared, and decides by what Graph says now", () => {
    fc.assert(
      fc.property(
        attributes,
        fc.array(fc.record({ answer, complete: fc.boolean() }), { minLength: 1, maxLength: 6 }),
        (settings, answers) => {
          let record: Pick<PersonRecord, "fields" | "known"> | null = null;
          const expected: Record<string, unknown> = {};
          const now: Record<string, unknown> = {};
          for (const { answer: properties, complete } of answers) {
            const { fields: laid, known } = overlayPerson(settings, record, properties, complete);
            record = { fields: laid, known };
            for (const name of decisive) {
              if (name in properties) now[name] = properties[name as keyof typeof properties];
              else if (complete) delete now[name];
            }
            for (const [field, { from: origin, clear }] of Object.entries(settings)) {
              const value: unknown = properties[origin];
              if (!isEmpty(value)) expected[field] = value;
              else if (clear && (complete || origin in properties)) delete expected[field];
            }
            expect(laid).toEqual(expected);
            const facts = factsOf(record);
            for (const name of decisive) expect(facts[name]).toEqual(isEmpty(now[name]) ? null : now[name]);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
