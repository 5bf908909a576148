/**
 * Erases one person, step by step. Each step can be repeated and finds out by itself whether it was done, so whoever comes after
 * a process that died goes through all of them again.
 *
 *   turn     head says whose erasure is under way; there is one at a time
 *   ledger   the vault remembers it, so that a backup that is put back cannot bring the person back
 *   record   document without record, key, link and indexes; marker `erased`; the entry of the log; older runs are void
 *   work     what the run under way has staged is dropped, and the plans that dry runs have left
 *   groups   the person's id leaves the members of every group; with the last of them the turn ends
 *
 * Needs no key: an erasure is finished also where the connection can no longer be opened.
 */
import { type Ambient, iso } from "../ambient.ts";
import type { EntryDraft } from "../audit/entries.ts";
import { scheduleAfter } from "../connections/change-settings.ts";
import { directoryTenant } from "../connections/open.ts";
import { isInTrouble } from "../directory/run/trouble.ts";
import { scheduleOf } from "../directory/schedule.ts";
import { byLeaf } from "../directory/shards.ts";
import { AppError, isAppError } from "../errors.ts";
import { type Commit, commit } from "../store/commit.ts";
import {
  type ConnectionDoc,
  type Erasing,
  type Head,
  ids,
  type MarkerDoc,
  type PersonDoc,
  type ShardDoc,
  type Stored,
} from "../store/documents.ts";
import type { DirectoryStore, SecretStore, WorkStore, Write } from "../store/ports.ts";
import { enterInLedger } from "./ledger.ts";
import { dropStaged } from "./staged.ts";

export interface ErasureNeeds {
  ambient: Ambient;
  store: DirectoryStore;
  secrets: Pick<SecretStore, "get" | "set">;
  work: Pick<WorkStore, "drop">;
}

/** Renewed with every commit. Far longer than a call to the vault can take, which nothing takes back once it was sent. */
export const turnMilliseconds = 60_000;
const maxAttempts = 10;

export interface Turn {
  head: Stored<Head>;
  erasing: Erasing;
}

/** Throws `changed-meanwhile` while another erasure of the connection is under way. */
export const takeTurn = async (needs: ErasureNeeds, from: Stored<Head>, entry: EntryDraft): Promise<Turn> => {
  const now = needs.ambient.now();
  const owner = needs.ambient.ulid();
  let erasing: Erasing = { owner, until: now + turnMilliseconds, entry };
  const result = await commit(needs, from, {
    advance: (fresh) => {
      const before = fresh.erasing;
      if (before && (before.until > now || before.entry.object !== entry.object))
        throw new AppError("changed-meanwhile");
      // Broken off: who asked for it first has asked for it.
      erasing = { ...erasing, entry: before?.entry ?? entry };
      return { ...fresh, erasing, wakeAt: earliest(fresh.wakeAt, erasing.until) };
    },
  });
  if (result.outcome !== "committed") throw new AppError("changed-meanwhile");
  return { head: result.head, erasing };
};

const earliest = (one: number | null, other: number): number => (one === null ? other : Math.min(one, other));

/** Returns when the person was gone from everything that is served. */
export const erase = async (needs: ErasureNeeds, turn: Turn): Promise<string> => {
  const { entry } = turn.erasing;
  try {
    const { connectionId } = turn.head;
    // Whoever is erased already is in the ledger, with a time that the marker confirms.
    if (erasedSince(await knownOf(needs.store, connectionId, entry.object)) === null) {
      const asked = { person: entry.object, at: Date.parse(entry.at) };
      await enterInLedger(needs.secrets, connectionId, asked, needs.ambient.now());
    }
    const { erasedAt, head } = await eraseRecord(needs, turn);
    await dropStaged(needs, head);
    await leaveGroups(needs, turn, head);
    return erasedAt;
  } catch (error) {
    // Nobody has to wait for the end of the turn; where this fails as well, they do.
    await giveBack(needs, turn, isAppError(error, "too-many-erasures")).catch(() => undefined);
    throw error;
  }
};

