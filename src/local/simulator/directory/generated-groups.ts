/** The groups of a generated directory: every kind Entra knows, who is in them, and how they nest. */
import { departments } from "./cultures.ts";
import { groupKind, groupTypesOf, isDynamic, type Properties } from "./entra-rules.ts";
import type { DirectorySpec } from "./generator.ts";
import { type MembershipRule, parseRule, ruleText, satisfies } from "./membership-rule.ts";
import { guidOf, type Random, randomOf } from "./random.ts";
import type { MemberType, SimGroup, SimUser } from "./state.ts";

interface Identity {
  name: string;
  nickname: string;
  address: string;
}

interface Blueprint {
  weight: number;
  properties(identity: Identity, random: Random): Properties;
  /** Whom it holds: some people, most people, nobody, or people and other objects. */
  holds: "some" | "most" | "nobody" | "things";
  nests?: boolean;
}

const base = ({ name, nickname }: Identity): Properties => ({
  displayName: name,
  description: `${name} – ${nickname}`,
  mailNickname: nickname,
  createdDateTime: "2021-03-04T09:30:00Z",
});

const mailed = ({ address }: Identity): Properties => ({
  mail: address,
  proxyAddresses: [`SMTP:${address}`],
  mailEnabled: true,
});

const security = (identity: Identity): Properties => ({
  ...base(identity),
  mail: null,
  mailEnabled: false,
  securityEnabled: true,
  groupTypes: [],
  visibility: null,
  proxyAddresses: [],
});

const microsoft365 = (identity: Identity): Properties => ({
  ...base(identity),
  ...mailed(identity),
  securityEnabled: false,
  groupTypes: ["Unified"],
  visibility: "Public",
  resourceProvisioningOptions: ["Team"],
});

const exchange = (identity: Identity, securityEnabled: boolean): Properties => ({
  ...base(identity),
  ...mailed(identity),
  securityEnabled,
  groupTypes: [],
});

const dynamic = (properties: Properties, rule: MembershipRule): Properties => ({
  ...properties,
  groupTypes: [...groupTypesOf(properties), "DynamicMembership"],
  membershipRule: ruleText(rule),
  membershipRuleProcessingState: "On",
});

/** A directory of at least this many groups has each of them; the order puts the most telling ones into small directories. */
const blueprints: Blueprint[] = [
  {
    weight: 0,
    holds: "most",
    properties: (identity) => ({ ...security(identity), displayName: "Alle Beschäftigten" }),
  },
  { weight: 30, holds: "some", properties: microsoft365 },
  { weight: 6, holds: "some", nests: true, properties: security },
  { weight: 30, holds: "some", properties: security },
  {
    weight: 0,
    holds: "nobody",
    properties: (identity) => dynamic(security(identity), [{ property: "department", value: "Sales" }]),
  },
  { weight: 4, holds: "some", nests: true, properties: (identity) => exchange(identity, true) },
  { weight: 4, holds: "some", nests: true, properties: (identity) => exchange(identity, false) },
  {
    weight: 2,
    holds: "some",
    properties: (identity) => ({ ...microsoft365(identity), visibility: "HiddenMembership" }),
  },
  { weight: 4, holds: "nobody", properties: security },
  { weight: 3, holds: "things", properties: security },
  {
    weight: 2,
    holds: "some",
    properties: (identity) => ({ ...security(identity), visibility: "Private", isAssignableToRole: true }),
  },
  {
    weight: 8,
    holds: "some",
    properties: (identity) => ({
      ...security(identity),
      onPremisesSyncEnabled: true,
      onPremisesSamAccountName: identity.nickname,
      onPremisesLastSyncDateTime: "2026-01-02T03:04:05Z",
    }),
  },
  {
    weight: 3,
    holds: "nobody",
    properties: (identity, random) =>
      dynamic({ ...microsoft365(identity), visibility: "Private" }, [
        { property: "department", value: random.pick(departments) },
        { property: "usageLocation", value: random.pick(["DE", "FR", "DK", "JP"]) },
      ]),
  },
  { weight: 3, holds: "some", properties: (identity) => ({ ...microsoft365(identity), securityEnabled: true }) },
  { weight: 1, holds: "nobody", properties: microsoft365 },
  // what an old or carelessly written object looks like
  {
    weight: 1,
    holds: "some",
    properties: ({ name, nickname }) => ({
      displayName: name,
      mailNickname: nickname,
      mailEnabled: false,
      securityEnabled: true,
      groupTypes: [],
    }),
  },
  { weight: 1, holds: "some", properties: (identity) => ({ ...security(identity), description: "  " }) },
  {
    weight: 1,
    holds: "some",
    properties: (identity) => ({ ...security(identity), description: "", onPremisesSyncEnabled: false }),
  },
];

