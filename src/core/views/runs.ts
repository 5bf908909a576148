/** Asks for a run, and shows runs. What a run is doing now is in head; its document has what was asked and how it ended. */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import { logTtlSeconds } from "../audit/change-log.ts";
import { entryOf, readHead } from "../connections/change.ts";
import { hintNow } from "../connections/change-settings.ts";
import { directoryTenant } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import { guarded } from "../directory/guard.ts";
import { noCounts } from "../directory/run/round.ts";
import { wakeAfter } from "../directory/schedule.ts";
import { AppError, isAppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import { type ConnectionDoc, type Head, ids, type RunDoc } from "../store/documents.ts";
import type { HintQueue, Page } from "../store/ports.ts";
import { from, openReadable, type PageRequest, pageOf, type ViewNeeds } from "./readable.ts";

export const RequestRun = z.strictObject({ mode: z.enum(["full", "delta", "dry-run"]) });
export type RequestRun = z.infer<typeof RequestRun>;

const Counts = z.strictObject({
  peopleRead: z.int(),
  groupsRead: z.int(),
  peopleCreated: z.int(),
  peopleUpdated: z.int(),
  peopleRevived: z.int(),
  peopleDeactivated: z.int(),
  groupsCreated: z.int(),
  groupsUpdated: z.int(),
  groupsRemoved: z.int(),
  membershipsAdded: z.int(),
  membershipsRemoved: z.int(),
  moved: z.int(),
  keptThoughCleared: z.int(),
  skipped: z.int(),
  graphRequests: z.int(),
  documentsWritten: z.int(),
});

export const RunView = z.strictObject({
  id: z.string(),
  mode: z.enum(["full", "delta", "dry-run"]),
  cause: z.enum(["schedule", "manual", "notification", "settings"]),
  phase: z.enum(["queued", "reading", "weighing", "waiting", "applying", "ended"]),
  outcome: z.enum(["done", "nothing", "dry-run", "rejected", "expired", "cancelled", "failed"]).nullable(),
  /** Problem code of a failed run. */
  failure: z.string().nullable(),
  counts: Counts,
  /** Objects that were set aside, each with its reason. */
  warnings: z.array(z.strictObject({ code: z.string(), object: z.string().optional() })),
  planHash: z.string().nullable(),
  /** Where the plan takes away more than the guard lets pass; a dry run tells it beforehand. */
  guard: z.array(z.strictObject({ kind: z.enum(guarded), planned: z.int(), recent: z.int(), limit: z.int() })),
  /** The plan waits for approval until then. */
  waitsUntil: z.iso.datetime().nullable(),
  settingsVersion: z.int(),
  requestedAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
});
export type RunView = z.infer<typeof RunView>;

export interface RunNeeds extends ViewNeeds {
  ambient: Ambient;
  hints: HintQueue;
}

const maxAttempts = 5;

export const requestRun =
  (needs: RunNeeds) =>
  async (caller: Caller, connectionId: string, input: RequestRun): Promise<RunView> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await requestOnce(needs, caller, connectionId, input);
      } catch (error) {
        if (!isAppError(error, "changed-meanwhile") || attempt === maxAttempts) throw error;
      }
    }
  };

const requestOnce = async (
  needs: RunNeeds,
  caller: Caller,
  connectionId: string,
  { mode }: RequestRun,
): Promise<RunView> => {
  const { ambient, store } = needs;
  await openReadable(needs)(caller.workspaceId, connectionId);
  const seen = await readHead(store, connectionId);
  // After head: a pause or deletion that this misses has moved the epoch.
  const { doc, context } = await openReadable(needs)(caller.workspaceId, connectionId);
  requireRunnable(doc);
  const runId = ambient.ulid();
  const now = ambient.now();
  const run = newRun(doc, runId, mode, now);
  const result = await commit(needs, seen, {
    // Looked at again for every head the commit is laid on: of two requests at once, one finds the other.
    advance: (head) => {
      if (head.requested || head.run) throw new AppError("run-in-progress");
      if (head.epoch !== seen.epoch) throw new AppError("changed-meanwhile");
      return { ...head, requested: { runId, mode, cause: "manual", at: now }, wakeAt: now };
    },
    writes: [{ op: "create", doc: run }],
    entries: [
      entryOf(ambient, context, caller, {
        kind: "run",
        op: "requested",
        object: runId,
        changes: [{ field: "mode", before: null, after: mode }],
      }),
    ],
  });
  if (result.outcome !== "committed") throw new AppError("changed-meanwhile");
  await hintNow(needs, connectionId);
  return runView(run, result.head);
};

/**
 * Ends a run that has not ended. The epoch moves, so a run under way commits nothing more; what it has applied stays, each
 * change with its record, and the next run reads from the last links again.
 */
export const cancelRun =
  (needs: RunNeeds) =>
  async (caller: Caller, connectionId: string, runId: string): Promise<RunView> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await cancelOnce(needs, caller, connectionId, runId);
      } catch (error) {
        if (!isAppError(error, "changed-meanwhile") || attempt === maxAttempts) throw error;
      }
    }
  };

