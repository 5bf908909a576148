/**
 * One slice of work on one run: what reading, weighing and applying share. The lease on head is held by `owner`; every commit
 * renews it, and a commit that finds another owner or a newer epoch ends the slice.
 */
import type { Ambient } from "../../ambient.ts";
import { logSecondsOf } from "../../audit/retention.ts";
import type { Settings } from "../../connections/settings.ts";
import type { ConnectionContext } from "../../context.ts";
import type { RunKeyContent } from "../../crypto/key-ring.ts";
import { type ContentKey, type Place, seal } from "../../crypto/seal.ts";
import type { AppError } from "../../errors.ts";
import type { MailOutbox } from "../../mail/ports.ts";
import type { Enlist } from "../../notifications/enlist.ts";
import { type Commit, type CommitOutcome, commit } from "../../store/commit.ts";
import {
  type ConnectionDoc,
  type Head,
  ids,
  type RunCause,
  type RunCounts,
  type RunDoc,
  type RunMode,
  type StoppedPlan,
  type Stored,
} from "../../store/documents.ts";
import type { DirectoryStore, HintQueue, WorkStore, Write } from "../../store/ports.ts";
import type { GuardFinding } from "../guard.ts";
import type { Rules } from "../plan.ts";
import type { DirectorySource } from "../ports.ts";
import type { Cursor, Links } from "./cursor.ts";
import type { ScopeMembers } from "./members.ts";
import type { Nesting } from "./nesting.ts";
import { paceOf } from "./progress.ts";
import type { Staging } from "./staging.ts";
import { eventLoopTurn } from "./turns.ts";

export interface RoundNeeds {
  ambient: Ambient;
  store: DirectoryStore;
  work: WorkStore;
  source: DirectorySource;
  /** Absent: this installation sends no mails. */
  mails?: MailOutbox;
  /** Length of a lease, and how long one slice may work before it hands over. */
  leaseMilliseconds: number;
  sliceMilliseconds: number;
}

export interface WorkerNeeds extends RoundNeeds {
  hints: HintQueue;
  /** Opens the keys of a connection that may be worked on. */
  contextFor(doc: Stored<ConnectionDoc>): Promise<ConnectionContext>;
  /** What stands in the way of reading the tenant; null = nothing. */
  selfTest(connection: ConnectionContext): Promise<AppError | null>;
  /** Deletes a connection whose time has come; called with the lease held. */
  finishClosing(doc: Stored<ConnectionDoc>, head: Stored<Head>): Promise<void>;
  /** Finishes an erasure that was broken off. */
  finishErasing(head: Stored<Head>): Promise<void>;
  /** Holds the approvals against what Microsoft grants; null when the lease was lost. */
  reviewTiers(
    head: Stored<Head>,
    doc: Stored<ConnectionDoc>,
  ): Promise<{ head: Stored<Head>; doc: Stored<ConnectionDoc> } | null>;
  /** Absent: this installation subscribes to nothing. */
  enlist?: Enlist;
}

export interface Round {
  needs: RoundNeeds;
  connection: ConnectionContext;
  doc: Stored<ConnectionDoc>;
  owner: string;
  head: Stored<Head>;
  id: string;
  mode: RunMode;
  cause: RunCause;
  /** A dry run under other settings than the connection's. */
  proposed: Settings | null;
  epoch: number;
  startedAt: number;
  key: ContentKey;
  keyContent: RunKeyContent;
  cursor: Cursor;
  staging: Staging;
  counts: RunCounts;
  warnings: { code: string; object?: string }[];
  planHash: string | null;
  /** Set once the guard has looked at the plan and stopped it. */
  stopped: StoppedPlan | null;
  /** What the guard found, stopped or not. */
  findings: GuardFinding[];
  /** Delta links of the last completed round; null = there is none. */
  links: Links | null;
  /** Whom the settings admit; the blacklist is opened when it is first asked for. */
  rules(): Promise<Rules>;
  nesting: Nesting;
  members: ScopeMembers;
  /** Person id -> object id of people whom the groups feed has just named. */
  objectIds: Map<string, string>;
  /** The run has a document of its own; a run of which nothing has been written has none. */
  isDocumented: boolean;
  sliceEndsAt: number;
  /** Graph requests of this slice that are in the counts already. */
  requestsCounted: number;
  /** Objects that were worked on since the slice began. */
  objectsWorkedOn: number;
  /** The run's place has moved in this slice. */
  progressed: boolean;
}

