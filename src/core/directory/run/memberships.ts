/**
 * Raw membership changes become net ones: per group, what the feed told against what is stored, and Graph's own list where the
 * two leave a doubt. No evidence, no removal: a list that is refused or hidden keeps what is stored.
 */
import { personId } from "../../crypto/key-ring.ts";
import { type GroupDoc, ids, type Stored } from "../../store/documents.ts";
import { isShown } from "../group-roles.ts";
import type { KnownGroup } from "../plan.ts";
import { byLeaf, sortByBits } from "../shards.ts";
import { knownGroup, knownPerson } from "./known.ts";
import { liveMembers } from "./live-members.ts";
import { erasedAmong } from "./markers.ts";
import { isHeld, storedMembers } from "./members.ts";
import { noneStored } from "./none-stored.ts";
import { breathe, type Round, setAside } from "./round.ts";

const idsPerPage = 500;
/** Their documents are loaded at once. */
const groupsPerStep = 100;

/** Group by group in id order, so that the place reached is one id. */
export const netMemberships = async (round: Round): Promise<void> => {
  const parts = await round.staging.told.partsByGroup();
  const groups = new Set(parts.keys());
  if (round.cursor.full.groups && !(await noneStored(round, "group")))
    for await (const id of storedGroups(round)) groups.add(id);
  for (const id of await createdGroups(round)) groups.add(id);
  const start = "step" in round.cursor.at ? round.cursor.at.after : "";
  const left = [...groups]
    .toSorted()
    .filter((group) => group > start && round.staging.said("groups", group) === "there");
  for (let at = 0; at < left.length; at += groupsPerStep) {
    const step = left.slice(at, at + groupsPerStep);
    const docs = await storedAmong(round, step);
    for (const group of step) {
      await netGroup(round, group, docs.get(ids.group(group)) ?? null, parts.get(group) ?? []);
      round.cursor.at = { phase: "reading", step: "memberships", after: group };
      await breathe(round);
    }
  }
};

const storedAmong = async (round: Round, groups: readonly string[]): Promise<Map<string, Stored<GroupDoc>>> =>
  (await noneStored(round, "group"))
    ? new Map()
    : round.needs.store.load(round.connection.connectionId, "group", groups.map(ids.group));

async function* storedGroups(round: Round): AsyncIterable<string> {
  for (let after = ""; ; ) {
    const page = await round.needs.store.listIds(round.connection.connectionId, "group", { after, limit: idsPerPage });
    for (const id of page) yield id.slice(2);
    if (page.length < idsPerPage) return;
    after = page.at(-1) as string;
  }
}

/** Groups that a delta brought as new: what the feed says of their members need not be all. */
const createdGroups = async (round: Round): Promise<string[]> => {
  const created: string[] = [];
  if (round.cursor.full.groups) return created;
  for (let chunk = 0; chunk < round.staging.chunks("groups+"); chunk++)
    for (const change of await round.staging.chunk("groups+", chunk))
      if (change.kind === "group" && change.op === "create") created.push(change.id);
  return created;
};

interface Members {
  people: Set<string>;
  children: Set<string>;
}

