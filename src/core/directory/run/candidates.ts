/**
 * People whose place in the scope has changed without a word of the users feed: they have come into a selected group, or left
 * the last one. Whoever leaves is known; whoever comes is asked for, one by one.
 */
import { personId } from "../../crypto/key-ring.ts";
import { isAppError } from "../../errors.ts";
import { ids } from "../../store/documents.ts";
import { scopeId } from "../group-roles.ts";
import { planLeaving, planPerson } from "../plan.ts";
import { CursorExpired } from "../ports.ts";
import { knownPerson } from "./known.ts";
import { markersOf } from "./markers.ts";
import { breathe, keepTurn, type Round, setAside } from "./round.ts";

const peoplePerStep = 200;

export const decideCandidates = async (round: Round): Promise<void> => {
  const { connection, staging, cursor } = round;
  // A full read has met everybody there is; who was not in it is looked at when the plan is weighed.
  if (cursor.full.users || connection.settings.people.from === "everybody") return;
  const { add, remove } = await staging.plannedMembers(scopeId(connection.ring));
  const start = "step" in cursor.at ? cursor.at.after : "";
  const moved = [...remove, ...add].filter((id) => id > start && !staging.met("users", id)).toSorted();
  for (let at = 0; at < moved.length; at += peoplePerStep) {
    const people = moved.slice(at, at + peoplePerStep);
    await planLeavers(
      round,
      people.filter((id) => remove.has(id)),
    );
    await planJoiners(
      round,
      people.filter((id) => add.has(id)),
    );
    // Who could not be decided about is passed as well: asking again in each slice would never end.
    cursor.at = { phase: "reading", step: "candidates", after: people.at(-1) as string };
    await breathe(round);
  }
};

const planLeavers = async (round: Round, people: readonly string[]): Promise<void> => {
  const { needs, connection, staging } = round;
  const docs = await needs.store.load(connection.connectionId, "person", people.map(ids.person));
  for (const doc of docs.values()) {
    const id = doc.id.slice(2);
    const known = knownPerson(connection.ring, doc);
    staging.plan("users", id, planLeaving(connection.settings, id, known, "scope: not-in-groups"), null, false);
  }
};

const planJoiners = async (round: Round, people: readonly string[]): Promise<void> => {
  const { needs, connection, staging } = round;
  const docs = await needs.store.load(connection.connectionId, "person", people.map(ids.person));
  const markers = await markersOf(round, people);
  const known = new Map([...docs.values()].map((doc) => [doc.id.slice(2), knownPerson(connection.ring, doc)]));
  const objectIds = new Map<string, string>();
  const unknown = new Set<string>();
  for (const id of people) {
    const person = known.get(id);
    if (person?.state === "active" && !person.left) continue;
    const objectId = person?.record?.oid ?? round.objectIds.get(id);
    if (objectId === undefined) unknown.add(id);
    else objectIds.set(id, objectId);
  }
  if (unknown.size > 0) await findObjectIds(round, unknown, objectIds);
  await keepTurn(round);
  const live = await needs.source.people(connection, [...objectIds.values()]);
  const rules = await round.rules();
  for (const [id, objectId] of objectIds) {
    const object = live.get(objectId);
    if (object === undefined) {
      setAside(round, "person-not-readable", id);
      round.cursor.suspect = true;
    }
    if (!object) continue;
    const standing = { marker: markers.get(id) ?? null, isMember: true };
    const { change, kept } = planPerson(connection.ring, rules, standing, known.get(id) ?? null, object, true);
    round.counts.keptThoughCleared += kept;
    staging.plan("users", id, change, null, false);
  }
};

/**
 * A pseudonym cannot be turned back: the lists of the selected groups are read until all are found. Who is in none is
 * soft-deleted, or has left meanwhile, and comes with a later round.
 */
const findObjectIds = async (round: Round, wanted: Set<string>, found: Map<string, string>): Promise<void> => {
  const { needs, connection } = round;
  const { scope } = await round.nesting.closures();
  for (const group of [...scope].toSorted()) {
    for (let link: string | null | undefined; link !== null && wanted.size > 0; ) {
      await keepTurn(round);
      const page = await needs.source.members(connection, group, link ?? null).catch((error: unknown) => {
        if (isAppError(error, "graph-refused") || error instanceof CursorExpired) return { members: [], next: null };
        throw error;
      });
      for (const { type, id: objectId } of page.members) {
        const id = type === "user" ? personId(connection.ring, objectId) : "";
        if (wanted.delete(id)) found.set(id, objectId);
      }
      link = page.next;
    }
  }
};
