/**
 * What a hint sets off: claim head, do what is due, release. All that has to be remembered between two hints is in head, so any
 * number of hints, lost hints and killed workers come to the same.
 */
import { hintIn } from "../../connections/change-settings.ts";
import { directoryTenant } from "../../connections/open.ts";
import { isReviewDue } from "../../consent/review.ts";
import { AppError, isAppError } from "../../errors.ts";
import { secondsTo, unmarked } from "../../notifications/mark.ts";
import { isBrokenOff } from "../../privacy/settle.ts";
import { commit } from "../../store/commit.ts";
import { type ConnectionDoc, type Head, ids, type Stored } from "../../store/documents.ts";
import type { Hint } from "../../store/ports.ts";
import { CursorExpired } from "../ports.ts";
import { isRetirementDue, retire } from "../retire.ts";
import { backOff, wakeAfter } from "../schedule.ts";
import { apply } from "./applying.ts";
import { openRun, startRun } from "./begin.ts";
import { finish, finishDry } from "./finish.ts";
import { read } from "./reading.ts";
import { commitEnding, discard, fail, maxAttempts, released, restart, retryLater } from "./recover.ts";
import { countRequests, LostTurn, type Round, SliceEnded, Superseded, type WorkerNeeds } from "./round.ts";
import { testAgain } from "./test-again.ts";
import { isInTrouble } from "./trouble.ts";
import { stop } from "./waiting.ts";
import { weigh } from "./weighing.ts";

/** What became of a hint; for the log. */
export type Worked =
  | "nothing-due"
  | "waiting"
  | "held"
  | "gone"
  | "done"
  | "continues"
  | "retries"
  | "lost-turn"
  | "closed";

export const work =
  (needs: WorkerNeeds) =>
  async (hint: Hint): Promise<Worked> => {
    const { ambient, store } = needs;
    const { connectionId } = hint;
    const now = ambient.now();
    const owner = ambient.ulid();
    const taken = await store.claim(connectionId, { owner, now, leaseUntil: now + needs.leaseMilliseconds });
    if (!taken) return await held(needs, hint);
    const stored = await store.read(connectionId, "connection", ids.connection);
    if (!stored) {
      await release(needs, taken, null);
      return "gone";
    }
    const claimed = await enlistFirst(needs, taken, stored);
    if (isBrokenOff(claimed, now)) return await finishErasing(needs, hint, claimed);
    if (stored.state === "closing") {
      const { closesAt } = stored;
      if (closesAt !== null && Date.parse(closesAt) <= now) return await close(needs, claimed, stored);
      await release(needs, claimed, closesAt === null ? null : Date.parse(closesAt));
      return "nothing-due";
    }
    const retired = isRetirementDue(claimed, now) ? await retireFirst(needs, claimed, stored) : claimed;
    const unchanged = retired && { head: retired, doc: stored };
    const ready = retired && isReviewDue(retired, now) ? await needs.reviewTiers(retired, stored) : unchanged;
    if (!ready) {
      await release(needs, claimed, null);
      return "lost-turn";
    }
    const { head, doc } = ready;
    if (doc.settings.paused || directoryTenant(doc) === null) {
      // Its worker may have given the turn back before it could notice that the run is void.
      if (head.run) await discard(needs, head, doc, "cancelled");
      else await release(needs, head, null);
      return "nothing-due";
    }
    const due = head.dueAt !== null && head.dueAt <= now;
    if (!head.run && !head.requested && !due) {
      await release(needs, head, wakeAfter(head, now));
      return "nothing-due";
    }
    if (!head.run && !head.requested && isInTrouble(doc)) {
      const recovered = await testAgain(needs, head, doc);
      return recovered ? await runSlice(needs, hint, recovered.head, recovered.doc, owner) : "retries";
    }
    const undecided = head.run?.epoch === head.epoch && head.run.stopped?.approved === false ? head.run.stopped : null;
    if (undecided && undecided.expiresAt > now) {
      await release(needs, head, undecided.expiresAt);
      return "waiting";
    }
    if (undecided) {
      await discard(needs, head, doc, "expired");
      await needs.hints.send(hint);
      return "continues";
    }
    return await runSlice(needs, hint, head, doc, owner);
  };

/** The lease is held. A round that began before the hint may have missed what it is about: come back when the lease ends. */
const held = async (needs: WorkerNeeds, hint: Hint): Promise<Worked> => {
  const head = await needs.store.read(hint.connectionId, "head", ids.head);
  if (!head) return "gone";
  const began = head.run?.startedAt ?? 0;
  const rest = head.leaseUntil - needs.ambient.now();
  if (began < hint.receivedAt && rest > 0) await needs.hints.send(hint, Math.ceil(rest / 1000));
  return "held";
};

const release = async (needs: WorkerNeeds, head: Stored<Head>, wakeAt: number | null): Promise<void> => {
  await commitEnding(needs, head, () => ({ advance: (fresh) => released(head, fresh, wakeAt) }));
};

/** Before anything is read, so that the round knows all that happened before there was a subscription. */
const enlistFirst = async (
  needs: WorkerNeeds,
  claimed: Stored<Head>,
  doc: Stored<ConnectionDoc>,
): Promise<Stored<Head>> => {
  try {
    const enlisted = (await needs.enlist?.(doc, claimed.enlisted ?? [])) ?? null;
    if (enlisted === null) return claimed;
    const rest = enlisted.length === 0 ? unmarked : {};
    const result = await commit(needs, claimed, {
      worker: { owner: claimed.owner as string, epoch: claimed.epoch },
      advance: (fresh) => ({ ...fresh, ...rest, enlisted }),
    });
    // Whoever has come between is met by the next commit of this turn.
    return result.outcome === "committed" ? result.head : claimed;
  } catch (error) {
    // Without notifications changes come by the schedule; the next turn tries again.
    if (!isAppError(error)) throw error;
    return claimed;
  }
};

