/** What happens when a slice cannot go on: later again, from the start, given up, or void. Nothing here touches the directory. */
import { iso } from "../../ambient.ts";
import { draftEntry, logTtlSeconds } from "../../audit/change-log.ts";
import type { AppError } from "../../errors.ts";
import { commit } from "../../store/commit.ts";
import { type ConnectionDoc, type Head, ids, type RunDoc, type Stored } from "../../store/documents.ts";
import type { Write } from "../../store/ports.ts";
import { backOff, nextDue } from "../schedule.ts";
import { newCursor } from "./cursor.ts";
import { checkpoint, noCounts, type Round, type WorkerNeeds } from "./round.ts";
import { Staging } from "./staging.ts";

/** Attempts without a checkpoint before a run counts as failed. */
export const maxAttempts = 5;
const selfTestMilliseconds = 3_600_000;
const misconfiguredMilliseconds = 300_000;
/** Failed runs in a row after which the last links are taken to be the reason: a dead one may answer 404 or 504 for ever. */
const failuresOnLinks = 3;

/**
 * A link is dead, and nothing was applied yet: the round starts again. From the last links when one of its own pages died, in
 * full when the last links themselves did. False when that has been tried already.
 */
export const restart = async (round: Round): Promise<boolean> => {
  const { needs, connection, cursor } = round;
  const wasFull = cursor.full.groups || cursor.full.users;
  if (cursor.restarted && wasFull) return false;
  const lastLink =
    cursor.at.phase === "reading" && cursor.at.link !== null && cursor.at.link === round.links?.[cursor.at.feed];
  const full = wasFull || cursor.restarted || lastLink || round.links === null;
  Object.assign(round.counts, noCounts(), {
    graphRequests: round.counts.graphRequests,
    documentsWritten: round.counts.documentsWritten,
  });
  round.cursor = {
    ...newCursor({ groups: full, users: full }, cursor.first, full ? null : (round.links?.groups ?? null)),
    restarted: true,
  };
  if (round.mode !== "dry-run") round.mode = full ? "full" : "delta";
  const wasInMemory = round.staging.inMemory;
  const { id: runId, key, counts } = round;
  round.staging = new Staging(
    {
      ambient: needs.ambient,
      work: needs.work,
      ring: connection.ring,
      runId,
      owner: round.owner,
      key,
      counts,
      dry: round.mode === "dry-run",
    },
    round.cursor,
  );
  // Head forgets the old parts before they go: a crash in between finds a run that has staged nothing.
  await checkpoint(round);
  if (!wasInMemory) await needs.work.drop(round.id);
  return true;
};

/**
 * Puts the next try into head; returns the wait in ms, or `failed` when there were enough. A throttled tenant and our own
 * misconfiguration never count as attempts.
 */
export const retryLater = async (
  needs: WorkerNeeds,
  round: Round | null,
  claimed: Stored<Head>,
  failure: AppError,
): Promise<number | "failed"> => {
  const blameless = failure.kind === "throttled" || failure.kind === "misconfigured";
  // Before the checkpoint: half a page is worth keeping, but it is no progress.
  const before = round?.head.attempts ?? claimed.attempts;
  const attempts = blameless || round?.progressed ? before : before + 1;
  if (round && round.staging.unflushed > 0 && round.cursor.at.phase !== "applying")
    await checkpoint(round).catch(() => undefined);
  const head = round?.head ?? claimed;
  if (failure.kind === "not-consented" && attempts >= 2) return "failed";
  if (attempts >= maxAttempts) return "failed";
  const wait = waitFor(needs, failure, attempts);
  const at = needs.ambient.now() + wait;
  await commit(needs, head, {
    worker: { owner: head.owner as string, epoch: head.epoch },
    advance: (fresh) => ({
      ...fresh,
      owner: null,
      leaseUntil: 0,
      attempts,
      wakeAt: at,
      // The schedule does not come earlier by this: what was asked for is tried again, and nothing else.
      dueAt: fresh.dueAt !== null && fresh.dueAt < at ? at : fresh.dueAt,
    }),
  });
  return wait;
};

const waitFor = (needs: WorkerNeeds, failure: AppError, attempts: number): number => {
  if (failure.details.retryAfterSeconds !== undefined) return Math.ceil(failure.details.retryAfterSeconds * 1000);
  if (failure.kind === "misconfigured") return misconfiguredMilliseconds;
  // Confirmed once more, half a lease later, before the connection is blamed.
  if (failure.kind === "not-consented") return needs.leaseMilliseconds / 2;
  return Math.min(backOff(attempts), needs.leaseMilliseconds * 4);
};

