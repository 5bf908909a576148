/**
 * Document and log entry of a person who is created. They follow from the planned change alone, so they can be made ahead: while
 * one commit is on its way, the people of the next ones are sealed, which is the larger part of a first import's own work.
 */
import { iso } from "../../ambient.ts";
import { draftEntry } from "../../audit/change-log.ts";
import type { EntryDraft } from "../../audit/entries.ts";
import { blindIndex, type KeyRing, newPersonKey } from "../../crypto/key-ring.ts";
import { seal } from "../../crypto/seal.ts";
import { ids, type PersonDoc } from "../../store/documents.ts";
import { personPlace } from "../places.ts";
import { type Change, type PersonChange, version } from "../plan.ts";
import type { PersonRecord } from "../records.ts";
import { personDifference } from "./differences.ts";
import type { Round } from "./round.ts";

export interface NewPerson {
  doc: PersonDoc;
  entry: EntryDraft;
}

/** Change -> what was made of it ahead; gone with the change. */
const madeAhead = new WeakMap<PersonChange, NewPerson>();

export const newPerson = (round: Round, change: PersonChange, record: PersonRecord): NewPerson => {
  const known = madeAhead.get(change);
  if (known) return known;
  const { needs, connection } = round;
  const { ring, connectionId } = connection;
  const { ambient } = needs;
  const { key, wrapped } = newPersonKey(ambient, ring, connectionId, change.id);
  const doc: PersonDoc = {
    id: ids.person(change.id),
    kind: "person",
    connectionId,
    v: 1,
    state: "active",
    reason: null,
    hash: change.to.slice(version("active", "").length),
    key: wrapped,
    record: seal(ambient, key, personPlace(connectionId, change.id), record),
    ...addressIndexes(ring, record),
    productUser: null,
    changedAt: iso(ambient.now()),
  };
  const entry = draftEntry(ambient, ring, connectionId, {
    kind: "person",
    op: "created",
    object: change.id,
    cause: round.cause,
    run: round.id,
    changes: personDifference(null, record),
    key,
  });
  return { doc, entry };
};

export const addressIndexes = (
  ring: KeyRing,
  { fields: { mail, userPrincipalName } }: PersonRecord,
): Pick<PersonDoc, "mailIndex" | "upnIndex"> => ({
  mailIndex: typeof mail === "string" ? blindIndex(ring, "mail", mail) : null,
  upnIndex: typeof userPrincipalName === "string" ? blindIndex(ring, "upn", userPrincipalName) : null,
});

/** As many as the next commit takes. */
const peopleAhead = 90;
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
    if (change.kind === "person" && change.op === "create" && change.record && !madeAhead.has(change))
      madeAhead.set(change, newPerson(round, change, change.record));
  }
};

const eventLoopTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
