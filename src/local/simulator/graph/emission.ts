/** The unit of a delta round: one appearance of one object. What it holds is read from the directory when its page is made. */
import type { MemberType } from "../directory/state.ts";

export interface MembershipChange {
  memberId: string;
  type: MemberType;
  removed: boolean;
}

interface Placed {
  /** Place in the round. Keys are values, not positions: a round made again after a restart continues behind the same key. */
  key: string;
  id: string;
}

export type Emission =
  | (Placed & { kind: "tombstone"; reason: "changed" | "deleted" })
  /** Everything selected, relationships included: new, restored, or met in an initial round. */
  | (Placed & { kind: "whole"; lateMembers: boolean })
  | (Placed & {
      kind: "changed";
      /** Names of the properties that changed. */
      changed: ReadonlySet<string>;
      memberships: MembershipChange[];
      /** Tells again what an earlier round told: only what still holds. */
      replay: boolean;
    });

export interface EmissionSource {
  /** In the order of their keys, beginning behind `last`. */
  after(last: string | null): Iterable<Emission>;
}