/** The run is over. Lost consent makes the connection need attention; everything else backs off and tries again. */
export const fail = async (
  needs: WorkerNeeds,
  head: Stored<Head>,
  doc: Stored<ConnectionDoc>,
  failure: AppError,
): Promise<void> => {
  const { connectionId } = head;
  const now = needs.ambient.now();
  const blamed = failure.kind === "not-consented";
  const runId = head.run?.id ?? head.requested?.runId ?? needs.ambient.ulid();
  const failures = head.failures + 1;
  const wait = blamed ? selfTestMilliseconds : backOff(failures);
  const connection = await needs.contextFor(doc);
  const entries = [
    draftEntry(needs.ambient, connection.ring, connectionId, {
      kind: "run",
      op: "ended",
      object: runId,
      cause: head.run?.cause ?? head.requested?.cause ?? "schedule",
      run: runId,
      evidence: failure.code,
    }),
    ...(blamed && doc.state === "active"
      ? [
          draftEntry(needs.ambient, connection.ring, connectionId, {
            kind: "connection",
            op: "updated",
            object: "connection",
            cause: "run",
            run: runId,
            evidence: failure.code,
          }),
        ]
      : []),
  ];
  const { _etag, ...clean } = doc;
  const writes: Write[] = [
    await endedRun(needs, head, doc, runId, "failed", failure.code),
    ...(blamed && doc.state === "active"
      ? [
          {
            op: "replace" as const,
            etag: _etag,
            doc: { ...clean, state: "needs-attention" as const, attention: { code: failure.code, since: iso(now) } },
          },
        ]
      : []),
  ];
  const at = doc.settings.automatic ? now + wait : null;
  const dry = (head.run?.mode ?? head.requested?.mode) === "dry-run";
  const byGraph = failure.code === "graph-unavailable" || failure.code === "graph-refused";
  const result = await commit(needs, head, {
    worker: { owner: head.owner as string, epoch: head.epoch },
    entries,
    writes,
    advance: (fresh) => {
      const next = ended(fresh, runId, { failures, dueAt: dry ? fresh.dueAt : at, wakeAt: null });
      return {
        ...next,
        wakeAt: next.requested ? now + wait : next.dueAt,
        selection: byGraph && failures >= failuresOnLinks ? null : fresh.selection,
      };
    },
  });
  if (result.outcome === "committed") await needs.work.drop(runId);
};

/** The run belongs to an older epoch: it ends without having changed anything more, and what the settings say now is done. */
export const discard = async (
  needs: WorkerNeeds,
  head: Stored<Head>,
  doc: Stored<ConnectionDoc>,
  outcome: "cancelled" | "expired",
): Promise<void> => {
  const fresh = (await needs.store.read(head.connectionId, "connection", ids.connection)) ?? doc;
  const runId = head.run?.id ?? null;
  const known = runId ? await needs.store.read(head.connectionId, "run", ids.run(runId)) : null;
  const off = fresh.settings.paused || fresh.state === "closing";
  const now = needs.ambient.now();
  // What was not ended on purpose is void: whoever moved the epoch has said in head when it is due again.
  const onPurpose = outcome === "expired" || known?.phase === "ended";
  const dueAgain = onPurpose ? dueLater(head, fresh, now) : head.dueAt;
  const dueAt = off ? (fresh.closesAt === null ? null : Date.parse(fresh.closesAt)) : dueAgain;
  const writes = known && runId ? [await endedRun(needs, head, doc, runId, outcome, null)] : [];
  await commit(needs, head, {
    worker: { owner: head.owner as string, epoch: head.epoch },
    writes,
    advance: (next) => ended(next, runId, { dueAt, wakeAt: off ? dueAt : next.requested ? now : dueAt }),
  });
  if (runId) await needs.work.drop(runId);
};

/** Whoever ends a run does not want it to begin again at once. */
const dueLater = (head: Head, { settings }: ConnectionDoc, now: number): number | null =>
  head.dueAt !== null && head.dueAt > now ? head.dueAt : nextDue(head.connectionId, settings, now);

/** Another run that was asked for meanwhile stays asked for. */
const ended = (
  head: Head,
  runId: string | null,
  next: Pick<Head, "dueAt" | "wakeAt"> & { failures?: number },
): Head => ({
  ...head,
  ...next,
  owner: null,
  leaseUntil: 0,
  attempts: 0,
  run: null,
  requested: head.requested?.runId === runId ? null : head.requested,
});

const endedRun = async (
  needs: WorkerNeeds,
  head: Stored<Head>,
  doc: Stored<ConnectionDoc>,
  runId: string,
  outcome: "failed" | "cancelled" | "expired",
  failure: string | null,
): Promise<Write> => {
  const known = await needs.store.read(head.connectionId, "run", ids.run(runId));
  const now = iso(needs.ambient.now());
  const run = head.run;
  const base: RunDoc = known
    ? (({ _etag, ...rest }) => rest)(known)
    : {
        id: ids.run(runId),
        kind: "run",
        connectionId: head.connectionId,
        v: 1,
        mode: run?.mode ?? head.requested?.mode ?? "delta",
        cause: run?.cause ?? head.requested?.cause ?? "schedule",
        phase: "ended",
        outcome: null,
        failure: null,
        counts: noCounts(),
        warnings: [],
        planHash: null,
        guard: [],
        requestedAt: now,
        startedAt: run ? iso(run.startedAt) : null,
        endedAt: null,
        settingsVersion: doc.settingsVersion,
        ttl: logTtlSeconds,
      };
  const ending: RunDoc = {
    ...base,
    phase: "ended",
    // Whoever ended it before has said how.
    outcome: base.outcome ?? outcome,
    failure,
    endedAt: base.endedAt ?? now,
    ...(run ? { counts: run.counts, warnings: run.warnings } : {}),
  };
  return known ? { op: "replace", doc: ending, etag: known._etag } : { op: "create", doc: ending };
};
