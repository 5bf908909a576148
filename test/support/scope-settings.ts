/**
 * Settings by chance or by plan, for a given tenant: each is a choice of one level for every factor, and a seed that picks
 * groups, addresses and people of the tenant for it.
 */
import * as fc from "fast-check";
import { type AttributeSettings, defaultAttributes, type Settings } from "../../src/core/connections/settings.ts";
import { groupKind, hidesMembership } from "../../src/local/simulator/directory/entra-rules.ts";
import type { OracleMarkers } from "../../src/local/simulator/directory/oracle-rules.ts";
import { guidOf, type Random, randomOf } from "../../src/local/simulator/directory/random.ts";
import type { DirectoryState, SimGroup } from "../../src/local/simulator/directory/state.ts";

export const factors = {
  from: ["everybody", "groups"],
  membership: ["nested", "direct"],
  include: ["groups", "people only"],
  groupKinds: ["careful", "all", "security", "exchange"],
  mapping: ["none", "one to one", "many to one"],
  unmapped: ["import", "leave-out"],
  kinds: ["all", "careful", "guests", "enabled"],
  oneByOne: ["everybody", "enabled only"],
  blacklist: ["none", "addresses", "partner domain"],
  fields: ["default", "renamed", "few"],
  clear: ["no field", "every field", "some fields"],
  leaving: ["deactivate", "keep", "remove"],
} as const;

type Factor = keyof typeof factors;
export type Choice = { [F in Factor]: (typeof factors)[F][number] };

const factorNames = Object.keys(factors) as Factor[];

export const anyChoice: fc.Arbitrary<Choice> = fc.record(
  Object.fromEntries(factorNames.map((factor) => [factor, fc.constantFrom(...factors[factor])])),
) as fc.Arbitrary<Choice>;

/** Choices in which every two levels of different factors meet at least once. */
export const pairwise = (): Choice[] => {
  const pairs = new Set<string>();
  const pair = (one: Factor, level: string, other: Factor, otherLevel: string): string =>
    one < other ? `${one}=${level} ${other}=${otherLevel}` : `${other}=${otherLevel} ${one}=${level}`;
  for (const one of factorNames)
    for (const other of factorNames)
      if (one < other)
        for (const level of factors[one])
          for (const otherLevel of factors[other]) pairs.add(pair(one, level, other, otherLevel));
  const rows: Choice[] = [];
  const used = (factor: Factor, level: string): number => rows.filter((row) => row[factor] === level).length;
  while (pairs.size > 0) {
    const row: Partial<Record<Factor, string>> = {};
    // An open pair to begin with, so that each row closes one; then for each factor the level that closes most.
    for (const given of ([...pairs][0] ?? "").split(/ (?=\w+=)/)) {
      const at = given.indexOf("=");
      row[given.slice(0, at) as Factor] = given.slice(at + 1);
    }
    for (const factor of factorNames) {
      if (row[factor] !== undefined) continue;
      const gain = (level: string): number =>
        factorNames.filter((other) => row[other] !== undefined && pairs.has(pair(factor, level, other, row[other])))
          .length;
      row[factor] = factors[factor].toSorted(
        (a, b) => gain(b) - gain(a) || used(factor, a) - used(factor, b),
      )[0] as string;
    }
    const done = row as Choice;
    for (const one of factorNames)
      for (const other of factorNames) if (one < other) pairs.delete(pair(one, done[one], other, done[other]));
    rows.push(done);
  }
  return rows;
};

/** The groups of the product there are in every connection here. */
export const productGroupIds = ["staff", "partners", "board"];

export interface Chosen {
  settings: Pick<Settings, "people" | "groups" | "attributes" | "leaving">;
  blacklist: string[];
}

const groupKinds: Record<Choice["groupKinds"], Settings["groups"]["kinds"]> = {
  careful: { microsoft365: true, security: true, mailEnabledSecurity: false, distribution: false },
  all: { microsoft365: true, security: true, mailEnabledSecurity: true, distribution: true },
  security: { microsoft365: false, security: true, mailEnabledSecurity: false, distribution: false },
  exchange: { microsoft365: false, security: false, mailEnabledSecurity: true, distribution: true },
};

const kinds: Record<Choice["kinds"], Settings["people"]["kinds"]> = {
  all: { members: true, guests: true, disabled: true, withoutMail: true },
  careful: { members: true, guests: false, disabled: false, withoutMail: false },
  guests: { members: false, guests: true, disabled: true, withoutMail: true },
  enabled: { members: true, guests: true, disabled: false, withoutMail: true },
};

const fields: Record<Choice["fields"], AttributeSettings> = {
  default: defaultAttributes,
  // One property in two fields, decisive ones under other names or not at all, and one that is not there by default.
  renamed: Object.fromEntries(
    (
      [
        ["name", "displayName"],
        ["email", "mail"],
        ["login", "userPrincipalName"],
        ["department", "department"],
        ["costCentre", "department"],
        ["phones", "businessPhones"],
        ["mail", "mailNickname"],
        ["enabled", "accountEnabled"],
        ["place", "city"],
        ["jobTitle", "jobTitle"],
      ] as const
    ).map(([field, from]) => [field, { from, clear: false }]),
  ),
  few: Object.fromEntries(
    (["displayName", "mail", "city", "officeLocation"] as const).map((name) => [name, { from: name, clear: false }]),
  ),
};

