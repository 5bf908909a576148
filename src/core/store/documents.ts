/**
 * The documents of a connection's partition in container `directory`, and their ids. What is clear here is listed in
 * docs/storage.md; everything else is `Sealed`.
 */
import type { EntryDraft } from "../audit/entries.ts";
import type { Settings } from "../connections/settings.ts";
import type { Tier, TierRecord } from "../connections/tiers.ts";
import type { RingContent, RunKeyContent, WrappedKey } from "../crypto/key-ring.ts";
import type { Sealed } from "../crypto/seal.ts";
import type { GuardDay, GuardFinding } from "../directory/guard.ts";
import type { GroupRecord, PersonRecord } from "../directory/records.ts";
import type { Cursor, Links } from "../directory/run/cursor.ts";
import type { PartitionSize } from "./size.ts";

interface Base {
  id: string;
  connectionId: string;
  /** Schema version of the document. */
  v: 1;
  /** Seconds after the last write; absent = for ever. */
  ttl?: number;
}

export type Stored<D> = D & { _etag: string };

export type ConnectionState = "draft" | "proven" | "active" | "needs-attention" | "closing";

export interface ConnectionDoc extends Base {
  id: "connection";
  kind: "connection";
  workspaceId: string;
  /** Typed by an administrator: sealed under the ring. */
  displayName: Sealed<string>;
  state: ConnectionState;
  /** Why the connection needs attention: a problem code and the time. */
  attention: { code: string; since: string } | null;
  tid: string | null;
  tiers: Record<Tier, TierRecord>;
  settings: Settings;
  settingsVersion: number;
  createdAt: string;
  /** When a scheduled deletion takes effect. */
  closesAt: string | null;
}

export interface RingDoc extends Base {
  id: "ring";
  kind: "ring";
  /** Generation of the connection key that wraps it; null while the connection is a draft (then a platform key does). */
  generation: number | null;
  wrapped: Sealed<RingContent>;
}

/** Proof that an administrator approved a tier. */
export interface ProofDoc extends Base {
  kind: "proof";
  tier: Tier;
  tid: string;
  clientId: string;
  roles: string[];
  provenAt: string;
  /** The administrator: object id, name, address as Microsoft's token said. */
  administrator: Sealed<{ oid: string; name: string; userPrincipalName: string }>;
}

export type PersonState = "active" | "deactivated" | "removed" | "erased";

export interface PersonDoc extends Base {
  kind: "person";
  state: PersonState;
  /** Why the person is not active: a reason code of the plan. */
  reason: string | null;
  /** Keyed hash of the record; what a planned change must still find when it is applied. */
  hash: string;
  key: WrappedKey;
  record: Sealed<PersonRecord>;
  mailIndex: string | null;
  upnIndex: string | null;
  /** Person link: the product's user id, sealed, and its blind index; unique by the row `p:<index>`. */
  productUser: { value: Sealed<string>; index: string } | null;
  changedAt: string;
}

/** Create-only row that makes a person link unique. */
export interface ProductUserDoc extends Base {
  kind: "product-user";
  personId: string;
}

export interface GroupDoc extends Base {
  kind: "group";
  hash: string;
  record: Sealed<GroupRecord>;
  /** Prefixes of its member shards, as strings of 0 and 1; [""] = one shard; [] = no members. */
  leaves: string[];
  /** Object ids of groups that are direct members. */
  children: string[];
  changedAt: string;
}

export interface ShardDoc extends Base {
  kind: "members";
  groupId: string;
  /** Person ids, sorted, at most 1,000; also of people who are not synchronised. */
  members: string[];
}

export type RunMode = "full" | "delta" | "dry-run";
export type RunCause = "schedule" | "manual" | "notification" | "settings";
export type RunPhase = "queued" | "reading" | "weighing" | "waiting" | "applying" | "ended";
export type RunOutcome = "done" | "nothing" | "dry-run" | "rejected" | "expired" | "cancelled" | "failed";

export interface RunCounts {
  peopleRead: number;
  groupsRead: number;
  peopleCreated: number;
  peopleUpdated: number;
  peopleRevived: number;
  peopleDeactivated: number;
  groupsCreated: number;
  groupsUpdated: number;
  groupsRemoved: number;
  membershipsAdded: number;
  membershipsRemoved: number;
  /** Planned from a state that had changed when the plan was applied; the next round decides. */
  moved: number;
  /** Fields that are empty in Entra ID and were kept, because clearing is not switched on. */
  keptThoughCleared: number;
  /** Objects that could not be used, with their reason in the run's warnings. */
  skipped: number;
  graphRequests: number;
  documentsWritten: number;
}