const cancelOnce = async (needs: RunNeeds, caller: Caller, connectionId: string, runId: string): Promise<RunView> => {
  const { ambient, store } = needs;
  const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
  const seen = await readHead(store, connectionId);
  const known = runIdPattern.test(runId) ? await store.read(connectionId, "run", ids.run(runId)) : null;
  if (!known) throw new AppError("run-not-found");
  if (known.phase === "ended") throw new AppError("state-conflict", { detail: "The run has ended." });
  const now = ambient.now();
  const { _etag, ...doc } = known;
  const rejected = seen.run?.id === runId && seen.run.phase === "waiting";
  const ended: RunDoc = { ...doc, phase: "ended", outcome: rejected ? "rejected" : "cancelled", endedAt: iso(now) };
  const result = await commit(needs, seen, {
    advance: (head) => ({
      ...head,
      // A run in memory only has its request still in head.
      epoch: head.run?.id === runId || head.requested?.runId === runId ? head.epoch + 1 : head.epoch,
      requested: head.requested?.runId === runId ? null : head.requested,
      // A run under way is put away by a worker: the one that has it, or the next one.
      wakeAt: head.run?.id === runId || head.owner !== null ? now : wakeAfter({ ...head, requested: null }, now),
    }),
    writes: [{ op: "replace", doc: ended, etag: _etag }],
    entries: [entryOf(ambient, context, caller, { kind: "run", op: "cancelled", object: runId })],
  });
  if (result.outcome !== "committed") throw new AppError("changed-meanwhile");
  await hintNow(needs, connectionId);
  return runView(ended, result.head);
};

export const ApprovePlan = z.strictObject({ planHash: z.string().regex(/^[0-9a-f]{64}$/) });
export type ApprovePlan = z.infer<typeof ApprovePlan>;

/** Lets the very plan go on that the guard has stopped: whoever approves names its hash. */
export const approveRun =
  (needs: RunNeeds) =>
  async (caller: Caller, connectionId: string, runId: string, { planHash }: ApprovePlan): Promise<RunView> => {
    const { ambient, store } = needs;
    const { doc, context } = await openReadable(needs)(caller.workspaceId, connectionId);
    requireRunnable(doc);
    const known = runIdPattern.test(runId) ? await store.read(connectionId, "run", ids.run(runId)) : null;
    if (!known) throw new AppError("run-not-found");
    const now = ambient.now();
    const result = await commit(needs, await readHead(store, connectionId), {
      advance: (head) => {
        const { run } = head;
        const plan = run?.id === runId && run.epoch === head.epoch && run.planHash === planHash ? run.stopped : null;
        if (!run || !plan || plan.approved || plan.expiresAt <= now) throw new AppError("plan-not-waiting");
        return { ...head, wakeAt: now, run: { ...run, phase: "applying", stopped: { ...plan, approved: true } } };
      },
      entries: [
        entryOf(ambient, context, caller, {
          kind: "run",
          op: "approved",
          object: runId,
          changes: [{ field: "planHash", before: null, after: planHash }],
        }),
      ],
    });
    if (result.outcome !== "committed") throw new AppError("changed-meanwhile");
    await hintNow(needs, connectionId);
    return runView(known, result.head);
  };

const requireRunnable = (doc: ConnectionDoc): void => {
  if (directoryTenant(doc) === null)
    throw new AppError("state-conflict", { detail: "Reading the directory is not approved on this connection." });
  if (doc.settings.paused) throw new AppError("state-conflict", { detail: "The connection is paused." });
};

const newRun = (doc: ConnectionDoc, runId: string, mode: RequestRun["mode"], now: number): RunDoc => ({
  id: ids.run(runId),
  kind: "run",
  connectionId: doc.connectionId,
  v: 1,
  mode,
  cause: "manual",
  phase: "queued",
  outcome: null,
  failure: null,
  counts: noCounts(),
  warnings: [],
  planHash: null,
  guard: [],
  requestedAt: iso(now),
  startedAt: null,
  endedAt: null,
  settingsVersion: doc.settingsVersion,
  ttl: logTtlSeconds,
});

/** Newest first. */
export const listRuns =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, { after, limit }: PageRequest): Promise<Page<RunView>> => {
    await openReadable(needs)(caller.workspaceId, connectionId);
    const [head, found] = await Promise.all([
      readHead(needs.store, connectionId),
      needs.store.list(connectionId, "run", { ...from(after), limit: limit + 1 }),
    ]);
    const { shown, next } = pageOf(found, limit);
    return { items: shown.map((doc) => runView(doc, head)), next };
  };

const runIdPattern = /^[0-9a-z]{26}$/;

export const readRun =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, runId: string): Promise<RunView> => {
    await openReadable(needs)(caller.workspaceId, connectionId);
    if (!runIdPattern.test(runId)) throw new AppError("run-not-found");
    const [head, doc] = await Promise.all([
      readHead(needs.store, connectionId),
      needs.store.read(connectionId, "run", ids.run(runId)),
    ]);
    if (!doc) throw new AppError("run-not-found");
    return runView(doc, head);
  };

const runView = (doc: RunDoc, { run }: Pick<Head, "run">): RunView => {
  const id = doc.id.slice(2);
  const shown: RunView = {
    id,
    mode: doc.mode,
    cause: doc.cause,
    phase: doc.phase,
    outcome: doc.outcome,
    failure: doc.failure,
    counts: doc.counts,
    warnings: doc.warnings,
    planHash: doc.planHash,
    guard: doc.guard,
    waitsUntil: null,
    settingsVersion: doc.settingsVersion,
    requestedAt: doc.requestedAt,
    startedAt: doc.startedAt,
    endedAt: doc.endedAt,
  };
  if (run?.id !== id || doc.phase === "ended") return shown;
  const { mode, phase, counts, warnings, planHash, startedAt, stopped } = run;
  const waitsUntil = stopped && !stopped.approved ? iso(stopped.expiresAt) : null;
  const guard = stopped?.findings ?? doc.guard;
  return { ...shown, mode, phase, counts, warnings, planHash, guard, waitsUntil, startedAt: iso(startedAt) };
};
