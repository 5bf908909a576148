/**
 * What a later round tells: the changes since the last one, in no order, some of them twice, some that were told before.
 * Pure: made from the history and the round's seed, so that any page of it can be made again.
 */
import type { DirectoryState } from "../directory/state.ts";
import { chance, chanceBetween } from "./chance.ts";
import { type ChangedMembership, type ChangedObject, changedObjects } from "./changed-objects.ts";
import type { Emission, EmissionSource, MembershipChange } from "./emission.ts";
import type { FeedIndex } from "./feed-index.ts";
import type { DeltaQuery, Round } from "./link-state.ts";
import { indexBehind } from "./sorted-ids.ts";
import type { Traits } from "./switches.ts";

type Unplaced = Emission extends infer Each ? (Each extends Emission ? Omit<Each, "key"> : never) : never;

export const changeRound = (
  directory: DirectoryState,
  index: FeedIndex,
  query: DeltaQuery,
  round: Round,
  traits: Traits,
): EmissionSource => {
  const { seed } = round;
  const emissions: Emission[] = [];
  /** The appearances of one object keep their order; everything else falls where chance puts it. */
  const place = (id: string, label: string, inOrder: Unplaced[]): void => {
    const keys = inOrder.map((_, at) => `${placeKey(seed, id, label, at)}:${id}:${label}:${at}`).toSorted();
    for (const [at, unplaced] of inOrder.entries()) emissions.push({ ...unplaced, key: keys[at] ?? "" });
  };

  const present = changedObjects(directory, index, query, { after: round.from, upTo: round.upTo });
  for (const object of present.values()) {
    const appearances = appearancesOf(object, seed, traits);
    place(object.id, "change", appearances);
    for (const [at, [memberId, membership]] of [...object.memberships].filter(isPurge).entries()) {
      // told at once, told a round late, or never told
      const told = chance(seed, "purge", object.id, memberId) < traits.purgeRemovals / 2;
      if (told && object.end === "live") place(object.id, `purge${at}`, [oneRemoval(object.id, memberId, membership)]);
    }
  }

  const previous = changedObjects(directory, index, query, { after: round.previousFrom, upTo: round.from });
  for (const object of previous.values()) {
    for (const [at, [memberId, membership]] of [...object.memberships].filter(isPurge).entries()) {
      const told = chance(seed, "late purge", object.id, memberId) < traits.purgeRemovals / 2;
      if (told && !present.has(object.id)) place(object.id, `late${at}`, [oneRemoval(object.id, memberId, membership)]);
    }
    if (present.has(object.id) || chance(seed, "replay", object.id) >= traits.replays) continue;
    place(object.id, "replay", replayOf(object));
  }

  emissions.sort((one, other) => (one.key < other.key ? -1 : 1));
  const keys = emissions.map(({ key }) => key);
  return { after: (last) => emissions.slice(last === null ? 0 : indexBehind(keys, last)) };
};

const appearancesOf = (object: ChangedObject, seed: string, traits: Traits): Unplaced[] => {
  const { id } = object;
  const dice = (label: string): number => chance(seed, label, id);
  if (object.end !== "live") return tombstonesOf(object, dice);
  if (object.created || object.restored) {
    const whole: Unplaced = { kind: "whole", id, lateMembers: object.restored && dice("late") < traits.lateMembers };
    const appearances: Unplaced[] = [whole];
    if (object.deleted && !object.created && dice("both") < 0.5) {
      appearances.unshift({ kind: "tombstone", id, reason: "changed" });
    }
    if (dice("repeat") < traits.repeats) appearances.push(whole);
    // what ended after the restoration does not show in a whole object
    const memberships = [...object.memberships]
      .filter((entry) => !isPurge(entry))
      .flatMap((entry) => tellings(entry, false));
    if (object.restored && (object.changed.has("manager") || memberships.length > 0)) {
      appearances.push({ kind: "changed", id, changed: object.changed, memberships, replay: false });
    }
    return appearances;
  }
  const memberships = [...object.memberships].filter((entry) => !isPurge(entry));
  if (object.changed.size === 0 && memberships.length === 0) return [];
  const told = memberships.flatMap((entry) => tellings(entry, chance(seed, id, entry[0]) < traits.contradictions));
  const appearances = slices(told, traits.memberSlice ?? chanceBetween(50, 400, seed, "slice", id)).map(
    (slice): Unplaced => ({ kind: "changed", id, changed: object.changed, memberships: slice, replay: false }),
  );
  const [first] = appearances;
  if (first && dice("repeat") < traits.repeats) appearances.push(first);
  return appearances;
};

/** What was made and deleted in one stretch may never show; a purge may come with or without the deletion before it. */
const tombstonesOf = (object: ChangedObject, dice: (label: string) => number): Unplaced[] => {
  const { id } = object;
  const changed: Unplaced = { kind: "tombstone", id, reason: "changed" };
  const deleted: Unplaced = { kind: "tombstone", id, reason: "deleted" };
  if (object.created && dice("unseen") < 0.5) return [];
  if (object.end === "deleted") return [changed];
  if (!object.deleted || dice("both") < 0.4) return [deleted];
  return dice("order") < 0.5 ? [changed, deleted] : [deleted, changed];
};

const replayOf = (object: ChangedObject): Unplaced[] => {
  const { id } = object;
  if (object.end !== "live")
    return [{ kind: "tombstone", id, reason: object.end === "purged" ? "deleted" : "changed" }];
  if (object.created || object.restored) return [{ kind: "whole", id, lateMembers: false }];
  const memberships = [...object.memberships]
    .filter((entry) => !isPurge(entry))
    .flatMap((entry) => tellings(entry, false));
  if (object.changed.size === 0 && memberships.length === 0) return [];
  return [{ kind: "changed", id, changed: object.changed, memberships: memberships.slice(0, 100), replay: true }];
};

const isPurge = ([, membership]: [string, ChangedMembership]): boolean => membership.byPurge;

const tellings = ([memberId, membership]: [string, ChangedMembership], both: boolean): MembershipChange[] => {
  const { type, removed } = membership;
  const newest: MembershipChange = { memberId, type, removed };
  return membership.undone && both ? [newest, { memberId, type, removed: !removed }] : [newest];
};

const oneRemoval = (id: string, memberId: string, { type }: ChangedMembership): Unplaced => ({
  kind: "changed",
  id,
  changed: new Set(),
  memberships: [{ memberId, type, removed: true }],
  replay: true,
});

/** At least one slice, an empty one when there are no memberships. */
const slices = (told: MembershipChange[], size: number): MembershipChange[][] => {
  const pieces: MembershipChange[][] = [];
  for (let at = 0; at === 0 || at < told.length; at += size) pieces.push(told.slice(at, at + size));
  return pieces;
};

const placeKey = (...words: (string | number)[]): string =>
  Math.floor(chance(...words) * 16 ** 10)
    .toString(16)
    .padStart(10, "0");
