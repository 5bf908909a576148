/**
 * Turns planned changes into writes and log entries of one batch. What does not fit is returned and goes into the next one.
 * Called again with the same changes it finds them done and adds nothing.
 */
import { iso } from "../../ambient.ts";
import { draftEntry } from "../../audit/change-log.ts";
import { logSecondsOf } from "../../audit/retention.ts";
import { seal } from "../../crypto/seal.ts";
import { type DocOf, type GroupDoc, ids, type Stored } from "../../store/documents.ts";
import { partitionBytes, partitionLimits } from "../../store/size.ts";
import { isShown } from "../group-roles.ts";
import { groupPlace } from "../places.ts";
import { type Change, type GroupChange, type MembersChange, type PersonChange, versionOf } from "../plan.ts";
import { retiresAt } from "../retire.ts";
import { byLeaf } from "../shards.ts";
import { changedPerson, shownGroupsOf } from "../write-person.ts";
import { type Batch, earlier } from "./batch.ts";
import { fieldDifference } from "./differences.ts";
import { knownGroup } from "./known.ts";
import { newPerson, writingOf } from "./new-person.ts";
import { prepareMembers, prepareRemoval } from "./prepare-members.ts";
import { keepTurn, type Round, setAside } from "./round.ts";

/** Documents of the changes at hand, as they are in the store; asked for together, since a plan may touch very many groups. */
export interface Loaded {
  people: Map<string, Stored<DocOf<"person">>>;
  groups: Map<string, Stored<DocOf<"group">>>;
  /** Groups that come into a group or leave it, as far as the product sees them. */
  children: Map<string, Stored<DocOf<"group">>>;
  /** Shards that the changes of memberships fall into. */
  shards: Map<string, Stored<DocOf<"members">>>;
  /** Of people who are to leave because nobody has switched them on: who has been since the plan was made; by document id. */
  enabled: Set<string>;
  /** State of the people in them whom this slice has not written itself, by document id. */
  states: Map<string, string>;
}

export const prepare = async (round: Round, batch: Batch, changes: readonly Change[]): Promise<Change[]> => {
  if (changes[0] && !batch.hasRoomFor(changes[0])) return [...changes];
  const loaded = await load(round, batch, changes);
  const logSeconds = logSecondsOf(round.needs.ambient);
  const isFull = partitionBytes(round.head.size, round.needs.ambient.now(), logSeconds) > partitionLimits.stopAt;
  for (const [index, change] of changes.entries()) {
    if (!batch.hasRoomFor(change)) return changes.slice(index);
    if (isFull && adds(change)) {
      setAside(round, "partition-full", change.kind === "members" ? change.group : change.id);
      round.cursor.suspect = true;
      continue;
    }
    if (change.kind === "person") await preparePerson(round, batch, loaded, change);
    else if (change.kind === "group" && change.op !== "remove") await prepareGroup(round, batch, loaded, change);
    else {
      const rest: Change | null =
        change.kind === "group"
          ? await prepareRemoval(round, batch, loaded, change)
          : prepareMembers(round, batch, loaded, change);
      if (rest) {
        batch.changes.push(change.kind === "members" && rest.kind === "members" ? without(change, rest) : change);
        return [rest, ...changes.slice(index + 1)];
      }
    }
    batch.changes.push(change);
  }
  return [];
};

/** Removals and changes go on when a partition nears its end; what would make it grow does not. */
const adds = (change: Change): boolean => (change.kind === "members" ? change.op === "add" : change.op === "create");

/** The part of a membership change that went into the batch. */
const without = (change: MembersChange, rest: MembersChange): MembersChange => {
  const later = new Set([...rest.people, ...rest.children]);
  return {
    ...change,
    people: change.people.filter((id) => !later.has(id)),
    children: change.children.filter((id) => !later.has(id)),
  };
};