/** Another worker has the lease. Nothing is to be written any more. */
export class LostTurn extends Error {
  constructor() {
    super("another worker holds the lease");
    this.name = "LostTurn";
  }
}

/** Settings, pause or erasure came between: the run is void. */
export class Superseded extends Error {
  readonly head: Stored<Head>;
  constructor(head: Stored<Head>) {
    super("the run belongs to an older epoch");
    this.name = "Superseded";
    this.head = head;
  }
}

/** The slice's time is over; the checkpoint is written. */
export class SliceEnded extends Error {
  constructor() {
    super("the slice has ended at a checkpoint");
    this.name = "SliceEnded";
  }
}

export const noCounts = (): RunCounts => ({
  peopleRead: 0,
  groupsRead: 0,
  peopleCreated: 0,
  peopleUpdated: 0,
  peopleRevived: 0,
  peopleDeactivated: 0,
  peopleKept: 0,
  groupsCreated: 0,
  groupsUpdated: 0,
  groupsRemoved: 0,
  membershipsAdded: 0,
  membershipsRemoved: 0,
  moved: 0,
  keptThoughCleared: 0,
  skipped: 0,
  graphRequests: 0,
  documentsWritten: 0,
});

const maxWarnings = 50;

/** Sets one object aside: listed with its reason, and the others go on. */
export const setAside = (round: Round, code: string, object?: string): void => {
  round.counts.skipped++;
  if (round.warnings.length < maxWarnings) round.warnings.push(object === undefined ? { code } : { code, object });
};

export const runKeyPlace = (connectionId: string, runId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.head,
  fields: `run key ${runId}`,
});
export const cursorPlace = (connectionId: string, runId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.head,
  fields: `cursor ${runId}`,
});
export const linksPlace = (connectionId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.head,
  fields: "links",
});

export const countRequests = (round: Round): void => {
  const total = round.needs.source.requests(round.connection.connectionId);
  round.counts.graphRequests += total - round.requestsCounted;
  round.requestsCounted = total;
};

/** The run as head keeps it between slices. */
const runState = (round: Round): NonNullable<Head["run"]> => {
  const { needs, connection, id } = round;
  return {
    id,
    mode: round.mode,
    cause: round.cause,
    ...(round.proposed ? { proposed: round.proposed } : {}),
    reshapes: round.cursor.again.groups || round.cursor.again.users || !round.nesting.isFlat,
    epoch: round.epoch,
    phase: round.stopped && !round.stopped.approved ? "waiting" : round.cursor.at.phase,
    startedAt: round.startedAt,
    key: seal(needs.ambient, connection.ring.sealing, runKeyPlace(connection.connectionId, id), round.keyContent),
    cursor: seal(needs.ambient, connection.ring.sealing, cursorPlace(connection.connectionId, id), round.cursor),
    // As they are at this place; what is counted from here on is counted again when the place is come back to.
    counts: { ...round.counts },
    pace: paceOf(round),
    warnings: [...round.warnings],
    planHash: round.planHash,
    stopped: round.stopped,
  };
};

