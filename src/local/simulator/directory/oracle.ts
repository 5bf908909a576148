/**
 * What a correct sync must hold. It depends on what the sync saw: an empty value never overwrites data, so what counts is
 * every state of the directory at which a run was completed, in order. The oracle is shown each of them and keeps the sum.
 */
import { hidesMembership, type Properties } from "./entra-rules.ts";
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

export interface ExpectedPerson {
  state: "active" | "deactivated";
  /** Filled attributes only, under their Graph names. */
  attributes: Properties;
  /** Object id of the manager, while that is an active person. */
  manager: string | null;
}

export interface ExpectedGroup {
  attributes: Properties;
  /** Object ids of active people who are members directly. */
  members: ReadonlySet<string>;
  childGroups: ReadonlySet<string>;
  /** The members are hidden from the sync, so both lists are empty whoever is in the group. */
  membersHidden: boolean;
}

export interface ExpectedView {
  people: Map<string, ExpectedPerson>;
  groups: Map<string, ExpectedGroup>;
}

interface PersonHistory {
  active: boolean;
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
  people: ReadonlyMap<string, PersonHistory>;
  groups: ReadonlyMap<string, GroupHistory>;
  /** Personal strings that were observed once and are in nobody's record any more. */
  former: ReadonlySet<string>;
}

export interface OracleOptions {
  /** Whom the sync's scope admits; everybody but AI-agent accounts by default. Who is no longer admitted counts as gone. */
  admits?: (user: SimUser) => boolean;
  /** The sync holds Member.Read.Hidden. */
  readsHiddenMembership?: boolean;
}

export interface Oracle {
  readonly history: OracleHistory;
  /** To be called with the directory as a completed run saw it. */
  observe(directory: DirectoryState): void;
  view(): ExpectedView;
}

/** AI-agent accounts are listed among the users, but they are nobody. */
const isPerson = (user: SimUser): boolean => user.properties["@odata.type"] !== "#microsoft.graph.agentUser";

/** `false` and `0` are data. */
export const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (typeof value === "string" && value.trim() === "") ||
  (Array.isArray(value) && value.length === 0);

export function createOracle({ admits = isPerson, readsHiddenMembership = false }: OracleOptions = {}): Oracle {
  const people = new Map<string, PersonHistory>();
  const groups = new Map<string, GroupHistory>();
  const former = new Set<string>();
  const history = { people, groups, former };

  function overlay(known: Properties, seen: Properties, names: readonly string[]): Properties {
    const merged: Properties = {};
    for (const name of names) {
      const value = isEmpty(seen[name]) ? known[name] : seen[name];
      if (value !== known[name]) for (const text of personalTexts({ [name]: known[name] })) former.add(text);
      if (value !== undefined) merged[name] = value;
    }
    return merged;
  }

  function observePerson({ id, properties, managerId }: SimUser): void {
    const attributes = overlay(people.get(id)?.attributes ?? {}, properties, userAttributes);
    people.set(id, { active: true, attributes, managerId });
  }

  function observeGroup({ id, properties, members }: SimGroup): void {
    const membersHidden = hidesMembership(properties) && !readsHiddenMembership;
    const visible = membersHidden ? [] : [...members];
    const ofType = (type: string): string[] =>
      visible.flatMap(([member, memberType]) => (memberType === type ? [member] : []));
    groups.set(id, {
      attributes: overlay(groups.get(id)?.attributes ?? {}, properties, groupAttributes),
      people: ofType("user"),
      childGroups: ofType("group"),
      membersHidden,
    });
  }

  return {
    history,
    observe(directory) {
      for (const [id, person] of people) {
        const user = directory.users.get(id);
        if (!user || !admits(user)) person.active = false;
      }
      for (const user of directory.users.values()) if (admits(user)) observePerson(user);
      for (const [id, { attributes }] of groups) {
        if (directory.groups.has(id)) continue;
        groups.delete(id);
        for (const text of personalTexts(attributes)) former.add(text);
      }
      for (const group of directory.groups.values()) observeGroup(group);
    },
    view: () => expectedView(history),
  };
}

export function expectedView({ people, groups }: OracleHistory): ExpectedView {
  const isActive = (id: string): boolean => people.get(id)?.active === true;
  return {
    people: new Map(
      [...people].map(([id, { active, attributes, managerId }]) => {
        const manager = managerId !== null && isActive(managerId) ? managerId : null;
        return [id, { state: active ? "active" : "deactivated", attributes, manager }];
      }),
    ),
    groups: new Map(
      [...groups].map(([id, { attributes, membersHidden, ...edges }]) => [
        id,
        {
          attributes,
          members: new Set(edges.people.filter(isActive)),
          childGroups: new Set(edges.childGroups.filter((child) => groups.has(child))),
          membersHidden,
        },
      ]),
    ),
  };
}

/** What names or reaches a person, and what groups are called. */
const personalProperties = new Set([
  "displayName",
  "givenName",
  "surname",
  "mail",
  "userPrincipalName",
  "mailNickname",
  "mobilePhone",
  "businessPhones",
  "otherMails",
  "proxyAddresses",
  "streetAddress",
  "employeeId",
]);

function* personalTexts(properties: Properties): Iterable<string> {
  for (const [name, value] of Object.entries(properties)) {
    if (!personalProperties.has(name)) continue;
    for (const text of Array.isArray(value) ? value : [value]) if (typeof text === "string") yield text;
  }
}

/**
 * Every personal string there ever was: laid down, written by a change, or observed. Shorter ones than `minimumLength`
 * (in UTF-16 units) are left out, because they turn up in ciphertext by chance.
 */
export function personalStrings(directory: DirectoryState, history: OracleHistory, minimumLength = 5): Set<string> {
  const found = new Set<string>(history.former);
  const note = (properties: Properties, personId?: string): void => {
    for (const text of personalTexts(properties)) found.add(text);
    if (personId !== undefined) found.add(personId);
  };
  for (const { id, properties } of directory.users.values()) note(properties, id);
  for (const { id, properties } of directory.deletedUsers.values()) note(properties, id);
  for (const { properties } of directory.groups.values()) note(properties);
  for (const { properties } of directory.deletedGroups.values()) note(properties);
  for (const [id, { attributes }] of history.people) note(attributes, id);
  for (const { attributes } of history.groups.values()) note(attributes);
  for (const { mutation } of directory.changesBetween(0, directory.sequence)) {
    if (mutation.op === "create-user") note(mutation.user.properties, mutation.user.id);
    else if (mutation.op === "create-group") note(mutation.group.properties);
    else if (mutation.op === "update-user" || mutation.op === "update-group") note(mutation.set);
  }
  return new Set([...found].filter((text) => text.trim().length >= minimumLength));
}
