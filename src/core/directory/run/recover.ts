/** What happens when a slice cannot go on: later again, from the start, given up, or void. Nothing here touches the directory. */
import { iso } from "../../ambient.ts";
import { plainEntry } from "../../audit/change-log.ts";
import { logSecondsOf } from "../../audit/retention.ts";
import { AppError } from "../../errors.ts";
import { type Commit, commit } from "../../store/commit.ts";
import {
  type ConnectionDoc,
  type EntryDraft,
  type Head,
  ids,
  type RunDoc,
  type Stored,
} from "../../store/documents.ts";
import type { Write } from "../../store/ports.ts";
import { backOff, nextTurn, scheduleOf, selfTestMilliseconds, wakeAfter } from "../schedule.ts";
import { readAll } from "./basis.ts";
import { lookAnew, stagingOf } from "./begin.ts";
import { newCursor } from "./cursor.ts";
import { checkpoint, LostTurn, noCounts, type Round, type RoundNeeds, Superseded, type WorkerNeeds } from "./round.ts";
import { blamed, isInTrouble, strikesAfter } from "./trouble.ts";

/** Attempts without a checkpoint before a run counts as failed. */
export const maxAttempts = 5;
export const misconfiguredMilliseconds = 300_000;
/** Failed runs in a row after which the last links are taken to be the reason: a dead one may answer 404 or 504 for ever. */
const failuresOnLinks = 3;

/**
 * A link is dead, and nothing was applied yet: the round starts again. From the last links when one of its own pages died, in
 * full when the last links themselves did. False when that has been tried already.
 */
export const restart = async (round: Round): Promise<boolean> => {
  const { needs, cursor } = round;
  const wasFull = cursor.full.groups || cursor.full.users;
  if (cursor.restarted && wasFull) return false;
  const { at } = cursor;
  const lastLink = "feed" in at && at.link !== null && at.link === round.links?.[at.feed];
  const full = wasFull || cursor.restarted || lastLink || round.links === null;
  Object.assign(round.counts, noCounts(), {
    graphRequests: round.counts.graphRequests,
    documentsWritten: round.counts.documentsWritten,
  });
  const reads = full ? readAll : { full: { groups: false, users: false }, again: cursor.again };
  round.cursor = {
    ...newCursor(reads, cursor.first, full ? null : (round.links?.groups ?? null)),
    restarted: true,
  };
  if (round.mode !== "dry-run") round.mode = full ? "full" : "delta";
  const wasInMemory = round.staging.inMemory;
  round.staging = stagingOf(round, round.cursor);
  lookAnew(round);
  // Head forgets the old parts before they go: a crash in between finds a run that has staged nothing.
  await checkpoint(round);
  if (!wasInMemory) await needs.work.drop(round.id);
  return true;
};

/**
 * Puts the next try into head; returns the wait in ms, or `failed` when there were enough. A throttled tenant and our own
 * misconfiguration never count as attempts. Throws `Superseded` when the run is void, and `LostTurn`.
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
  const result = await commit(needs, head, {
    worker: { owner: head.owner as string, epoch: head.epoch },
    advance: (fresh) => ({
      ...fresh,
      owner: null,
      leaseUntil: 0,
      attempts,
      wakeAt: at,
      restUntil: at,
      // The schedule does not come earlier by this: what was asked for is tried again, and nothing else.
      dueAt: fresh.dueAt !== null && fresh.dueAt < at ? at : fresh.dueAt,
    }),
  });
  if (result.outcome === "superseded") throw new Superseded(result.head);
  if (result.outcome === "lost-turn") throw new LostTurn();
  return wait;
};

const waitFor = (needs: WorkerNeeds, failure: AppError, attempts: number): number => {
  if (failure.details.retryAfterSeconds !== undefined) return Math.ceil(failure.details.retryAfterSeconds * 1000);
  if (failure.kind === "misconfigured") return misconfiguredMilliseconds;
  // Confirmed once more, half a lease later, before the connection is blamed.
  if (failure.kind === "not-consented") return needs.leaseMilliseconds / 2;
  return Math.min(backOff(attempts), needs.leaseMilliseconds * 4);
};

const maxReplans = 10;

/**
 * Commits what ends a turn, planned again from what is stored now whenever a document or the epoch has moved: a lease that is
 * not given back holds up whatever moved them. Null when another worker has the lease.
 */
export const commitEnding = async (
  needs: Pick<RoundNeeds, "ambient" | "store">,
  claimed: Stored<Head>,
  plan: (head: Stored<Head>) => Omit<Commit, "worker"> | Promise<Omit<Commit, "worker">>,
): Promise<Stored<Head> | null> => {
  let head = claimed;
  for (let time = 0; time < maxReplans; time++) {
    const worker = { owner: claimed.owner as string, epoch: head.epoch };
    const result = await commit(needs, head, { ...(await plan(head)), worker });
    if (result.outcome === "committed") return result.head;
    if (result.outcome === "lost-turn") return null;
    head = result.head;
  }
  throw new AppError("changed-meanwhile");
};

/** Gives the lease back; whoever has moved head since it was claimed has said there when it is due. */
export const released = (claimed: Head, fresh: Head, wakeAt: number | null): Head => ({
  ...fresh,
  owner: null,
  leaseUntil: 0,
  attempts: 0,
  wakeAt: fresh.commitId === claimed.commitId ? wakeAt : fresh.wakeAt,
});

/**
 * The run is over. Lost consent and repeated failures of Microsoft's side bring the connection into trouble; everything else
 * backs off and tries again. Nothing of this is sealed, so it is recorded also when it is the keys that are out of reach.
 */
