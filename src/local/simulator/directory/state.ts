/**
 * The interface of a simulated tenant's directory: what exists, and a change sequence from which the delta feeds are answered.
 * Everything that alters a directory goes through these methods, so that the change sequence, the journal on disk and the
 * oracle can never disagree.
 */

export interface SimUser {
  id: string;
  /** Graph properties as they are on the wire; a property that was never set is absent, a cleared one is null. */
  properties: Record<string, unknown>;
  managerId: string | null;
}

export type MemberType = "user" | "group" | "device" | "servicePrincipal" | "orgContact";

export interface SimGroup {
  id: string;
  properties: Record<string, unknown>;
  /** Member object id -> type. Users that are soft-deleted stay in here until they are purged, as in Entra ID. */
  members: Map<string, MemberType>;
}

/** One alteration; the journal on disk is a list of these and replaying it gives the same state. Ids are lower-case GUIDs.
 * `byRule` marks what a dynamic group's membership rule did: only such changes are accepted there, and nowhere else. */
export type Mutation =
  | { op: "create-user"; user: { id: string; properties: Record<string, unknown>; managerId?: string | null } }
  | { op: "update-user"; id: string; set: Record<string, unknown> }
  | { op: "set-manager"; id: string; managerId: string | null }
  | { op: "delete-user"; id: string }
  | { op: "restore-user"; id: string }
  | { op: "purge-user"; id: string }
  | { op: "create-group"; group: { id: string; properties: Record<string, unknown>; members?: [string, MemberType][] } }
  | { op: "update-group"; id: string; set: Record<string, unknown> }
  | { op: "delete-group"; id: string }
  | { op: "restore-group"; id: string }
  | { op: "purge-group"; id: string }
  | { op: "add-member"; groupId: string; memberId: string; memberType: MemberType; byRule?: boolean }
  | { op: "remove-member"; groupId: string; memberId: string; byRule?: boolean };

/** What a delta feed needs to know of one alteration. `sequence` grows by one for each. */
export interface Change {
  sequence: number;
  mutation: Mutation;
}

export interface DirectoryState {
  readonly users: ReadonlyMap<string, SimUser>;
  readonly groups: ReadonlyMap<string, SimGroup>;
  readonly deletedUsers: ReadonlyMap<string, SimUser & { deletedAt: number }>;
  /** Microsoft 365 groups only; security groups are deleted at once. */
  readonly deletedGroups: ReadonlyMap<string, SimGroup & { deletedAt: number }>;
  /** Sequence of the newest change; 0 for what the generator laid down. */
  readonly sequence: number;
  /** Applies one alteration, refusing what Entra would refuse (unknown id, duplicate UPN, cloud rules); returns its sequence. */
  apply(mutation: Mutation): number;
  /** Changes with `after < sequence <= upTo`, oldest first. */
  changesBetween(after: number, upTo: number): Iterable<Change>;
  /** Groups that contain the object directly. */
  groupsOf(memberId: string): ReadonlySet<string>;
}
