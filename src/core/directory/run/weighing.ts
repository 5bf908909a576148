/**
 * Weighing: what only the whole picture tells. People and groups that a full read did not mention are asked for one by one
 * before they count as gone; raw membership changes become net ones. Then the plan has its totals and its hash.
 *
 * No evidence, no removal: a refused or failed look-up, hidden membership, a first sync - all of them keep what is stored.
 */

import { personId } from "../../crypto/key-ring.ts";
import { isAppError } from "../../errors.ts";
import { ids } from "../../store/documents.ts";
import { weighGuard } from "../guard.ts";
import { type KnownGroup, planHash, version } from "../plan.ts";
import { CursorExpired } from "../ports.ts";
import { byLeaf, sortByBits } from "../shards.ts";
import { knownGroup, knownPerson } from "./reading.ts";
import { breathe, keepTurn, type Round, setAside } from "./round.ts";

const idsPerPage = 500;

export const weigh = async (round: Round): Promise<void> => {
  const { cursor } = round;
  if (cursor.at.phase !== "weighing") return;
  // A run that failed has left people behind: the first sync removes nobody, the round after it does.
  if (cursor.first && round.head.counters.people + round.head.counters.groups > 0) cursor.suspect = true;
  if (cursor.at.stage === "people") {
    if (cursor.full.users && !cursor.first) await sweepPeople(round);
    cursor.at = { phase: "weighing", stage: "groups", after: "" };
  }
  if (cursor.at.stage === "groups") {
    if (cursor.full.groups && !cursor.first) await sweepGroups(round);
    cursor.at = { phase: "weighing", stage: "edges", after: "" };
  }
  await netMemberships(round);
  // How often objects were met depends on how Graph cut its pages and repeated itself: no part of what would change.
  const {
    peopleRead: _people,
    groupsRead: _groups,
    graphRequests: _requests,
    documentsWritten: _written,
    moved: _moved,
    ...counts
  } = round.counts;
  round.planHash = planHash(round.doc.settingsVersion, counts, round.staging.sum);
  round.findings = weighGuard(round.connection.settings.guard, round.head, round.counts, round.needs.ambient.now());
  cursor.at = { phase: "applying", pass: 0, chunk: 0 };
};

const sweepPeople = async (round: Round): Promise<void> => {
  const { needs, connection, staging, cursor } = round;
  for (let after = positionAfter(round); ; ) {
    const page = await needs.store.listIds(connection.connectionId, "person", { after, limit: idsPerPage });
    const unseen = page.filter((id) => !staging.met("users", id.slice(2)));
    const docs = await needs.store.load(connection.connectionId, "person", unseen);
    const candidates = [...docs.values()]
      .filter((doc) => doc.state === "active")
      .map((doc) => ({ id: doc.id.slice(2), known: knownPerson(connection.ring, doc) }));
    const there = await needs.source.present(
      connection,
      "users",
      candidates.map(({ known }) => known.record.oid),
    );
    for (const { id, known } of candidates) {
      const present = there.get(known.record.oid);
      if (present === undefined) unconfirmed(round, id);
      if (present !== false) continue;
      const change = {
        kind: "person" as const,
        id,
        op: "deactivate" as const,
        from: version(known.state, known.hash),
        to: version("deactivated", known.hash),
        evidence: "confirmed-absent",
      };
      staging.plan("users", id, change, null, true);
    }
    if (page.length < idsPerPage) return;
    after = page.at(-1) as string;
    cursor.at = { phase: "weighing", stage: "people", after };
    await breathe(round);
  }
};

const sweepGroups = async (round: Round): Promise<void> => {
  const { needs, connection, staging, cursor } = round;
  for (let after = positionAfter(round); ; ) {
    const page = await needs.store.listIds(connection.connectionId, "group", { after, limit: idsPerPage });
    const unseen = page.map((id) => id.slice(2)).filter((id) => !staging.met("groups", id));
    const there = await needs.source.present(connection, "groups", unseen);
    const docs = await needs.store.load(connection.connectionId, "group", unseen.map(ids.group));
    for (const id of unseen) {
      const present = there.get(id);
      if (present === undefined) unconfirmed(round, id);
      const doc = docs.get(ids.group(id));
      if (present !== false || !doc) continue;
      staging.plan(
        "groups",
        id,
        { kind: "group", id, op: "remove", from: doc.hash, to: null, evidence: "confirmed-absent" },
        null,
        true,
      );
    }
    if (page.length < idsPerPage) return;
    after = page.at(-1) as string;
    cursor.at = { phase: "weighing", stage: "groups", after };
    await breathe(round);
  }
};

/** Stays, and is listed; no later delta would speak of it, so the next round reads everything again. */
const unconfirmed = (round: Round, id: string): void => {
  setAside(round, "absence-not-confirmed", id);
  round.cursor.suspect = true;
};

const positionAfter = (round: Round): string => (round.cursor.at.phase === "weighing" ? round.cursor.at.after : "");

/** Group by group in id order, so that the place reached is one id. */
const netMemberships = async (round: Round): Promise<void> => {
  const parts = new Map<string, number[]>();
  for await (const { part, groups } of round.staging.edgeParts())
    for (const group of groups) {
      const list = parts.get(group);
      if (list) list.push(part);
      else parts.set(group, [part]);
    }
  const groups = new Set(parts.keys());
  if (round.cursor.full.groups && !round.cursor.first) for await (const id of storedGroups(round)) groups.add(id);
  for (const id of await createdGroups(round)) groups.add(id);
  const start = positionAfter(round);
  for (const group of [...groups].toSorted()) {
    if (group <= start || round.staging.said("groups", group) !== "there") continue;
    await netGroup(round, group, parts.get(group) ?? []);
    round.cursor.at = { phase: "weighing", stage: "edges", after: group };
    await breathe(round);
  }
};

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