export const fail = async (
  needs: WorkerNeeds,
  claimed: Stored<Head>,
  doc: Stored<ConnectionDoc>,
  failure: AppError,
): Promise<void> => {
  const { connectionId } = claimed;
  const runId = claimed.run?.id ?? claimed.requested?.runId ?? needs.ambient.ulid();
  const mode = claimed.run?.mode ?? claimed.requested?.mode;
  const byGraph = failure.code === "graph-unavailable" || failure.code === "graph-refused";
  const done = await commitEnding(needs, claimed, async (from) => {
    if (from.epoch !== claimed.epoch) return await voiding(needs, from, doc, "cancelled");
    const now = needs.ambient.now();
    const { _etag, ...current } = (await needs.store.read(connectionId, "connection", ids.connection)) ?? doc;
    const strikes = strikesAfter(from, failure);
    const after = blamed(current, failure, strikes, now);
    const failures = from.failures + 1;
    const inTrouble = isInTrouble(after ?? current);
    const wait = inTrouble ? selfTestMilliseconds : backOff(failures);
    const at = scheduleOf(current).automatic ? now + wait : null;
    return {
      entries: [
        runEnded(needs, claimed, runId, failure.code),
        ...(after ? [connectionBlamed(needs, failure.code, runId)] : []),
      ],
      writes: [
        await endedRun(needs, claimed, current, runId, "failed", failure.code),
        ...(after ? [{ op: "replace" as const, etag: _etag, doc: after }] : []),
      ],
      advance: (fresh) => {
        const dueAt = mode === "dry-run" && !inTrouble ? fresh.dueAt : at;
        const next = ended(fresh, runId, { failures, strikes, dueAt, wakeAt: null });
        return {
          ...next,
          wakeAt: next.requested ? now + wait : next.dueAt,
          suspect: next.suspect || (byGraph && failures >= failuresOnLinks),
        };
      },
    };
  });
  if (done) await drop(needs, runId);
};

/** The run belongs to an older epoch: it ends without having changed anything more, and what the settings say now is done. */
export const discard = async (
  needs: WorkerNeeds,
  claimed: Stored<Head>,
  doc: Stored<ConnectionDoc>,
  outcome: "cancelled" | "expired",
): Promise<void> => {
  const done = await commitEnding(needs, claimed, (from) => voiding(needs, from, doc, outcome));
  if (done && claimed.run) await drop(needs, claimed.run.id);
};

const voiding = async (
  needs: WorkerNeeds,
  head: Stored<Head>,
  doc: Stored<ConnectionDoc>,
  outcome: "cancelled" | "expired",
): Promise<Omit<Commit, "worker">> => {
  const fresh = (await needs.store.read(head.connectionId, "connection", ids.connection)) ?? doc;
  const runId = head.run?.id ?? null;
  const known = runId ? await needs.store.read(head.connectionId, "run", ids.run(runId)) : null;
  // Whoever ended it has recorded that.
  const endedBefore = known?.phase === "ended";
  const off = fresh.settings.paused || fresh.state === "closing";
  const now = needs.ambient.now();
  // What was not ended on purpose is void: whoever moved the epoch has said in head when it is due again.
  const dueAgain = outcome === "expired" || endedBefore ? dueLater(head, fresh, now) : head.dueAt;
  const dueAt = off ? (fresh.closesAt === null ? null : Date.parse(fresh.closesAt)) : dueAgain;
  return {
    // A run that is in nobody's head but its worker's has written nothing: of it there is nothing to tell.
    writes: runId ? [await endedRun(needs, head, fresh, runId, outcome, null)] : [],
    entries: runId && !endedBefore ? [runEnded(needs, head, runId, outcome)] : [],
    advance: (next) =>
      ended(next, runId, { dueAt, wakeAt: off ? dueAt : wakeAfter({ ...next, run: null, dueAt }, now) }),
  };
};

/** Staged parts that stay can no longer be opened, and expire. */
const drop = async (needs: WorkerNeeds, runId: string): Promise<void> => {
  await needs.work.drop(runId).catch(() => undefined);
};

/** Whoever ends a run does not want it to begin again at once. */
const dueLater = (head: Head, doc: ConnectionDoc, now: number): number | null =>
  head.dueAt !== null && head.dueAt > now ? head.dueAt : nextTurn(doc, now);

const runEnded = (needs: WorkerNeeds, head: Head, runId: string, evidence: string): EntryDraft =>
  plainEntry(needs.ambient, {
    kind: "run",
    op: "ended",
    object: runId,
    cause: head.run?.cause ?? head.requested?.cause ?? "schedule",
    run: runId,
    evidence,
  });

/** `run` is null when a self-test found it. */
export const connectionBlamed = (
  needs: Pick<RoundNeeds, "ambient">,
  evidence: string,
  run: string | null,
): EntryDraft =>
  plainEntry(needs.ambient, {
    kind: "connection",
    op: "updated",
    object: "connection",
    cause: run === null ? "self-test" : "run",
    ...(run === null ? {} : { run }),
    evidence,
  });

/** Another run that was asked for meanwhile stays asked for. */
const ended = (
  head: Head,
  runId: string | null,
  next: Pick<Head, "dueAt" | "wakeAt"> & Partial<Pick<Head, "failures" | "strikes">>,
): Head => ({
  ...head,
  ...next,
  owner: null,
  leaseUntil: 0,
  attempts: 0,
  run: null,
  // Half of it is there, and no basis tells of that: whoever has lost his group already is no leaver of the next delta.
  suspect: head.suspect || (head.run?.phase === "applying" && head.run.reshapes),
  requested: head.requested?.runId === runId ? null : head.requested,
});

const endedRun = async (
  needs: WorkerNeeds,
  head: Stored<Head>,
  doc: ConnectionDoc,
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
        requestedBy: null,
        ttl: logSecondsOf(needs.ambient),
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
