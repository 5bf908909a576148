/**
 * Groups whose members are those of others: the groups of the product that groups of the tenant stand for, and the one that
 * holds everybody who is in a selected group. Stored like any other group, so that a change of one membership costs one shard.
 */
import { type GroupDoc, ids, type Stored } from "../../store/documents.ts";
import { type Derived, derivedGroups, filterId, isShown, scopeId } from "../group-roles.ts";
import { IdSet } from "../id-set.ts";
import { planGroup, planGroupRemoval } from "../plan.ts";
import { sortByBits } from "../shards.ts";
import { knownGroup } from "./known.ts";
import { addMembers, addMembersOf, isHeld } from "./members.ts";
import { breathe, type Round } from "./round.ts";

export const planDerivedGroups = async (round: Round): Promise<void> => {
  const { cursor, connection } = round;
  const derived = derivedGroups(connection.ring, connection.settings);
  if (derived.length === 0) return;
  const parts = await round.staging.told.partsByGroup();
  const start = "step" in cursor.at ? cursor.at.after : "";
  for (const each of derived) {
    if (each.id <= start) continue;
    await planDerived(round, each, parts);
    cursor.at = { phase: "reading", step: "derived-groups", after: each.id };
    await breathe(round);
  }
  if (await bringsMany(round)) cursor.full.users = true;
};

const planDerived = async (round: Round, derived: Derived, parts: ReadonlyMap<string, number[]>): Promise<void> => {
  const { needs, connection, staging } = round;
  const { id, role, of, roots } = derived;
  const doc = await needs.store.read(connection.connectionId, "group", ids.group(id));
  const known = doc ? knownGroup(connection.ring, doc) : null;
  const identity = { id, role, of };
  // The scope stays, empty, when its groups have gone: whoever was in them leaves it.
  if (role === "product" && !(await anyHeld(round, roots))) {
    if (doc && known) staging.plan("groups", id, planGroupRemoval(identity, known, "sources-gone"), null, true);
    return;
  }
  const closure = [...(await round.nesting.closureOf(roots))].toSorted();
  const whole = doc === null || (await isWhole(round, closure));
  const affected = whole ? null : await peopleTold(round, closure, parts);
  if (affected?.length === 0) return;
  const before = new IdSet();
  const after = new IdSet();
  await addStored(round, doc, before, affected);
  await addMembers(round, closure, after, affected);
  const { change } = planGroup(connection.ring, identity, known, { properties: {} });
  if (change) staging.plan("groups", id, change, null, false);
  const counted = isShown(role);
  for (const people of byFirstBits(after, before))
    staging.planMembers({ group: id, op: "add", people, children: [], counted });
  for (const people of byFirstBits(before, after))
    staging.planMembers({ group: id, op: "remove", people, children: [], counted, evidence: "no-source-left" });
};

/** More has changed than the members that the feed has named. */
const isWhole = async ({ cursor, nesting, staging }: Round, closure: readonly string[]): Promise<boolean> => {
  if (cursor.full.groups || cursor.again.groups || cursor.again.users) return true;
  // A group has come or gone, or one of them lies in another group now.
  for (const group of closure)
    if (nesting.isGone(group) || staging.notes.wasRead(group) || (await nesting.isRearranged(group))) return true;
  return false;
};

const anyHeld = async (round: Round, groups: readonly string[]): Promise<boolean> => {
  for (const group of groups) if (await isHeld(round, group)) return true;
  return false;
};

/**
 * Whose membership in one of the groups was spoken of or changes. What the feed has told counts even if it is stored already: a
 * run that was broken off may have come as far as the group, and not as far as what is derived from it.
 */
const peopleTold = async (
  { staging, connection }: Round,
  closure: readonly string[],
  parts: ReadonlyMap<string, number[]>,
): Promise<string[]> => {
  const people = new Set<string>();
  for (const id of closure.flatMap((group) => [group, filterId(connection.ring, group)]).toSorted()) {
    const told = await staging.told.of(id, parts.get(id) ?? []);
    for (const person of [...told.add, ...told.remove]) people.add(person);
    const planned = await staging.plannedMembers(id);
    for (const person of planned.add) people.add(person);
    for (const person of planned.remove) people.add(person);
  }
  return [...people];
};

/** What is stored and nothing else: of the derived group itself nothing is planned yet. */
const addStored = async (
  round: Round,
  doc: Stored<GroupDoc> | null,
  found: IdSet,
  among: readonly string[] | null,
): Promise<void> => {
  if (doc) await addMembersOf(round, [{ id: doc.id.slice(2), doc }], found, among);
};

/** Ids that are in `some` and not in `others`, in portions whose ids lie in few shards. */
function* byFirstBits(some: IdSet, others: IdSet): Iterable<string[]> {
  const portions: string[][] = Array.from({ length: 64 }, () => []);
  for (const id of some)
    if (!others.has(id))
      portions["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".indexOf(id[0] as string)]?.push(id);
  for (const portion of portions) if (portion.length > 0) yield sortByBits(portion);
}

/** From here on it costs less to read everybody than to ask for them one by one. */
const manyCandidates = 2000;

const bringsMany = async ({ connection, cursor, staging }: Round): Promise<boolean> =>
  !cursor.full.users && (await staging.plannedMembers(scopeId(connection.ring))).add.size > manyCandidates;
