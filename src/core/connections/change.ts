/**
 * Changes a connection's document together with its log entries. The plan is made from what is stored and made again when
 * somebody else was faster, so it decides on nothing that has changed since.
 */
import type { Ambient } from "../ambient.ts";
import { draftEntry, type EntryInput } from "../audit/change-log.ts";
import { type Actor, actorOf } from "../audit/entries.ts";
import type { ConnectionContext } from "../context.ts";
import { AppError } from "../errors.ts";
import { wantsNotifications } from "../notifications/wanted.ts";
import { commit } from "../store/commit.ts";
import { type ConnectionDoc, type EntryDraft, type Head, ids, type Stored } from "../store/documents.ts";
import type { DirectoryStore, Expiry, Write } from "../store/ports.ts";

export interface ChangeNeeds {
  ambient: Ambient;
  store: Pick<DirectoryStore, "read" | "write">;
}

export interface ConnectionChange {
  doc: ConnectionDoc;
  advance?: (head: Head) => Head;
  /** Beside the connection document itself. */
  writes?: readonly (Write | Expiry)[];
  entries: readonly EntryDraft[];
}

export interface ChangedConnection {
  doc: Stored<ConnectionDoc>;
  head: Stored<Head>;
}

const maxAttempts = 5;

/** `plan` returns null when there is nothing to change, and throws what the caller is to be told. */
export const changeConnection =
  ({ ambient, store }: ChangeNeeds) =>
  async (
    from: Stored<ConnectionDoc>,
    plan: (doc: Stored<ConnectionDoc>) => ConnectionChange | null | Promise<ConnectionChange | null>,
  ): Promise<ChangedConnection> => {
    const { connectionId } = from;
    let doc = from;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const change = await plan(doc);
      const head = await readHead(store, connectionId);
      if (!change) return { doc, head };
      const { _etag, ...planned } = { ...change.doc, _etag: doc._etag };
      const { advance = (same: Head) => same } = change;
      const result = await commit({ ambient, store }, head, {
        writes: [{ op: "replace", doc: planned, etag: _etag }, ...(change.writes ?? [])],
        entries: change.entries,
        advance: (before) => lettingGo(planned, advance(before), ambient.now()),
      });
      const fresh = await store.read(connectionId, "connection", ids.connection);
      if (!fresh) throw new AppError("connection-not-found");
      doc = fresh;
      if (result.outcome === "committed") return { doc, head: result.head };
    }
    throw new AppError("changed-meanwhile");
  };

/** Who wants to hear of changes no longer gets a turn to say so. */
const lettingGo = (doc: ConnectionDoc, head: Head, now: number): Head =>
  head.enlisted?.length && !wantsNotifications(doc) ? { ...head, wakeAt: now } : head;

export const readHead = async (store: Pick<DirectoryStore, "read">, connectionId: string): Promise<Stored<Head>> => {
  const head = await store.read(connectionId, "head", ids.head);
  if (!head) throw new AppError("connection-not-found");
  return head;
};

/** An entry about what somebody did through the API. */
export const entryOf = (
  ambient: Ambient,
  { ring, connectionId }: Pick<ConnectionContext, "ring" | "connectionId">,
  by: Actor & { correlationId: string },
  input: Pick<EntryInput, "kind" | "op" | "object" | "changes"> & { cause?: string },
): EntryDraft =>
  draftEntry(ambient, ring, connectionId, {
    cause: "api",
    ...input,
    correlationId: by.correlationId,
    actor: actorOf(by),
  });

/** Throws unless the caller has seen the newest state of what he changes. */
export const requireMatch = (ifMatch: string | undefined, etag: string): void => {
  if (ifMatch === undefined) throw new AppError("etag-required");
  if (ifMatch !== etag) throw new AppError("etag-mismatch");
};

export const requireOpen = (doc: Pick<ConnectionDoc, "state">): void => {
  if (doc.state === "closing") throw new AppError("state-conflict", { detail: "The connection is being deleted." });
};
