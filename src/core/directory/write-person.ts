/** Document and log entry of a planned change to one person: what a run writes, and what is written when one person is switched on. */
import { type Ambient, iso } from "../ambient.ts";
import { draftEntry, type EntryInput } from "../audit/change-log.ts";
import type { EntryDraft } from "../audit/entries.ts";
import type { ConnectionContext } from "../context.ts";
import { blindIndex, type KeyRing, newPersonKey, openPersonKey } from "../crypto/key-ring.ts";
import { seal } from "../crypto/seal.ts";
import { ids, type PersonDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { personPlace } from "./places.ts";
import { hashIn, type PersonChange } from "./plan.ts";
import { factOf, type PersonRecord } from "./records.ts";
import { personDifference } from "./run/differences.ts";
import { knownPerson } from "./run/known.ts";

/** What set the change off. */
export type Origin = Pick<EntryInput, "cause" | "run" | "actor" | "correlationId">;

export interface Writing {
  ambient: Ambient;
  connection: Pick<ConnectionContext, "connectionId" | "ring">;
  origin: Origin;
}

export interface WrittenPerson {
  doc: PersonDoc;
  /** Null: nothing has changed that the product sees. */
  entry: EntryDraft | null;
}

const operations = {
  create: "created",
  update: "updated",
  revive: "revived",
  deactivate: "deactivated",
  keep: "kept",
} as const;

/** Follows from the planned change alone. */
export const createdPerson = (
  { ambient, connection: { connectionId, ring }, origin }: Writing,
  change: PersonChange,
  record: PersonRecord,
): WrittenPerson => {
  const { key, wrapped } = newPersonKey(ambient, ring, connectionId, change.id);
  const doc: PersonDoc = {
    id: ids.person(change.id),
    kind: "person",
    connectionId,
    v: 1,
    state: "active",
    reason: null,
    leftAt: null,
    hash: hashIn(change.to),
    key: wrapped,
    record: seal(ambient, key, personPlace(connectionId, change.id), record),
    ...addressIndexes(ring, record),
    productUser: null,
    changedAt: iso(ambient.now()),
  };
  const changes = personDifference(null, record);
  const entry = draftEntry(ambient, ring, connectionId, {
    ...origin,
    kind: "person",
    op: "created",
    object: change.id,
    changes,
    key,
  });
  return { doc, entry };
};

export const changedPerson = (
  { ambient, connection: { connectionId, ring }, origin }: Writing,
  change: PersonChange,
  stored: Stored<PersonDoc>,
): WrittenPerson => {
  const { record: known } = knownPerson(ring, stored);
  const key = openPersonKey(ring, connectionId, change.id, stored.key);
  const record = change.record ?? known;
  const leaves = change.op === "deactivate" || change.op === "keep";
  const now = iso(ambient.now());
  const { _etag, ...before } = stored;
  const doc: PersonDoc = {
    ...before,
    state: change.op === "deactivate" ? "deactivated" : "active",
    reason: leaves ? (change.evidence ?? null) : null,
    leftAt: leaves ? (stored.leftAt ?? now) : null,
    hash: hashIn(change.to),
    record: change.record ? seal(ambient, key, personPlace(connectionId, change.id), change.record) : stored.record,
    ...addressIndexes(ring, record),
    changedAt: now,
  };
  const changes = change.record ? personDifference(known, change.record) : [];
  // Only what the scope decides by has changed, and the product does not see that.
  if (change.op === "update" && changes.length === 0 && !change.evidence) return { doc, entry: null };
  const entry = draftEntry(ambient, ring, connectionId, {
    ...origin,
    kind: "person",
    op: operations[change.op],
    object: change.id,
    ...(change.evidence ? { evidence: change.evidence } : {}),
    changes,
    key,
  });
  return { doc, entry };
};

/** The stub that is left of somebody who was removed: id, key, link to the product, and when. Whoever comes back is revived from it. */
export const retiredPerson = (
  { ambient, connection: { connectionId, ring }, origin }: Writing,
  stored: Stored<PersonDoc>,
): WrittenPerson => {
  const id = stored.id.slice(2);
  const { record } = knownPerson(ring, stored);
  const { _etag, ...before } = stored;
  const doc: PersonDoc = {
    ...before,
    state: "removed",
    record: null,
    ...addressIndexes(ring, null),
    changedAt: iso(ambient.now()),
  };
  const entry = draftEntry(ambient, ring, connectionId, {
    ...origin,
    kind: "person",
    op: "removed",
    object: id,
    ...(stored.reason === null ? {} : { evidence: stored.reason }),
    changes: record ? personDifference(record, { ...record, manager: null, fields: {} }) : [],
    key: openPersonKey(ring, connectionId, id, stored.key),
  });
  return { doc, entry };
};

const addressIndexes = (ring: KeyRing, record: PersonRecord | null): Pick<PersonDoc, "mailIndex" | "upnIndex"> => {
  if (!record) return { mailIndex: null, upnIndex: null };
  const [mail, userPrincipalName] = [factOf(record, "mail"), factOf(record, "userPrincipalName")];
  return {
    mailIndex: typeof mail === "string" ? blindIndex(ring, "mail", mail) : null,
    upnIndex: typeof userPrincipalName === "string" ? blindIndex(ring, "upn", userPrincipalName) : null,
  };
};

/** Groups that the product sees, in which the person is stored as a member. */
export const shownGroupsOf = async (
  store: Pick<DirectoryStore, "groupsOf" | "load">,
  connectionId: string,
  personId: string,
): Promise<string[]> => {
  const groups = await store.groupsOf(connectionId, personId);
  const docs = await store.load(connectionId, "group", groups.map(ids.group));
  return groups.filter((group) => docs.get(ids.group(group))?.shown).toSorted();
};