const netGroup = async (
  round: Round,
  id: string,
  doc: Stored<GroupDoc> | null,
  parts: readonly number[],
): Promise<void> => {
  const { connection, staging, cursor } = round;
  const planned = await staging.changeOf("groups", id);
  const { of, role } = doc ?? (planned?.kind === "group" ? planned : { of: null, role: "shown" as const });
  // Derived groups are planned when all others are.
  if (role === "product" || role === "scope") return;
  const group = of ?? id;
  const edges = await staging.told.of(id, parts);
  const told: Members = { people: new Set(edges.add), children: new Set(edges.addChildren) };
  const revoked: Members = { people: new Set(edges.remove), children: new Set(edges.removeChildren) };
  const contradicted = [
    ...edges.remove.filter((each) => told.people.has(each)),
    ...edges.removeChildren.filter((each) => told.children.has(each)),
  ];

  const full = cursor.full.groups;
  // A delta that contradicts nothing needs only the shards its own ids belong to.
  const leaves =
    doc && (full || contradicted.length > 0)
      ? doc.leaves
      : [...byLeaf(doc?.leaves ?? [], [...told.people, ...revoked.people]).keys()];
  const stored: Members = doc
    ? { people: await membersIn(round, id, leaves), children: new Set(doc.children) }
    : { people: new Set(), children: new Set() };
  const hidden = await hiddenMembership(round, id, doc ? knownGroup(connection.ring, doc) : null);

  const missing =
    full &&
    doc !== null &&
    ([...stored.people].some((each) => !told.people.has(each)) ||
      [...stored.children].some((each) => !told.children.has(each)));
  const incomplete = !full && doc === null && !staging.notes.wasRead(group);
  const list = (contradicted.length > 0 || missing || incomplete) && !hidden ? await liveMembers(round, group) : null;

  // By the feed: additions stand; removals only when it named them itself, and nothing that it named in both ways.
  const wanted: Members = { people: new Set(stored.people), children: new Set(stored.children) };
  for (const kind of ["people", "children"] as const) {
    for (const each of told[kind]) if (!revoked[kind].has(each)) wanted[kind].add(each);
    if (!full) for (const each of revoked[kind]) if (!told[kind].has(each)) wanted[kind].delete(each);
  }
  if (list) await followList(round, wanted, membersOf(round, list));
  else {
    for (const _each of contradicted) setAside(round, "membership-contradictory", group);
    if (missing) setAside(round, "membership-not-readable", group);
  }
  for (const person of await erasedAmong(round, more(wanted.people, stored.people))) wanted.people.delete(person);
  planDifference(
    round,
    { id, counted: isShown(role) },
    stored,
    wanted,
    list ? "membership-read" : "membership-removed",
  );
};

const membersOf = ({ connection }: Round, list: readonly { type: string; id: string }[]): Members => {
  const members: Members = { people: new Set(), children: new Set() };
  for (const { type, id } of list) {
    if (type === "user") members.people.add(personId(connection.ring, id));
    else if (type === "group") members.children.add(id);
  }
  return members;
};

/**
 * Lays a live list over what the feed told. The list leaves out who is soft-deleted, though they are members still and come
 * back without a word: only somebody who would be listed is proven absent by not being there. Of people whom the connection
 * does not hold nothing can be proven; where groups decide who is read at all, they are taken at their absence.
 */
const followList = async (round: Round, wanted: Members, live: Members): Promise<void> => {
  const { needs, connection } = round;
  const unlisted = more(wanted.people, live.people);
  const docs = await needs.store.load(connection.connectionId, "person", unlisted.map(ids.person));
  const known = [...docs.values()].flatMap((doc) => {
    const { record } = knownPerson(connection.ring, doc);
    return record ? [{ id: doc.id.slice(2), oid: record.oid }] : [];
  });
  const present = await needs.source.present(
    connection,
    "users",
    known.map(({ oid }) => oid),
  );
  for (const { id, oid } of known) if (present.get(oid) === true) wanted.people.delete(id);
  if (!round.nesting.isFlat) for (const id of unlisted) if (!docs.has(ids.person(id))) wanted.people.delete(id);
  for (const id of more(wanted.children, live.children)) if (await isHeld(round, id)) wanted.children.delete(id);
  for (const id of live.people) wanted.people.add(id);
  for (const id of live.children) wanted.children.add(id);
};

const more = (a: ReadonlySet<string>, b: ReadonlySet<string>): string[] => [...a].filter((id) => !b.has(id));

const planDifference = (
  { staging }: Round,
  { id, counted }: { id: string; counted: boolean },
  stored: Members,
  wanted: Members,
  evidence: string,
): void => {
  const added = {
    people: sortByBits(more(wanted.people, stored.people)),
    children: more(wanted.children, stored.children).toSorted(),
  };
  const removed = {
    people: sortByBits(more(stored.people, wanted.people)),
    children: more(stored.children, wanted.children).toSorted(),
  };
  staging.planMembers({ group: id, op: "add", ...added, counted });
  staging.planMembers({ group: id, op: "remove", ...removed, counted, evidence });
};

const membersIn = async (round: Round, id: string, leaves: readonly string[]): Promise<Set<string>> => {
  const found = new Set<string>();
  for await (const members of storedMembers(round, id, leaves)) for (const each of members) found.add(each);
  return found;
};

/** A list that may look empty because we lack the right to see it proves nothing. */
const hiddenMembership = async (round: Round, id: string, known: KnownGroup | null): Promise<boolean> => {
  const change = await round.staging.changeOf("groups", id);
  const fields = change?.kind === "group" && change.record ? change.record.fields : known?.record.fields;
  return String(fields?.visibility ?? "").toLowerCase() === "hiddenmembership";
};
