/**
 * How a tenant's Graph behaves within what Microsoft's pages and users' reports leave open. The defaults are the harder
 * choices; a test that needs one trap alone starts from `calm`.
 */
export interface Traits {
  /** Objects on a delta page; null: at random between 100 and 200. */
  pageSize: number | null;
  /** Members in one piece of a group; null: at random, larger for larger groups. */
  memberSlice: number | null;
  /** Probability that a page of a chain is empty. */
  emptyPages: number;
  /** That an object comes again in the same round. */
  repeats: number;
  /** That a change already delivered comes again in the next round. */
  replays: number;
  /** That a changed object carries only what changed instead of everything that was ever set. */
  sparseChanges: number;
  /** That a page of an initial round holds the tombstone of an object nobody ever saw. */
  unknownTombstones: number;
  /** That a group of an initial round names a removed member who never was one. */
  unknownMemberRemovals: number;
  /** That a member added and removed (or removed and added) between two rounds is reported in both ways. */
  contradictions: number;
  /** That a purge is reported to the groups of the purged user; half of these reports come one round late. */
  purgeRemovals: number;
  /** That a restored group brings the second half of its members only with the next round. */
  lateMembers: number;
  /** That an object id is printed in upper case. */
  upperCaseIds: number;
  /** A feed whose pages repeat for ever behind links that always look new. */
  loop: "users" | "groups" | null;
  /** A change shows up one round later. */
  replicationDelay: boolean;
  /** That a notification is never sent. 0 unless asked for: whoever waits for one would wait for the schedule. */
  lostNotifications: number;
  /** That a notification comes twice. */
  repeatedNotifications: number;
  /** Notifications that go out together are in no order. */
  shuffledNotifications: boolean;
  /** Between a change and its notification. */
  notificationDelaySeconds: number;
  /** A new manager is told of. */
  managerNotifications: boolean;
  /** Which permission a subscription of groups takes: Microsoft's pages have named both. */
  groupSubscriptionRight: "Group.Read.All" | "GroupMember.Read.All";
  /** Of one app in the tenant. */
  mostSubscriptions: number;
  /** A second subscription for the same is made instead of refused, as has been seen. */
  duplicateSubscriptions: boolean;
  /** Origins put in place of Graph's own, e.g. `https://localhost:1`, to try whether a client sends its token there. */
  foreignOrigin: ForeignOrigins;
}

export interface ForeignOrigins {
  nextLink?: string | undefined;
  deltaLink?: string | undefined;
  location?: string | undefined;
}

export type TraitChanges = { [Name in keyof Traits]?: Traits[Name] | undefined };

export const harsh: Traits = {
  pageSize: null,
  memberSlice: null,
  emptyPages: 0.1,
  repeats: 0.05,
  replays: 0.25,
  sparseChanges: 0.3,
  unknownTombstones: 0.1,
  unknownMemberRemovals: 0.05,
  contradictions: 0.3,
  purgeRemovals: 0.5,
  lateMembers: 0.4,
  upperCaseIds: 0.01,
  loop: null,
  replicationDelay: false,
  lostNotifications: 0,
  repeatedNotifications: 0.1,
  shuffledNotifications: true,
  notificationDelaySeconds: 0,
  managerNotifications: false,
  groupSubscriptionRight: "Group.Read.All",
  mostSubscriptions: 100,
  duplicateSubscriptions: false,
  foreignOrigin: {},
};

export const calm: Traits = {
  ...harsh,
  emptyPages: 0,
  repeats: 0,
  replays: 0,
  sparseChanges: 0,
  unknownTombstones: 0,
  unknownMemberRemovals: 0,
  contradictions: 0,
  purgeRemovals: 0,
  lateMembers: 0,
  upperCaseIds: 0,
  repeatedNotifications: 0,
  shuffledNotifications: false,
  managerNotifications: true,
  groupSubscriptionRight: "GroupMember.Read.All",
};

export interface Switches {
  of(tid: string): Traits;
  /** Lays the given traits over the present ones; null: the defaults again. `tid` null: all tenants without their own. */
  set(tid: string | null, traits: TraitChanges | null): void;
}

export const createSwitches = (): Switches => {
  let common: Traits = harsh;
  const own = new Map<string, Traits>();
  return {
    of: (tid) => own.get(tid) ?? common,
    set: (tid, traits) => {
      if (tid === null) common = traits ? changedTraits(common, traits) : harsh;
      else if (traits) own.set(tid, changedTraits(own.get(tid) ?? common, traits));
      else own.delete(tid);
    },
  };
};

const changedTraits = (traits: Traits, changes: TraitChanges): Traits => {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  return { ...traits, ...Object.fromEntries(given) };
};