const wordings = [
  "Projekt %",
  "Équipe %",
  "Standort %",
  "Zespół %",
  "فريق %",
  "צוות %",
  "%プロジェクト",
  "%小组",
  "ทีม %",
  "Crew % 🧭",
];

function fill(
  group: SimGroup,
  holds: Blueprint["holds"],
  users: SimUser[],
  random: Random,
  foreignId: (index: number) => string,
): void {
  if (holds === "nobody") return;
  if (holds === "most") {
    for (const { id } of users) if (random.chance(0.6)) group.members.set(id, "user");
    return;
  }
  // mostly small, sometimes a fifth of the people, never beyond 400
  const size = 1 + Math.floor(Math.min(users.length / 5, 400) * (random.below(1000) / 1000) ** 3);
  for (let index = 0; index < size; index++) group.members.set(random.pick(users).id, "user");
  if (holds === "things") {
    const types: MemberType[] = ["device", "servicePrincipal", "orgContact"];
    for (const [index, type] of types.entries()) group.members.set(foreignId(index), type);
  }
}

function link(parent: SimGroup | undefined, child: SimGroup | undefined): void {
  if (parent && child && parent !== child) parent.members.set(child.id, "group");
}

/** Chance links each nesting group to a few others; a pair and a triangle of groups that hold each other are certain. */
function nest(groups: SimGroup[], nesting: SimGroup[], random: Random): void {
  const candidates = groups.filter(
    ({ properties }) =>
      groupKind(properties) !== "microsoft-365" &&
      properties.securityEnabled === true &&
      properties.isAssignableToRole !== true &&
      !isDynamic(properties),
  );
  for (const parent of nesting) {
    for (let index = random.below(4); index >= 0; index--) link(parent, random.pick(candidates));
  }
  const plain = candidates.filter((group) => group.members.size > 0 && group.properties.mailEnabled === false).slice(1);
  const [a, b, c, d] = plain;
  link(a, b);
  link(b, a);
  link(b, c);
  link(c, d);
  link(d, b);
}

/** Puts everybody who satisfies a dynamic group's rule into it, in one walk over the people; every rule names a department. */
function fillDynamic(groups: SimGroup[], users: SimUser[]): void {
  const byDepartment = Map.groupBy(
    groups.flatMap(({ members, properties }) => {
      const rule = isDynamic(properties) ? parseRule(properties.membershipRule) : null;
      return rule ? [{ rule, members }] : [];
    }),
    ({ rule }) => rule[0]?.value,
  );
  for (const { id, properties } of users) {
    const { department } = properties;
    if (typeof department !== "string") continue;
    for (const { rule, members } of byDepartment.get(department) ?? [])
      if (satisfies(rule, properties)) members.set(id, "user");
  }
}

export function generateGroups({ seed, groups: count, domain }: DirectorySpec, users: SimUser[]): SimGroup[] {
  const random = randomOf(domain, seed, "groups");
  const nesting: SimGroup[] = [];
  const groups: SimGroup[] = [];
  for (let index = 0; index < count; index++) {
    const blueprint = blueprints[index] ?? random.weighted(blueprints);
    const namesake =
      index === blueprints.length || random.chance(0.02) ? groups.at(-1)?.properties.displayName : undefined;
    const { city } = random.pick(users).properties;
    const place = typeof city === "string" ? city : "Nord";
    const name = `${random.pick(wordings).replace("%", place)} ${random.below(90) + 10}`;
    const nickname = `grp-${seed.toString(36)}-${index.toString(36)}`;
    const identity = {
      name: typeof namesake === "string" ? namesake : name,
      nickname,
      address: `${nickname}@${domain}`,
    };
    const group: SimGroup = {
      id: guidOf(domain, seed, "group", index),
      properties: blueprint.properties(identity, random),
      members: new Map(),
    };
    fill(group, blueprint.holds, users, random, (item) => guidOf(domain, seed, "member object", index, item));
    if (blueprint.nests) nesting.push(group);
    groups.push(group);
  }
  fillDynamic(groups, users);
  nest(groups, nesting, random);
  return groups;
}
