/** Asks for a run, and shows runs. What a run is doing now is in head; its document has what was asked and how it ended. */
import { z } from "zod";
import { responsibleOf } from "../access/asserted.ts";
import { type Ambient, iso } from "../ambient.ts";
import { logSecondsOf } from "../audit/retention.ts";
import { entryOf, readHead } from "../connections/change.ts";
import { hintNow, requireAcceptable } from "../connections/change-settings.ts";
import { directoryTenant } from "../connections/open.ts";
import { requesterOf, requireSecondPerson, runSubject, sealSubject } from "../connections/second-person.ts";
import type { Settings } from "../connections/settings.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import { guarded } from "../directory/guard.ts";
import { progressOf, rateOf } from "../directory/run/progress.ts";
import { noCounts } from "../directory/run/round.ts";
import { wakeAfter } from "../directory/schedule.ts";
import { AppError, isAppError } from "../errors.ts";
import type { MailOutbox } from "../mail/ports.ts";
import { commit } from "../store/commit.ts";
import { type ConnectionDoc, type Head, ids, type RunDoc, type Stored } from "../store/documents.ts";
import type { HintQueue, Page } from "../store/ports.ts";
import { from, openReadable, type PageRequest, pageOf, type ViewNeeds } from "./readable.ts";

export const RequestRun = z
  .strictObject({
    mode: z.enum(["full", "delta", "dry-run"]),
    /** The result of a dry run goes to the administrator who approved the connection. */
    mail: z.boolean().optional(),
  })
  .refine(({ mode, mail }) => mail !== true || mode === "dry-run", { path: ["mail"], error: "is for a dry run only" });
export type RequestRun = z.infer<typeof RequestRun>;

const Counts = z.strictObject({
  peopleRead: z.int(),
  groupsRead: z.int(),
  peopleCreated: z.int(),
  peopleUpdated: z.int(),
  peopleRevived: z.int(),
  peopleDeactivated: z.int(),
  peopleKept: z.int(),
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
  /** It is made under proposed settings: what would change if they were the connection's. */
  impact: z.boolean(),
  phase: z.enum(["queued", "reading", "weighing", "waiting", "applying", "ended"]),
  outcome: z.enum(["done", "nothing", "dry-run", "rejected", "expired", "cancelled", "failed"]).nullable(),
  /** Problem code of a failed run. */
  failure: z.string().nullable(),
  counts: Counts,
  /**
   * Of a run under way, as of its last checkpoint. Reading: objects that came, of as many as are stored when everything is
   * read anew (an estimate; null for a delta and a first read). Applying: changes of the plan.
   */
  progress: z.strictObject({ done: z.int(), total: z.int().nullable() }).nullable(),
  /** Objects a second in the present phase. */
  rate: z.number().nullable(),
  /** Objects that were set aside, each with its reason. */
  warnings: z.array(z.strictObject({ code: z.string(), object: z.string().optional() })),
  planHash: z.string().nullable(),
  /** Where the plan takes away more than the guard lets pass; a dry run tells it beforehand. */
  guard: z.array(z.strictObject({ kind: z.enum(guarded), planned: z.int(), recent: z.int(), limit: z.int() })),
  /** The plan waits for approval until then. */
  waitsUntil: z.iso.datetime().nullable(),
  settingsVersion: z.int(),
  /** How late its changes came: since a notification, or at most, since the round before began; null where neither can be said. */
  lateness: z.strictObject({ seconds: z.int(), from: z.enum(["notification", "round-before"]) }).nullable(),
  requestedAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
  /** Null: no mail was asked for, or there is nothing to tell. */
  mail: z
    .strictObject({
      state: z.enum(["waiting", "sent", "failed", "refused"]),
      at: z.iso.datetime(),
      reason: z.string().nullable(),
    })
    .nullable(),
  /** For callers with `audit:read`: who asked for it; null for what nobody asked for. */
  startedBy: z.string().nullable().optional(),
});
export type RunView = z.infer<typeof RunView>;

export interface RunNeeds extends ViewNeeds {
  ambient: Ambient;
  hints: HintQueue;
  /** Absent: this installation sends no mails. */
  mails?: MailOutbox;
}

const maxAttempts = 5;

export const requestRun =
  (needs: RunNeeds) =>
  (caller: Caller, connectionId: string, input: RequestRun): Promise<RunView> =>
    request(needs, caller, connectionId, input);

const request: typeof requestOnce = async (needs, caller, connectionId, input) => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await requestOnce(needs, caller, connectionId, input);
    } catch (error) {
      if (!isAppError(error, "changed-meanwhile") || attempt === maxAttempts) throw error;
    }
  }
};

/** What a dry run would be under other settings than the connection's. */
export const requestImpact =
  (needs: RunNeeds) =>
  (caller: Caller, connectionId: string, proposed: Settings): Promise<RunView> =>
    request(needs, caller, connectionId, { mode: "dry-run", proposed });

