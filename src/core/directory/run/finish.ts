/** The end of a run: the last batch, the new links, the run's document and the snapshot marker, in one commit. */
import { iso } from "../../ambient.ts";
import { draftEntry } from "../../audit/change-log.ts";
import { seal } from "../../crypto/seal.ts";
import { announceMail, stageMail } from "../../mail/stage.ts";
import { answered, markAfter, unmarked } from "../../notifications/mark.ts";
import { type Head, ids, type RunDoc, type RunOutcome, type Stored } from "../../store/documents.ts";
import type { Write } from "../../store/ports.ts";
import { guardAfter } from "../guard.ts";
import { arrivalsAfter, type Lateness, latenessOf } from "../lateness.ts";
import type { Change } from "../plan.ts";
import { nextDue, wakeAfter } from "../schedule.ts";
import { send } from "./applying.ts";
import { basisOf } from "./basis.ts";
import { Batch } from "./batch.ts";
import type { Links } from "./cursor.ts";
import { keepPlan } from "./kept-plan.ts";
import { countRequests, linksPlace, newRunDoc, type Round } from "./round.ts";
import { isInTrouble, recoveredConnection } from "./trouble.ts";

export const finish = async (round: Round, batch: Batch): Promise<void> => {
  const { needs, connection } = round;
  const { connectionId, ring } = connection;
  countRequests(round);
  const ended = needs.ambient.now();
  const changed = changes(round) > 0;
  const known = round.isDocumented ? await needs.store.read(connectionId, "run", ids.run(round.id)) : null;
  const links = seal(needs.ambient, ring.sealing, linksPlace(connectionId), linksAfter(round));
  const outcome = changed ? "done" : "nothing";
  const lateness = changed ? latenessIn(round, ended) : null;

  const runWrites = (): Write[] => {
    if (!changed && !known && round.warnings.length === 0) return [];
    round.counts.documentsWritten += batch.size + 3;
    const doc = { ...endedRunDoc(round, known, outcome, ended), lateness };
    return [known ? { op: "replace", doc, etag: known._etag } : { op: "create", doc }];
  };
  const run = { cause: round.cause, run: round.id };
  const recovery = draftEntry(needs.ambient, ring, connectionId, {
    kind: "connection",
    op: "updated",
    object: "connection",
    ...run,
    evidence: "recovered",
  });
  // The snapshot marker: here the directory is as the tenant was when it was read.
  const marker = draftEntry(needs.ambient, ring, connectionId, { kind: "run", op: "ended", object: round.id, ...run });
  const ownWrites = runWrites();
  const left = await send(round, batch, advance(round, { links, ended, outcome, lateness }), () => {
    const recovers = isInTrouble(round.doc);
    return {
      writes: [...ownWrites, ...(recovers ? [recoveredConnection(round.doc)] : [])],
      entries: [...(recovers ? [recovery] : []), ...(changed || known ? [marker] : [])],
    };
  });
  // Room for the rest was lost when the batch was built again; its versions decide in the next round.
  round.counts.moved += left.length;
  await forget(round);
};

/** A full read, or one under other settings, brings what is older than the round before. */
const latenessIn = ({ mode, cursor, head, startedAt }: Round, ended: number): Lateness | null => {
  if (mode !== "delta" || cursor.again.groups || cursor.again.users) return null;
  return latenessOf(answered(head, startedAt)?.since ?? null, head, ended);
};

const linksAfter = ({ needs, connection, cursor, doc }: Round): Links => {
  const { groups, users } = cursor.newLinks;
  if (groups === undefined || users === undefined) throw new Error("a run ends with the links of both feeds");
  const { settings } = connection;
  return { groups, users, basis: basisOf(settings, doc.blacklist, needs.source.selection(settings)) };
};

/** The run has ended whether this works or not: what stays can no longer be opened, and expires. */
const forget = async (round: Round): Promise<void> => {
  if (!round.staging.inMemory) await round.needs.work.drop(round.id).catch(() => undefined);
};

