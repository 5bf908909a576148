/** How one appearance of an object looks on a delta page. */
import { hidesMembership } from "../directory/entra-rules.ts";
import type { DirectoryState, SimGroup, SimUser } from "../directory/state.ts";
import { chance, chanceBetween, strangerId } from "./chance.ts";
import type { Emission, MembershipChange } from "./emission.ts";
import { type FeedIndex, typeAnnotation } from "./feed-index.ts";
import type { DeltaQuery, Piece, Round } from "./link-state.ts";
import { deltaProjection } from "./properties.ts";
import { indexBehind } from "./sorted-ids.ts";
import type { Traits } from "./switches.ts";

export interface DeltaScene {
  directory: DirectoryState;
  index: FeedIndex;
  query: DeltaQuery;
  round: Round;
  traits: Traits;
  /** The token holds the right to see hidden memberships. */
  seesHiddenMembers: boolean;
}

type Entry = Record<string, unknown>;

export interface Shown {
  entries: Entry[];
  /** What is still owed of this object in this round, and in the next. */
  pending: Piece[];
  carried: Piece[];
}

const nothing: Shown = { entries: [], pending: [], carried: [] };

export const show = (scene: DeltaScene, emission: Emission, page: number): Shown => {
  const { id } = emission;
  if (emission.kind === "tombstone") return only(tombstone(scene, id, tombstoneReason(scene, emission)));
  const state = presentState(scene, id);
  if (state.end === "gone") return only(tombstone(scene, id, "deleted"));
  if (state.end === "deleted" && chance(scene.round.seed, "early", id) < 0.5) {
    return only(tombstone(scene, id, "changed"));
  }
  if (emission.kind === "changed") return showChange(scene, emission, state.object);
  if (!isGroup(state.object)) return showWholeUser(scene, state.object, page);
  return showPiece(
    scene,
    state.object,
    { id, after: null, until: null, again: false, due: page },
    page,
    emission.lateMembers,
  );
};

/** A piece owed from an earlier page. Nothing when the object has gone since: the next round tells. */
export const showOwed = (scene: DeltaScene, piece: Piece, page: number): Shown => {
  const state = presentState(scene, piece.id);
  if (state.end !== "live") return nothing;
  if (isGroup(state.object)) return showPiece(scene, state.object, piece, page, false);
  return only(wholeUser(scene, state.object));
};

/** A tombstone of an object that nobody ever saw. */
export const unknownTombstone = (scene: DeltaScene, page: number): Entry =>
  tombstone(scene, strangerId(scene.round.seed, "unknown", page), "deleted");

type PresentState = { end: "live" | "deleted"; object: SimUser | SimGroup } | { end: "gone" };

const presentState = ({ directory, query }: DeltaScene, id: string): PresentState => {
  const users = query.feed === "users";
  const live = users ? directory.users.get(id) : directory.groups.get(id);
  if (live) return { end: "live", object: live };
  const deleted = users ? directory.deletedUsers.get(id) : directory.deletedGroups.get(id);
  return deleted ? { end: "deleted", object: deleted } : { end: "gone" };
};

const isGroup = (object: SimUser | SimGroup): object is SimGroup => "members" in object;

const showChange = (
  scene: DeltaScene,
  emission: Extract<Emission, { kind: "changed" }>,
  object: SimUser | SimGroup,
): Shown => {
  const { seed, minimal } = scene.round;
  const { id, changed } = emission;
  const sparse = minimal || chance(seed, "sparse", id) < scene.traits.sparseChanges;
  const entry = scalars(scene, object, sparse ? changed : null);
  if (!isGroup(object)) {
    const tellsManager =
      changed.has("manager") || (!sparse && object.managerId !== null && chance(seed, "same manager", id) < 0.3);
    if (tellsManager) entry["manager@delta"] = managerChange(scene, object);
    return only(entry);
  }
  const told = maySeeMembers(scene, object)
    ? emission.memberships.filter((each) => holds(each, object, emission.replay))
    : [];
  if (told.length > 0) entry["members@delta"] = told.map((each) => related(scene, each));
  return emission.memberships.length > 0 && told.length === 0 && changed.size === 0 ? nothing : only(entry);
};

const holds = ({ memberId, removed }: MembershipChange, group: SimGroup, replay: boolean): boolean =>
  !replay || group.members.has(memberId) !== removed;

const showWholeUser = (scene: DeltaScene, user: SimUser, page: number): Shown => {
  const shown = only(wholeUser(scene, user));
  if (scene.round.initial && comesAgain(scene, user.id)) {
    shown.pending.push({ id: user.id, after: null, until: null, again: true, due: laterPage(scene, user.id, page) });
  }
  return shown;
};

const wholeUser = (scene: DeltaScene, user: SimUser): Entry => {
  const entry = scalars(scene, user, null);
  if (user.managerId !== null && scene.query.select.includes("manager")) {
    entry["manager@delta"] = [related(scene, { memberId: user.managerId, type: "user", removed: false })];
  }
  return entry;
};

