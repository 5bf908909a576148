/** Users, groups, memberships and deleted items as plain reads show them. */
import { hidesMembership } from "../directory/entra-rules.ts";
import type { MemberType, SimGroup, SimUser } from "../directory/state.ts";
import { type Call, contextOf, type Reply, requireRight } from "./call.ts";
import { badRequest, resourceNotFound, unsupportedQuery } from "./errors.ts";
import { typeAnnotation } from "./feed-index.ts";
import { isAdvanced, largestPage, listed } from "./listing.ts";
import { rights } from "./permissions.ts";
import {
  directoryObjectType,
  type EntityType,
  groupType,
  organizationType,
  readProjection,
  selected,
  userType,
} from "./properties.ts";
import { refuseOptions } from "./query.ts";

/** `$top` on a collection of users when `signInActivity` is asked for. */
const largestPageWithSignIns = 500;
const objectId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const explicitNames = (call: Call, names: readonly string[]): readonly string[] | null =>
  call.query.$select === undefined ? null : names;

const selection = (call: Call, type: EntityType, place: "collection" | "single"): string[] => {
  const names = selected(call.query.$select ?? null, type, place);
  if (names.includes("signInActivity")) requireRight(call, rights.signInActivity);
  return names;
};

export const organization = (call: Call): Reply => {
  const names = selection(call, organizationType, "collection");
  const { tenant } = call;
  const properties = {
    displayName: tenant.displayName,
    tenantType: "AAD",
    countryLetterCode: "DE",
    verifiedDomains: tenant.verifiedDomains.map((name, at) => ({
      capabilities: "Email, OfficeCommunicationsOnline",
      isDefault: at === 0,
      isInitial: name.endsWith(".onmicrosoft.com"),
      name,
      type: "Managed",
    })),
  };
  return {
    body: {
      "@odata.context": contextOf(call, "organization", explicitNames(call, names)),
      value: [readProjection(organizationType, tenant.tid, properties, names)],
    },
  };
};

export const users = (call: Call): Reply => {
  const names = selection(call, userType, "collection");
  const expanded = expandsManager(call);
  const { users: live } = call.tenant.directory;
  return listed(call, {
    context: contextOf(call, "users", explicitNames(call, names)),
    type: userType,
    largestPage: names.includes("signInActivity") ? largestPageWithSignIns : largestPage,
    searchable: true,
    after: (last) => call.index.ids("users").after(last),
    find: (id) => {
      const user = live.get(id);
      return user && { properties: user.properties, entry: () => userEntry(call, user, names, expanded) };
    },
  });
};

export const user = (call: Call): Reply => {
  const found = findUser(call, call.parameters[0] ?? "");
  const names = selection(call, userType, "single");
  return {
    body: {
      "@odata.context": contextOf(call, "users", explicitNames(call, names), true),
      ...userEntry(call, found, names, expandsManager(call)),
    },
  };
};

export const managerOf = (call: Call): Reply => {
  const found = findUser(call, call.parameters[0] ?? "");
  const manager = found.managerId === null ? undefined : call.tenant.directory.users.get(found.managerId);
  if (!manager) throw resourceNotFound("manager");
  const names = selection(call, userType, "single");
  return {
    body: {
      "@odata.context": contextOf(call, "directoryObjects", null, true),
      "@odata.type": typeAnnotation("user"),
      ...readProjection(userType, manager.id, manager.properties, names),
    },
  };
};

export const groups = (call: Call): Reply => {
  refuseOptions(call.query, ["$expand"], "on groups by the simulator");
  const names = selection(call, groupType, "collection");
  const { groups: live } = call.tenant.directory;
  return listed(call, {
    context: contextOf(call, "groups", explicitNames(call, names)),
    type: groupType,
    largestPage,
    searchable: true,
    after: (last) => call.index.ids("groups").after(last),
    find: (id) => {
      const group = live.get(id);
      return (
        group && { properties: group.properties, entry: () => readProjection(groupType, id, group.properties, names) }
      );
    },
  });
};

export const group = (call: Call): Reply => {
  refuseOptions(call.query, ["$expand"], "on groups by the simulator");
  const found = findGroup(call, call.parameters[0] ?? "");
  const names = selection(call, groupType, "single");
  return {
    body: {
      "@odata.context": contextOf(call, "groups", explicitNames(call, names), true),
      ...readProjection(groupType, found.id, found.properties, names),
    },
  };
};

