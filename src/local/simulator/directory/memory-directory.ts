/** The directory of one simulated tenant in memory: objects, soft-deleted objects and the sequence of changes. */
import {
  checkGroupUpdate,
  checkMember,
  checkNewGroup,
  checkNewId,
  checkNewUser,
  checkUserUpdate,
  DirectoryRefusal,
  groupKind,
  isDynamic,
} from "./entra-rules.ts";
import { ReverseIndex } from "./reverse-index.ts";
import type { Change, DirectoryState, MemberType, Mutation, SimGroup, SimUser } from "./state.ts";

/** `at`: milliseconds of the clock when it happened; replayed so that times of deletion survive a restart. */
export interface RecordedMutation {
  at: number;
  mutation: Mutation;
}

export interface MemoryDirectory extends DirectoryState {
  /** Lays down what was there before the first change. Only into an empty directory; the arguments stay untouched. */
  load(generated: { users: Iterable<SimUser>; groups: Iterable<SimGroup> }): void;
  /** Applies what an earlier process had applied. */
  replay(recorded: Iterable<RecordedMutation>): void;
}

type OperationOf<Op extends Mutation["op"]> = Extract<Mutation, { op: Op }>;

const refuse = (reason: DirectoryRefusal["reason"], message: string): never => {
  throw new DirectoryRefusal(reason, message);
};

function existing<T>(objects: ReadonlyMap<string, T>, id: string): T {
  return objects.get(id) ?? refuse("not-found", `Resource '${id}' does not exist`);
}

const signInNameOf = (user: SimUser): string => String(user.properties.userPrincipalName);

function checkHand(group: SimGroup, byRule: boolean | undefined): void {
  if (isDynamic(group.properties) !== (byRule === true)) {
    refuse("forbidden", "Dynamic groups, and only they, change by rule");
  }
}

export interface DirectoryOptions {
  now?: () => number;
  /** Told of each accepted alteration before `apply` returns; not of replayed ones. */
  record?: (recorded: RecordedMutation) => void;
}

