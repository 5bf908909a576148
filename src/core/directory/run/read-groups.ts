/** Groups as the feed, or a live look-up, tells of them. */
import { personId } from "../../crypto/key-ring.ts";
import { type GroupDoc, ids, type Stored } from "../../store/documents.ts";
import { type Closures, documentId, filterId, mayBeShown, roleOf } from "../group-roles.ts";
import { type GroupChange, type GroupIdentity, planGroup, planGroupRemoval } from "../plan.ts";
import type { RawObject } from "../ports.ts";
import { overlayGroup } from "../records.ts";
import { knownGroup } from "./known.ts";
import { noneStored } from "./none-stored.ts";
import { keepTurn, type Round, setAside } from "./round.ts";
import { contradicts } from "./said.ts";

type Docs = ReadonlyMap<string, Stored<GroupDoc>>;

export const readGroups = async (round: Round, objects: readonly RawObject[]): Promise<void> => {
  round.counts.groupsRead += objects.length;
  const closures = await round.nesting.closures();
  const docs = await documentsOf(
    round,
    objects.map(({ id }) => id),
  );
  const live = await hydrate(round, closures, docs, objects);
  for (const object of objects) {
    await keepTurn(round);
    // Its earlier pieces were passed over, when nobody could know that it matters: it will be read by itself, in whole.
    if (round.staging.passedOver(object.id) && !object.removed) continue;
    const told = live.get(object.id);
    if (told === null) continue;
    if (isUnknown(round, docs, object)) putOff(round, object.id);
    else await readGroup(round, closures, docs, told ? { ...object, properties: told.properties } : object);
  }
};

/**
 * Where groups lie in groups, one that is not held is read by itself and in whole, if it matters: a delta may tell of it with half
 * of its properties and a part of its members.
 */
const isUnknown = ({ cursor, nesting, staging }: Round, docs: Docs, { id, removed }: RawObject): boolean =>
  !cursor.full.groups && !nesting.isFlat && !removed && staging.said("groups", id) === null && !isHeld(docs, id);

const putOff = ({ staging, connection }: Round, group: string): void => {
  staging.passOver(group);
  // Where people are chosen by groups, only those matter that lie in a selected one, and these are found from there.
  if (connection.settings.people.from === "everybody") staging.notes.add("unknown", group);
};

const isHeld = (docs: Docs, group: string): boolean =>
  docs.has(ids.group(group)) || [...docs.values()].some(({ of }) => of === group);

/**
 * Groups of which no properties are stored, as they are now: of what kind a group is, half of its properties do not tell. Null:
 * it has gone meanwhile, and its tombstone is to come.
 */
const hydrate = async (
  round: Round,
  closures: Closures,
  docs: Docs,
  objects: readonly RawObject[],
): Promise<Map<string, RawObject | null>> => {
  const { cursor, connection, needs, staging } = round;
  if (cursor.full.groups || !connection.settings.groups.include) return new Map();
  const wanted = objects.filter(
    (object) =>
      !object.removed &&
      !docs.has(ids.group(object.id)) &&
      staging.said("groups", object.id) === null &&
      !isUnknown(round, docs, object) &&
      mayBeShown(connection.settings, closures, object.id),
  );
  if (wanted.length === 0) return new Map();
  const asked = [...new Set(wanted.map(({ id }) => id))];
  const live = await needs.source.groups(connection, asked);
  for (const id of asked) {
    if (live.has(id)) continue;
    setAside(round, "group-not-readable", id);
    cursor.suspect = true;
  }
  return live;
};

/** By document id; a group may be held in either of two roles. */
export const documentsOf = async (round: Round, groups: readonly string[]): Promise<Map<string, Stored<GroupDoc>>> => {
  if (await noneStored(round, "group")) return new Map();
  const wanted = new Set(groups.flatMap((group) => identitiesOf(round, group).map(({ id }) => ids.group(id))));
  return round.needs.store.load(round.connection.connectionId, "group", [...wanted]);
};

const identitiesOf = ({ connection, nesting, cursor }: Round, group: string): GroupIdentity[] => [
  { id: group, role: "shown", of: null },
  // Groups are filters only where some matter for others, or did until now.
  ...(nesting.isFlat && !cursor.again.groups && !cursor.full.groups
    ? []
    : [{ id: filterId(connection.ring, group), role: "filter" as const, of: group }]),
];

