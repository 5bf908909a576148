/**
 * Entries of the change log. An entry is sealed when it is drafted and bound to its own id, not to its number: the number is
 * given at commit, and a commit that has to be repeated at another number re-seals nothing.
 */
import { z } from "zod";
import type { Sealed } from "../crypto/seal.ts";

const entryKinds = [
  "connection",
  "tier",
  "settings",
  "security",
  "run",
  "person",
  "group",
  "members",
  "product-user",
  /** Something that is done in Microsoft 365. */
  "operation",
  /** Never written: stands for one that is no longer readable. */
  "entry",
] as const;
export type EntryKind = (typeof entryKinds)[number];

const entryOperations = [
  "created",
  "updated",
  "deactivated",
  "kept",
  "enabled",
  "excluded",
  "revived",
  "removed",
  "erased",
  "changed",
  "requested",
  "stopped",
  "approved",
  "cancelled",
  "ended",
  "intended",
  "done",
  "refused",
  "unknown",
  "unreadable",
] as const;
export type Operation = (typeof entryOperations)[number];

export interface FieldChange {
  field: string;
  before: unknown;
  after: unknown;
}

/** A change of a field as it is sealed: there are very many, and names would be a third of it. */
export type FieldTriple = [field: string, before: unknown, after: unknown];

/** Who did it, from where. Only callers with `audit:read` see it. */
export const Actor = z.strictObject({
  subject: z.string(),
  ip: z.string(),
  /** A program of the product, in its own name. */
  machine: z.literal(true).optional(),
  /** Whom the program named as the person it worked for; nobody has checked it. */
  asserted: z.strictObject({ subject: z.string().optional(), ip: z.string().optional() }).optional(),
});
export type Actor = z.infer<typeof Actor>;

/** Of whoever calls, what a record keeps. */
export const actorOf = ({ subject, ip, machine, asserted }: Actor): Actor => ({
  subject,
  ip,
  ...(machine ? { machine } : {}),
  ...(asserted ? { asserted } : {}),
});

const sealed = <T>() => z.custom<Sealed<T>>((value) => typeof value === "string");
const Ids = z.array(z.string());

/** The parts of an entry that are stored and shown in clear. */
export const clearParts = {
  id: z.string(),
  at: z.iso.datetime(),
  kind: z.enum(entryKinds),
  op: z.enum(entryOperations),
  /** Person id, group object id, run id, tier, operation id, or `connection`. */
  object: z.string(),
  /** What set it off: a run cause, `api`, `sign-in` and the like. */
  cause: z.string(),
  run: z.string().exactOptional(),
  correlationId: z.string().exactOptional(),
  /** Of a group: which one of the product it is. */
  productGroup: z.string().exactOptional(),
  /** Groups a person is in at the moment of becoming active. */
  groups: Ids.exactOptional(),
  /** Of a group: person ids, and object ids of nested groups. */
  added: Ids.exactOptional(),
  removed: Ids.exactOptional(),
  childrenAdded: Ids.exactOptional(),
  childrenRemoved: Ids.exactOptional(),
  /** Why this is known to be so: `tombstone`, `confirmed-absent`, `membership-ended`, ... */
  evidence: z.string().exactOptional(),
  /** Of an operation on Microsoft 365: its name, and the person or group that it is about. */
  operation: z.string().exactOptional(),
  person: z.string().exactOptional(),
  group: z.string().exactOptional(),
};

export const EntryDraft = z.strictObject({
  ...clearParts,
  changes: sealed<FieldTriple[]>().exactOptional(),
  actor: sealed<Actor>().exactOptional(),
});
export type EntryDraft = z.infer<typeof EntryDraft>;

/** The person an entry is about; null: about something else. */
export const personIn = ({ kind, object, person }: Pick<EntryDraft, "kind" | "object" | "person">): string | null =>
  kind === "person" || kind === "product-user" ? object : (person ?? null);

/** Person ids the entries are about: indexed, so that everything about one person is found without a scan. */
export const subjectsOf = (entries: readonly EntryDraft[]): string[] => [
  ...new Set(entries.flatMap((entry) => personIn(entry) ?? [])),
];
