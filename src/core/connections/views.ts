/** What the API shows of a connection. */
import { iso } from "../ambient.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { type ArrivalCause, percentile } from "../directory/lateness.ts";
import { isInTrouble } from "../directory/run/trouble.ts";
import { type ProblemCode, problems } from "../errors.ts";
import type { ConnectionDoc, ConnectionState, Head, RunCause, RunOutcome, Stored } from "../store/documents.ts";
import { partitionLimits } from "../store/size.ts";
import { isFinished } from "../wizard/steps.ts";
import { openName } from "./name.ts";
import { tenantInUse } from "./open.ts";
import type { Settings } from "./settings.ts";
import type { Tier, TierRecord } from "./tiers.ts";

export interface TierView extends Omit<TierRecord, "trouble"> {
  /** Why it is degraded or revoked, and what to do. */
  trouble?: { code: string; advice: string | null; since: string };
}

export interface ConnectionView {
  id: string;
  displayName: string;
  state: ConnectionState;
  paused: boolean;
  attention: { code: string; advice: string | null; since: string } | null;
  /** Runs failed again and again: the schedule starts none until a self-test passes; one that is asked for may. */
  quarantine: { code: string; advice: string | null; since: string; failures: number } | null;
  /** Entra tenant id; null until the approval was redeemed by this workspace. */
  tid: string | null;
  access: Record<Tier, TierView>;
  settings: Settings;
  counts: { people: number; groups: number; memberships: number };
  lastRound: { startedAt: string; endedAt: string; cause: RunCause; outcome: RunOutcome; graphRequests: number } | null;
  /** How changes arrive, and how late: see `src/core/directory/lateness.ts`. */
  arrivals: Record<ArrivalCause, { rounds: number; p50Seconds: number | null; p95Seconds: number | null }>;
  /** When the schedule, a notification or a retry, starts the next run; null while the connection needs attention or is in quarantine. */
  nextSyncAt: string | null;
  /** When such a connection is tried out again, and taken up again if that passes. */
  nextTestAt: string | null;
  /** A plan that the guard has stopped and that somebody has to decide on. */
  approval: { run: string; planHash: string; waitsUntil: string } | null;
  /** Estimate of what was stored at the last change. `near-limit`: the operator should know; `full`: nobody is added any more. */
  size: { bytes: number; state: "ok" | "near-limit" | "full" };
  /** `unfinished`: a front end should prompt for it. Before it was finished for the first time the schedule starts no sync. */
  setup: "unfinished" | "finished";
  createdAt: string;
  closesAt: string | null;
  etag: string;
}

export const connectionView = (doc: Stored<ConnectionDoc>, head: Head, ring: KeyRing): ConnectionView => {
  const tid = tenantInUse(doc);
  const dueAt = tid !== null && head.dueAt !== null ? iso(head.dueAt) : null;
  const inTrouble = isInTrouble(doc);
  return {
    id: doc.connectionId,
    displayName: openName(ring, doc),
    state: doc.state,
    paused: doc.settings.paused,
    attention: doc.attention && { ...doc.attention, advice: adviceOf(doc.attention.code) },
    quarantine: doc.quarantine && { ...doc.quarantine, advice: adviceOf(doc.quarantine.code) },
    tid,
    access: {
      read: tierView(doc.tiers.read),
      write: tierView(doc.tiers.write),
      licences: tierView(doc.tiers.licences),
      signIn: tierView(doc.tiers.signIn),
      calendar: tierView(doc.tiers.calendar),
    },
    settings: doc.settings,
    counts: head.counters,
    lastRound: head.lastRound && {
      startedAt: iso(head.lastRound.startedAt),
      endedAt: iso(head.lastRound.endedAt),
      cause: head.lastRound.cause,
      outcome: head.lastRound.outcome,
      graphRequests: head.lastRound.requests,
    },
    arrivals: arrivalsView(head),
    nextSyncAt: inTrouble ? null : dueAt,
    nextTestAt: inTrouble ? dueAt : null,
    approval: approvalOf(head),
    size: sizeView(head),
    setup: isFinished(doc) ? "finished" : "unfinished",
    createdAt: doc.createdAt,
    closesAt: doc.closesAt,
    etag: doc._etag,
  };
};

export const tierView = ({ trouble, ...record }: TierRecord): TierView =>
  trouble ? { ...record, trouble: { ...trouble, advice: adviceOf(trouble.code) } } : record;

const approvalOf = ({ run }: Head): ConnectionView["approval"] => {
  if (!run?.stopped || run.stopped.approved || run.planHash === null) return null;
  return { run: run.id, planHash: run.planHash, waitsUntil: iso(run.stopped.expiresAt) };
};

const arrivalsView = ({ arrivals = {} }: Head): ConnectionView["arrivals"] => {
  const of = (cause: ArrivalCause) => {
    const { rounds = 0, seconds = [] } = arrivals[cause] ?? {};
    return { rounds, p50Seconds: percentile(seconds, 0.5), p95Seconds: percentile(seconds, 0.95) };
  };
  return { notification: of("notification"), schedule: of("schedule"), manual: of("manual") };
};

const sizeView = ({ size }: Head): ConnectionView["size"] => {
  const bytes = size.documents + size.log;
  const { warnAt, stopAt } = partitionLimits;
  return { bytes, state: bytes > stopAt ? "full" : bytes > warnAt ? "near-limit" : "ok" };
};

const adviceOf = (code: string): string | null => {
  if (!isProblemCode(code)) return null;
  const problem = problems[code];
  return "advice" in problem ? problem.advice : null;
};

const isProblemCode = (code: string): code is ProblemCode => Object.hasOwn(problems, code);
