/**
 * The record of what is done in Microsoft 365. It cannot be part of our transaction, so there are two entries: `intended` before the
 * call, and `done`, `refused` or `unknown` after it. In between the document `o:<id>` says that nobody knows yet what became of it.
 */
import { draftEntry } from "../audit/change-log.ts";
import { type Actor, actorOf, type FieldChange } from "../audit/entries.ts";
import { readHead } from "../connections/change.ts";
import type { ConnectionContext } from "../context.ts";
import { type ContentKey, type Place, seal } from "../crypto/seal.ts";
import { AppError, type ProblemCode } from "../errors.ts";
import { type Commit, type CommitNeeds, commit } from "../store/commit.ts";
import { ids, type OperationDoc, type Stored } from "../store/documents.ts";

export type Outcome =
  | { outcome: "done" }
  /** Microsoft 365 has not done it, and will not. */
  | { outcome: "refused"; code: ProblemCode };

/** What is going to be done, to whom, and what changes by it. */
export interface Intention<T> {
  /** A person's id when the person is stored, so that the entry is found among the person's and erased with the person. */
  about: { person: string; key: ContentKey } | { group: string } | Record<string, never>;
  changes: readonly FieldChange[];
  /** What the call and the check need; kept sealed until the outcome is known. */
  target: T;
}

/** Nobody waits for a call to Microsoft any longer than this, so whoever checks then will not be overtaken by it. */
export const callMilliseconds = 300_000;

export const targetPlace = (connectionId: string, id: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.operation(id),
  fields: "target",
});

type By = Actor & { correlationId: string };

/** After this the intention is on record, whatever happens to this process. */
export const recordIntention = async <T>(
  needs: CommitNeeds,
  connection: ConnectionContext,
  by: By,
  name: string,
  { about, changes, target }: Intention<T>,
): Promise<OperationDoc> => {
  const { ambient } = needs;
  const { connectionId, ring } = connection;
  const id = ambient.ulid();
  const { key, ...named } = { key: ring.sealing, ...about };
  const entry = draftEntry(ambient, ring, connectionId, {
    kind: "operation",
    op: "intended",
    object: id,
    cause: "api",
    operation: name,
    ...named,
    changes,
    key,
    correlationId: by.correlationId,
    actor: actorOf(by),
  });
  const doc: OperationDoc = {
    id: ids.operation(id),
    kind: "operation",
    connectionId,
    v: 1,
    name,
    about: named,
    target: seal(ambient, ring.sealing, targetPlace(connectionId, id), target),
    begunAt: entry.at,
    checkAt: ambient.now() + callMilliseconds,
    checks: 0,
  };
  await committed(needs, connectionId, { writes: [{ op: "create", doc }], entries: [entry] });
  return doc;
};

/** It may be sealed again, or put off, between reading and writing: what became of it is known all the same. */
const maxAttempts = 5;

/** `by`: whoever has asked for it; absent: it was found out later. False when somebody else has recorded the outcome. */
export const recordOutcome = async (
  needs: CommitNeeds,
  { connectionId, ring }: ConnectionContext,
  { id, name, about }: Pick<OperationDoc, "id" | "name" | "about">,
  outcome: Outcome | { outcome: "unknown" },
  by?: By,
): Promise<boolean> => {
  const evidence = "code" in outcome ? outcome.code : by ? undefined : "checked";
  const entry = draftEntry(needs.ambient, ring, connectionId, {
    kind: "operation",
    op: outcome.outcome,
    object: id.slice(2),
    cause: by ? "api" : "check",
    operation: name,
    ...about,
    ...(evidence === undefined ? {} : { evidence }),
    ...(by ? { correlationId: by.correlationId, actor: actorOf(by) } : {}),
  });
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const doc = await needs.store.read(connectionId, "operation", id);
    if (!doc) return false;
    const writes = [{ op: "delete" as const, id, etag: doc._etag }];
    if (await committed(needs, connectionId, { writes, entries: [entry] })) return true;
  }
  throw new AppError("changed-meanwhile");
};

/** Nobody could tell yet: it is asked again later. */
export const postpone = async (needs: CommitNeeds, before: Stored<OperationDoc>, checkAt: number): Promise<void> => {
  const { _etag: etag, ...doc } = before;
  const next: OperationDoc = { ...doc, checkAt, checks: doc.checks + 1 };
  await committed(needs, doc.connectionId, { writes: [{ op: "replace", doc: next, etag }], entries: [] });
};

/** False when the document was no longer as it was read: somebody else is done with it. */
const committed = async (needs: CommitNeeds, connectionId: string, change: Commit): Promise<boolean> =>
  (await commit(needs, await readHead(needs.store, connectionId), change)).outcome === "committed";
