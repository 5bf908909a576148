/**
 * What the domain needs of a database. All methods throw `store-unavailable` when the database does not answer usefully, after
 * the adapter's own short retries; a write whose outcome is not known throws `UnknownOutcome` and nothing else does.
 */
import type { Sealed } from "../crypto/seal.ts";
import type { DirectoryDoc, DocOf, Head, Kind, Stored } from "./documents.ts";

declare const onlySealedAnew: unique symbol;
/** Nothing but ciphertexts differ from what was stored: no change that the log would have to tell of. Made by `resealedWrite` only. */
export type Resealed = true & { readonly [onlySealedAnew]: true };

/** Replace and delete carry the ETag of the very document they were planned from; a create never overwrites. */
export type Write = (
  | { op: "create"; doc: DirectoryDoc }
  | { op: "replace"; doc: DirectoryDoc; etag: string; resealed?: Resealed }
  | { op: "delete"; id: string; etag: string }
) & {
  /** Bytes by which the partition grows; absent: the size of what is created. */
  grows?: number;
};

/** The document stays as it is and goes after so many seconds: for what is never changed and is no longer in use. */
export type Expiry = { op: "expire"; id: string; ttlSeconds: number; grows?: number };

export type WriteOutcome =
  /** ETag of the first document of the batch, which is head. */
  | { ok: true; headEtag: string }
  /** Nothing was written. `index` is the first write that was refused: 0 = head moved (or is missing). */
  | { ok: false; index: number; reason: "changed" | "exists" | "missing" };

/** The connection broke after a write was sent: it may or may not have happened. */
export class UnknownOutcome extends Error {
  constructor(cause: unknown) {
    super("the outcome of a write is not known", { cause });
    this.name = "UnknownOutcome";
  }
}

export interface Page<T> {
  items: T[];
  /** Opaque; null = no more. */
  next: string | null;
}

/** Whether a person is linked to a user of the product. */
export type LinkState = "linked" | "unmatched";

export type ListedKind =
  | "person"
  | "group"
  | "members"
  | "marker"
  | "run"
  | "blacklist"
  | "product-groups"
  | "settings"
  | "operation";

/** One connection's documents. Every call names the connection; there is no call that spans two. */
export interface DirectoryStore {
  read<K extends Kind>(connectionId: string, kind: K, id: string): Promise<Stored<DocOf<K>> | null>;
  /** Documents by id, missing ones left out; any number of ids. */
  load<K extends Kind>(connectionId: string, kind: K, ids: readonly string[]): Promise<Map<string, Stored<DocOf<K>>>>;
  /** State of people by document id (`u:...`), missing ones left out; cheaper than `load`. */
  personStates(connectionId: string, ids: readonly string[]): Promise<Map<string, string>>;
  /** All or nothing, in one transaction, in the order given; at most 100 writes and 2 MB. Head's replace is the first. */
  write(connectionId: string, writes: readonly (Write | Expiry)[]): Promise<WriteOutcome>;
  /** One conditional patch: takes the lease when it is free at `now`; the new head, or null when somebody holds it. */
  claim(connectionId: string, claim: { owner: string; now: number; leaseUntil: number }): Promise<Stored<Head> | null>;
  /** Documents of a kind in id order (`run` and `settings`: newest first), after `after` (an id). */
  list<K extends ListedKind>(
    connectionId: string,
    kind: K,
    options: { after?: string; limit: number; state?: string; link?: LinkState; shown?: boolean },
  ): Promise<Stored<DocOf<K>>[]>;
  /** People who are synchronised and have this blind index; at most `limit`. */
  peopleByIndex(
    connectionId: string,
    index: "mailIndex" | "upnIndex",
    value: string,
    limit: number,
  ): Promise<Stored<DocOf<"person">>[]>;
  /** By index value: how many people are synchronised who have it. */
  countByIndex(
    connectionId: string,
    index: "mailIndex" | "upnIndex",
    values: readonly string[],
  ): Promise<Map<string, number>>;
  /** People of this state (absent: deactivated) who left before this time, who left first first. */
  leftBefore(
    connectionId: string,
    time: string,
    limit: number,
    state?: "deactivated" | "removed",
  ): Promise<Stored<DocOf<"person">>[]>;
  /** Ids only, in id order. */
  listIds(
    connectionId: string,
    kind: "person" | "group",
    options: { after?: string; limit: number },
  ): Promise<string[]>;
  /** Log documents whose last entry is after `after`, oldest first. */
  log(connectionId: string, after: number, limit: number): Promise<Stored<DocOf<"log">>[]>;
  /** Log documents whose last entry is `through` or before, newest first; with `person` those that tell of this one. */
  logBackwards(
    connectionId: string,
    options: { through: number; limit: number; person?: string },
  ): Promise<Stored<DocOf<"log">>[]>;
  /** When the first entry after `after` was recorded; null when there is none. */
  loggedAt(connectionId: string, after: number): Promise<string | null>;
  /** Object ids of the groups whose shards contain the person. */
  groupsOf(connectionId: string, personId: string): Promise<string[]>;
  /** Object ids of the groups that are shown and in which the group lies. */
  groupsAround(connectionId: string, groupId: string): Promise<string[]>;
  /** Of every connection that has a log: how far it has come. Without a connection, like the next four. */
  heads(): Promise<{ connectionId: string; sequence: number; chain: string }[]>;
  /** Connections whose head's `wakeAt` has come. */
  due(now: number, limit: number): Promise<string[]>;
  /** Connections whose head's `retireAt` has come. */
  dueToRetire(now: number, limit: number): Promise<string[]>;
  /** Connections whose head's `reviewAt` has come. */
  dueToReview(now: number, limit: number): Promise<string[]>;
  /** Connections whose ring's `careAt` has come, and those of which nothing was put off and the ring was wrapped before. */
  dueForKeyCare(now: number, wrappedBefore: number, limit: number): Promise<string[]>;
  /** Whether the ring of any draft was wrapped at this time or before. */
  hasDraftWrappedBy(time: number): Promise<boolean>;
  /** Connections with an operation whose `checkAt` has come. */
  dueToCheck(now: number, limit: number): Promise<string[]>;
  /** Connections whose head's `tellAt` has come. */
  dueToTell(now: number, limit: number): Promise<string[]>;
  /** Sets `tellAt`, if head still has what was `seen` of it (null: in any case). False when it has moved on. */
  tellNext(
    connectionId: string,
    tellAt: number | null,
    seen: { sequence: number; tellAt: number } | null,
  ): Promise<boolean>;
}

