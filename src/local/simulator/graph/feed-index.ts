/** What the feeds need to know of a directory beyond its present state, kept up with its changes. */
import type { Change, DirectoryState, MemberType, SimGroup } from "../directory/state.ts";
import { SortedIds } from "./sorted-ids.ts";

export type Feed = "users" | "groups";

export interface FeedIndex {
  /** Ids of all objects that ever existed, purged ones included. */
  ids(feed: Feed): SortedIds;
  /** The manager before the newest change of manager; undefined when the change was made before this process knew the tenant. */
  formerManagerOf(userId: string): string | null | undefined;
  /** Groups that held a user when it was deleted; the directory itself forgets them when the user is purged. */
  groupsAtDeletion(userId: string): ReadonlySet<string>;
  /** Ids of all members in order. Users in deleted items are among them: to the feeds they stay members until purged. */
  members(group: SimGroup): readonly string[];
  /** Takes in the changes made since the last call. */
  catchUp(): void;
}

interface SortedMembers {
  sequence: number;
  ids: readonly string[];
}

const cachedGroups = 64;
const none: ReadonlySet<string> = new Set();
const indexes = new WeakMap<DirectoryState, FeedIndex>();

/** One index for each directory, up to date. */
export const feedIndex = (directory: DirectoryState): FeedIndex => {
  const index = indexes.get(directory) ?? createFeedIndex(directory);
  indexes.set(directory, index);
  index.catchUp();
  return index;
};

const createFeedIndex = (directory: DirectoryState): FeedIndex => {
  const users = new SortedIds([...directory.users.keys(), ...directory.deletedUsers.keys()]);
  const groups = new SortedIds([...directory.groups.keys(), ...directory.deletedGroups.keys()]);
  const managers = new Map<string, string | null>();
  for (const user of directory.users.values()) if (user.managerId !== null) managers.set(user.id, user.managerId);
  const formerManagers = new Map<string, string | null>();
  const deletedFrom = new Map<string, ReadonlySet<string>>();
  const sortedMembers = new Map<string, SortedMembers>();
  let seen = 0;
  /** Changes up to here were made before the index existed: what they replaced is not known. */
  const foreknown = directory.sequence;

  const take = ({ sequence, mutation }: Change): void => {
    switch (mutation.op) {
      case "create-user":
        users.add(mutation.user.id);
        if (sequence > foreknown) managers.set(mutation.user.id, mutation.user.managerId ?? null);
        return;
      case "create-group":
        groups.add(mutation.group.id);
        return;
      case "set-manager":
        if (sequence <= foreknown) return;
        formerManagers.set(mutation.id, managers.get(mutation.id) ?? null);
        managers.set(mutation.id, mutation.managerId);
        return;
      case "purge-user":
        users.add(mutation.id);
        return;
      case "delete-group":
      case "purge-group":
        groups.add(mutation.id);
        return;
      case "delete-user":
        users.add(mutation.id);
        deletedFrom.set(mutation.id, new Set(directory.groupsOf(mutation.id)));
        return;
      case "restore-user":
        deletedFrom.delete(mutation.id);
        return;
      default:
        return;
    }
  };

  return {
    ids: (feed) => (feed === "users" ? users : groups),
    formerManagerOf: (userId) => formerManagers.get(userId),
    groupsAtDeletion: (userId) => deletedFrom.get(userId) ?? none,
    members: (group) => {
      const known = sortedMembers.get(group.id);
      if (known?.sequence === directory.sequence) return known.ids;
      const ids = [...group.members.keys()].toSorted();
      sortedMembers.delete(group.id);
      sortedMembers.set(group.id, { sequence: directory.sequence, ids });
      const [oldest] = sortedMembers.keys();
      if (sortedMembers.size > cachedGroups && oldest !== undefined) sortedMembers.delete(oldest);
      return ids;
    },
    catchUp: () => {
      if (seen === directory.sequence) return;
      for (const change of directory.changesBetween(seen, directory.sequence)) {
        take(change);
        seen = change.sequence;
      }
    },
  };
};

/** `@odata.type` of a related object. */
export const typeAnnotation = (type: MemberType): string => `#microsoft.graph.${type}`;
