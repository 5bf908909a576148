/**
 * Reading: groups feed, then users feed, page by page -> load what is known -> plan -> stage. Nothing of the directory is
 * written; a page that is read again after a crash is staged again, and what it had staged before counts for nothing.
 */
import { type KeyRing, openPersonKey, personId } from "../../crypto/key-ring.ts";
import { open } from "../../crypto/seal.ts";
import type { DocOf, Stored } from "../../store/documents.ts";
import { ids } from "../../store/documents.ts";
import { groupPlace, personPlace } from "../places.ts";
import {
  type GroupChange,
  type KnownGroup,
  type KnownPerson,
  type PersonChange,
  planGroup,
  planPerson,
} from "../plan.ts";
import type { Feed, FeedPage, RawObject } from "../ports.ts";
import { noneStored } from "./none-stored.ts";
import { breathe, keepTurn, type Round, setAside } from "./round.ts";

export const read = async (round: Round): Promise<void> => {
  let ahead: Promise<FeedPage> | null = null;
  while (round.cursor.at.phase === "reading") {
    const { feed, link } = round.cursor.at;
    const page: FeedPage = await (ahead ?? round.needs.source.page(round.connection, feed, link));
    ahead = page.next === null ? null : fetchAhead(round, feed, page.next);
    if (feed === "groups") await readGroups(round, page.objects);
    else await readPeople(round, page.objects);
    if (page.next !== null) round.cursor.at = { phase: "reading", feed, link: page.next };
    else {
      round.cursor.newLinks[feed] = page.delta as string;
      round.cursor.at =
        feed === "groups"
          ? { phase: "reading", feed: "users", link: startLink(round, "users") }
          : { phase: "weighing", stage: "people", after: "" };
    }
    await breathe(round);
  }
};

/** Asks for a page while the one before is worked on. A failure shows when its turn has come, or never if the slice ends first. */
const fetchAhead = (round: Round, feed: Feed, link: string): Promise<FeedPage> => {
  const page = round.needs.source.page(round.connection, feed, link);
  page.catch(() => undefined);
  return page;
};

/** Where a feed starts: at the link of the last round, or from nothing when it has to be read in full. */
const startLink = (round: Round, feed: Feed): string | null =>
  round.cursor.full[feed] ? null : (round.links?.[feed] ?? null);

const readGroups = async (round: Round, objects: readonly RawObject[]): Promise<void> => {
  const { connection, staging } = round;
  round.counts.groupsRead += objects.length;
  const docs = await stored(round, "group", new Set(objects.map((object) => ids.group(object.id))));
  for (const object of objects) {
    await keepTurn(round);
    const doc = docs.get(ids.group(object.id));
    const known = doc ? knownGroup(connection.ring, doc) : null;
    const earlier = (await staging.changeOf("groups", object.id)) as GroupChange | null;
    const said = staging.said("groups", object.id);
    const settled = contradicts(said, object) ? await settleGroup(round, object, earlier) : object;
    if (!settled) continue;
    const { change, kept } = planGroup(connection.ring, known, settled, earlier?.record ?? null);
    // Every piece of a large group brings the same fields.
    if (said === null) round.counts.keptThoughCleared += kept;
    staging.plan("groups", object.id, change, earlier, settled.removed !== undefined);
    for (const member of settled.members ?? []) {
      if (member.type === "user")
        staging.edge(object.id, member.removed ? "remove" : "add", personId(connection.ring, member.id));
      else if (member.type === "group")
        staging.edge(object.id, member.removed ? "removeChildren" : "addChildren", member.id);
    }
  }
};

