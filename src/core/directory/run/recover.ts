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
const maxAttempts = 5;
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
  if (!round.staging.inMemory) await needs.work.drop(round.id);
  const { id: runId, key, counts } = round;
  round.staging = new Staging(
    {
      ambient: needs.ambient,
      work: needs.work,
      ring: connection.ring,
      runId,
      key,
      counts,
      dry: round.mode === "dry-run",
    },
    round.cursor,
  );
  await checkpoint(round);
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
  doc: Stored<ConnectionDoc>,
  failure: AppError,
): Promise<number | "failed"> => {
  const blameless = failure.kind === "throttled" || failure.kind === "misconfigured";
  if (round && round.staging.unflushed > 0 && round.cursor.at.phase !== "applying")
    await checkpoint(round).catch(() => undefined);
  const head = round?.head ?? claimed;
  const attempts = blameless || round?.progressed ? head.attempts : head.attempts + 1;
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
      dueAt: doc.settings.automatic || fresh.dueAt !== null ? at : null,
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
  const byGraph = failure.code === "graph-unavailable" || failure.code === "graph-refused";
  const result = await commit(needs, head, {
    worker: { owner: head.owner as string, epoch: head.epoch },
    entries,
    writes,
    advance: (fresh) => ({
      ...ended(fresh, { failures, dueAt: at, wakeAt: at }),
      selection: byGraph && failures >= failuresOnLinks ? null : fresh.selection,
    }),
  });
  if (result.outcome === "committed") await needs.work.drop(runId);
};

/** The run belongs to an older epoch: it ends without having changed anything more, and what the settings say now is done. */
export const discard = async (
  needs: WorkerNeeds,
  head: Stored<Head>,
  doc: Stored<ConnectionDoc>,
  outcome: "cancelled",
): Promise<void> => {
  const fresh = (await needs.store.read(head.connectionId, "connection", ids.connection)) ?? doc;
  const runId = head.run?.id ?? null;
  const known = runId ? await needs.store.read(head.connectionId, "run", ids.run(runId)) : null;
  const off = fresh.settings.paused || fresh.state === "closing";
  const now = needs.ambient.now();
  const dueAt = off
    ? fresh.closesAt === null
      ? null
      : Date.parse(fresh.closesAt)
    : (nextDue(head.connectionId, fresh.settings, head.lastRound?.startedAt ?? now) ?? null);
  const writes = known && runId ? [await endedRun(needs, head, doc, runId, outcome, null)] : [];
  await commit(needs, head, {
    worker: { owner: head.owner as string, epoch: head.epoch },
    writes,
    advance: (next) =>
      ended(
        next,
        { dueAt, wakeAt: off ? dueAt : next.requested ? now : dueAt },
        off || !next.run || next.requested?.runId !== next.run.id,
      ),
  });
  if (runId) await needs.work.drop(runId);
};

const ended = (
  head: Head,
  next: Pick<Head, "dueAt" | "wakeAt"> & { failures?: number },
  keepRequest = false,
): Head => ({
  ...head,
  ...next,
  owner: null,
  leaseUntil: 0,
  attempts: 0,
  run: null,
  requested: keepRequest ? head.requested : null,
});

const endedRun = async (
  needs: WorkerNeeds,
  head: Stored<Head>,
  doc: Stored<ConnectionDoc>,
  runId: string,
  outcome: "failed" | "cancelled",
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
        requestedAt: now,
        startedAt: run ? iso(run.startedAt) : null,
        endedAt: null,
        settingsVersion: doc.settingsVersion,
        ttl: logTtlSeconds,
      };
  const ending: RunDoc = {
    ...base,
    phase: "ended",
    outcome,
    failure,
    endedAt: now,
    ...(run ? { counts: run.counts, warnings: run.warnings } : {}),
  };
  return known ? { op: "replace", doc: ending, etag: known._etag } : { op: "create", doc: ending };
};