/** What was not even begun is forgotten; the rest is finished by whoever comes next. */
const giveBack = async (needs: ErasureNeeds, { head, erasing }: Turn, isRefused: boolean): Promise<void> => {
  await commit(needs, head, {
    advance: (fresh) => {
      const { erasing: turn, ...rest } = fresh;
      if (turn?.owner !== erasing.owner) return fresh;
      return isRefused ? rest : { ...rest, erasing: { ...turn, until: needs.ambient.now() } };
    },
  });
};

interface Known {
  person: Stored<PersonDoc> | null;
  marker: Stored<MarkerDoc> | null;
}

export const knownOf = async (
  store: Pick<DirectoryStore, "read">,
  connectionId: string,
  personId: string,
): Promise<Known> => {
  const [person, marker] = await Promise.all([
    store.read(connectionId, "person", ids.person(personId)),
    store.read(connectionId, "marker", ids.marker(personId)),
  ]);
  return { person, marker };
};

/** When the person was erased; null when there is anything to erase. */
export const erasedSince = ({ person, marker }: Known): string | null =>
  marker?.marker === "erased" && (person === null || person.state === "erased") ? marker.changedAt : null;

const eraseRecord = async (needs: ErasureNeeds, turn: Turn): Promise<{ erasedAt: string; head: Stored<Head> }> => {
  const { ambient, store } = needs;
  const { entry, owner } = turn.erasing;
  const { connectionId } = turn.head;
  let { head } = turn;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const known = await knownOf(store, connectionId, entry.object);
    const since = erasedSince(known);
    if (since !== null) return { erasedAt: since, head };
    const connection = await store.read(connectionId, "connection", ids.connection);
    if (!connection) throw new AppError("connection-not-found");
    // Never before the time in the ledger, also when another instance with another clock finishes it.
    const erasedAt = iso(Math.max(ambient.now(), Date.parse(entry.at)));
    const wasActive = known.person?.state === "active";
    const result = await commitInTurn(needs, head, owner, {
      writes: await recordWrites(store, connectionId, entry.object, known, erasedAt),
      entries: [entry],
      advance: (fresh) => ({
        ...fresh,
        marked: true,
        epoch: fresh.epoch + 1,
        counters: { ...fresh.counters, people: fresh.counters.people - (wasActive ? 1 : 0) },
        ...dueAfter(connection, fresh, ambient.now()),
      }),
    });
    head = result.head;
    if (result.outcome === "committed") return { erasedAt, head };
  }
  throw new AppError("changed-meanwhile");
};

/** A run under way is void, and its work is to be done again; a connection that does nothing by itself is left as it is. */
const dueAfter = (doc: Stored<ConnectionDoc>, head: Head, now: number): Partial<Head> => {
  if (directoryTenant(doc) === null || doc.settings.paused) return {};
  const plain = scheduleOf(doc);
  const due = scheduleAfter(head, plain, plain, now, isInTrouble(doc));
  return { ...due, wakeAt: earliest(due.wakeAt, now + turnMilliseconds) };
};

const recordWrites = async (
  store: DirectoryStore,
  connectionId: string,
  personId: string,
  { person, marker }: Known,
  changedAt: string,
): Promise<Write[]> => {
  const row = person?.productUser
    ? await store.read(connectionId, "product-user", ids.productUser(person.productUser.index))
    : null;
  const marked: MarkerDoc = {
    id: ids.marker(personId),
    kind: "marker",
    connectionId,
    v: 1,
    marker: "erased",
    changedAt,
  };
  return [
    ...(person ? [replaced(person, emptied(person, changedAt))] : []),
    ...(row ? [{ op: "delete" as const, id: row.id, etag: row._etag }] : []),
    marker ? { op: "replace", doc: marked, etag: marker._etag } : { op: "create", doc: marked },
  ];
};

/** Says that there was somebody, and nothing else. */
const emptied = ({ id, connectionId }: PersonDoc, changedAt: string): PersonDoc => ({
  id,
  kind: "person",
  connectionId,
  v: 1,
  state: "erased",
  reason: null,
  leftAt: null,
  hash: "",
  key: null,
  record: null,
  mailIndex: null,
  upnIndex: null,
  productUser: null,
  changedAt,
});

const replaced = ({ _etag, ...before }: Stored<PersonDoc>, doc: PersonDoc): Write => ({
  op: "replace",
  doc,
  etag: _etag,
  grows: JSON.stringify(doc).length - JSON.stringify(before).length,
});

