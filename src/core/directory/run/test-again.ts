/** The hourly self-test of a connection in trouble, in the place of a run. */
import { doubtMilliseconds } from "../../consent/review.ts";
import { AppError, isAppError } from "../../errors.ts";
import { type ConnectionDoc, type Head, ids, type Stored } from "../../store/documents.ts";
import { selfTestMilliseconds, wakeAfter } from "../schedule.ts";
import { commitEnding, connectionBlamed, misconfiguredMilliseconds, released } from "./recover.ts";
import type { WorkerNeeds } from "./round.ts";
import { blamed, isInTrouble, recoveredConnection } from "./trouble.ts";

/** Head, with the lease still held, and the connection when it may be run again; null: the lease is given back. */
export const testAgain = async (
  needs: WorkerNeeds,
  claimed: Stored<Head>,
  doc: Stored<ConnectionDoc>,
): Promise<{ head: Stored<Head>; doc: Stored<ConnectionDoc> } | null> => {
  const { connectionId } = claimed;
  const { ambient, store } = needs;
  const problem = await find(needs, doc);
  let passed = false;
  const head = await commitEnding(needs, claimed, async (from) => {
    const now = ambient.now();
    const current = (await store.read(connectionId, "connection", ids.connection)) ?? doc;
    passed = false;
    // Settings, a deletion or a new approval came between: they have said in head what is due.
    if (from.epoch !== claimed.epoch || !isInTrouble(current))
      return { advance: (fresh) => released(claimed, fresh, now) };
    if (!problem) {
      passed = true;
      return {
        writes: [recoveredConnection(current)],
        entries: [connectionBlamed(needs, "recovered", null)],
        advance: (fresh) => {
          const leaseUntil = now + needs.leaseMilliseconds;
          return { ...fresh, leaseUntil, wakeAt: leaseUntil, dueAt: now };
        },
      };
    }
    const { _etag, ...clean } = current;
    // A quarantine turns into lost consent when the next look, some minutes later, says so too.
    const doubt = problem.kind === "not-consented" && clean.state === "active" && from.doubts?.read !== problem.code;
    const after = doubt ? null : blamed(clean, problem, from.strikes, now);
    const dueAt = now + (doubt ? doubtMilliseconds : waitAfter(problem));
    return {
      writes: after ? [{ op: "replace", etag: _etag, doc: after }] : [],
      entries: after ? [connectionBlamed(needs, problem.code, null)] : [],
      advance: (fresh) => ({
        ...released(claimed, fresh, dueAt),
        ...(doubt ? { doubts: { ...fresh.doubts, read: problem.code } } : {}),
        dueAt,
        wakeAt: wakeAfter({ run: null, requested: fresh.requested, dueAt }, now),
      }),
    };
  });
  if (problem?.code === "unexpected") throw problem;
  const recovered = head && passed ? await store.read(connectionId, "connection", ids.connection) : null;
  return head && recovered ? { head, doc: recovered } : null;
};

const find = async (needs: WorkerNeeds, doc: Stored<ConnectionDoc>): Promise<AppError | null> => {
  try {
    return await needs.selfTest(await needs.contextFor(doc));
  } catch (error) {
    // Whatever it is, it stands in the way of a run as well.
    return isAppError(error) ? error : new AppError("unexpected", { cause: error });
  }
};

const waitAfter = ({ kind, details }: AppError): number => {
  if (details.retryAfterSeconds !== undefined) return Math.ceil(details.retryAfterSeconds * 1000);
  return kind === "misconfigured" ? misconfiguredMilliseconds : selfTestMilliseconds;
};
