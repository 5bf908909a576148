/**
 * What a correct sync must hold. It depends on what the sync saw: an empty value never overwrites data, so what counts is
 * every state of the directory at which a run was completed, in order. The oracle is shown each of them and keeps the sum.
 */
import { hidesMembership, type Properties } from "./entra-rules.ts";
import {
  admittedPeople,
  consultedGroups,
  isEmpty,
  isPerson,
  membersOf,
  type OracleScope,
  type OracleSettings,
  productGroups,
  shownGroups,
} from "./oracle-rules.ts";
import { personalTexts } from "./personal-strings.ts";
import type { DirectoryState, SimGroup, SimUser } from "./state.ts";

export const userAttributes = [
  "displayName",
  "givenName",
  "surname",
  "mail",
  "userPrincipalName",
  "jobTitle",
  "department",
  "companyName",
  "officeLocation",
  "mobilePhone",
  "businessPhones",
  "employeeId",
  "employeeType",
  "usageLocation",
  "preferredLanguage",
  "streetAddress",
  "city",
  "state",
  "postalCode",
  "country",
  "accountEnabled",
  "userType",
  "otherMails",
  "proxyAddresses",
] as const;

export const groupAttributes = [
  "displayName",
  "description",
  "mail",
  "mailEnabled",
  "mailNickname",
  "securityEnabled",
  "groupTypes",
  "visibility",
  "isAssignableToRole",
  "onPremisesSyncEnabled",
] as const;

export { isEmpty } from "./oracle-rules.ts";

export interface ExpectedPerson {
  /** Active is also who has left and is kept; removed has nothing left but the fact. */
  state: "active" | "deactivated" | "removed";
  /** Filled fields only, under their names in the product. */
  attributes: Properties;
  /** Object id of the manager, while that is an active person. */
  manager: string | null;
}

export interface ExpectedGroup {
  attributes: Properties;
  /** Object ids of active people who are members directly. */
  members: ReadonlySet<string>;
  /** Those among the shown groups. */
  childGroups: ReadonlySet<string>;
  /** The members are hidden from the sync, so both lists are empty whoever is in the group. */
  membersHidden: boolean;
}

export interface ExpectedView {
  people: Map<string, ExpectedPerson>;
  /** Groups that are shown as themselves, by object id. */
  groups: Map<string, ExpectedGroup>;
  /** Groups of the product with the members of those that stand for them, by product group id. */
  productGroups: Map<string, ReadonlySet<string>>;
  /** Groups of whom nothing but the id is held: people are chosen by them, or they stand for a group of the product. */
  filters: ReadonlySet<string>;
  /**
   * People who are kept although Entra ID no longer has them. What it says of their memberships and reports from then on is left
   * to chance: they are nobody's manager and in no group here, and a comparison leaves them out as well.
   */
  departed: ReadonlySet<string>;
}

interface PersonHistory {
  state: ExpectedPerson["state"];
  /** When the run saw that the person no longer belongs to the scope; null while he does. */
  leftAt: number | null;
  /** No longer in Entra ID. */
  gone: boolean;
  attributes: Properties;
  managerId: string | null;
}

interface GroupHistory {
  attributes: Properties;
  people: string[];
  childGroups: string[];
  membersHidden: boolean;
}

/** Everything observed so far, by object id. */
export interface OracleHistory {
  /** Everybody who was ever admitted. */
  people: ReadonlyMap<string, PersonHistory>;
  groups: ReadonlyMap<string, GroupHistory>;
  productGroups: ReadonlyMap<string, ReadonlySet<string>>;
  filters: ReadonlySet<string>;
  /** Personal strings that were in the directory when it was observed, and the objects they were seen in. */
  observed: ReadonlyMap<string, ReadonlySet<string>>;
}

/** `admits`: everybody but AI-agent accounts by default. Who is no longer admitted counts as having left the scope. */
export type OracleOptions = Partial<OracleScope>;

export interface Oracle {
  readonly history: OracleHistory;
  /** What holds from the next observation on. */
  use(change: OracleOptions): void;
  /** To be called with the directory as a completed run saw it. `at`: when that was, ms. */
  observe(directory: DirectoryState, at?: number): void;
  /** To be called when those who left long enough ago are to be removed. */
  retire(at: number): void;
  view(): ExpectedView;
}

/** Everybody, every group, and every default attribute under its own name. */
export const everything: OracleSettings = {
  people: {
    from: "everybody",
    groups: [],
    membership: "nested",
    kinds: { members: true, guests: true, disabled: true, withoutMail: true },
    oneByOne: false,
  },
  groups: {
    include: true,
    kinds: { microsoft365: true, security: true, mailEnabledSecurity: true, distribution: true },
    mapping: [],
    unmapped: "import",
  },
  attributes: Object.fromEntries(userAttributes.map((name) => [name, { from: name, clear: false }])),
  leaving: { rule: "deactivate", afterDays: 30 },
};