const cleared = (attributes: AttributeSettings, clear: Choice["clear"]): AttributeSettings =>
  Object.fromEntries(
    Object.entries(attributes).map(([field, { from }], index) => [
      field,
      { from, clear: clear === "every field" || (clear === "some fields" && index % 2 === 0) },
    ]),
  );

/** The same directory, choice and seed give the same settings. */
export const settingsFor = (choice: Choice, directory: DirectoryState, seed: number): Chosen => {
  const groups = [...directory.groups.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return {
    settings: {
      people: {
        from: choice.from,
        groups: selected(groups, randomOf("selected", seed)),
        membership: choice.membership,
        kinds: kinds[choice.kinds],
        oneByOne: choice.oneByOne === "enabled only",
      },
      groups: {
        include: choice.include === "groups",
        kinds: groupKinds[choice.groupKinds],
        mapping: mapping(choice.mapping, groups, randomOf("mapping", seed)),
        unmapped: choice.unmapped,
      },
      attributes: cleared(fields[choice.fields], choice.clear),
      leaving: { rule: choice.leaving, afterDays: 1 + (seed % 30) },
    },
    blacklist: blacklist(choice.blacklist, directory, randomOf("blacklist", seed)),
  };
};

const several = <T>(items: readonly T[], count: number, random: Random): T[] => {
  const found = new Set<T>();
  for (let attempt = 0; attempt < 4 * count && found.size < count && items.length > 0; attempt++)
    found.add(random.pick(items));
  return [...found];
};

const nests = ({ members }: SimGroup): boolean => [...members.values()].includes("group");

/** One that nests others, mostly; one that hides its members, sometimes; one that nobody has, sometimes. */
const selected = (groups: SimGroup[], random: Random): string[] => {
  const filled = groups.filter(({ members }) => members.size > 0);
  const chosen = several(filled, 1 + random.below(3), random);
  if (random.chance(0.7)) chosen.push(...several(filled.filter(nests), 1, random));
  if (random.chance(0.2)) chosen.push(...groups.filter(({ properties }) => hidesMembership(properties)).slice(0, 1));
  const ids = chosen.map(({ id }) => id);
  if (random.chance(0.2) || ids.length === 0) ids.push(guidOf("no group", random.below(1e9)));
  return [...new Set(ids)];
};

const mapping = (how: Choice["mapping"], groups: SimGroup[], random: Random): Settings["groups"]["mapping"] => {
  if (how === "none") return [];
  const sources = several(groups, how === "one to one" ? 2 : 4, random).map(({ id }) => id);
  const nesting = groups.find((group) => nests(group) && groupKind(group.properties) === "security");
  if (nesting && random.chance(0.5)) sources[0] = nesting.id;
  if (random.chance(0.2)) sources.push(guidOf("no group", random.below(1e9)));
  return [...new Set(sources)].map((group, index) => ({
    group,
    productGroup: productGroupIds[how === "one to one" ? index % 3 : index % 2] as string,
  }));
};

const oddCase = (text: string, random: Random): string => (random.chance(0.5) ? text.toUpperCase() : text);
const textsOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter(
    (text): text is string => typeof text === "string" && text.includes("@"),
  );

/** What comes before the `@` of a guest's sign-in name may be longer than any mailbox's. */
const isListable = (address: string): boolean => address.lastIndexOf("@") <= 64;

const blacklist = (how: Choice["blacklist"], { users }: DirectoryState, random: Random): string[] => {
  const people = [...users.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const addresses = several(people, 5, random).flatMap(({ properties }) => {
    const known = ["mail", "userPrincipalName", "otherMails", "proxyAddresses"].flatMap((name) =>
      textsOf(properties[name]),
    );
    const addressed = known.map((text) => text.replace(/^smtp:/i, "")).filter(isListable);
    return addressed.length === 0 ? [] : [oddCase(random.pick(addressed), random)];
  });
  if (how === "none") return [];
  if (how === "addresses") return addresses;
  const partners = people.flatMap(({ properties }) =>
    properties.userType === "Guest" ? textsOf(properties.mail) : [],
  );
  const domains = several(partners, 2, random).map(
    (address) => `*${oddCase(address.slice(address.lastIndexOf("@")), random)}`,
  );
  return [...domains, ...addresses.slice(0, 1)];
};

/** About half of the people are enabled, and a few are left out by hand. */
export const markersFor = ({ users }: DirectoryState, seed: number): OracleMarkers => {
  const random = randomOf("markers", seed);
  const drawn = [...users.keys()].toSorted().map((id) => ({ id, draw: random.below(20) }));
  return new Map(
    drawn.flatMap(({ id, draw }): [string, "enabled" | "excluded"][] =>
      draw < 10 ? [[id, "enabled"]] : draw === 10 ? [[id, "excluded"]] : [],
    ),
  );
};

/** Two or three factors on another level. */
export const otherChoice = (choice: Choice, random: Random): Choice => {
  const changed: Partial<Record<Factor, string>> = {};
  for (const factor of several(factorNames, 1 + random.below(3), random))
    changed[factor] = random.pick(factors[factor]);
  return { ...choice, ...changed } as Choice;
};

/** For a failed test's title: the factors that are not on their first level. */
export const inWords = (choice: Choice): string =>
  factorNames
    .filter((factor) => choice[factor] !== factors[factor][0])
    .map((factor) => `${factor}: ${choice[factor]}`)
    .join(", ") || "all by default";
