/**
 * Does something in Microsoft 365. A port that changes anything there takes an `Intended`, and nothing but `perform` makes one, after
 * the intention is on record: what nobody was going to be told of cannot be called.
 */
import type { Actor } from "../audit/entries.ts";
import type { ConnectionContext } from "../context.ts";
import { type AppError, type ErrorKind, isAppError } from "../errors.ts";
import type { CommitNeeds } from "../store/commit.ts";
import { type Intention, type Outcome, recordIntention, recordOutcome } from "./record.ts";

/** Private on purpose: only its type leaves this file. */
class RecordedIntention {
  /** Of the operation; also what Microsoft may be given to recognise a repetition by. */
  readonly id: string;
  readonly #isRecorded = true;
  constructor(id: string) {
    this.id = id;
  }
  get isRecorded(): boolean {
    return this.#isRecorded;
  }
}
export type Intended = RecordedIntention;

/** One row of the catalogue of operations. */
export interface Operation<T> {
  name: string;
  /** Called once, and never again for the same intention. Throws what Microsoft's answer means. */
  call(intended: Intended, connection: ConnectionContext, target: T): Promise<void>;
  /** Asks Microsoft what became of it. Null: nobody can tell now. Never asked while a call may be under way. */
  check(connection: ConnectionContext, target: T): Promise<Outcome | null>;
}

export interface Performed {
  id: string;
  /** `open`: nobody knows yet; the timer finds out. */
  outcome: Outcome | { outcome: "open" };
}

export const perform =
  (needs: CommitNeeds) =>
  async <T>(
    connection: ConnectionContext,
    by: Actor & { correlationId: string },
    operation: Operation<T>,
    intention: Intention<T>,
  ): Promise<Performed> => {
    const doc = await recordIntention(needs, connection, by, operation.name, intention);
    const id = doc.id.slice(2);
    const outcome = await outcomeOf(() => operation.call(new RecordedIntention(id), connection, intention.target));
    if (!outcome) return { id, outcome: { outcome: "open" } };
    await recordOutcome(needs, connection, doc, outcome, by);
    return { id, outcome };
  };

/** Null: it may or may not have happened. */
const outcomeOf = async (call: () => Promise<void>): Promise<Outcome | null> => {
  try {
    await call();
    return { outcome: "done" };
  } catch (error) {
    return isAppError(error) && isRefusal(error) ? { outcome: "refused", code: error.code } : null;
  }
};

/** Kinds of answers with which Microsoft says that it has done nothing. */
const refusals: ReadonlySet<ErrorKind> = new Set([
  "invalid-input",
  "forbidden",
  "not-consented",
  "not-found",
  "conflict",
  "precondition-failed",
  "throttled",
]);
const isRefusal = ({ kind }: AppError): boolean => refusals.has(kind);
