/**
 * Every kind of document that is stored, field by field: which row of the record it belongs to, or that it says nothing of anybody.
 * A field that is missing here does not compile. `ttl`: seconds that it lives at most, `log` for as long as the logs are kept, null
 * for whatever lives until it is deleted; `superseded` counts from when something newer has taken its place.
 */
import type { AccessRecord } from "../audit/access-log.ts";
import type { EntryDraft } from "../audit/entries.ts";
import type { MailJob } from "../mail/ports.ts";
import type { LedgerRow } from "../notifications/ports.ts";
import type { ConnectionRow, ConsumerRow, HandshakeDoc } from "../store/ports.ts";
import type { DeliveryRow } from "../webhooks/ports.ts";
import { directoryPlaces, type FieldOf, nothing, type Says, type StoredPlace } from "./record-directory.ts";
import type { RowId } from "./record-rows.ts";

export type { StoredPlace } from "./record-directory.ts";

const minutes = 60;
const hours = 3600;
const days = 86_400;

/** Of an entry in the `body` of a document of the change log. */
export const entryFields: Record<keyof EntryDraft, Says> = {
  id: nothing,
  at: nothing,
  kind: nothing,
  op: nothing,
  object: "history",
  cause: nothing,
  run: nothing,
  correlationId: nothing,
  productGroup: nothing,
  groups: "history",
  added: "history",
  removed: "history",
  childrenAdded: nothing,
  childrenRemoved: nothing,
  evidence: nothing,
  operation: nothing,
  person: "history",
  group: nothing,
  changes: "history",
  actor: "actors",
};

/** Of a record in the sealed `content` of a document of the access log. */
const accessFields: Record<keyof AccessRecord, Says> = {
  subject: "reads",
  ip: "reads",
  machine: nothing,
  asserted: "reads",
  what: nothing,
  route: nothing,
  connectionId: nothing,
  count: nothing,
  objects: "reads",
  refusal: nothing,
  receipt: nothing,
  correlationId: nothing,
};

const work = (says: Says): StoredPlace => ({ ttl: 96 * hours, fields: { id: nothing, runId: nothing, content: says } });

const handshake = (says: RowId): StoredPlace<FieldOf<HandshakeDoc>> => ({
  ttl: 15 * minutes,
  fields: { id: nothing, expiresAt: nothing, state: nothing, issued: nothing, content: says },
});

const consumer: StoredPlace<FieldOf<ConsumerRow> | "id" | "key"> = {
  ttl: 400 * days,
  fields: { id: nothing, key: nothing, name: nothing, sequence: nothing, seenAt: nothing },
};

const delivery: StoredPlace<FieldOf<DeliveryRow> | "id" | "key"> = {
  ttl: 400 * days,
  fields: {
    id: nothing,
    key: nothing,
    endpoint: nothing,
    delivered: nothing,
    message: nothing,
    attempts: nothing,
    nextAt: nothing,
    failingSince: nothing,
    deadSince: nothing,
    testedAt: nothing,
    log: nothing,
  },
};

const mail: StoredPlace<FieldOf<MailJob> | "id" | "key"> = {
  ttl: 3 * days,
  fields: {
    id: nothing,
    key: nothing,
    runId: nothing,
    dueAt: nothing,
    sendingUntil: nothing,
    attempts: nothing,
    unanswered: nothing,
    expiresAt: nothing,
    content: "mails",
  },
};

const subscription: StoredPlace<FieldOf<LedgerRow> | "id" | "key"> = {
  ttl: null,
  fields: {
    id: nothing,
    key: nothing,
    feed: nothing,
    state: nothing,
    connections: nothing,
    subscriptionId: nothing,
    madeWith: nothing,
    expiresAt: nothing,
    renewAt: nothing,
    alarmAt: nothing,
    touchedAt: nothing,
    catchUp: nothing,
    reason: nothing,
    failures: nothing,
    counters: nothing,
    busyUntil: nothing,
    wakeAt: nothing,
  },
};

const connectionRow: StoredPlace<FieldOf<ConnectionRow>> = {
  ttl: null,
  fields: { id: nothing, workspaceId: nothing, nameIndex: "typed", createdAt: nothing },
};

/** By container and kind of document. */
export const storedPlaces: Readonly<Record<string, StoredPlace>> = {
  ...Object.fromEntries(Object.entries(directoryPlaces).map(([kind, place]) => [`directory ${kind}`, place])),
  "connections row": connectionRow,
  "connections name": { ttl: null, fields: { id: "typed", workspaceId: nothing, connectionId: nothing } },
  "work chunk": work("plans"),
  "work seen": work("plans"),
  "access record": { ttl: "log", fields: { id: nothing, pk: nothing, at: nothing, content: "reads" } },
  "handshakes connect": handshake("approvals"),
  "handshakes code": handshake("approvals"),
  "handshakes sso": handshake("signIns"),
  "handshakes claim": { ttl: 15 * minutes, fields: { id: nothing } },
  "state feed": consumer,
  "state webhooks": delivery,
  "state mail": mail,
  "state mails of a day": { ttl: 2 * days, fields: { id: nothing, key: nothing, taken: nothing } },
  "shared pause": { ttl: 7 * days, fields: { id: nothing, key: nothing, until: nothing } },
  "shared tenant": { ttl: null, fields: { id: nothing, key: nothing, connections: nothing } },
  "shared subscription": subscription,
};

export const saysSomething = (says: Says): says is RowId => says !== nothing;

/** Where a row of the record lies: `directory person: id, state`. */
export const placesOf = (row: RowId): string[] => {
  const all = [
    ...Object.entries(storedPlaces).map(([name, { fields }]) => ({ name, fields })),
    { name: "entry of the change log", fields: entryFields },
    { name: "record of the access log", fields: accessFields },
  ];
  const found = all.flatMap(({ name, fields }) => {
    const names = Object.entries(fields).flatMap(([field, says]) => (says === row ? [field] : []));
    return names.length > 0 ? [`${name}: ${names.join(", ")}`] : [];
  });
  return row === "ledger" ? ["vault erasures-<connection>"] : found;
};