export function createDirectory({ now = Date.now, record }: DirectoryOptions = {}): MemoryDirectory {
  const users = new Map<string, SimUser>();
  const groups = new Map<string, SimGroup>();
  const deletedUsers = new Map<string, SimUser & { deletedAt: number }>();
  const deletedGroups = new Map<string, SimGroup & { deletedAt: number }>();
  const changes: Change[] = [];
  /** Permanently deleted objects; Entra never gives an id out twice. */
  const buried = new Set<string>();
  /** Lower-case sign-in name of a live user -> id. The name of a soft-deleted user may be taken by somebody else. */
  const signInNames = new Map<string, string>();
  /** Member -> groups. Soft-deleted users keep their groups in here; soft-deleted groups have left it. */
  const memberships = new ReverseIndex();
  /** Manager -> people, soft-deleted people included. */
  const reports = new ReverseIndex();

  function checkFresh(id: string): void {
    checkNewId(id);
    const known = [users, groups, deletedUsers, deletedGroups, buried].some((objects) => objects.has(id));
    if (known) refuse("bad-request", `The id ${id} was given out before`);
  }

  function checkSignInName(name: string, owner: string): void {
    const holder = signInNames.get(name.toLowerCase());
    if (holder !== undefined && holder !== owner)
      refuse("bad-request", "Another object has the same userPrincipalName");
  }

  /** A manager is a user or an organisational contact; contacts are not kept here, so an unknown id is one. */
  function checkManager(managerId: string): void {
    checkNewId(managerId);
    if (deletedUsers.has(managerId) || buried.has(managerId))
      refuse("not-found", `Resource '${managerId}' does not exist`);
    if (groups.has(managerId) || deletedGroups.has(managerId)) refuse("bad-request", "A group manages nobody");
  }

  function setManager(user: SimUser, managerId: string | null): void {
    if (user.managerId !== null) reports.remove(user.managerId, user.id);
    user.managerId = managerId;
    if (managerId !== null) reports.add(managerId, user.id);
  }

  function layUser(user: SimUser): void {
    checkFresh(user.id);
    const name = checkNewUser(user.properties);
    checkSignInName(name, user.id);
    const { managerId } = user;
    users.set(user.id, { id: user.id, properties: user.properties, managerId });
    signInNames.set(name.toLowerCase(), user.id);
    if (managerId !== null) reports.add(managerId, user.id);
  }

  function layGroup(id: string, properties: Record<string, unknown>): SimGroup {
    checkFresh(id);
    checkNewGroup(properties);
    const group: SimGroup = { id, properties, members: new Map() };
    groups.set(id, group);
    return group;
  }

  function checkNewMember(group: SimGroup, memberId: string, memberType: MemberType): void {
    checkNewId(memberId);
    if (memberId === group.id) refuse("bad-request", "A group cannot hold itself");
    if (memberType === "user") existing(users, memberId);
    const memberGroup = memberType === "group" ? existing(groups, memberId).properties : undefined;
    const knownAs = users.has(memberId) ? "user" : groups.has(memberId) ? "group" : memberType;
    if (knownAs !== memberType || buried.has(memberId)) refuse("bad-request", `${memberId} is no ${memberType}`);
    checkMember(group.properties, memberType, memberGroup);
  }

  function addMember(group: SimGroup, memberId: string, memberType: MemberType): void {
    if (group.members.has(memberId))
      refuse("bad-request", "One or more added object references already exist: 'members'");
    group.members.set(memberId, memberType);
    memberships.add(memberId, group.id);
  }

  function leaveAllGroups(memberId: string): void {
    for (const groupId of memberships.of(memberId)) groups.get(groupId)?.members.delete(memberId);
    memberships.forget(memberId);
  }

  function createUser({ user }: OperationOf<"create-user">): void {
    const managerId = user.managerId ?? null;
    if (managerId !== null) checkManager(managerId);
    layUser({ id: user.id, properties: user.properties, managerId });
  }

  function updateUser({ id, set }: OperationOf<"update-user">): void {
    const user = existing(users, id);
    const renamed = checkUserUpdate(set);
    if (renamed !== undefined) {
      checkSignInName(renamed, id);
      signInNames.delete(signInNameOf(user).toLowerCase());
      signInNames.set(renamed.toLowerCase(), id);
    }
    user.properties = { ...user.properties, ...set };
  }

  function deleteUser(id: string, at: number): void {
    const user = existing(users, id);
    users.delete(id);
    signInNames.delete(signInNameOf(user).toLowerCase());
    deletedUsers.set(id, { ...user, deletedAt: at });
  }

  function restoreUser(id: string): void {
    const { deletedAt: _, ...user } = existing(deletedUsers, id);
    checkSignInName(signInNameOf(user), id);
    deletedUsers.delete(id);
    users.set(id, user);
    signInNames.set(signInNameOf(user).toLowerCase(), id);
  }

  function purgeUser(id: string): void {
    const user = existing(deletedUsers, id);
    setManager(user, null);
    for (const report of reports.of(id)) {
      const person = users.get(report) ?? deletedUsers.get(report);
      if (person) setManager(person, null);
    }
    leaveAllGroups(id);
    deletedUsers.delete(id);
    buried.add(id);
  }

  function createGroup({ group }: OperationOf<"create-group">): void {
    const members = new Map(group.members ?? []);
    if (members.size !== (group.members ?? []).length) refuse("bad-request", "A member can only be present once");
    const draft: SimGroup = { id: group.id, properties: group.properties, members: new Map() };
    if (members.size > 0) checkHand(draft, undefined);
    for (const [memberId, type] of members) checkNewMember(draft, memberId, type);
    const created = layGroup(group.id, group.properties);
    for (const [memberId, type] of members) addMember(created, memberId, type);
  }

  function updateGroup({ id, set }: OperationOf<"update-group">): void {
    const group = existing(groups, id);
    checkGroupUpdate(group.properties, set);
    group.properties = { ...group.properties, ...set };
  }

  function deleteGroup(id: string, at: number): void {
    const group = existing(groups, id);
    for (const memberId of group.members.keys()) memberships.remove(memberId, id);
    groups.delete(id);
    if (groupKind(group.properties) === "microsoft-365") {
      deletedGroups.set(id, { ...group, deletedAt: at });
    } else {
      leaveAllGroups(id);
      buried.add(id);
    }
  }

  function restoreGroup(id: string): void {
    const { deletedAt: _, ...group } = existing(deletedGroups, id);
    deletedGroups.delete(id);
    groups.set(id, group);
    for (const memberId of group.members.keys()) {
      // purged meanwhile
      if (buried.has(memberId)) group.members.delete(memberId);
      else memberships.add(memberId, id);
    }
  }

  function purgeGroup(id: string): void {
    existing(deletedGroups, id);
    deletedGroups.delete(id);
    buried.add(id);
  }

  function removeMember({ groupId, memberId, byRule }: OperationOf<"remove-member">): void {
    const group = existing(groups, groupId);
    checkHand(group, byRule);
    if (!group.members.has(memberId) || deletedUsers.has(memberId))
      refuse("not-found", `Resource '${memberId}' is no member`);
    group.members.delete(memberId);
    memberships.remove(memberId, groupId);
  }

  function carryOut(mutation: Mutation, at: number): void {
    switch (mutation.op) {
      case "create-user":
        return createUser(mutation);
      case "update-user":
        return updateUser(mutation);
      case "set-manager": {
        if (mutation.managerId !== null) checkManager(mutation.managerId);
        return setManager(existing(users, mutation.id), mutation.managerId);
      }
      case "delete-user":
        return deleteUser(mutation.id, at);
      case "restore-user":
        return restoreUser(mutation.id);
      case "purge-user":
        return purgeUser(mutation.id);
      case "create-group":
        return createGroup(mutation);
      case "update-group":
        return updateGroup(mutation);
      case "delete-group":
        return deleteGroup(mutation.id, at);
      case "restore-group":
        return restoreGroup(mutation.id);
      case "purge-group":
        return purgeGroup(mutation.id);
      case "add-member": {
        const group = existing(groups, mutation.groupId);
        checkHand(group, mutation.byRule);
        checkNewMember(group, mutation.memberId, mutation.memberType);
        return addMember(group, mutation.memberId, mutation.memberType);
      }
      case "remove-member":
        return removeMember(mutation);
    }
  }

  function applyAt({ at, mutation }: RecordedMutation): number {
    const own = structuredClone(mutation); // callers may go on using theirs
    carryOut(own, at);
    changes.push({ sequence: changes.length + 1, mutation: own });
    return changes.length;
  }

  return {
    users,
    groups,
    deletedUsers,
    deletedGroups,
    get sequence() {
      return changes.length;
    },
    apply(mutation) {
      const recorded = { at: now(), mutation };
      const sequence = applyAt(recorded);
      record?.(recorded);
      return sequence;
    },
    *changesBetween(after, upTo) {
      const end = Math.min(upTo, changes.length);
      for (let index = Math.max(after, 0); index < end; index++) {
        const change = changes[index];
        if (change) yield change;
      }
    },
    groupsOf: (memberId) => memberships.of(memberId),
    load(generated) {
      if (users.size + groups.size + changes.length > 0) throw new Error("Only an empty directory can be loaded");
      for (const user of generated.users) layUser(user);
      for (const group of generated.groups) layGroup(group.id, group.properties);
      for (const { id, members } of generated.groups) {
        const group = existing(groups, id);
        for (const [memberId, type] of members) {
          checkNewMember(group, memberId, type);
          addMember(group, memberId, type);
        }
      }
    },
    replay(recorded) {
      for (const each of recorded) applyAt(each);
    },
  };
}