const requestOnce = async (
  needs: RunNeeds,
  caller: Caller,
  connectionId: string,
  { mode, mail = false, proposed }: RequestRun & { proposed?: Settings },
): Promise<RunView> => {
  const { ambient, store } = needs;
  if (mail && !needs.mails) throw new AppError("mail-not-offered", { field: "mail" });
  await openReadable(needs)(caller.workspaceId, connectionId);
  const seen = await readHead(store, connectionId);
  // After head: a pause or deletion that this misses has moved the epoch.
  const { doc, context } = await openReadable(needs)(caller.workspaceId, connectionId);
  requireRunnable(doc);
  if (proposed) await requireAcceptable(needs, context, doc, proposed);
  const runId = ambient.ulid();
  const now = ambient.now();
  const run: RunDoc = {
    ...newRun(ambient, doc, runId, mode, now),
    requestedBy: sealSubject(ambient, context.ring, runSubject(connectionId, runId), responsibleOf(caller)),
    ...(mail ? { mail: { state: "waiting", at: iso(now), reason: null } } : {}),
    ...(proposed ? { impact: true } : {}),
  };
  const result = await commit(needs, seen, {
    // Looked at again for every head the commit is laid on: of two requests at once, one finds the other.
    advance: (head) => {
      if (head.requested || head.run) throw new AppError("run-in-progress");
      if (head.epoch !== seen.epoch) throw new AppError("changed-meanwhile");
      return {
        ...head,
        requested: { runId, mode, cause: "manual", at: now, ...(proposed ? { proposed } : {}) },
        wakeAt: now,
      };
    },
    writes: [{ op: "create", doc: run }],
    entries: [
      entryOf(ambient, context, caller, {
        kind: "run",
        op: "requested",
        object: runId,
        changes: [
          { field: "mode", before: null, after: mode },
          ...(mail ? [{ field: "mail", before: null, after: "asked" }] : []),
          ...(proposed ? [{ field: "proposed", before: null, after: proposed }] : []),
        ],
      }),
    ],
  });
  if (result.outcome !== "committed") throw new AppError("changed-meanwhile");
  await hintNow(needs, connectionId);
  return shownTo(caller, context, run, result.head);
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
  return shownTo(caller, context, ended, result.head);
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
    requireSecondPerson(context.ring, doc, known, caller);
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
    return shownTo(caller, context, known, result.head);
  };

const requireRunnable = (doc: ConnectionDoc): void => {
  if (directoryTenant(doc) === null)
    throw new AppError("state-conflict", { detail: "Reading the directory is not approved on this connection." });
  if (doc.settings.paused) throw new AppError("state-conflict", { detail: "The connection is paused." });
};

const newRun = (
  ambient: Ambient,
  doc: ConnectionDoc,
  runId: string,
  mode: RequestRun["mode"],
  now: number,
): RunDoc => ({
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
  requestedBy: null,
  ttl: logSecondsOf(ambient),
});

/** Newest first. */
export const listRuns =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, { after, limit }: PageRequest): Promise<Page<RunView>> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    const [head, found] = await Promise.all([
      readHead(needs.store, connectionId),
      needs.store.list(connectionId, "run", { ...from(after), limit: limit + 1 }),
    ]);
    const { shown, next } = pageOf(found, limit);
    return { items: shown.map((doc) => shownTo(caller, context, doc, head)), next };
  };

const runIdPattern = /^[0-9a-z]{26}$/;

export const readRun =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, runId: string): Promise<RunView> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    const [head, doc] = await Promise.all([
      readHead(needs.store, connectionId),
      readRunDoc(needs.store, connectionId, runId),
    ]);
    return shownTo(caller, context, doc, head);
  };

/** Throws `run-not-found`. */
export const readRunDoc = async (
  store: ViewNeeds["store"],
  connectionId: string,
  runId: string,
): Promise<Stored<RunDoc>> => {
  const doc = runIdPattern.test(runId) ? await store.read(connectionId, "run", ids.run(runId)) : null;
  if (!doc) throw new AppError("run-not-found");
  return doc;
};

/** A run that ended otherwise than asked has nothing to mail. */
const shownMail = ({ phase, outcome, mail }: RunDoc): RunView["mail"] =>
  mail && (phase !== "ended" || outcome === "dry-run") ? mail : null;

/** The run, and for those who may know it, who asked for it. */
const shownTo = (caller: Caller, { ring }: ConnectionContext, doc: RunDoc, head: Head): RunView => {
  const view = runView(doc, head);
  return caller.permissions.has("audit:read") ? { ...view, startedBy: requesterOf(ring, doc) } : view;
};

export const runView = (doc: RunDoc, head: Pick<Head, "run" | "counters">): RunView => {
  const { run } = head;
  const id = doc.id.slice(2);
  const shown: RunView = {
    id,
    mode: doc.mode,
    cause: doc.cause,
    phase: doc.phase,
    outcome: doc.outcome,
    impact: doc.impact === true,
    failure: doc.failure,
    counts: doc.counts,
    progress: null,
    rate: null,
    warnings: doc.warnings,
    planHash: doc.planHash,
    guard: doc.guard,
    waitsUntil: null,
    settingsVersion: doc.settingsVersion,
    lateness: doc.lateness ?? null,
    requestedAt: doc.requestedAt,
    startedAt: doc.startedAt,
    endedAt: doc.endedAt,
    mail: shownMail(doc),
  };
  if (run?.id !== id || doc.phase === "ended") return shown;
  const { mode, phase, counts, warnings, planHash, startedAt, stopped } = run;
  const waitsUntil = stopped && !stopped.approved ? iso(stopped.expiresAt) : null;
  const guard = stopped?.findings ?? doc.guard;
  const pace = { progress: progressOf(run, head), rate: rateOf(run) };
  return { ...shown, mode, phase, counts, ...pace, warnings, planHash, guard, waitsUntil, startedAt: iso(startedAt) };
};