export const members = (call: Call): Reply => {
  const found = findGroup(call, call.parameters[0] ?? "");
  const cast = castType(call, call.parameters[1]);
  const names = selection(call, cast ? entityTypeOf(cast) : directoryObjectType, "collection");
  const hidden = hidesMembership(found.properties) && !call.roles.has(rights.hiddenMembers);
  const ids = hidden ? [] : call.index.members(found);
  return listed(call, {
    context: contextOf(call, cast === "user" ? "users" : "directoryObjects", explicitNames(call, names)),
    type: cast ? entityTypeOf(cast) : directoryObjectType,
    largestPage,
    after: (last) => (last === null ? ids : ids.filter((id) => id > last)),
    find: (id) => {
      const type = found.members.get(id);
      if (type === undefined || (cast && type !== cast)) return undefined;
      // in the deleted items: still a member, but not shown here
      if (type === "user" && !call.tenant.directory.users.has(id)) return undefined;
      return { properties: propertiesOf(call, id, type), entry: () => relatedEntry(call, id, type, names) };
    },
  });
};

export const memberOf = (call: Call): Reply =>
  containing(call, (id) => [...call.tenant.directory.groupsOf(id)].filter((each) => isVisible(call, each)));

/** Groups that contain the user directly or through other groups; no way leads through a group whose members are hidden. */
export const transitiveMemberOf = (call: Call): Reply =>
  containing(call, (id) => {
    const found = new Set<string>();
    const open = [id];
    for (let member = open.pop(); member !== undefined; member = open.pop()) {
      for (const each of call.tenant.directory.groupsOf(member)) {
        if (found.has(each) || !isVisible(call, each)) continue;
        found.add(each);
        open.push(each);
      }
    }
    return [...found];
  });

const isVisible = (call: Call, groupId: string): boolean => {
  const found = call.tenant.directory.groups.get(groupId);
  return found !== undefined && (!hidesMembership(found.properties) || call.roles.has(rights.hiddenMembers));
};

const containing = (call: Call, groupsOf: (userId: string) => string[]): Reply => {
  const names = selection(call, directoryObjectType, "collection");
  const { groups: live } = call.tenant.directory;
  const ids = groupsOf(findUser(call, call.parameters[0] ?? "").id).toSorted();
  return listed(call, {
    context: contextOf(call, "directoryObjects", explicitNames(call, names)),
    type: directoryObjectType,
    largestPage,
    after: (last) => (last === null ? ids : ids.filter((id) => id > last)),
    find: (id) => {
      const found = live.get(id);
      return found && { properties: found.properties, entry: () => relatedEntry(call, id, "group", names) };
    },
  });
};

export const deletedUsers = (call: Call): Reply => {
  requireRight(call, rights.users);
  const names = selection(call, userType, "collection");
  const { deletedUsers: deleted } = call.tenant.directory;
  const ids = [...deleted.keys()].toSorted();
  return listed(call, {
    context: contextOf(call, "users", explicitNames(call, names)),
    type: userType,
    largestPage,
    after: (last) => (last === null ? ids : ids.filter((id) => id > last)),
    find: (id) => {
      const found = deleted.get(id);
      return found && { properties: found.properties, entry: () => deletedUserEntry(found, names) };
    },
  });
};

export const deletedGroups = (call: Call): Reply => {
  requireRight(call, rights.groups);
  const names = selection(call, groupType, "collection");
  const { deletedGroups: deleted } = call.tenant.directory;
  const ids = [...deleted.keys()].toSorted();
  return listed(call, {
    context: contextOf(call, "groups", explicitNames(call, names)),
    type: groupType,
    largestPage,
    after: (last) => (last === null ? ids : ids.filter((id) => id > last)),
    find: (id) => {
      const found = deleted.get(id);
      return found && { properties: found.properties, entry: () => deletedGroupEntry(found, names) };
    },
  });
};

export const deletedItem = (call: Call): Reply => {
  const id = (call.parameters[0] ?? "").toLowerCase();
  const { deletedUsers: people, deletedGroups: teams } = call.tenant.directory;
  const person = people.get(id);
  const team = teams.get(id);
  const context = { "@odata.context": contextOf(call, "directoryObjects", null, true) };
  if (person) {
    requireRight(call, rights.users);
    const entry = deletedUserEntry(person, selection(call, userType, "single"));
    return { body: { ...context, "@odata.type": typeAnnotation("user"), ...entry } };
  }
  if (team) {
    requireRight(call, rights.groups);
    const entry = deletedGroupEntry(team, selection(call, groupType, "single"));
    return { body: { ...context, "@odata.type": typeAnnotation("group"), ...entry } };
  }
  if (!call.roles.has(rights.users)) requireRight(call, rights.groups);
  throw resourceNotFound(id);
};