const eraseAgainMilliseconds = 60_000;

/** It comes before everything else. When it fails the turn is over, and the next round begins with it again. */
const finishErasing = async (needs: WorkerNeeds, hint: Hint, claimed: Stored<Head>): Promise<Worked> => {
  try {
    await needs.finishErasing(claimed);
  } catch (error) {
    await release(needs, claimed, needs.ambient.now() + eraseAgainMilliseconds);
    if (!isAppError(error)) throw error;
    return "retries";
  }
  await release(needs, claimed, needs.ambient.now());
  await needs.hints.send(hint);
  return "continues";
};

const retireAgainMilliseconds = 3_600_000;

/** A removal that fails, because the keys are out of reach or the like, is tried again later and holds up nothing else. */
const retireFirst = async (
  needs: WorkerNeeds,
  claimed: Stored<Head>,
  doc: Stored<ConnectionDoc>,
): Promise<Stored<Head> | null> => {
  try {
    return await retire(needs, await needs.contextFor(doc), claimed);
  } catch (error) {
    if (!isAppError(error)) throw error;
    const retireAt = needs.ambient.now() + retireAgainMilliseconds;
    return await commitEnding(needs, claimed, () => ({ advance: (fresh) => ({ ...fresh, retireAt }) }));
  }
};

/** A deletion that cannot be finished, because the vault or the access log does not answer, is tried again later and later. */
const close = async (needs: WorkerNeeds, head: Stored<Head>, doc: Stored<ConnectionDoc>): Promise<Worked> => {
  try {
    await needs.finishClosing(doc, head);
    return "closed";
  } catch (error) {
    const failures = head.failures + 1;
    const at = needs.ambient.now() + backOff(failures);
    await commitEnding(needs, head, () => ({
      advance: (fresh) => ({ ...released(head, fresh, at), failures, dueAt: at, wakeAt: at }),
    }));
    if (!isAppError(error)) throw error;
    return "retries";
  }
};

const runSlice = async (
  needs: WorkerNeeds,
  hint: Hint,
  head: Stored<Head>,
  doc: Stored<ConnectionDoc>,
  owner: string,
): Promise<Worked> => {
  let round: Round | null = null;
  try {
    if (head.attempts >= maxAttempts) throw new AppError("unexpected", { detail: "Workers have died over this run." });
    const connection = await needs.contextFor(doc);
    if (head.run && head.run.epoch !== head.epoch) {
      await discard(needs, head, doc, "cancelled");
      await needs.hints.send(hint);
      return "continues";
    }
    round = head.run
      ? await openRun({ needs, connection, doc, head, owner })
      : await startRun({ needs, connection, doc, head, owner });
    for (;;) {
      try {
        await read(round);
        await weigh(round);
        if (round.mode === "dry-run") await finishDry(round);
        else if (round.findings.length > 0 && !round.stopped) {
          await stop(round);
          return "waiting";
        } else {
          await finish(round, await apply(round));
          await hintAhead(needs, round.head);
        }
        return "done";
      } catch (error) {
        if (!(error instanceof CursorExpired)) throw error;
        if (await restart(round)) continue;
        const failure = new AppError("graph-unavailable", {
          detail: "The links of a full read expire while it is read.",
          cause: error,
        });
        await fail(needs, round.head, doc, failure);
        return "retries";
      }
    }
  } catch (error) {
    if (round) countRequests(round);
    try {
      return await afterwards(needs, hint, { head, doc, round }, error);
    } catch (later) {
      // The run was made void while its failure was being recorded.
      if (later instanceof Superseded || later instanceof LostTurn)
        return await afterwards(needs, hint, { head, doc, round }, later);
      throw later;
    }
  }
};

/** What a notification still wants does not wait for the timer. */
const hintAhead = async (needs: WorkerNeeds, head: Head): Promise<void> => {
  if (head.notified || head.again) await hintIn(needs, head.connectionId, secondsTo(head, needs.ambient.now()));
};

/** What becomes of a slice that has not come to the end of its run. */
const afterwards = async (
  needs: WorkerNeeds,
  hint: Hint,
  { head, doc, round }: { head: Stored<Head>; doc: Stored<ConnectionDoc>; round: Round | null },
  error: unknown,
): Promise<Worked> => {
  if (error instanceof LostTurn) return "lost-turn";
  if (error instanceof Superseded) {
    await discard(needs, error.head, doc, "cancelled");
    await needs.hints.send(hint);
    return "continues";
  }
  if (error instanceof SliceEnded) {
    await handOver(needs, round as Round);
    await needs.hints.send(hint);
    return "continues";
  }
  const failure = isAppError(error) ? error : new AppError("unexpected", { cause: error });
  const wait = failure.code === "plan-lost" ? "failed" : await retryLater(needs, round, head, failure);
  if (wait === "failed") await fail(needs, round?.head ?? head, doc, failure);
  else await needs.hints.send(hint, Math.ceil(wait / 1000));
  if (failure.code === "unexpected") throw failure;
  return "retries";
};

/** The checkpoint is written: give the lease back so that the next slice can start at once. */
const handOver = async (needs: WorkerNeeds, round: Round): Promise<void> => {
  const worker = { owner: round.owner, epoch: round.epoch };
  await commit(needs, round.head, {
    worker,
    advance: (head) => ({ ...head, owner: null, leaseUntil: 0, wakeAt: needs.ambient.now() }),
  });
};