/** Commits as the worker of this round; returns `moved` to the caller and ends the slice on anything worse. */
export const commitAs = async (
  round: Round,
  change: Omit<Commit, "worker">,
): Promise<Extract<CommitOutcome, { outcome: "committed" | "moved" }>> => {
  const { needs, owner, epoch } = round;
  const result = await commit({ ambient: needs.ambient, store: needs.store }, round.head, {
    ...change,
    worker: { owner, epoch },
  });
  if (result.outcome === "lost-turn") throw new LostTurn();
  if (result.outcome === "superseded") throw new Superseded(result.head);
  round.head = result.head;
  // Its document is there already: from a commit whose answer was lost.
  if (result.outcome === "moved" && result.id === ids.run(round.id)) round.isDocumented = true;
  if (result.outcome === "committed") {
    round.counts.documentsWritten +=
      (change.writes?.length ?? 0) + 1 + (change.entries && change.entries.length > 0 ? 1 : 0);
    const run = change.writes?.find((write) => write.op === "create" && write.doc.kind === "run");
    if (run) round.isDocumented = true;
  }
  return result;
};

/** Head while the run goes on: lease renewed, no attempt counted against it, its place remembered. */
export const carryOn =
  (round: Round) =>
  (head: Head): Head => {
    const leaseUntil = round.needs.ambient.now() + round.needs.leaseMilliseconds;
    const requested = head.requested?.runId === round.id ? null : head.requested;
    return { ...head, leaseUntil, wakeAt: leaseUntil, attempts: 0, requested, run: runState(round) };
  };

/**
 * Writes what is only in memory to `work`. The place in head does not move by this: it moves with the next commit, which must
 * hold everything up to that place.
 */
export const flush = async (round: Round): Promise<void> => {
  Object.assign(round.cursor, await round.staging.flush());
  countRequests(round);
};

/** The run's own document, for the first commit that tells of the run. */
export const firstRunDoc = (round: Round): Write[] =>
  round.isDocumented ? [] : [{ op: "create", doc: newRunDoc(round) }];

/** Writes what is staged, then the place reached. After this a crash repeats nothing before this point. */
export const checkpoint = async (round: Round): Promise<void> => {
  await flush(round);
  const write = () => commitAs(round, { advance: carryOn(round), writes: firstRunDoc(round) });
  if ((await write()).outcome === "moved") await write();
  round.progressed = true;
};

const maxUnflushed = 5000;
const maxMillisecondsUnflushed = 20_000;

const leaseAge = (round: Round): number =>
  round.needs.ambient.now() - (round.head.leaseUntil - round.needs.leaseMilliseconds);

const objectsPerTurn = 25;

/**
 * For each object of a long step: renews the lease when it wears thin - the run's place stays, and this is no progress - and lets
 * the event loop go round now and then, so that what was asked for ahead is on its way meanwhile.
 */
export const keepTurn = async (round: Round): Promise<void> => {
  if (++round.objectsWorkedOn % objectsPerTurn === 0) await eventLoopTurn();
  if (leaseAge(round) <= round.needs.leaseMilliseconds / 3) return;
  const leaseUntil = round.needs.ambient.now() + round.needs.leaseMilliseconds;
  await commitAs(round, { advance: (head) => ({ ...head, leaseUntil, wakeAt: leaseUntil }) });
};

/** Checkpoints when enough is at stake or the lease wears thin; ends the slice when its time is over. */
export const breathe = async (round: Round): Promise<void> => {
  const { needs } = round;
  const sliceOver = needs.ambient.now() >= round.sliceEndsAt;
  const stale = leaseAge(round) > Math.min(maxMillisecondsUnflushed, needs.leaseMilliseconds / 3);
  if (sliceOver || stale || round.staging.unflushed >= maxUnflushed) await checkpoint(round);
  if (sliceOver) throw new SliceEnded();
};

export const newRunDoc = (round: Round): RunDoc => ({
  id: ids.run(round.id),
  kind: "run",
  connectionId: round.connection.connectionId,
  v: 1,
  mode: round.mode,
  cause: round.cause,
  phase: round.cursor.at.phase,
  outcome: null,
  failure: null,
  counts: round.counts,
  warnings: round.warnings,
  planHash: round.planHash,
  guard: round.findings,
  requestedAt: new Date(round.startedAt).toISOString(),
  startedAt: new Date(round.startedAt).toISOString(),
  endedAt: null,
  settingsVersion: round.doc.settingsVersion,
  requestedBy: null,
  ttl: logSecondsOf(round.needs.ambient),
});
