/**
 * The change feed: entries of the log after a sequence, with their content opened. The product replays them in order; applying
 * one twice does no harm. Ids of managers and nested groups may name somebody who is not synchronised: they count only while
 * the product holds that object itself.
 */
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import { entriesOf, openActor, openChanges } from "../audit/change-log.ts";
import { Actor, type EntryDraft } from "../audit/entries.ts";
import { withoutAddresses } from "../connections/blacklist.ts";
import { readHead } from "../connections/change.ts";
import { type OpenedConnection, tenantInUse } from "../connections/open.ts";
import { isAdministratorOf } from "../consent/sign-in.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import { openPersonKey } from "../crypto/key-ring.ts";
import { type ContentKey, sealedUnder } from "../crypto/seal.ts";
import { AppError } from "../errors.ts";
import { MatchHints, matchHintsOf } from "../feed/match-hints.ts";
import { type Head, ids, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { openReadable, type ViewNeeds } from "./readable.ts";

const Id = z.string();

/** Grows when a consumer that knows the form so far would go wrong; a new member that may be left out is no new version. */
export const eventVersion = 1;

export const ChangeView = z.strictObject({
  sequence: z.int(),
  id: Id,
  at: z.iso.datetime(),
  /** `<kind>.<op>`; its form is in `/api/v1/events.json`. */
  type: z.string(),
  version: z.literal(eventVersion),
  kind: z.enum(["connection", "tier", "settings", "security", "run", "person", "group", "members", "product-user"]),
  op: z.enum([
    "created",
    "updated",
    "deactivated",
    "kept",
    "enabled",
    "excluded",
    "revived",
    "removed",
    "erased",
    "changed",
    "requested",
    "stopped",
    "approved",
    "cancelled",
    "ended",
  ]),
  object: Id,
  cause: z.string(),
  run: Id.optional(),
  correlationId: z.string().optional(),
  /** Of a group: which one of the product it is. */
  productGroup: z.string().optional(),
  /** Groups a person is in at the moment of becoming active. */
  groups: z.array(Id).optional(),
  added: z.array(Id).optional(),
  removed: z.array(Id).optional(),
  childrenAdded: z.array(Id).optional(),
  childrenRemoved: z.array(Id).optional(),
  evidence: z.string().optional(),
  /**
   * `erased`: there was content, and its key no longer exists. `withheld`: an administrator's approval that this workspace has
   * not confirmed (it may have come from anybody who was sent the link), or rights of people, for whoever may not see them.
   */
  content: z.enum(["open", "erased", "withheld"]),
  changes: z.array(z.strictObject({ field: z.string(), before: z.unknown(), after: z.unknown() })),
  /** Of somebody who is new: what the product may recognise the person by. */
  matchHints: MatchHints.optional(),
  /** For callers with `audit:read`: who did it; null for what the system did. */
  actor: Actor.nullable().optional(),
});
export type ChangeView = z.infer<typeof ChangeView>;

export const ChangesPage = z.strictObject({
  items: z.array(ChangeView),
  /** What to ask after next; the same as asked for when there was nothing new. */
  next: z.int(),
  /** Number of the newest entry and the chain over all up to it: a witness for the product to keep. */
  sequence: z.int(),
  chain: z.string(),
});
export type ChangesPage = z.infer<typeof ChangesPage>;

export interface ChangesNeeds extends ViewNeeds {
  ambient: Ambient;
  wait(milliseconds: number): Promise<void>;
}

const pollMilliseconds = 1000;

export const readChanges =
  (needs: ChangesNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    { after, limit, waitSeconds }: { after: number; limit: number; waitSeconds: number },
  ): Promise<ChangesPage> => {
    const { ambient, store } = needs;
    let opened = await openReadable(needs)(caller.workspaceId, connectionId);
    const until = ambient.now() + waitSeconds * 1000;
    let head = await readHead(store, connectionId);
    // Ahead of us: the product has seen entries that a restored backup does not have.
    if (after > head.sequence) throw new AppError("feed-too-old");
    while (head.sequence === after && ambient.now() < until) {
      await needs.wait(Math.min(pollMilliseconds, until - ambient.now()));
      head = await readHead(store, connectionId);
      // Its deletion may have begun: then nothing of it is shown, and nobody waits for more.
      opened = await openReadable(needs)(caller.workspaceId, connectionId);
    }
    const entries = await entriesAfter(store, head, after, limit);
    return {
      items: await changeViews(store, opened, entries, caller.permissions),
      next: entries.at(-1)?.sequence ?? after,
      sequence: head.sequence,
      chain: head.chain,
    };
  };

type Entry = EntryDraft & { sequence: number };

/** A document can hold two megabytes, so few are loaded at a time. */
const documentsPerQuery = 4;

/** At most `limit` entries, none newer than head. Throws `feed-too-old` when the first of them has expired. */
const entriesAfter = async (
  store: DirectoryStore,
  head: Stored<Head>,
  after: number,
  limit: number,
): Promise<Entry[]> => {
  const found: Entry[] = [];
  for (let at = after; at < head.sequence && found.length < limit; ) {
    const docs = await store.log(head.connectionId, at, documentsPerQuery);
    const [first] = docs;
    const last = docs.at(-1);
    if (!first || !last || first.first > at + 1) throw new AppError("feed-too-old");
    for (const entry of docs.flatMap(entriesOf))
      if (entry.sequence > at && entry.sequence <= head.sequence) found.push(entry);
    at = last.last;
  }
  return found.slice(0, limit);
};

const isAboutPerson = ({ kind }: EntryDraft): boolean => kind === "person" || kind === "product-user";

/** Entries as this caller may see them. */
export const changeViews = async (
  store: DirectoryStore,
  { doc, context }: OpenedConnection,
  entries: readonly Entry[],
  permissions: Caller["permissions"],
): Promise<ChangeView[]> => {
  const showActors = permissions.has("audit:read");
  const showBlacklist = permissions.has("integration:setup");
  const showRights = showActors || permissions.has("integration:secure");
  const people = entries.filter((entry) => entry.changes && isAboutPerson(entry)).map(({ object }) => object);
  const keys = await personKeys(store, context, people);
  return entries.map((entry) => {
    const { changes, actor, ...rest } = entry;
    const clear = { ...rest, type: `${entry.kind}.${entry.op}`, version: eventVersion } as const;
    if (isUnconfirmed(context, entry, tenantInUse(doc)))
      return { ...clear, content: "withheld", changes: [], ...(showActors ? { actor: null } : {}) };
    if (entry.kind === "security" && !showRights) return { ...clear, content: "withheld", changes: [] };
    const key = isAboutPerson(entry) ? keys.get(entry.object) : context.ring.sealing;
    // A person who was erased and came back has a new key, which opens nothing of before.
    const readable = !changes || (key !== undefined && sealedUnder(changes) === key.id);
    const opened = readable && key ? openChanges(key, context.connectionId, entry) : [];
    const mayName = showBlacklist || entry.kind !== "settings";
    const isNewPerson = readable && entry.kind === "person" && entry.op === "created";
    return {
      ...clear,
      content: readable ? "open" : "erased",
      changes: (mayName ? opened : opened.map(withoutAddresses)).map(asShown),
      ...(isNewPerson ? { matchHints: matchHintsOf(opened) } : {}),
      ...(showActors
        ? { actor: actor ? openActor(context.ring, context.connectionId, { ...entry, actor }) : null }
        : {}),
    };
  });
};

/** An approval of another tenant than the one that the workspace has confirmed since. */
const isUnconfirmed = ({ ring, connectionId }: ConnectionContext, entry: Entry, tid: string | null): boolean => {
  const { cause, actor } = entry;
  if (cause !== "consent" || !actor) return false;
  return !isAdministratorOf(tid, openActor(ring, connectionId, { ...entry, actor }).subject);
};

const asShown = ({ field, before, after }: { field: string; before: unknown; after: unknown }) => ({
  field,
  before: before ?? null,
  after: after ?? null,
});

const personKeys = async (
  store: DirectoryStore,
  { connectionId, ring }: ConnectionContext,
  personIds: readonly string[],
): Promise<Map<string, ContentKey>> => {
  const keys = new Map<string, ContentKey>();
  if (personIds.length === 0) return keys;
  const docs = await store.load(connectionId, "person", [...new Set(personIds.map(ids.person))]);
  for (const personId of new Set(personIds)) {
    const doc = docs.get(ids.person(personId));
    if (doc && doc.state !== "erased") keys.set(personId, openPersonKey(ring, connectionId, personId, doc.key));
  }
  return keys;
};