/** 1,000 ids of 25 characters each: some 1.5 MB, and a batch holds 2. */
const shardsPerCommit = 60;
const maxCommits = 500;

const leaveGroups = async (needs: ErasureNeeds, { erasing }: Turn, from: Stored<Head>): Promise<void> => {
  const { connectionId } = from;
  const person = erasing.entry.object;
  let head = from;
  for (let commits = 0; commits < maxCommits; commits++) {
    const found = await shardsWith(needs.store, connectionId, person);
    const part = found.slice(0, shardsPerCommit);
    const isLast = part.length === found.length;
    const told = part.filter(({ shown }) => shown).length;
    const result = await commitInTurn(needs, head, erasing.owner, {
      writes: part.map(({ shard }) => withoutMember(shard, person)),
      advance: (fresh) => {
        const { erasing: turn, ...rest } = fresh;
        const counters = { ...rest.counters, memberships: rest.counters.memberships - told };
        return isLast || !turn ? { ...rest, counters } : { ...rest, counters, erasing: turn };
      },
    });
    head = result.head;
    if (result.outcome === "committed" && isLast) return;
  }
  throw new AppError("changed-meanwhile");
};

interface Membership {
  shard: Stored<ShardDoc>;
  /** The product sees the group, so the membership is counted. */
  shown: boolean;
}

/** A group that is being removed has no document any more, and shards for a while. */
const shardsWith = async (store: DirectoryStore, connectionId: string, person: string): Promise<Membership[]> => {
  const groupIds = await store.groupsOf(connectionId, person);
  const groups = await store.load(connectionId, "group", groupIds.map(ids.group));
  const wanted = groupIds.flatMap((groupId) => {
    const group = groups.get(ids.group(groupId));
    return group ? [...byLeaf(group.leaves, [person]).keys()].map((bits) => ids.shard(groupId, bits)) : [];
  });
  const shards = [...(await store.load(connectionId, "members", wanted)).values()];
  for (const groupId of groupIds)
    if (!groups.has(ids.group(groupId))) shards.push(...(await shardsLeftOf(store, connectionId, groupId)));
  return shards
    .filter(({ members }) => members.includes(person))
    .map((shard) => ({ shard, shown: groups.get(ids.group(shard.groupId))?.shown ?? false }));
};

const shardsPerPage = 100;

const shardsLeftOf = async (
  store: DirectoryStore,
  connectionId: string,
  groupId: string,
): Promise<Stored<ShardDoc>[]> => {
  const prefix = ids.shard(groupId, "");
  const found: Stored<ShardDoc>[] = [];
  for (let after = prefix.slice(0, -1); ; ) {
    const page = await store.list(connectionId, "members", { after, limit: shardsPerPage });
    const own = page.filter(({ id }) => id.startsWith(prefix));
    found.push(...own);
    const last = own.at(-1);
    if (own.length < shardsPerPage || !last) return found;
    after = last.id;
  }
};

const withoutMember = ({ _etag, ...shard }: Stored<ShardDoc>, person: string): Write => {
  const members = shard.members.filter((member) => member !== person);
  return members.length === 0
    ? { op: "delete", id: shard.id, etag: _etag, grows: -JSON.stringify(shard).length }
    : { op: "replace", doc: { ...shard, members }, etag: _etag, grows: -(person.length + 3) };
};

/** Throws `changed-meanwhile` when the turn has run out and somebody else has taken it. */
const commitInTurn = async (
  needs: ErasureNeeds,
  head: Stored<Head>,
  owner: string,
  { advance = (fresh) => fresh, ...change }: Omit<Commit, "worker">,
): Promise<{ outcome: "committed" | "moved"; head: Stored<Head> }> => {
  const result = await commit(needs, head, {
    ...change,
    advance: (fresh) => {
      if (fresh.erasing?.owner !== owner) throw new AppError("changed-meanwhile");
      return advance({ ...fresh, erasing: { ...fresh.erasing, until: needs.ambient.now() + turnMilliseconds } });
    },
  });
  if (result.outcome === "committed" || result.outcome === "moved") return result;
  throw new AppError("changed-meanwhile");
};