const netGroup = async (round: Round, group: string, parts: readonly number[]): Promise<void> => {
  const { needs, connection, staging } = round;
  const edges = await staging.edgesOf(group, parts);
  const told: Members = { people: new Set(edges.add), children: new Set(edges.addChildren) };
  const revoked: Members = { people: new Set(edges.remove), children: new Set(edges.removeChildren) };
  const contradicted = [
    ...edges.remove.filter((id) => told.people.has(id)),
    ...edges.removeChildren.filter((id) => told.children.has(id)),
  ];

  const doc = await needs.store.read(connection.connectionId, "group", ids.group(group));
  const full = round.cursor.full.groups;
  // A delta that contradicts nothing needs only the shards its own ids belong to.
  const leaves =
    doc && (full || contradicted.length > 0)
      ? doc.leaves
      : [...byLeaf(doc?.leaves ?? [], [...told.people, ...revoked.people]).keys()];
  const stored: Members = doc
    ? { people: await storedMembers(round, group, leaves), children: new Set(doc.children) }
    : { people: new Set(), children: new Set() };
  const hidden = await hiddenMembership(round, group, doc ? knownGroup(connection.ring, doc) : null);

  const missing =
    full &&
    doc !== null &&
    ([...stored.people].some((id) => !told.people.has(id)) ||
      [...stored.children].some((id) => !told.children.has(id)));
  const incomplete = !full && doc === null;
  const live = (contradicted.length > 0 || missing || incomplete) && !hidden ? await liveMembers(round, group) : null;

  // By the feed: additions stand; removals only when it named them itself, and nothing that it named in both ways.
  const wanted: Members = { people: new Set(stored.people), children: new Set(stored.children) };
  for (const kind of ["people", "children"] as const) {
    for (const id of told[kind]) if (!revoked[kind].has(id)) wanted[kind].add(id);
    if (!full) for (const id of revoked[kind]) if (!told[kind].has(id)) wanted[kind].delete(id);
  }
  if (live) await followList(round, wanted, live);
  else {
    for (const _id of contradicted) setAside(round, "membership-contradictory", group);
    if (missing) setAside(round, "membership-not-readable", group);
  }
  planDifference(round, group, stored, wanted, live ? "membership-read" : "membership-removed");
};

/**
 * Lays a live list over what the feed told. The list leaves out who is soft-deleted, though they are members still and come
 * back without a word: only somebody who would be listed is proven absent by not being there.
 */
const followList = async (round: Round, wanted: Members, live: Members): Promise<void> => {
  const { needs, connection, staging } = round;
  const unlisted = more(wanted.people, live.people);
  const states = await needs.store.personStates(connection.connectionId, unlisted.map(ids.person));
  for (const id of unlisted) {
    const change = await staging.changeOf("users", id);
    if (change ? change.op !== "deactivate" : states.get(ids.person(id)) === "active") wanted.people.delete(id);
  }
  const absent = more(wanted.children, live.children);
  const stored = await needs.store.load(connection.connectionId, "group", absent.map(ids.group));
  for (const id of absent) {
    const change = await staging.changeOf("groups", id);
    if (change ? change.op !== "remove" : stored.has(ids.group(id))) wanted.children.delete(id);
  }
  for (const id of live.people) wanted.people.add(id);
  for (const id of live.children) wanted.children.add(id);
};

const more = (a: ReadonlySet<string>, b: ReadonlySet<string>): string[] => [...a].filter((id) => !b.has(id));

const planDifference = (round: Round, group: string, stored: Members, wanted: Members, evidence: string): void => {
  round.staging.planMembers(
    group,
    "add",
    sortByBits(more(wanted.people, stored.people)),
    more(wanted.children, stored.children).toSorted(),
  );
  round.staging.planMembers(
    group,
    "remove",
    sortByBits(more(stored.people, wanted.people)),
    more(stored.children, wanted.children).toSorted(),
    evidence,
  );
};

const storedMembers = async (round: Round, group: string, leaves: readonly string[]): Promise<Set<string>> => {
  const members = new Set<string>();
  const shards = leaves.map((bits) => ids.shard(group, bits));
  for (let at = 0; at < shards.length; at += 50) {
    const docs = await round.needs.store.load(round.connection.connectionId, "members", shards.slice(at, at + 50));
    for (const doc of docs.values()) for (const id of doc.members) members.add(id);
  }
  return members;
};

/** A list that may look empty because we lack the right to see it proves nothing. */
const hiddenMembership = async (round: Round, group: string, known: KnownGroup | null): Promise<boolean> => {
  const change = await round.staging.changeOf("groups", group);
  const fields = change?.kind === "group" && change.record ? change.record.fields : known?.record.fields;
  return String(fields?.visibility ?? "").toLowerCase() === "hiddenmembership";
};

/** The group's members now, read to the end; null when Graph refuses: then nothing is removed. */
const liveMembers = async (round: Round, group: string): Promise<Members | null> => {
  const { needs, connection } = round;
  const members: Members = { people: new Set(), children: new Set() };
  try {
    for (let link: string | null = null; ; ) {
      await keepTurn(round);
      const page = await needs.source.members(connection, group, link);
      for (const member of page.members) {
        if (member.type === "user") members.people.add(personId(connection.ring, member.id));
        else if (member.type === "group") members.children.add(member.id);
      }
      if (page.next === null) return members;
      link = page.next;
    }
  } catch (error) {
    if (!isAppError(error, "graph-refused") && !(error instanceof CursorExpired)) throw error;
    setAside(round, "membership-not-readable", group);
    // What this delta could not settle, no later one speaks of.
    if (!round.cursor.full.groups) round.cursor.suspect = true;
    return null;
  }
};