const millisecondsADay = 86_400_000;

export function createOracle(options: OracleOptions = {}): Oracle {
  let scope: OracleScope = {
    settings: everything,
    blacklist: [],
    markers: new Map(),
    readsHiddenMembership: false,
    admits: isPerson,
    ...options,
  };
  const people = new Map<string, PersonHistory>();
  const groups = new Map<string, GroupHistory>();
  const products = new Map<string, ReadonlySet<string>>();
  const filters = new Set<string>();
  /** Under which the last observation was made. */
  let attributes: OracleSettings["attributes"] = {};
  const observed = new Map<string, Set<string>>();
  const history: OracleHistory = { people, groups, productGroups: products, filters, observed };

  function note({ id, properties }: SimUser | SimGroup): void {
    for (const text of personalTexts(properties)) {
      const holders = observed.get(text);
      if (holders) holders.add(id);
      else observed.set(text, new Set([id]));
    }
  }

  function observePeople(directory: DirectoryState, at: number): void {
    const admitted = admittedPeople(directory, scope);
    for (const [id, person] of people) {
      person.gone = !directory.users.has(id);
      if (admitted.has(id)) continue;
      person.leftAt ??= at;
      if (person.state === "active" && scope.settings.leaving.rule !== "keep") person.state = "deactivated";
    }
    const rules = Object.entries(scope.settings.attributes).map(([name, { from, clear }]) => {
      const before = attributes[name];
      // What another property gave is no former value of this one.
      return { name, from, clear: clear || (before !== undefined && before.from !== from) };
    });
    for (const user of directory.users.values()) {
      note(user);
      if (!admitted.has(user.id)) continue;
      const known = people.get(user.id)?.attributes ?? {};
      const fields = overlay(known, user.properties, rules);
      people.set(user.id, {
        state: "active",
        leftAt: null,
        gone: false,
        attributes: fields,
        managerId: user.managerId,
      });
    }
    attributes = scope.settings.attributes;
  }

  function observeGroups(directory: DirectoryState): void {
    for (const group of directory.groups.values()) note(group);
    const before = new Map(groups);
    groups.clear();
    const fields = groupAttributes.map((name) => ({ name, from: name, clear: false }));
    for (const group of shownGroups(directory, scope)) {
      groups.set(group.id, {
        attributes: overlay(before.get(group.id)?.attributes ?? {}, group.properties, fields),
        people: membersOf(group, "user", scope),
        childGroups: membersOf(group, "group", scope),
        membersHidden: hidesMembership(group.properties) && !scope.readsHiddenMembership,
      });
    }
    products.clear();
    for (const [id, members] of productGroups(directory, scope)) products.set(id, members);
    filters.clear();
    for (const { id } of consultedGroups(directory, scope)) if (!groups.has(id)) filters.add(id);
  }

  return {
    history,
    use(change) {
      scope = { ...scope, ...change };
    },
    observe(directory, at = 0) {
      observePeople(directory, at);
      observeGroups(directory);
    },
    retire(at) {
      const { rule, afterDays } = scope.settings.leaving;
      for (const person of people.values()) {
        if (rule !== "remove" || person.state !== "deactivated" || person.leftAt === null) continue;
        if (at - person.leftAt < afterDays * millisecondsADay) continue;
        Object.assign(person, { state: "removed", attributes: {}, managerId: null });
      }
    },
    view: () => expectedView(history),
  };
}

interface FieldRule {
  name: string;
  from: string;
  clear: boolean;
}

/** An empty value replaces data only where the field is to be cleared. */
function overlay(known: Properties, seen: Properties, fields: readonly FieldRule[]): Properties {
  const merged: Properties = {};
  for (const { name, from, clear } of fields) {
    const value = isEmpty(seen[from]) && !clear ? known[name] : seen[from];
    if (!isEmpty(value)) merged[name] = value;
  }
  return merged;
}

export function expectedView({ people, groups, productGroups: products, filters }: OracleHistory): ExpectedView {
  const counts = (id: string): boolean => people.get(id)?.state === "active" && !people.get(id)?.gone;
  return {
    people: new Map(
      [...people].map(([id, { state, attributes, managerId }]): [string, ExpectedPerson] => {
        const manager = managerId !== null && counts(managerId) ? managerId : null;
        return [id, { state, attributes, manager }];
      }),
    ),
    groups: new Map(
      [...groups].map(([id, { attributes, membersHidden, ...edges }]) => [
        id,
        {
          attributes,
          members: new Set(edges.people.filter(counts)),
          childGroups: new Set(edges.childGroups.filter((child) => groups.has(child))),
          membersHidden,
        },
      ]),
    ),
    productGroups: new Map([...products].map(([id, members]) => [id, new Set([...members].filter(counts))])),
    filters: new Set(filters),
    departed: new Set([...people].flatMap(([id, { state, gone }]) => (state === "active" && gone ? [id] : []))),
  };
}
