/**
 * What the settings of a connection mean for a directory, said as plainly as it can be: everything is looked at, nothing is
 * remembered, and no line is shared with the sync that is judged by it.
 */
import { groupKind, hidesMembership, type Properties } from "./entra-rules.ts";
import type { DirectoryState, MemberType, SimGroup, SimUser } from "./state.ts";

export interface OracleSettings {
  people: {
    from: "everybody" | "groups";
    groups: readonly string[];
    membership: "direct" | "nested";
    kinds: { members: boolean; guests: boolean; disabled: boolean; withoutMail: boolean };
    oneByOne: boolean;
  };
  groups: {
    include: boolean;
    kinds: { microsoft365: boolean; security: boolean; mailEnabledSecurity: boolean; distribution: boolean };
    mapping: readonly { group: string; productGroup: string }[];
    unmapped: "import" | "leave-out";
  };
  /** Field of the product -> Graph property. */
  attributes: Readonly<Record<string, { from: string; clear: boolean }>>;
  leaving: { rule: "keep" | "deactivate" | "remove"; afterDays: number };
}

/** What somebody decided about one person by hand, by object id. */
export type OracleMarkers = ReadonlyMap<string, "enabled" | "excluded" | "erased">;

export interface OracleScope {
  settings: OracleSettings;
  /** Addresses and `*@domain`. */
  blacklist: readonly string[];
  markers: OracleMarkers;
  readsHiddenMembership: boolean;
  /** Whom the sync may admit at all. */
  admits: (user: SimUser) => boolean;
}

/** `false` and `0` are data. */
export const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (typeof value === "string" && value.trim() === "") ||
  (Array.isArray(value) && value.length === 0);

/** AI-agent accounts are listed among the users, but they are nobody. */
export const isPerson = (user: SimUser): boolean => user.properties["@odata.type"] !== "#microsoft.graph.agentUser";

const lower = (value: unknown): string => (typeof value === "string" ? value.trim().toLowerCase() : "");
const texts = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** Where Entra never said what an account is, its sign-in name tells. */
const isGuest = ({ userType, userPrincipalName }: Properties): boolean =>
  isEmpty(userType) ? lower(userPrincipalName).includes("#ext#@") : lower(userType) === "guest";

const isListed = (
  { mail, userPrincipalName, otherMails, proxyAddresses }: Properties,
  blacklist: readonly string[],
) => {
  const aliases = texts(proxyAddresses)
    .map(lower)
    .filter((text) => text.startsWith("smtp:"));
  const names = [lower(mail), lower(userPrincipalName)];
  const addresses = [...names, ...texts(otherMails).map(lower), ...aliases.map((text) => text.slice("smtp:".length))];
  return blacklist
    .map(lower)
    .some((entry) =>
      entry.startsWith("*@") ? names.some((name) => name.endsWith(entry.slice(1))) : addresses.includes(entry),
    );
};

/** By what is known of the person alone; groups are asked elsewhere. */
const isWanted = ({ id, properties }: SimUser, { settings, blacklist, markers }: OracleScope): boolean => {
  const { kinds, oneByOne } = settings.people;
  const marker = markers.get(id);
  if (marker === "excluded" || marker === "erased") return false;
  if (oneByOne && marker !== "enabled") return false;
  if (isGuest(properties) ? !kinds.guests : !kinds.members) return false;
  if (properties.accountEnabled === false && !kinds.disabled) return false;
  if (isEmpty(properties.mail) && !kinds.withoutMail) return false;
  return !isListed(properties, blacklist);
};

/** Members as the sync can see them. */
export const membersOf = (
  group: SimGroup,
  type: MemberType,
  { readsHiddenMembership }: Pick<OracleScope, "readsHiddenMembership">,
): string[] =>
  hidesMembership(group.properties) && !readsHiddenMembership
    ? []
    : [...group.members].flatMap(([id, memberType]) => (memberType === type ? [id] : []));

/** The groups of these that exist and, where nested ones count, those in them at any depth. */
const groupsWithin = (directory: DirectoryState, roots: readonly string[], scope: OracleScope): SimGroup[] => {
  const found = new Set<SimGroup>();
  const visit = (id: string): void => {
    const group = directory.groups.get(id);
    if (!group || found.has(group)) return;
    found.add(group);
    if (scope.settings.people.membership === "nested")
      for (const child of membersOf(group, "group", scope)) visit(child);
  };
  for (const id of roots) visit(id);
  return [...found];
};

const peopleWithin = (directory: DirectoryState, roots: readonly string[], scope: OracleScope): Set<string> =>
  new Set(groupsWithin(directory, roots, scope).flatMap((group) => membersOf(group, "user", scope)));

export const admittedPeople = (directory: DirectoryState, scope: OracleScope): Set<string> => {
  const { from, groups } = scope.settings.people;
  const wanted = [...directory.users.values()].filter((user) => scope.admits(user) && isWanted(user, scope));
  const ids = wanted.map(({ id }) => id);
  if (from === "everybody") return new Set(ids);
  const members = peopleWithin(directory, groups, scope);
  return new Set(ids.filter((id) => members.has(id)));
};

const kindNames = {
  "microsoft-365": "microsoft365",
  security: "security",
  "mail-enabled-security": "mailEnabledSecurity",
  distribution: "distribution",
} as const;

/** Groups that come into the product as themselves. */
export const shownGroups = (directory: DirectoryState, scope: OracleScope): SimGroup[] => {
  const { people, groups } = scope.settings;
  if (!groups.include || groups.unmapped === "leave-out") return [];
  const mapped = new Set(groups.mapping.map(({ group }) => group));
  const candidates =
    people.from === "everybody" ? [...directory.groups.values()] : groupsWithin(directory, people.groups, scope);
  return candidates.filter(({ id, properties }) => !mapped.has(id) && groups.kinds[kindNames[groupKind(properties)]]);
};

/** Product group -> who is in one of the groups that stand for it; without those of whose groups none exists. */
export const productGroups = (directory: DirectoryState, scope: OracleScope): Map<string, Set<string>> => {
  const { include, mapping } = scope.settings.groups;
  const found = new Map<string, Set<string>>();
  if (!include) return found;
  for (const { group, productGroup } of mapping) {
    if (!directory.groups.has(group)) continue;
    const others = found.get(productGroup) ?? [];
    found.set(productGroup, new Set([...others, ...peopleWithin(directory, [group], scope)]));
  }
  return found;
};

/** Groups that matter for more than themselves: people are chosen by them, or they stand for a group of the product. */
export const consultedGroups = (directory: DirectoryState, scope: OracleScope): SimGroup[] => {
  const { people, groups } = scope.settings;
  const chosen = people.from === "groups" ? people.groups : [];
  const mapped = groups.include ? groups.mapping.map(({ group }) => group) : [];
  return groupsWithin(directory, [...chosen, ...mapped], scope);
};