/**
 * A dry run ends where its plan has been weighed: nothing of the directory is stored, and the links stay where they are. Its plan
 * stays in `work` for those who want to read it.
 */
export const finishDry = async (round: Round): Promise<void> => {
  const { needs, connection } = round;
  const { connectionId, ring } = connection;
  countRequests(round);
  const ended = needs.ambient.now();
  const known = await needs.store.read(connectionId, "run", ids.run(round.id));
  round.counts.documentsWritten += 3;
  const mail = await stageMail(round, known);
  const doc = { ...endedRunDoc(round, known, "dry-run", ended), ...mail, plan: await keepPlan(round) };
  await send(
    round,
    new Batch(round.cursor.at),
    (head) => {
      const requested = head.requested?.runId === round.id ? null : head.requested;
      const wakeAt = wakeAfter({ run: null, requested, dueAt: head.dueAt }, ended);
      return { ...head, owner: null, leaseUntil: 0, attempts: 0, run: null, requested, wakeAt };
    },
    () => ({
      writes: [known ? { op: "replace", doc, etag: known._etag } : { op: "create", doc }],
      entries: [
        draftEntry(needs.ambient, ring, connectionId, {
          kind: "run",
          op: "ended",
          object: round.id,
          cause: round.cause,
          run: round.id,
          evidence: "dry-run",
        }),
      ],
    }),
  );
  await announceMail(round, doc);
};

const endedRunDoc = (round: Round, known: Stored<RunDoc> | null, outcome: RunOutcome, ended: number): RunDoc => ({
  ...(known ? withoutEtag(known) : newRunDoc(round)),
  phase: "ended",
  outcome,
  mode: round.mode,
  counts: round.counts,
  warnings: round.warnings,
  planHash: round.planHash,
  guard: round.findings,
  startedAt: iso(round.startedAt),
  endedAt: iso(ended),
});

const advance =
  (
    round: Round,
    {
      links,
      ended,
      outcome,
      lateness,
    }: {
      links: NonNullable<Head["links"]>;
      ended: number;
      outcome: "done" | "nothing";
      lateness: Lateness | null;
    },
  ) =>
  (head: Head, left: readonly Change[]): Head => {
    const requested = head.requested?.runId === round.id ? null : head.requested;
    const { startedAt } = round;
    const scheduled = nextDue(head.connectionId, round.connection.settings, startedAt);
    const { dueAt: wanted, ...mark } = markAfter(head, { startedAt, endedAt: ended, isEmpty: outcome === "nothing" });
    const dueAt = scheduled && Math.min(scheduled, wanted ?? scheduled);
    return {
      ...head,
      owner: null,
      leaseUntil: 0,
      attempts: 0,
      failures: 0,
      strikes: 0,
      run: null,
      requested,
      links,
      guard: guardAfter(head.guard, round.counts, round.stopped?.approved ?? false, ended),
      // What was not applied as planned is read again from the beginning.
      suspect: round.cursor.suspect || round.counts.moved + left.length > 0,
      // By hand only: nobody waits for what Graph says.
      ...(scheduled === null ? unmarked : mark),
      ...(lateness ? { arrivals: arrivalsAfter(head.arrivals ?? {}, round.cause, lateness) } : {}),
      dueAt,
      wakeAt: wakeAfter({ run: null, requested, dueAt }, ended),
      lastRound: {
        startedAt,
        endedAt: ended,
        cause: round.cause,
        outcome,
        requests: round.counts.graphRequests,
      },
    };
  };

const changes = (round: Round): number => {
  const c = round.counts;
  return (
    c.peopleCreated +
    c.peopleUpdated +
    c.peopleRevived +
    c.peopleDeactivated +
    c.peopleKept +
    c.groupsCreated +
    c.groupsUpdated +
    c.groupsRemoved +
    c.membershipsAdded +
    c.membershipsRemoved
  );
};

const withoutEtag = ({ _etag, ...doc }: Stored<RunDoc>): RunDoc => doc;
