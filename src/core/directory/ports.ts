/** What the domain needs of a directory. Pages come one at a time; `@odata` links are opaque texts of the adapter. */
import type { Settings } from "../connections/settings.ts";
import type { ConnectionContext } from "../context.ts";

export type Feed = "groups" | "users";

/** An object of a feed as Graph sent it; `id` is always present and lower case. */
export interface RawObject {
  id: string;
  /** Present when the object is gone: soft-deleted (`changed`) or for ever (`deleted`). */
  removed?: "changed" | "deleted";
  /** Properties that were in the answer, absent ones absent. */
  properties: Record<string, unknown>;
  /** Entries of `members@delta` or `manager@delta`; absent when the answer had none. */
  members?: { id: string; type: string; removed: boolean }[];
  manager?: { id: string; removed: boolean }[];
}

export interface FeedPage {
  objects: RawObject[];
  /** Exactly one of the two is a link. */
  next: string | null;
  delta: string | null;
}

export interface MembersPage {
  members: { id: string; type: string }[];
  next: string | null;
}

/**
 * Throws, beside what `errors.ts` says of Graph: `CursorExpired` when a stored link is no longer honoured (410 and all its
 * disguises). Every method takes the tenant from the connection.
 */
export interface DirectorySource {
  /** `link` null asks for a first full read. */
  page(connection: ConnectionContext, feed: Feed, link: string | null): Promise<FeedPage>;
  members(connection: ConnectionContext, groupId: string, link: string | null): Promise<MembersPage>;
  /** For each id: true = there, false = proven absent (404), missing from the map = not known (any other answer). */
  present(connection: ConnectionContext, feed: Feed, ids: readonly string[]): Promise<Map<string, boolean>>;
  /** Current objects with their manager; null = proven absent; missing from the map = not known. */
  people(connection: ConnectionContext, ids: readonly string[]): Promise<Map<string, RawObject | null>>;
  /** Object ids of all that the people are direct members of; nothing of somebody who is not there; missing from the map = not known. */
  memberOf(connection: ConnectionContext, ids: readonly string[]): Promise<Map<string, ReadonlySet<string>>>;
  /** Current groups without their members; null = proven absent; missing from the map = not known. */
  groups(connection: ConnectionContext, ids: readonly string[]): Promise<Map<string, RawObject | null>>;
  /** Requests sent for this connection since the process started; for the counts of a run. */
  requests(connectionId: string): number;
  /** The property lists that the feeds ask for under these settings; links made with another list need a full read. */
  selection(settings: Pick<Settings, "attributes">): Record<Feed, string>;
}

/** The stored link is dead: a full read is needed. Stays inside the sync. */
export class CursorExpired extends Error {
  constructor(reason: string) {
    super(`the delta link is no longer honoured: ${reason}`);
    this.name = "CursorExpired";
  }
}

/** An object as a look-up finds it. */
export type FoundObject = Pick<RawObject, "id" | "properties">;

/** How somebody is named who is asked for live. Addresses need not be unique. */
export type PersonKey = { oid: string } | { mail: string } | { userPrincipalName: string };

/**
 * Live look-ups for somebody who waits; their callers store nothing of the answers. Throws what `errors.ts` says of Graph. Every
 * method takes the tenant from the connection.
 */
export interface DirectorySearch {
  /** People with these words in their name, or whose mail or sign-in name begins with the text; in no order, at most `limit`. */
  people(
    connection: ConnectionContext,
    query: { text: string; limit: number; properties: readonly string[] },
  ): Promise<FoundObject[]>;
  /** Groups with these words in their name, or whose mail begins with the text. */
  groups(connection: ConnectionContext, query: { text: string; limit: number }): Promise<FoundObject[]>;
  /** Whom Graph knows by exactly this key, at most ten. */
  named(connection: ConnectionContext, key: PersonKey, properties: readonly string[]): Promise<FoundObject[]>;
  /** Object ids of the groups that people are in, directly or (`nested`) through other groups; people whom Graph proves unknown are left out. */
  groupsOf(
    connection: ConnectionContext,
    people: readonly string[],
    membership: "direct" | "nested",
  ): Promise<Map<string, ReadonlySet<string>>>;
}
