/**
 * The one way to change a connection: documents, their log entries and head in one transaction.
 *
 * - Head is the first document of the batch and carries the ETag it was read with. When somebody else moved it, sequence and
 *   chain are laid on the new head and the batch is sent again.
 * - When the outcome of a batch is not known, head's `commitId` tells, or the log when somebody else has committed since. The same
 *   batch is safe to send again: at most one of two sends passes head's ETag.
 * - Any other document that moved is the caller's affair: it must look at the document again before it plans again.
 */
import type { Ambient } from "../ambient.ts";
import { logDocument } from "../audit/change-log.ts";
import type { EntryDraft } from "../audit/entries.ts";
import { unrecorded } from "../audit/record-rule.ts";
import { logSecondsOf } from "../audit/retention.ts";
import { AppError } from "../errors.ts";
import { type Head, ids, type LogDoc, type Stored } from "./documents.ts";
import { type DirectoryStore, type Expiry, UnknownOutcome, type Write } from "./ports.ts";
import { grown } from "./size.ts";

/** Head and the log document take two of the 100 places of a batch. */
export const maxWritesPerCommit = 98;
export const maxBytesPerCommit = 1_800_000;

export interface Commit {
  /** Pure: what becomes of head, apart from what commit itself moves. Called again for every head it is laid on. */
  advance?: (head: Head) => Head;
  writes?: readonly (Write | Expiry)[];
  /** What tells of the writes: without it a change is refused (`record-rule.ts`). */
  entries?: readonly EntryDraft[];
  /** The connection itself ends, and its log with it: the record is in the access log. */
  ends?: true;
  /** The worker that holds the lease, with the epoch its run began under; absent for everybody else. */
  worker?: { owner: string; epoch: number };
}

export type CommitOutcome =
  | { outcome: "committed"; head: Stored<Head> }
  /** `id` is no longer as it was read; nothing was written. */
  | { outcome: "moved"; id: string; head: Stored<Head> }
  /** Somebody else holds the lease now: stop silently. */
  | { outcome: "lost-turn" }
  /** Settings, pause or erasure came between: what was planned is void. */
  | { outcome: "superseded"; head: Stored<Head> };

export interface CommitNeeds {
  ambient: Ambient;
  store: Pick<DirectoryStore, "read" | "write">;
  /** Between attempts, some milliseconds; absent: by the machine's timer. */
  wait?: (milliseconds: number) => Promise<void>;
}

/** Of a log document beside its body. */
const logOverheadBytes = 600;
const maxAttempts = 12;
const maxPauseMilliseconds = 250;

export const commit = async (
  { ambient, store, wait = sleep }: CommitNeeds,
  from: Stored<Head>,
  change: Commit,
): Promise<CommitOutcome> => {
  const { connectionId } = from;
  const { advance = (head: Head) => head, writes = [], entries = [], ends, worker } = change;
  const untold = ends ? null : unrecorded(writes, entries);
  if (untold !== null) throw new AppError("unexpected", { detail: `A change without its record: ${untold}.` });
  const commitId = ambient.ulid();
  const unanswered: LogDoc[] = [];
  let head = from;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    if (worker && head.owner !== worker.owner) return { outcome: "lost-turn" };
    if (worker && head.epoch !== worker.epoch) return { outcome: "superseded", head };
    const { _etag: etag, ...clean } = head;
    const log =
      entries.length > 0 ? logDocument(connectionId, head, ambient.now(), entries, logSecondsOf(ambient)) : null;
    const logBytes = log ? log.doc.body.length + logOverheadBytes : 0;
    const advanced = advance(clean);
    const now = ambient.now();
    const next: Head = {
      ...advanced,
      wakeAt: wakeOf(advanced),
      // In the transaction of the change itself, so that nobody misses it whose hint is lost.
      tellAt: log ? Math.min(head.tellAt ?? now, now) : advanced.tellAt,
      sequence: log?.sequence ?? head.sequence,
      chain: log?.chain ?? head.chain,
      commitId,
      size: grown(head.size, { writes, logBytes }, ambient.now(), logSecondsOf(ambient)),
    };
    try {
      const result = await store.write(connectionId, [
        { op: "replace", doc: next, etag },
        ...(log ? [{ op: "create" as const, doc: log.doc }] : []),
        ...writes,
      ]);
      if (result.ok) return { outcome: "committed", head: { ...next, _etag: result.headEtag } };
      const offset = log ? 2 : 1;
      const refused = result.index >= offset ? writes[result.index - offset] : undefined;
      // A log number that exists already means that head was read before somebody else's commit: same cure as a moved head.
      if (refused) return { outcome: "moved", id: "doc" in refused ? refused.doc.id : refused.id, head };
    } catch (error) {
      if (!(error instanceof UnknownOutcome)) throw error;
      if (log) unanswered.push(log.doc);
    }
    // Who meets nobody twice never waits. Two that move head in step with each other have to fall out of step.
    if (attempt > 0)
      await wait(Math.min(maxPauseMilliseconds, 5 * 2 ** attempt) * (ambient.randomBytes(1).readUInt8() / 256));
    const fresh = await store.read(connectionId, "head", ids.head);
    if (!fresh) throw new AppError("connection-not-found");
    if (fresh.commitId === commitId || (await anyWritten(store, unanswered)))
      return { outcome: "committed", head: fresh };
    head = fresh;
  }
  throw new AppError("changed-meanwhile");
};

/** Whoever gives the turn back says what he knows to be due, and may know nothing of an erasure that somebody else is at. */
const wakeOf = ({ owner, wakeAt, erasing }: Head): number | null =>
  erasing && owner === null ? Math.min(wakeAt ?? erasing.until, erasing.until) : wakeAt;

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Entries have ids of their own, so the same body in the same place can only be the document that was sent. */
const anyWritten = async (store: Pick<DirectoryStore, "read">, sent: readonly LogDoc[]): Promise<boolean> => {
  for (const doc of sent) if ((await store.read(doc.connectionId, "log", doc.id))?.body === doc.body) return true;
  return false;
};