export interface RunDoc extends Base {
  kind: "run";
  mode: RunMode;
  cause: RunCause;
  phase: RunPhase;
  outcome: RunOutcome | null;
  /** Problem code of a failed run. */
  failure: string | null;
  counts: RunCounts;
  warnings: { code: string; object?: string }[];
  planHash: string | null;
  /** What the guard found when it stopped the plan, or would find if it were not a dry run; empty otherwise. */
  guard: GuardFinding[];
  requestedAt: string;
  startedAt: string | null;
  endedAt: string | null;
  settingsVersion: number;
}

/** What a run keeps in head between two slices. Only the owner of the lease moves it. */
export interface RunState {
  id: string;
  mode: RunMode;
  cause: RunCause;
  epoch: number;
  phase: "reading" | "weighing" | "waiting" | "applying";
  startedAt: number;
  key: Sealed<RunKeyContent>;
  cursor: Sealed<Cursor>;
  counts: RunCounts;
  warnings: { code: string; object?: string }[];
  planHash: string | null;
  /** The guard has stopped the plan: what it found, until when it waits, whether somebody has approved. */
  stopped: StoppedPlan | null;
}

export interface StoppedPlan {
  findings: GuardFinding[];
  expiresAt: number;
  approved: boolean;
}

export interface Head extends Base {
  id: "head";
  kind: "head";
  /** Number of the newest log entry; 0 = none. */
  sequence: number;
  /** Chain value over all log documents so far, hex. */
  chain: string;
  owner: string | null;
  leaseUntil: number;
  /** Whoever wrote head last put this in; tells whether a commit with unknown outcome went through. */
  commitId: string;
  /** When something is to be done next, ms; null = nothing is due. The only schedule there is. */
  wakeAt: number | null;
  /** When the schedule, a back-off or a pending deletion next wants a round; `wakeAt` is derived from it and from what is under way. */
  dueAt: number | null;
  /** Grows with settings, pause, erase and exclude; a run of an older epoch commits nothing more. */
  epoch: number;
  /** Leases that ran out and slices without progress since the last checkpoint. */
  attempts: number;
  /** Failed rounds in a row; drives the back-off. */
  failures: number;
  requested: { runId: string; mode: RunMode; cause: RunCause; at: number } | null;
  run: RunState | null;
  links: Sealed<Links> | null;
  /** Hash of the property lists the links were made with; another list needs a full read. */
  selection: string | null;
  lastRound: { startedAt: number; endedAt: number; cause: RunCause; outcome: RunOutcome; requests: number } | null;
  counters: { people: number; groups: number; memberships: number };
  size: PartitionSize;
  /** Object ids of groups that are removed and have shards left. */
  emptying: string[];
  /** Removals of the last days, for the guard. */
  guard: GuardDay[];
}

/** A commit's part of the change log. `body` is the JSON text of its entries; the chain is computed over these bytes. */
export interface LogDoc extends Base {
  kind: "log";
  first: number;
  last: number;
  prev: string;
  at: string;
  subjects: string[];
  body: string;
}

export type DirectoryDoc =
  | Head
  | ConnectionDoc
  | RingDoc
  | ProofDoc
  | PersonDoc
  | ProductUserDoc
  | GroupDoc
  | ShardDoc
  | RunDoc
  | LogDoc;
export type Kind = DirectoryDoc["kind"];
export type DocOf<K extends Kind> = Extract<DirectoryDoc, { kind: K }>;

export const ids = {
  head: "head" as const,
  connection: "connection" as const,
  ring: "ring" as const,
  proof: (tier: Tier): string => `proof:${tier}`,
  person: (personId: string): string => `u:${personId}`,
  productUser: (index: string): string => `p:${index}`,
  group: (groupId: string): string => `g:${groupId}`,
  shard: (groupId: string, bits: string): string => `m:${groupId}:${bits}`,
  run: (runId: string): string => `r:${runId}`,
  log: (first: number): string => `l:${String(first).padStart(16, "0")}`,
};

export const personOf = (documentId: string): string => documentId.slice(2);

export type { EntryDraft };