/** By object id or sign-in name. Only live users: the deleted items are another collection. */
const findUser = (call: Call, key: string): SimUser => {
  const { users: live } = call.tenant.directory;
  if (objectId.test(key)) return live.get(key.toLowerCase()) ?? refuseUnknown(key);
  const name = key.toLowerCase();
  for (const each of live.values()) {
    if (signInNameOf(each).toLowerCase() === name) return each;
  }
  return refuseUnknown(key);
};

const signInNameOf = ({ properties }: SimUser): string =>
  typeof properties["userPrincipalName"] === "string" ? properties["userPrincipalName"] : "";

const findGroup = (call: Call, key: string): SimGroup => {
  if (!objectId.test(key)) throw badRequest(`Invalid object identifier '${key}'.`);
  return call.tenant.directory.groups.get(key.toLowerCase()) ?? refuseUnknown(key);
};

const refuseUnknown = (key: string): never => {
  throw resourceNotFound(key);
};

/** The properties of the manager that an `$expand=manager($select=...)` asks for; null without one. */
const expandsManager = (call: Call): string[] | null => {
  const text = call.query.$expand;
  if (text === undefined) return null;
  const match = /^manager(?:\(\$select=([\w,\s]+)\))?$/i.exec(text.trim());
  if (!match) throw badRequest(`Parsing OData Select and Expand failed: '${text}' cannot be expanded.`);
  return selected(match[1] ?? null, userType, "collection");
};

const userEntry = (call: Call, found: SimUser, names: readonly string[], expanded: string[] | null): object => {
  const entry = readProjection(userType, found.id, found.properties, names);
  const manager = found.managerId === null ? undefined : call.tenant.directory.users.get(found.managerId);
  if (!expanded || !manager) return entry;
  const shown = readProjection(userType, manager.id, manager.properties, expanded);
  return { ...entry, manager: { "@odata.type": typeAnnotation("user"), ...shown } };
};

const castTypes: readonly MemberType[] = ["user", "group", "device", "servicePrincipal", "orgContact"];

/** A cast works only as an advanced query. */
const castType = (call: Call, segment: string | undefined): MemberType | null => {
  if (segment === undefined) return null;
  const type = castTypes.find((each) => `microsoft.graph.${each}`.toLowerCase() === segment.toLowerCase());
  if (!type) throw unsupportedQuery(`Unsupported cast to '${segment}'.`);
  if (!isAdvanced(call)) {
    throw unsupportedQuery("A cast needs the header 'ConsistencyLevel: eventual' and '$count=true'.");
  }
  return type;
};

const entityTypeOf = (type: MemberType): EntityType =>
  type === "user" ? userType : type === "group" ? groupType : directoryObjectType;

const propertiesOf = (call: Call, id: string, type: MemberType): Record<string, unknown> => {
  const { users: people, groups: teams } = call.tenant.directory;
  if (type === "user") return people.get(id)?.properties ?? {};
  if (type === "group") return teams.get(id)?.properties ?? {};
  return { displayName: `${type} ${id.slice(0, 8)}` };
};

const rightFor = (type: MemberType): string =>
  type === "user" ? rights.users : type === "group" ? rights.groups : rights.otherObjects;

/** Without the right to read its type an object is shown by type and id alone; everything else asked for is null. */
const relatedEntry = (call: Call, id: string, type: MemberType, names: readonly string[]): object => {
  const entity = entityTypeOf(type);
  const readable = call.roles.has(rightFor(type));
  const shownNames = call.query.$select === undefined ? ["displayName", ...entity.defaults] : names;
  const annotation = { "@odata.type": typeAnnotation(type) };
  if (readable) return { ...readProjection(entity, id, propertiesOf(call, id, type), shownNames), ...annotation };
  const nulls = Object.keys(readProjection(entity, id, {}, shownNames)).map((name) => [name, null]);
  return { ...Object.fromEntries(nulls), ...annotation, id };
};

const wireDate = (milliseconds: number): string => new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");

/** The sign-in name of a deleted user is made free for others by its id in front. */
const deletedUserEntry = (found: SimUser & { deletedAt: number }, names: readonly string[]): object => {
  const name = `${found.id.replaceAll("-", "")}${signInNameOf(found)}`;
  const properties = { ...found.properties, userPrincipalName: name, deletedDateTime: wireDate(found.deletedAt) };
  return readProjection(userType, found.id, properties, names);
};

const deletedGroupEntry = (found: SimGroup & { deletedAt: number }, names: readonly string[]): object =>
  readProjection(groupType, found.id, { ...found.properties, deletedDateTime: wireDate(found.deletedAt) }, names);
