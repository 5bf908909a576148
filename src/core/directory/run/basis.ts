/**
 * Under which settings the stored directory was made, and what has to be read when they are others now. What the scope becomes
 * narrower by is in what is stored already; what it becomes wider by has to be asked of Graph.
 */
import type { Settings } from "../../connections/settings.ts";
import type { BlacklistVersion } from "../../store/documents.ts";
import { scopeRoots, sourceRoots } from "../group-roles.ts";
import type { Feed } from "../ports.ts";
import type { Reads } from "./cursor.ts";

/** Kept sealed beside the links. */
export interface Basis extends Pick<Settings, "people" | "groups" | "attributes" | "leaving"> {
  blacklist: BlacklistVersion;
  /** What the feeds ask for; baked into the links. */
  selection: Record<Feed, string>;
}

export const basisOf = (settings: Settings, blacklist: BlacklistVersion, selection: Basis["selection"]): Basis => {
  const { people, groups, attributes, leaving } = settings;
  return { people, groups, attributes, leaving, blacklist, selection };
};

export const readAll: Reads = { full: { groups: true, users: true }, again: { groups: true, users: true } };

/** @param unlisted an address or domain was taken off the blacklist since. */
export const readsBetween = (before: Basis, now: Basis, unlisted: boolean): Reads => {
  const attributes = !same(before.attributes, now.attributes);
  const users = {
    full: before.selection.users !== now.selection.users || attributes || unlisted || widensPeople(before, now),
    again:
      !same(before.people, now.people) ||
      before.blacklist.version !== now.blacklist.version ||
      !same(before.leaving, now.leaving),
  };
  const groups = {
    full:
      before.selection.groups !== now.selection.groups ||
      widensGroups(before, now) ||
      // Who comes back from the recycle bin is asked for his groups one by one in a delta only.
      (users.full && scopeRoots(now).length + sourceRoots(now).length > 0),
    again: !same(before.groups, now.groups) || !same(before.people, now.people),
  };
  return { full: { groups: groups.full, users: users.full }, again: { groups: groups.again, users: users.again } };
};

/** Selected groups are not looked at: a group more is read by itself, and its members are met as candidates. */
const widensPeople = ({ people: before }: Basis, { people: now }: Basis): boolean =>
  (before.from === "groups" && now.from === "everybody") ||
  (before.oneByOne && !now.oneByOne) ||
  switchedOn(before.kinds, now.kinds);

const widensGroups = (before: Basis, now: Basis): boolean => {
  if (!now.groups.include) return false;
  if (!before.groups.include || switchedOn(before.groups.kinds, now.groups.kinds)) return true;
  if (before.people.from === "groups" && now.people.from === "everybody") return true;
  if (now.groups.unmapped === "leave-out") return false;
  // A group that stood for one of the product is shown again.
  const standing = new Set(now.groups.mapping.map(({ group }) => group));
  return before.groups.unmapped === "leave-out" || before.groups.mapping.some(({ group }) => !standing.has(group));
};

const switchedOn = (before: Readonly<Record<string, boolean>>, now: Readonly<Record<string, boolean>>): boolean =>
  Object.entries(now).some(([name, on]) => on && !before[name]);

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);