/** One slice of a group's members; the rest is owed. */
const showPiece = (scene: DeltaScene, group: SimGroup, piece: Piece, page: number, lateMembers: boolean): Shown => {
  const entry = scalars(scene, group, null);
  if (!maySeeMembers(scene, group)) return only(entry);
  const all = scene.index.members(group);
  const owed = within(all, piece);
  const slice = owed.slice(0, lateMembers ? Math.ceil(owed.length / 2) : sliceSize(scene, group));
  const last = slice.at(-1);
  const told: MembershipChange[] = slice.map((memberId) => ({
    memberId,
    type: group.members.get(memberId) ?? "user",
    removed: false,
  }));
  const stranger = piece.after === null ? strangeMember(scene, group) : null;
  if (stranger) told.push({ memberId: stranger, type: "user", removed: true });
  if (told.length > 0) entry["members@delta"] = told.map((each) => related(scene, each));

  const shown = only(entry);
  if (piece.again || last === undefined) return shown;
  if (slice.length < owed.length) {
    const rest: Piece = { ...piece, after: last, due: laterPage(scene, `${group.id}${last}`, page) };
    (lateMembers ? shown.carried : shown.pending).push(rest);
  }
  if (comesAgain(scene, `${group.id}${last}`)) {
    shown.pending.push({ ...piece, until: last, again: true, due: laterPage(scene, last, page) });
  }
  return shown;
};

/** `all` is in the order of ids. */
const within = (all: readonly string[], { after, until }: Piece): readonly string[] => {
  const from = after === null ? 0 : indexBehind(all, after);
  return all.slice(from, until === null ? all.length : indexBehind(all, until));
};

const sliceSize = ({ traits, round }: DeltaScene, group: SimGroup): number =>
  traits.memberSlice ??
  (group.members.size > 5000
    ? chanceBetween(500, 2000, round.seed, "slice", group.id)
    : chanceBetween(50, 400, round.seed, "slice", group.id));

/** Somebody who is no member, named as a removed one: sometimes a person of the tenant, sometimes nobody at all. */
const strangeMember = ({ index, round, traits }: DeltaScene, group: SimGroup): string | null => {
  if (!round.initial || chance(round.seed, "strange", group.id) >= traits.unknownMemberRemovals) return null;
  const nobody = strangerId(round.seed, "member", group.id);
  const [neighbour = nobody] = index.ids("users").after(nobody);
  return group.members.has(neighbour) ? nobody : neighbour;
};

/** The new manager and sometimes the former one, in either order; of a person without a manager only the former one. */
const managerChange = (scene: DeltaScene, user: SimUser): Entry[] => {
  const { seed } = scene.round;
  const former =
    scene.index.formerManagerOf(user.id) ?? (user.managerId === null ? strangerId(seed, "former", user.id) : null);
  const told: MembershipChange[] = [];
  if (user.managerId !== null) told.push({ memberId: user.managerId, type: "user", removed: false });
  const tellsFormer = user.managerId === null || chance(seed, "tells former", user.id) < 0.5;
  if (former && former !== user.managerId && tellsFormer) told.push({ memberId: former, type: "user", removed: true });
  if (chance(seed, "former first", user.id) < 0.5) told.reverse();
  return told.map((each) => related(scene, each));
};

const maySeeMembers = (scene: DeltaScene, group: SimGroup): boolean =>
  scene.query.select.includes("members") && (scene.seesHiddenMembers || !hidesMembership(group.properties));

const scalars = (scene: DeltaScene, object: SimUser | SimGroup, changed: ReadonlySet<string> | null): Entry =>
  deltaProjection(printedId(scene, object.id), object.properties, scene.query.select, changed);

const related = (scene: DeltaScene, { memberId, type, removed }: MembershipChange): Entry => ({
  "@odata.type": typeAnnotation(type),
  id: printedId(scene, memberId),
  ...(removed ? { "@removed": { reason: "deleted" } } : {}),
});

const tombstone = (scene: DeltaScene, id: string, reason: "changed" | "deleted"): Entry => ({
  id: printedId(scene, id),
  "@removed": { reason },
});

/** Only Microsoft 365 groups pass through the deleted items; any other group is gone at once. */
const tombstoneReason = (
  scene: DeltaScene,
  { id, reason }: Extract<Emission, { kind: "tombstone" }>,
): "changed" | "deleted" =>
  scene.query.feed === "groups" && reason === "changed" && presentState(scene, id).end === "gone" ? "deleted" : reason;

const printedId = ({ round, traits }: DeltaScene, id: string): string =>
  chance(round.seed, "case", id) < traits.upperCaseIds ? id.toUpperCase() : id;

const comesAgain = ({ round, traits }: DeltaScene, label: string): boolean =>
  chance(round.seed, "again", label) < traits.repeats;

const laterPage = ({ round }: DeltaScene, label: string, page: number): number =>
  page + chanceBetween(1, 3, round.seed, "later", label);

const only = (entry: Entry): Shown => ({ entries: [entry], pending: [], carried: [] });