/** Row of the index `connections`: which connections a workspace has. Written before the connection itself. */
export interface ConnectionRow {
  id: string;
  workspaceId: string;
  /** Keyed hash of the lower-case name, unique per workspace. */
  nameIndex: string;
  createdAt: string;
}

export interface ConnectionIndex {
  create(row: ConnectionRow): Promise<void>;
  read(workspaceId: string, connectionId: string): Promise<ConnectionRow | null>;
  list(workspaceId: string, options: { after?: string; limit: number }): Promise<ConnectionRow[]>;
  rename(workspaceId: string, connectionId: string, nameIndex: string): Promise<void>;
  remove(workspaceId: string, connectionId: string): Promise<void>;
}

/** A program of the product that follows a connection's change feed. */
export interface ConsumerRow {
  name: string;
  /** It has applied every change up to this number. */
  sequence: number;
  /** When it last said so, ms. */
  seenAt: number;
}

/** Container `state`, one logical partition for the consumers of a connection. A row nobody writes any more goes with the log. */
export interface ConsumerStore {
  /** In the order of their names. */
  list(connectionId: string): Promise<ConsumerRow[]>;
  read(connectionId: string, name: string): Promise<Stored<ConsumerRow> | null>;
  /** Without `etag` the row is new. False when somebody else was faster. */
  put(connectionId: string, row: ConsumerRow, etag: string | null): Promise<boolean>;
  remove(connectionId: string, name: string): Promise<void>;
}

/** Staged parts of a run; container `work`, pk run id. Writing a part again replaces it; two workers never share an id. */
export interface WorkStore {
  put(runId: string, part: { id: string; kind: "chunk" | "seen"; content: Sealed<unknown> | string }): Promise<void>;
  get(runId: string, id: string): Promise<string | null>;
  drop(runId: string): Promise<void>;
}

/** Consent, sign-in and one-time codes; id = SHA-256 of the secret. */
export interface HandshakeDoc {
  id: string;
  kind: "connect" | "code" | "sso";
  /** Checked in code; TTL only cleans up. */
  expiresAt: number;
  state: string;
  /** Of a used code of the sign-in: id of the access token it was redeemed for. */
  issued?: string;
  content: Sealed<unknown>;
  ttl: number;
}

export interface HandshakeStore {
  create(doc: HandshakeDoc): Promise<void>;
  read(id: string): Promise<Stored<HandshakeDoc> | null>;
  /** False when somebody else moved it first: the handshake was used. */
  replace(doc: Stored<HandshakeDoc>): Promise<boolean>;
  /** True for the first who asks for this id, false for everybody else until the time is over. */
  claim(id: string, ttlSeconds: number): Promise<boolean>;
}

/** Container `shared`: which connections of a tenant offer sign-in. Only a hint: whether one does is in its own document. */
export interface TenantIndex {
  connectionsOf(tid: string): Promise<string[]>;
  add(tid: string, connectionId: string): Promise<void>;
  remove(tid: string, connectionId: string): Promise<void>;
}

/** One record of a request that read personal data or was refused; container `access`. */
export interface AccessStore {
  append(doc: { id: string; pk: string; at: string; ttl: number; content: Sealed<unknown> }): Promise<void>;
  /** Newest first, of the ids from `from` on and before `before`. */
  listBackwards(
    pk: string,
    options: { from: string; before: string; limit: number },
  ): Promise<{ id: string; at: string; content: Sealed<unknown> }[]>;
  list(
    pk: string,
    options: { after?: string; limit: number },
  ): Promise<{ id: string; at: string; content: Sealed<unknown> }[]>;
}

/** What connections to the same tenant share: pauses that Microsoft Graph asked for. Times in ms. */
export interface SharedStore {
  pauseUntil(key: string): Promise<number>;
  /** Only ever extends. */
  pause(key: string, until: number): Promise<void>;
}

/** Vault secrets by name. Values are base64url of 32 bytes for keys. */
export interface SecretStore {
  /** Null when there is no such secret. */
  get(name: string): Promise<string | null>;
  set(name: string, value: string): Promise<void>;
  delete(name: string): Promise<void>;
}

/** A hint names something that may have work; it never decides anything. */
export interface HintQueue {
  send(hint: Hint, delaySeconds?: number): Promise<void>;
}

/** `mail`: not the connection has work, but the mail of this run. */
export type Hint = { connectionId: string; receivedAt: number; mail?: string | undefined };