/** @param certain no group that is still to be read can make this one matter. */
export const readGroup = async (
  round: Round,
  closures: Closures,
  docs: Docs,
  object: RawObject,
  certain = round.nesting.isFlat,
): Promise<void> => {
  const { connection, staging } = round;
  const identities = identitiesOf(round, object.id);
  const said = saidOf(round, identities);
  const earlier = new Map<string, GroupChange | null>();
  for (const { id } of identities) earlier.set(id, (await staging.changeOf("groups", id)) as GroupChange | null);
  const own = earlier.get(object.id) ?? null;
  const settled = contradicts(said, object) ? await settleGroup(round, object, own) : object;
  if (!settled) return;
  const drop = (identity: GroupIdentity, evidence: string): void => {
    const doc = docs.get(ids.group(identity.id));
    const before = earlier.get(identity.id) ?? null;
    const change = doc ? planGroupRemoval(identity, knownGroup(connection.ring, doc), evidence) : null;
    if (doc || before || identity.id === object.id) staging.plan("groups", identity.id, change, before, true);
  };
  if (settled.removed) {
    for (const identity of identities) drop(identity, settled.removed === "changed" ? "soft-deleted" : "deleted");
    return;
  }
  const doc = docs.get(ids.group(object.id));
  const stored = doc ? knownGroup(connection.ring, doc).record.fields : undefined;
  const { fields } = overlayGroup(own?.record?.fields ?? stored, settled.properties);
  const now = roleOf(connection.settings, closures, object.id, fields);
  const role = certain ? now : atLeast(now, heldAs(docs, identities));
  for (const identity of identities)
    if (identity.role !== role && (docs.has(ids.group(identity.id)) || earlier.get(identity.id)))
      drop(identity, "scope: group");
  const wanted = identities.find((identity) => identity.role === role);
  if (!wanted) {
    if (said === null && !docs.has(ids.group(object.id))) staging.passOver(object.id);
    return;
  }
  const held = docs.get(ids.group(wanted.id));
  const before = earlier.get(wanted.id) ?? null;
  const known = held ? knownGroup(connection.ring, held) : null;
  const { change, kept } = planGroup(connection.ring, wanted, known, settled, before?.record ?? null);
  // Every piece of a large group brings the same fields.
  if (said === null) round.counts.keptThoughCleared += kept;
  staging.plan("groups", wanted.id, change, before, false);
  for (const { type, id, removed } of settled.members ?? []) {
    if (type === "user") {
      const person = personId(connection.ring, id);
      staging.told.add(wanted.id, removed ? "remove" : "add", person);
      if (!removed && closures.scope.has(object.id)) rememberObjectId(round, person, id);
    } else if (type === "group") staging.told.add(wanted.id, removed ? "removeChildren" : "addChildren", id);
  }
};

const rememberedObjectIds = 5000;

/** Saves a candidate's search through the lists of groups. Only in memory, and only as many as are asked for one by one. */
const rememberObjectId = ({ objectIds }: Round, person: string, objectId: string): void => {
  if (objectIds.size < rememberedObjectIds) objectIds.set(person, objectId);
};

type Role = "shown" | "filter" | null;

const heldAs = (docs: Docs, identities: readonly GroupIdentity[]): Role => {
  const roles = identities.flatMap(({ id, role }) => (docs.has(ids.group(id)) ? [role] : []));
  return roles.includes("shown") ? "shown" : roles.includes("filter") ? "filter" : null;
};

/** Groups are told in any order: what lies in which is known at the end, and until then none is given up. */
const atLeast = (now: Role, held: Role): Role => {
  if (now === "shown" || held === "shown") return "shown";
  return now ?? held;
};

const saidOf = ({ staging }: Round, identities: readonly GroupIdentity[]): "there" | "gone" | null => {
  const said = identities.map(({ id }) => staging.said("groups", id));
  return said.includes("there") ? "there" : (said.find((each) => each !== null) ?? null);
};

const settleGroup = async (round: Round, object: RawObject, earlier: GroupChange | null): Promise<RawObject | null> => {
  const there = (await round.needs.source.present(round.connection, "groups", [object.id])).get(object.id);
  if (there === undefined) {
    setAside(round, "group-not-readable", object.id);
    round.cursor.suspect = true;
    return null;
  }
  if (!there) return { id: object.id, removed: "deleted", properties: {} };
  // There, and this occurrence is the tombstone: what the earlier one brought stands.
  return object.removed ? { id: object.id, properties: earlier?.record?.fields ?? {} } : object;
};

/** The document that holds the group in this role. */
export const identityOf = (round: Round, role: "shown" | "filter", group: string): GroupIdentity => ({
  id: documentId(round.connection.ring, role, group),
  role,
  of: role === "filter" ? group : null,
});
