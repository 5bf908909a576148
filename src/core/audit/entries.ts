/**
 * Entries of the change log. An entry is sealed when it is drafted and bound to its own id, not to its number: the number is
 * given at commit, and a commit that has to be repeated at another number re-seals nothing.
 */
import { z } from "zod";
import type { Sealed } from "../crypto/seal.ts";

export type EntryKind =
  | "connection"
  | "tier"
  | "settings"
  | "security"
  | "run"
  | "person"
  | "group"
  | "members"
  | "product-user";
export type Operation =
  | "created"
  | "updated"
  | "deactivated"
  | "kept"
  | "enabled"
  | "excluded"
  | "revived"
  | "removed"
  | "erased"
  | "changed"
  | "requested"
  | "stopped"
  | "approved"
  | "cancelled"
  | "ended";

export interface FieldChange {
  field: string;
  before: unknown;
  after: unknown;
}

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

export interface EntryDraft {
  id: string;
  at: string;
  kind: EntryKind;
  op: Operation;
  /** Person id, group object id, run id, tier, or `connection`. */
  object: string;
  /** What set it off: a run cause, or `api`. */
  cause: string;
  run?: string;
  correlationId?: string;
  /** Of a group: which one of the product it is. */
  productGroup?: string;
  /** Groups a person is in at the moment of becoming active. */
  groups?: string[];
  /** Of a group: person ids, and object ids of nested groups. */
  added?: string[];
  removed?: string[];
  childrenAdded?: string[];
  childrenRemoved?: string[];
  /** Why this is known to be so: `tombstone`, `confirmed-absent`, `membership-ended`, ... */
  evidence?: string;
  changes?: Sealed<FieldChange[]>;
  actor?: Sealed<Actor>;
}

/** Person ids an entry is about: indexed, so that everything about one person is found without a scan. */
export const subjectsOf = (entries: readonly EntryDraft[]): string[] => [
  ...new Set(
    entries.flatMap((entry) => (entry.kind === "person" || entry.kind === "product-user" ? [entry.object] : [])),
  ),
];
