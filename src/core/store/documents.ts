/**
 * The documents of a connection's partition in container `directory`, and their ids. What is clear here is listed in
 * docs/storage.md; everything else is `Sealed`.
 */
import type { Grant } from "../access/grants.ts";
import type { Actor, EntryDraft } from "../audit/entries.ts";
import type { Settings } from "../connections/settings.ts";
import type { Tier, TierRecord } from "../connections/tiers.ts";
import type { RingContent, RunKeyContent, WrappedKey } from "../crypto/key-ring.ts";
import type { Sealed } from "../crypto/seal.ts";
import type { GroupRole } from "../directory/group-roles.ts";
import type { GuardDay, GuardFinding } from "../directory/guard.ts";
import type { Arrivals, Lateness } from "../directory/lateness.ts";
import type { GroupRecord, PersonRecord } from "../directory/records.ts";
import type { Cursor, Links } from "../directory/run/cursor.ts";
import type { Pace } from "../directory/run/progress.ts";
import type { Marker } from "../directory/scope.ts";
import type { ProblemCode } from "../errors.ts";
import type { LookAgain, Notified } from "../notifications/mark.ts";
import type { StepId } from "../wizard/texts.ts";
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
  /** Runs failed again and again for a cause that is not ours: the schedule starts none until a self-test passes. */
  quarantine: { code: string; since: string; failures: number } | null;
  tid: string | null;
  tiers: Record<Tier, TierRecord>;
  settings: Settings;
  settingsVersion: number;
  /** Subject of who changed the settings or the blacklist last; null: nobody has. */
  settingsBy: Sealed<string> | null;
  blacklist: BlacklistVersion;
  /** What the product has offered to map groups onto; version 0: nothing yet. */
  productGroups: { version: number; count: number };
  /** Steps of the setup that are done, and when it was finished last. Until the first time the schedule starts nothing. */
  wizard: { done: StepId[]; finishedAt: string | null };
  createdAt: string;
  /** When a scheduled deletion takes effect. */
  closesAt: string | null;
}

/** Which documents `b:<version>:<part>` hold the e-mail blacklist; version 0: there has been none yet. */
export interface BlacklistVersion {
  version: number;
  /** How many there are. */
  entries: number;
}

/** A part of one version of the e-mail blacklist. Never changed; expires when another version has long been in force. */
export interface BlacklistDoc extends Base {
  kind: "blacklist";
  entries: Sealed<string[]>;
}

export interface ProductGroup {
  id: string;
  name: string;
}

/** One version of the groups that the product offers. Never changed; expires soon after the next one. */
export interface ProductGroupsDoc extends Base {
  kind: "product-groups";
  groups: Sealed<ProductGroup[]>;
}

/** Settings as somebody has made them. Never changed; expires when others have long been in force. */
export interface SettingsDoc extends Base {
  kind: "settings";
  settings: Settings;
  settingsVersion: number;
  blacklist: BlacklistVersion;
  at: string;
  by: Sealed<Actor>;
  /** What differs from the version before, by dotted names; empty in the first. */
  fields: string[];
  /** The earlier version that these are again. */
  restoredFrom: number | null;
}

export interface RingDoc extends Base {
  id: "ring";
  kind: "ring";
  /** Generation of the connection key that wraps it; null while the connection is a draft (then a platform key does). */
  generation: number | null;
  wrapped: Sealed<RingContent>;
  /** Since when this key wraps it, ms. */
  wrappedAt: number;
  /** When something that was begun, or put off, is to be gone on with, ms; null: nothing was. */
  careAt: number | null;
  /** The connection key is being replaced; `entry` is what the log is to tell of it. */
  rotation?: { to: number; entry: EntryDraft };
  /** The keys in the ring are being replaced. */
  rekey?: Rekey;
}

export interface Rekey {
  /**
   * `announced`: the new keys open and do not seal yet, until every instance knows them. `spreading`: they seal, and other instances
   * may still seal with those before. `resealing`: what those have sealed is sealed again.
   */
  phase: "announced" | "spreading" | "resealing";
  startedAt: string;
  /** Documents that were sealed again. */
  resealed: number;
  /** Where resealing is: a kind of document, and the last id of it that is done. */
  at: { kind: Kind; after: string | null } | null;
}

