/**
 * What a run would change: one change per object, one per (group, person) pair. Everything here is pure.
 * A change names the version it was planned from; when it is applied, another version means that somebody was faster, and the
 * change is left to the next round.
 */
import { createHash } from "node:crypto";
import { canonicalJson, type Json } from "../canonical-json.ts";
import type { Settings } from "../connections/settings.ts";
import { type KeyRing, mac, personId } from "../crypto/key-ring.ts";
import type { PersonState } from "../store/documents.ts";
import type { RawObject } from "./ports.ts";
import { type GroupRecord, groupAttributes, overlay, type PersonRecord, personAttributes } from "./records.ts";
import { inScope, noMembership } from "./scope.ts";

export interface PersonChange {
  kind: "person";
  id: string;
  op: "create" | "update" | "revive" | "deactivate";
  from: string | null;
  to: string;
  /** Absent when the person is deactivated: the stored record stays as it is. */
  record?: PersonRecord;
  evidence?: string;
}

export interface GroupChange {
  kind: "group";
  id: string;
  op: "create" | "update" | "remove";
  from: string | null;
  to: string | null;
  record?: GroupRecord;
  evidence?: string;
}

/** Set operations on one group: repeating them changes nothing. Ids sorted; person ids and object ids of nested groups. */
export interface MembersChange {
  kind: "members";
  op: "add" | "remove";
  group: string;
  people: string[];
  children: string[];
  evidence?: string;
}

export type Change = PersonChange | GroupChange | MembersChange;

export interface KnownPerson {
  state: PersonState;
  hash: string;
  record: PersonRecord;
}

export interface KnownGroup {
  hash: string;
  record: GroupRecord;
}

export interface Planned<C> {
  change: C | null;
  /** Fields that Graph gives as empty and that keep their data. */
  kept: number;
}

export const contentHash = (ring: KeyRing, content: Json): string =>
  mac(ring, "content", canonicalJson(content)).toString("base64url");

export const personHash = (ring: KeyRing, record: PersonRecord): string =>
  contentHash(ring, { oid: record.oid, manager: record.manager, fields: record.fields });

export const groupHash = (ring: KeyRing, record: GroupRecord): string => contentHash(ring, { fields: record.fields });

/** State and content in one text: what a change is planned from and leads to. */
export const version = (state: PersonState, hash: string): string => `${state} ${hash}`;

/**
 * Manager after the feed's entries: the last live entry wins, an array without one means that there is no manager, no array
 * means that nothing was said.
 */
const managerAfter = (ring: KeyRing, object: RawObject, before: string | null): string | null => {
  if (object.manager === undefined) return before;
  const live = object.manager.filter((entry) => !entry.removed).at(-1);
  return live ? personId(ring, live.id) : null;
};

/**
 * @param known what is stored
 * @param complete the object is everything Graph has (full read, live read): a manager that is not mentioned is none
 * @param earlier what earlier occurrences of the object in the same round have made of the record
 */
export const planPerson = (
  ring: KeyRing,
  settings: Settings,
  known: KnownPerson | null,
  object: RawObject,
  complete: boolean,
  earlier: PersonRecord | null = null,
): Planned<PersonChange> => {
  const id = personId(ring, object.id);
  const from = known ? version(known.state, known.hash) : null;
  const leave = (evidence: string): Planned<PersonChange> =>
    known?.state === "active"
      ? {
          change: { kind: "person", id, op: "deactivate", from, to: version("deactivated", known.hash), evidence },
          kept: 0,
        }
      : { change: null, kept: 0 };
  if (object.removed) return leave(object.removed === "changed" ? "soft-deleted" : "deleted");
  if (known?.state === "erased") return { change: null, kept: 0 };

  const base = earlier ?? known?.record;
  const { fields, kept } = overlay(personAttributes, base?.fields, object.properties);
  const manager = managerAfter(ring, object, complete && !earlier ? null : (base?.manager ?? null));
  const record: PersonRecord = { oid: object.id, manager, fields };
  const decision = inScope(record, settings, noMembership);
  if (!decision.admitted) return leave(`scope: ${decision.rule}`);
  const to = version("active", personHash(ring, record));
  if (to === from) return { change: null, kept: kept.length };
  const op = known === null ? "create" : known.state === "active" ? "update" : "revive";
  return { change: { kind: "person", id, op, from, to, record }, kept: kept.length };
};

export const planGroup = (
  ring: KeyRing,
  known: KnownGroup | null,
  object: RawObject,
  earlier: GroupRecord | null = null,
): Planned<GroupChange> => {
  const from = known?.hash ?? null;
  if (object.removed)
    return {
      change: known
        ? {
            kind: "group",
            id: object.id,
            op: "remove",
            from,
            to: null,
            evidence: object.removed === "changed" ? "soft-deleted" : "deleted",
          }
        : null,
      kept: 0,
    };
  const { fields, kept } = overlay(groupAttributes, (earlier ?? known?.record)?.fields, object.properties);
  const record: GroupRecord = { fields };
  const to = groupHash(ring, record);
  if (to === from) return { change: null, kept: kept.length };
  return {
    change: { kind: "group", id: object.id, op: known ? "update" : "create", from, to, record },
    kept: kept.length,
  };
};

/** 28 bytes; what a change contributes to the plan's hash. Times, run ids and evidence are left out on purpose. */
export const planTerm = (ring: KeyRing, change: PersonChange | GroupChange): Buffer =>
  mac(
    ring,
    "plan",
    canonicalJson({ kind: change.kind, id: change.id, op: change.op, from: change.from, to: change.to }),
  ).subarray(0, termBytes);

export const edgeTerm = (ring: KeyRing, group: string, op: "add" | "remove", member: string): Buffer =>
  mac(ring, "plan", canonicalJson({ kind: "edge", group, op, member })).subarray(0, termBytes);

export const termBytes = 28;
const modulus = 1n << BigInt(termBytes * 8);

/** Sum of terms modulo 2^224: free of order, and a term can be taken out again. */
export class TermSum {
  #value: bigint;
  constructor(hex = "0") {
    this.#value = BigInt(`0x${hex}`);
  }
  add(term: Uint8Array): void {
    this.#value = (this.#value + toBigInt(term)) % modulus;
  }
  remove(term: Uint8Array): void {
    this.#value = (this.#value - toBigInt(term) + modulus) % modulus;
  }
  toString(): string {
    return this.#value.toString(16);
  }
}

const toBigInt = (term: Uint8Array): bigint =>
  BigInt(`0x${Buffer.from(term.buffer, term.byteOffset, term.length).toString("hex") || "0"}`);

export const planHash = (settingsVersion: number, counts: Readonly<Record<string, number>>, sum: TermSum): string =>
  createHash("sha256")
    .update(canonicalJson({ settingsVersion, counts, sum: sum.toString() }))
    .digest("hex");
