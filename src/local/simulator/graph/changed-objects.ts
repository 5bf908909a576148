/** The changes of a stretch of the directory's history, put together by object. */
import type { DirectoryState, MemberType, Mutation } from "../directory/state.ts";
import type { FeedIndex } from "./feed-index.ts";
import type { DeltaQuery } from "./link-state.ts";

export interface ChangedMembership {
  type: MemberType;
  /** The newest change was a removal. */
  removed: boolean;
  /** It changed more than once: both ways are true at some moment of the stretch. */
  undone: boolean;
  /** The member was purged; there was no change of the group itself. */
  byPurge: boolean;
}

export interface ChangedObject {
  id: string;
  created: boolean;
  deleted: boolean;
  restored: boolean;
  /** How it ended. Security groups go from live to gone at once. */
  end: "live" | "deleted" | "purged";
  /** Tracked properties that were set, `manager` included. */
  changed: Set<string>;
  memberships: Map<string, ChangedMembership>;
}

export interface Stretch {
  after: number;
  upTo: number;
}

/** Objects without any tracked change are left out. */
export const changedObjects = (
  directory: DirectoryState,
  index: FeedIndex,
  query: DeltaQuery,
  stretch: Stretch,
): Map<string, ChangedObject> => {
  const objects = new Map<string, ChangedObject>();
  const tracked = new Set(query.select);
  const wanted = query.ids ? new Set(query.ids) : null;
  const unwanted: ChangedObject = emptyObject("");

  const of = (id: string): ChangedObject => {
    if (wanted && !wanted.has(id)) return unwanted;
    const known = objects.get(id) ?? emptyObject(id);
    objects.set(id, known);
    return known;
  };
  const setProperties = (id: string, set: Record<string, unknown>): void => {
    const names = Object.keys(set).filter((name) => tracked.has(name));
    if (names.length === 0) return;
    const object = of(id);
    for (const name of names) object.changed.add(name);
  };
  const setMembership = (groupId: string, memberId: string, change: Omit<ChangedMembership, "undone">): void => {
    const { memberships } = of(groupId);
    memberships.set(memberId, { ...change, undone: memberships.has(memberId) });
  };
  const create = (id: string): void => {
    of(id).created = true;
  };
  const remove = (id: string): void => {
    const object = of(id);
    object.deleted = true;
    object.end = "deleted";
  };
  const restore = (id: string): void => {
    const object = of(id);
    object.restored = true;
    object.end = "live";
  };
  const purge = (id: string): void => {
    of(id).end = "purged";
  };

  const takeUserChange = (mutation: Mutation): void => {
    if (mutation.op === "create-user") create(mutation.user.id);
    else if (mutation.op === "update-user") setProperties(mutation.id, mutation.set);
    else if (mutation.op === "set-manager") setProperties(mutation.id, { manager: mutation.managerId });
    else if (mutation.op === "delete-user") remove(mutation.id);
    else if (mutation.op === "restore-user") restore(mutation.id);
    else if (mutation.op === "purge-user") purge(mutation.id);
  };
  const takeGroupChange = (mutation: Mutation): void => {
    const members = tracked.has("members");
    if (mutation.op === "create-group") create(mutation.group.id);
    else if (mutation.op === "update-group") setProperties(mutation.id, mutation.set);
    else if (mutation.op === "delete-group") remove(mutation.id);
    else if (mutation.op === "restore-group") restore(mutation.id);
    else if (mutation.op === "purge-group") purge(mutation.id);
    else if (mutation.op === "add-member" && members) {
      const { groupId, memberId, memberType } = mutation;
      setMembership(groupId, memberId, { type: memberType, removed: false, byPurge: false });
    } else if (mutation.op === "remove-member" && members) {
      const { groupId, memberId } = mutation;
      // the member may be gone from the directory; the type of one that is not known here is told by nobody else
      const type = directory.groups.has(memberId) || directory.deletedGroups.has(memberId) ? "group" : "user";
      setMembership(groupId, memberId, { type, removed: true, byPurge: false });
    } else if (mutation.op === "purge-user" && members) {
      for (const groupId of index.groupsAtDeletion(mutation.id)) {
        setMembership(groupId, mutation.id, { type: "user", removed: true, byPurge: true });
      }
    }
  };

  const take = query.feed === "users" ? takeUserChange : takeGroupChange;
  for (const { mutation } of directory.changesBetween(stretch.after, stretch.upTo)) take(mutation);
  return objects;
};

const emptyObject = (id: string): ChangedObject => ({
  id,
  created: false,
  deleted: false,
  restored: false,
  end: "live",
  changed: new Set(),
  memberships: new Map(),
});