/**
 * Proof that an administrator approved a tier. Under its own id it is what the product has confirmed; what nobody has confirmed
 * yet lies beside it and expires.
 */
export interface ProofDoc extends Base {
  kind: "proof";
  tier: Tier;
  tid: string;
  clientId: string;
  /** Application permissions that the tier took when it was approved: all of them were granted. */
  roles: string[];
  provenAt: string;
  /** The administrator: object id, name, address as Microsoft's token said. */
  administrator: Sealed<{ oid: string; name: string; userPrincipalName: string }>;
}

/** Who may do what on this connection; absent or empty: what the product's tokens say. */
export interface SecurityDoc extends Base {
  id: "security";
  kind: "security";
  workspaceId: string;
  grants: Sealed<Grant[]>;
  changedAt: string;
}

export type PersonState = "active" | "deactivated" | "removed" | "erased";

export interface PersonDoc extends Base {
  kind: "person";
  state: PersonState;
  /** Why the person is not active, or is kept although he has left: a reason code of the plan. */
  reason: string | null;
  /** When he left the sync scope or Entra ID; null while he belongs to it. */
  leftAt: string | null;
  /** Keyed hash of the record; what a planned change must still find when it is applied. */
  hash: string;
  /** Null: erased; what was sealed under it opens nowhere any more. */
  key: WrappedKey | null;
  /** Null: removed or erased; only this stub is left. */
  record: Sealed<PersonRecord> | null;
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

/** What somebody decided about one person by hand; the only thing that is kept of people who are not synchronised. */
export interface MarkerDoc extends Base {
  kind: "marker";
  marker: Marker;
  changedAt: string;
}

export interface GroupDoc extends Base {
  kind: "group";
  role: GroupRole;
  /** Role `filter`: object id of the group; `product`: id of the product group; else null. */
  of: string | null;
  /** The product sees it; the others are state of the sync. */
  shown: boolean;
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
  /** Left, and the settings keep such people as they are. */
  peopleKept: number;
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

export type MailReason =
  | "administrator-unknown"
  | "no-address"
  | "foreign-domain"
  | "daily-limit"
  | "not-connected"
  | "not-prepared"
  | "mail-server-unavailable"
  | "mail-server-refused"
  | "outcome-unknown"
  | ProblemCode;

export interface RunMail {
  /** `failed`: it may still go out, when it is tried again or asked for again. `refused`: we do not send it. */
  state: "waiting" | "sent" | "failed" | "refused";
  /** Since when. */
  at: string;
  reason: MailReason | null;
}

export interface RunDoc extends Base {
  kind: "run";
  mode: RunMode;
  cause: RunCause;
  phase: RunPhase;
  outcome: RunOutcome | null;
  /** A dry run under proposed settings. */
  impact?: true;
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
  /** How late its changes are; absent or null where nothing can be said of that. */
  lateness?: Lateness | null;
  /** Who asked for it; null for what nobody asked for. */
  requestedBy: Sealed<string> | null;
  /** Of a dry run whose result is to be mailed; absent when no mail was asked for. */
  mail?: RunMail;
  /** Of a dry run that has come to its end. */
  plan?: KeptPlan;
}

/** Where in `work` the plan of a dry run is opened from, and until when it is shown. */
export interface KeptPlan {
  part: string;
  until: string;
}

/** What a run keeps in head between two slices. Only the owner of the lease moves it. */
export interface RunState {
  id: string;
  mode: RunMode;
  cause: RunCause;
  /** The settings it is made under, where these are not the connection's. */
  proposed?: Settings;
  /** What half of it makes of the directory, only a full read mends: other settings, or groups that decide who else is held. */
  reshapes: boolean;
  epoch: number;
  phase: "reading" | "weighing" | "waiting" | "applying";
  startedAt: number;
  key: Sealed<RunKeyContent>;
  cursor: Sealed<Cursor>;
  counts: RunCounts;
  pace: Pace;
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
  /** When the vendor's endpoints are next to be told of changes, ms; null = they have heard of all, or were given up. Set by every commit with entries. */
  tellAt: number | null;
  /** Grows with settings, pause, erase and exclude; a run of an older epoch commits nothing more. */
  epoch: number;
  /** Leases that ran out and slices without progress since the last checkpoint. */
  attempts: number;
  /** Failed rounds in a row; drives the back-off. */
  failures: number;
  /** Those of them whose cause is not ours; eight put the connection into quarantine. */
  strikes: number;
  requested: RequestedRun | null;
  run: RunState | null;
  links: Sealed<Links> | null;
  /** The last round left something open that only a full read settles. */
  suspect: boolean;
  /** When people who have left are next to be removed for good. */
  retireAt: number | null;
  /** When the approvals are next compared with what Microsoft grants, ms; absent or null: there are none. */
  reviewAt?: number | null;
  /** What the last review found of a tier and has not confirmed yet: problem code and missing permissions. */
  doubts?: Partial<Record<Tier, string>>;
  /** Day on which a tier was last used, where no run tells that: 2026-01-31. */
  usedOn?: Partial<Record<Tier, string>>;
  /** There are, or were, markers about people: each decision looks for one. */
  marked: boolean;
  lastRound: { startedAt: number; endedAt: number; cause: RunCause; outcome: RunOutcome; requests: number } | null;
  /** Keys of the feeds that the connection is enlisted for in the ledger of subscriptions; absent: none. */
  enlisted?: string[];
  /** Notifications that no round has answered yet. */
  notified?: Notified | null;
  /** A slice that could not go on waits until then, ms: whatever comes meanwhile waits too. */
  restUntil?: number;
  /** A notified round has found nothing, and it is looked again. */
  again?: LookAgain | null;
  /** How late changes have arrived. */
  arrivals?: Arrivals;
  counters: { people: number; groups: number; memberships: number };
  size: PartitionSize;
  /** Document ids of groups that are removed and have shards left, and whether the product saw them. */
  emptying: { id: string; shown: boolean }[];
  /** Whose erasure is under way; absent: nobody's. */
  erasing?: Erasing;
  /** Removals of the last days, for the guard. */
  guard: GuardDay[];
}

/** There is one erasure of a connection at a time. */
export interface Erasing {
  owner: string;
  /** After this time, ms, whoever comes finishes it. */
  until: number;
  /** Of the log; `object` is the person. */
  entry: EntryDraft;
}

export interface RequestedRun {
  runId: string;
  mode: RunMode;
  cause: RunCause;
  at: number;
  /** Dry run only: what it would be under these settings. */
  proposed?: Settings;
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

/** Something that was begun in Microsoft 365 and of which nobody knows yet what became. Goes with its outcome. */
export interface OperationDoc extends Base {
  kind: "operation";
  /** In the catalogue of operations. */
  name: string;
  about: { person?: string; group?: string };
  /** What finding out takes. */
  target: Sealed<unknown>;
  begunAt: string;
  /** When Microsoft is next asked what became of it, ms. */
  checkAt: number;
  checks: number;
}

export type DirectoryDoc =
  | Head
  | ConnectionDoc
  | RingDoc
  | ProofDoc
  | SecurityDoc
  | PersonDoc
  | ProductUserDoc
  | MarkerDoc
  | GroupDoc
  | ShardDoc
  | RunDoc
  | BlacklistDoc
  | ProductGroupsDoc
  | SettingsDoc
  | OperationDoc
  | LogDoc;
export type Kind = DirectoryDoc["kind"];
export type DocOf<K extends Kind> = Extract<DirectoryDoc, { kind: K }>;

export const ids = {
  head: "head" as const,
  connection: "connection" as const,
  ring: "ring" as const,
  security: "security" as const,
  proof: (tier: Tier): string => `proof:${tier}`,
  unconfirmedProof: (tier: Tier): string => `proof:${tier}:unconfirmed`,
  person: (personId: string): string => `u:${personId}`,
  marker: (personId: string): string => `x:${personId}`,
  productUser: (index: string): string => `p:${index}`,
  group: (groupId: string): string => `g:${groupId}`,
  shard: (groupId: string, bits: string): string => `m:${groupId}:${bits}`,
  run: (runId: string): string => `r:${runId}`,
  blacklist: (version: number, part: number): string => `b:${version}:${part}`,
  productGroups: (version: number): string => `pg:${version}`,
  settings: (version: number): string => `s:${String(version).padStart(10, "0")}`,
  operation: (operationId: string): string => `o:${operationId}`,
  log: (first: number): string => `l:${String(first).padStart(16, "0")}`,
};

export const personOf = (documentId: string): string => documentId.slice(2);

export type { EntryDraft };
