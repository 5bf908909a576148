/**
 * People who are created can be made ahead, since document and entry follow from the planned change alone: while one commit is on
 * its way, the people of the next ones are sealed, which is the larger part of a first import's own work.
 */
import { printed } from "../../audit/change-log.ts";
import type { Change, PersonChange } from "../plan.ts";
import type { PersonRecord } from "../records.ts";
import { createdPerson, type Writing, type WrittenPerson } from "../write-person.ts";
import type { Round } from "./round.ts";
import { eventLoopTurn } from "./turns.ts";

/** Change -> what was made of it ahead; gone with the change. */
const madeAhead = new WeakMap<PersonChange, WrittenPerson>();

export const writingOf = ({ needs, connection, cause, id }: Round): Writing => ({
  ambient: needs.ambient,
  connection,
  origin: { cause, run: id },
});

export const newPerson = (round: Round, change: PersonChange, record: PersonRecord): WrittenPerson =>
  madeAhead.get(change) ?? createdPerson(writingOf(round), change, record);

/** As many as the next commit takes. */
const peopleAhead = 96;
const peoplePerTurn = 5;

/** `next` gives the changes behind `changes`. To be called when a request has been made that takes its time. */
export const sealAhead = async (
  round: Round,
  changes: readonly Change[],
  next: () => Promise<readonly Change[]>,
): Promise<void> => {
  const coming = changes.length < peopleAhead ? [...changes, ...(await next())] : changes;
  for (const [index, change] of coming.slice(0, peopleAhead).entries()) {
    // The request has to leave, and its answer to be read, between two of them.
    if (index % peoplePerTurn === 0) await eventLoopTurn();
    if (change.kind !== "person" || change.op !== "create" || !change.record || madeAhead.has(change)) continue;
    const made = newPerson(round, change, change.record);
    if (made.entry) printed(made.entry);
    madeAhead.set(change, made);
  }
};
