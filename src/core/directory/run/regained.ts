/**
 * Memberships of people who come back. A list of members leaves out who is in the recycle bin, so a group that was read by itself
 * meanwhile is stored without them, and no feed tells of them when they are restored: whoever a delta brings and who was not
 * synchronised until now is asked for his groups.
 */
import { personId } from "../../crypto/key-ring.ts";
import { type GroupDoc, ids } from "../../store/documents.ts";
import { derivedGroups, isShown } from "../group-roles.ts";
import type { RawObject } from "../ports.ts";
import { byLeaf, sortByBits } from "../shards.ts";
import { erasedAmong } from "./markers.ts";
import { heldDocument } from "./members.ts";
import { keepTurn, type Round, setAside } from "./round.ts";

/** Object ids of the groups they are in directly, by person id. */
type GroupsOf = ReadonlyMap<string, ReadonlySet<string>>;

/** Who has to be in a group. */
interface Expected {
  /** Of the group's document. */
  id: string;
  doc: GroupDoc | null;
  counted: boolean;
  people: string[];
}

/** A full read of groups tells of everybody's; where groups are only shown, what the feed told is kept besides every list. */
export const regainMemberships = async (round: Round, objects: readonly RawObject[]): Promise<void> => {
  if (round.cursor.full.users || round.nesting.isFlat || objects.length === 0) return;
  const groupsOf = await askFor(round, objects);
  const missed = await planMissing(round, await inGroups(round, groupsOf));
  // Whoever was missing in no group is missing in none that is made of them.
  if (missed.size > 0)
    await planMissing(round, await inDerived(round, new Map([...groupsOf].filter(([person]) => missed.has(person)))));
};

const askFor = async (round: Round, objects: readonly RawObject[]): Promise<GroupsOf> => {
  const { connection, needs, cursor } = round;
  const oids = new Map(objects.map(({ id }) => [personId(connection.ring, id), id]));
  for (const person of await erasedAmong(round, [...oids.keys()])) oids.delete(person);
  await keepTurn(round);
  const found = await needs.source.memberOf(connection, [...oids.values()]);
  const groupsOf = new Map<string, ReadonlySet<string>>();
  for (const [person, oid] of oids) {
    const groups = found.get(oid);
    if (groups) groupsOf.set(person, groups);
    else {
      setAside(round, "membership-not-readable", person);
      cursor.suspect = true;
    }
  }
  return groupsOf;
};

const inGroups = async (round: Round, groupsOf: GroupsOf): Promise<Expected[]> => {
  const expected: Expected[] = [];
  const groups = [...new Set([...groupsOf.values()].flatMap((each) => [...each]))];
  await round.nesting.load(groups);
  for (const group of groups) {
    const held = await heldDocument(round, group);
    if (!held) continue;
    const planned = await round.staging.changeOf("groups", held.id);
    const role = held.doc?.role ?? (planned?.kind === "group" ? planned.role : "filter");
    const people = [...groupsOf].flatMap(([person, each]) => (each.has(group) ? [person] : []));
    expected.push({ ...held, counted: isShown(role), people });
  }
  return expected;
};

const inDerived = async ({ connection, needs, staging, nesting }: Round, groupsOf: GroupsOf): Promise<Expected[]> => {
  const expected: Expected[] = [];
  for (const { id, role, roots } of derivedGroups(connection.ring, connection.settings)) {
    const closure = await nesting.closureOf(roots);
    const people = [...groupsOf].flatMap(([person, groups]) =>
      [...groups].some((group) => closure.has(group)) ? [person] : [],
    );
    if (people.length === 0) continue;
    const doc = await needs.store.read(connection.connectionId, "group", ids.group(id));
    const said = staging.said("groups", id);
    if (said === "there" || (said === null && doc)) expected.push({ id, doc, counted: isShown(role), people });
  }
  return expected;
};

/** Returns who was missing in any of them. */
const planMissing = async (
  { connection, needs, staging, members }: Round,
  expected: readonly Expected[],
): Promise<Set<string>> => {
  const shards = expected.flatMap(({ id, doc, people }) =>
    [...byLeaf(doc?.leaves ?? [], people).keys()].map((bits) => ids.shard(id, bits)),
  );
  const stored = await needs.store.load(connection.connectionId, "members", shards);
  const known = Map.groupBy(stored.values(), ({ groupId }) => groupId);
  const missed = new Set<string>();
  for (const { id, counted, people } of expected) {
    const there = new Set(known.get(id)?.flatMap((shard) => shard.members));
    const { add } = await staging.plannedMembers(id);
    const missing = sortByBits(people.filter((person) => !there.has(person) && !add.has(person)));
    staging.planMembers({ group: id, op: "add", people: missing, children: [], counted });
    members.joined(id, missing);
    for (const person of missing) missed.add(person);
  }
  return missed;
};
