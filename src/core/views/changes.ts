/**
 * The change feed: entries of the log after a sequence, with their content opened. The product replays them in order; applying
 * one twice does no harm. Ids of managers may name somebody who is not synchronised: they count only while the product holds
 * that person itself.
 */
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import { entriesOf, openActor } from "../audit/change-log.ts";
import { contentOf, type PersonKey, personKeyOf, unlessBroken } from "../audit/content.ts";
import { Actor, clearParts, type EntryDraft, personIn } from "../audit/entries.ts";
import { withoutAddresses } from "../connections/blacklist.ts";
import { readHead } from "../connections/change.ts";
import { type OpenedConnection, tenantInUse } from "../connections/open.ts";
import { isAdministratorOf } from "../consent/sign-in.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import { AppError } from "../errors.ts";
import { isBlocked } from "../feed/blocked.ts";
import { MatchHints, matchHintsOf } from "../feed/match-hints.ts";
import { type Head, ids, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { openReadable, type ViewNeeds } from "./readable.ts";

/** Grows when a consumer that knows the form so far would go wrong; a new member that may be left out is no new version. */
const eventVersion = 1;

export const ChangeView = z.strictObject({
  ...clearParts,
  sequence: z.int(),
  /** `<kind>.<op>`; its form is in `/api/v1/events.json`. */
  type: z.string(),
  version: z.literal(eventVersion),
  /**
   * `erased`: there was content, and its key no longer exists. `withheld`: an administrator's approval that this workspace has
   * not confirmed (it may have come from anybody who was sent the link), or rights of people, for whoever may not see them.
   * `unreadable`: the entry was altered after it was recorded; what can be opened of it is shown, and verification names it.
   */
  content: z.enum(["open", "erased", "withheld", "unreadable"]),
  changes: z.array(z.strictObject({ field: z.string(), before: z.unknown(), after: z.unknown() })),
  /** Of somebody who is new: what the product may recognise the person by. */
  matchHints: MatchHints.optional(),
  /** In the feed, of a person: may not sign in any more, and what was begun by signing in is to end. */
  blocked: z.literal(true).optional(),
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
      items: (await changeViews(store, opened, entries, caller.permissions)).map((view) =>
        isBlocked(view) ? { ...view, blocked: true } : view,
      ),
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
  const people = entries.flatMap((entry) => (entry.changes ? (personIn(entry) ?? []) : []));
  const keys = await personKeys(store, context, people);
  return entries.map((entry) => {
    const { changes: _changes, actor: _actor, ...rest } = entry;
    const clear = { ...rest, type: `${entry.kind}.${entry.op}`, version: eventVersion } as const;
    const actor = actorIn(context, entry);
    if (isUnconfirmed(entry, actor, tenantInUse(doc)))
      return { ...clear, content: "withheld", changes: [], ...(showActors ? { actor: null } : {}) };
    if (entry.kind === "security" && !showRights) return { ...clear, content: "withheld", changes: [] };
    const { content, changes } = contentOf(context, entry, keys.get(personIn(entry) ?? ""));
    const isAltered = actor === "unreadable" || entry.kind === "entry";
    const mayName = showBlacklist || entry.kind !== "settings";
    const isNewPerson = content === "open" && entry.kind === "person" && entry.op === "created";
    return {
      ...clear,
      content: isAltered ? "unreadable" : content,
      changes: (mayName ? changes : changes.map(withoutAddresses)).map(asShown),
      ...(isNewPerson ? { matchHints: matchHintsOf(changes) } : {}),
      ...(showActors ? { actor: actor === "unreadable" ? null : actor } : {}),
    };
  });
};

/** Who did it; null for what the system did. */
const actorIn = ({ ring, connectionId }: ConnectionContext, entry: Entry): Actor | null | "unreadable" => {
  const { actor } = entry;
  if (!actor) return null;
  return unlessBroken(() => openActor(ring, connectionId, { ...entry, actor })) ?? "unreadable";
};

/** An approval of another tenant than the one that the workspace has confirmed since, or of nobody knows which. */
const isUnconfirmed = ({ cause }: Entry, actor: ReturnType<typeof actorIn>, tid: string | null): boolean =>
  cause === "consent" && actor !== null && (actor === "unreadable" || !isAdministratorOf(tid, actor.subject));

const asShown = ({ field, before, after }: { field: string; before: unknown; after: unknown }) => ({
  field,
  before: before ?? null,
  after: after ?? null,
});

const personKeys = async (
  store: DirectoryStore,
  { connectionId, ring }: ConnectionContext,
  personIds: readonly string[],
): Promise<Map<string, PersonKey>> => {
  const keys = new Map<string, PersonKey>();
  if (personIds.length === 0) return keys;
  const docs = await store.load(connectionId, "person", [...new Set(personIds.map(ids.person))]);
  for (const personId of new Set(personIds))
    keys.set(personId, personKeyOf(ring, connectionId, personId, docs.get(ids.person(personId)) ?? null));
  return keys;
};