const readPeople = async (round: Round, objects: readonly RawObject[]): Promise<void> => {
  const { connection, staging } = round;
  const { ring, settings } = connection;
  round.counts.peopleRead += objects.length;
  const complete = round.cursor.full.users;
  const idOf = new Map(objects.map((object) => [object, personId(ring, object.id)]));
  const docs = await stored(round, "person", new Set([...idOf.values()].map(ids.person)));
  const fresh = complete
    ? new Map<string, RawObject | null>()
    : await hydrate(
        round,
        objects.filter((object) => !docs.has(ids.person(idOf.get(object) as string))),
      );
  for (const object of objects) {
    await keepTurn(round);
    const id = idOf.get(object) as string;
    const doc = docs.get(ids.person(id));
    const known = doc ? knownPerson(ring, doc) : null;
    const earlier = (await staging.changeOf("users", id)) as PersonChange | null;
    const said = staging.said("users", id);
    let settled: RawObject | null = object;
    // Somebody who comes back is told in full, as everybody is in a full read.
    let whole = complete || (known !== null && known.state !== "active");
    let live = false;
    // A dry run keeps no attributes of what it planned on an earlier page.
    const forgotten = earlier !== null && earlier.op !== "deactivate" && !earlier.record;
    if (contradicts(said, object) || forgotten) {
      settled = await settlePerson(round, object);
      live = true;
    } else if (!known && !complete && !object.removed) {
      settled = fresh.get(object.id) ?? null;
      live = true;
      if (!fresh.has(object.id)) {
        // Not readable now and not stored: the next round reads everything rather than lose a person.
        setAside(round, "person-not-readable", id);
        round.cursor.suspect = true;
      }
    }
    if (!settled) continue;
    // A live object leaves out a manager who is soft-deleted; the feed names them.
    if (live) settled = asTold(settled, object);
    whole = (whole || live) && !(await managerMayBeHidden(round, known, settled));
    // Met before without a change: what is stored has been confirmed by this round.
    const base = earlier?.record ?? (said === "there" ? (known?.record ?? null) : null);
    const { change, kept } = planPerson(ring, settings, known, settled, whole, live ? null : base);
    if (said === null) round.counts.keptThoughCleared += kept;
    staging.plan("users", id, change, earlier, settled.removed !== undefined);
  }
};

const stored = async <K extends "person" | "group">(
  round: Round,
  kind: K,
  wanted: ReadonlySet<string>,
): Promise<Map<string, Stored<DocOf<K>>>> =>
  (await noneStored(round, kind))
    ? new Map()
    : round.needs.store.load(round.connection.connectionId, kind, [...wanted]);

const asTold = (live: RawObject, object: RawObject): RawObject => {
  if (live.removed || (live.manager ?? []).length > 0) return live;
  const { manager: _none, ...rest } = live;
  return object.manager ? { ...rest, manager: object.manager } : rest;
};

/** Nobody is told of a manager who is soft-deleted and may come back without a word: no mention is no proof that there is none. */
const managerMayBeHidden = async (round: Round, known: KnownPerson | null, object: RawObject): Promise<boolean> => {
  const manager = known?.record.manager ?? null;
  if (manager === null || object.manager !== undefined || object.removed) return false;
  const { needs, connection } = round;
  const doc = await needs.store.read(connection.connectionId, "person", ids.person(manager));
  if (!doc) return true;
  const { oid } = knownPerson(connection.ring, doc).record;
  return (await needs.source.present(connection, "users", [oid])).get(oid) !== true;
};

/** Live objects of people nobody knows yet; a delta may name them with half of their properties. */
const hydrate = async (round: Round, objects: readonly RawObject[]): Promise<Map<string, RawObject | null>> => {
  const wanted = [...new Set(objects.filter((object) => !object.removed).map((object) => object.id))];
  return wanted.length === 0 ? new Map() : round.needs.source.people(round.connection, wanted);
};

/** One occurrence says gone, another says there: the feed promises no order, so neither is believed. */
const contradicts = (said: "there" | "gone" | null, object: RawObject): boolean =>
  said !== null && (said === "gone") !== (object.removed !== undefined);

const settlePerson = async (round: Round, object: RawObject): Promise<RawObject | null> => {
  const live = await round.needs.source.people(round.connection, [object.id]);
  if (!live.has(object.id)) {
    setAside(round, "person-not-readable", personId(round.connection.ring, object.id));
    round.cursor.suspect = true;
    return null;
  }
  return live.get(object.id) ?? { id: object.id, removed: "deleted", properties: {} };
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

export const knownPerson = (ring: KeyRing, doc: Stored<DocOf<"person">>): KnownPerson => {
  const id = doc.id.slice(2);
  const key = openPersonKey(ring, doc.connectionId, id, doc.key);
  return { state: doc.state, hash: doc.hash, record: open(key, personPlace(doc.connectionId, id), doc.record) };
};

export const knownGroup = (ring: KeyRing, doc: Stored<DocOf<"group">>): KnownGroup => ({
  hash: doc.hash,
  record: open(ring.sealing, groupPlace(doc.connectionId, doc.id.slice(2)), doc.record),
});