const load = async (round: Round, batch: Batch, changes: readonly Change[]): Promise<Loaded> => {
  const { needs, connection } = round;
  const { store } = needs;
  const { connectionId } = connection;
  const people: string[] = [];
  const groups: string[] = [];
  const memberships: MembersChange[] = [];
  const notEnabled: string[] = [];
  for (const change of changes) {
    if (change.kind === "person" && change.evidence === "scope: not-enabled") notEnabled.push(ids.marker(change.id));
    if (change.kind === "members") memberships.push(change);
    // What is planned as new is taken to be new; if it is not, the store refuses and the batch is built again with care.
    const fresh = !batch.careful && change.kind !== "members" && change.from === null;
    if (fresh) continue;
    if (change.kind === "person") people.push(ids.person(change.id));
    else groups.push(ids.group(change.kind === "group" ? change.id : change.group));
  }
  const [ofPeople, ofGroups, markers] = await Promise.all([
    store.load(connectionId, "person", people),
    store.load(connectionId, "group", [...new Set(groups)]),
    store.load(connectionId, "marker", notEnabled),
  ]);
  const enabled = [...markers.values()].filter(({ marker }) => marker === "enabled").map(({ id }) => id);
  const loaded: Loaded = {
    people: ofPeople,
    groups: ofGroups,
    children: new Map(),
    enabled: new Set(enabled),
    shards: new Map(),
    states: new Map(),
  };
  if (memberships.length === 0) return loaded;
  // Leaves that only this batch has made are in the batch, and nowhere else.
  const shards = memberships.flatMap(({ group, people: members }) => {
    const doc = batch.pending(ids.group(group)) ?? loaded.groups.get(ids.group(group));
    const leaves = doc?.kind === "group" ? doc.leaves : [];
    return [...byLeaf(leaves, members).keys()].map((bits) => ids.shard(group, bits));
  });
  const children = new Set(memberships.flatMap((change) => change.children));
  const unknown = new Set<string>();
  for (const { people: members } of memberships)
    for (const id of members) if (!round.staging.isWrittenActive(id)) unknown.add(ids.person(id));
  [loaded.children, loaded.shards, loaded.states] = await Promise.all([
    store.load(connectionId, "group", [...children].map(ids.group)),
    store.load(connectionId, "members", shards),
    store.personStates(connectionId, [...unknown]),
  ]);
  return loaded;
};

/** Nothing was stored before this run. A first sync that follows one that was broken off is suspect. */
const isFirstOfAll = ({ cursor }: Round): boolean => cursor.first && !cursor.suspect;

const preparePerson = async (round: Round, batch: Batch, loaded: Loaded, change: PersonChange): Promise<void> => {
  const { connection } = round;
  const stored = loaded.people.get(ids.person(change.id)) ?? null;
  const now = stored ? versionOf(stored) : null;
  if (now === change.to) return;
  if (now !== change.from) {
    round.counts.moved++;
    return;
  }
  const becomesActive = change.op === "create" || (change.op === "revive" && stored?.state !== "active");
  if (loaded.enabled.has(ids.marker(change.id))) {
    round.counts.moved++;
    return;
  }
  // Their memberships may have been stored before the person was: nobody would tell of them later.
  const asksForGroups = becomesActive && !isFirstOfAll(round);
  if (asksForGroups) await keepTurn(round);
  const groups = asksForGroups ? await shownGroupsOf(round.needs.store, connection.connectionId, change.id) : [];
  const made = stored
    ? changedPerson(writingOf(round), change, stored)
    : change.record
      ? newPerson(round, change, change.record)
      : null;
  if (!made) return;
  if (becomesActive) batch.delta.people++;
  else if (change.op === "deactivate") batch.delta.people--;
  batch.put(made.doc, stored);
  // With whoever leaves, not at the end of the run, which may be void before that; and whoever was kept has left long ago.
  if (made.doc.state === "deactivated" && made.doc.leftAt !== null)
    batch.retireAt = earlier(batch.retireAt, retiresAt(connection.settings, Date.parse(made.doc.leftAt)));
  if (made.entry) batch.log(groups.length > 0 ? { ...made.entry, groups } : made.entry);
};

const operations = { create: "created", update: "updated", remove: "removed" } as const;

const prepareGroup = async (round: Round, batch: Batch, loaded: Loaded, change: GroupChange): Promise<void> => {
  const { needs, connection } = round;
  const { ring, connectionId } = connection;
  const stored = loaded.groups.get(ids.group(change.id)) ?? null;
  const now = stored?.hash ?? null;
  if (now === change.to || !change.record || change.to === null) return;
  if (now !== change.from) {
    round.counts.moved++;
    return;
  }
  const { role, of } = change;
  const doc: GroupDoc = {
    id: ids.group(change.id),
    kind: "group",
    connectionId,
    v: 1,
    role,
    of,
    shown: isShown(role),
    hash: change.to,
    record: seal(needs.ambient, ring.sealing, groupPlace(connectionId, change.id), change.record),
    leaves: stored?.leaves ?? [],
    children: stored?.children ?? [],
    changedAt: iso(needs.ambient.now()),
  };
  batch.put(doc, stored);
  // What only the sync itself needs is no part of the product's directory.
  if (!doc.shown) return;
  if (!stored) batch.delta.groups++;
  const origin = { cause: round.cause, run: round.id };
  batch.log(
    draftEntry(needs.ambient, ring, connectionId, {
      kind: "group",
      op: operations[change.op],
      object: change.id,
      ...(role === "product" && of !== null ? { productGroup: of } : {}),
      ...origin,
      changes: fieldDifference(stored ? knownGroup(ring, stored).record.fields : {}, change.record.fields),
    }),
  );
  if (stored || isFirstOfAll(round)) return;
  // It lay in them before the product could see it, and nobody tells of that again.
  await keepTurn(round);
  for (const parent of await needs.store.groupsAround(connectionId, change.id)) {
    const told = { kind: "members" as const, op: "changed" as const, object: parent, childrenAdded: [change.id] };
    batch.log(draftEntry(needs.ambient, ring, connectionId, { ...told, ...origin }));
  }
};
