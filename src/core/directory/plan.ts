/**
 * What a run would change: one change per object, one per (group, person) pair. Everything here is pure.
 * A change names the version it was planned from; when it is applied, another version means that somebody was faster, and the
 * change is left to the next round.
 */
import { createHash } from "node:crypto";
import { canonicalJson, type Json } from "../canonical-json.ts";
import type { Settings } from "../connections/settings.ts";
import { type KeyRing, mac, personId } from "../crypto/key-ring.ts";
import type { PersonDoc, PersonState } from "../store/documents.ts";
import type { Blacklist } from "./blacklist.ts";
import type { GroupRole } from "./group-roles.ts";
import type { RawObject } from "./ports.ts";
import { factsOf, type GroupRecord, overlayGroup, overlayPerson, type PersonRecord } from "./records.ts";
import { inScope, type Standing } from "./scope.ts";

export interface PersonChange {
  kind: "person";
  id: string;
  /** `keep`: left, and the settings say that such people stay as they are. */
  op: "create" | "update" | "revive" | "deactivate" | "keep";
  from: string | null;
  to: string;
  /** Only what the scope decides by has changed, and the product does not see that. */
  silent?: true;
  /** Absent when the person leaves: the stored record stays as it is. */
  record?: PersonRecord;
  evidence?: string;
}

export interface GroupChange {
  kind: "group";
  /** Of the document: for a group that is shown, its object id. */
  id: string;
  role: GroupRole;
  /** Object id of a group that is only a filter; id of a product group. */
  of: string | null;
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
  version: string;
  state: PersonState;
  /** Out of the scope, and kept all the same. */
  left: boolean;
  hash: string;
  /** Null: removed, and nothing but a stub is left. */
  record: PersonRecord | null;
  /** What of the record is still worth laying something over, where that is not all. */
  base?: PersonRecord;
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

/** Whom a plan admits: the settings, and the list of people whom they leave out by name. */
export interface Rules {
  settings: Settings;
  blacklist: Blacklist;
}

const contentHash = (ring: KeyRing, content: Json): string =>
  mac(ring, "content", canonicalJson(content)).toString("base64url");

export const personHash = (ring: KeyRing, { oid, manager, fields, known }: PersonRecord): string =>
  contentHash(ring, { fields, known, manager, oid });

export const groupHash = (ring: KeyRing, record: GroupRecord): string => contentHash(ring, { fields: record.fields });

/** State and content in one text: what a change is planned from and leads to. */
const version = (state: PersonState | "kept", hash: string): string => `${state} ${hash}`;
export const hashIn = (text: string): string => text.slice(text.indexOf(" ") + 1);

export const versionOf = ({ state, hash, leftAt }: Pick<PersonDoc, "state" | "hash" | "leftAt">): string =>
  version(state === "active" && leftAt !== null ? "kept" : state, hash);

/**
 * Manager after the feed's entries: the last live entry wins, an array without one means that there is no manager, no array
 * means that nothing was said.
 */
const managerAfter = (ring: KeyRing, object: RawObject, before: string | null): string | null => {
  if (object.manager === undefined) return before;
  const live = object.manager.filter((entry) => !entry.removed).at(-1);
  return live ? personId(ring, live.id) : null;
};

/** What becomes of somebody who has left the scope, or Entra ID. */
export const planLeaving = (
  { leaving }: Pick<Settings, "leaving">,
  id: string,
  known: KnownPerson | null,
  evidence: string,
): PersonChange | null => {
  if (known?.state !== "active") return null;
  const change = { kind: "person", id, from: known.version, evidence } as const;
  if (leaving.rule !== "keep") return { ...change, op: "deactivate", to: version("deactivated", known.hash) };
  return known.left ? null : { ...change, op: "keep", to: version("kept", known.hash) };
};

/** Of somebody who is synchronised and could not be read anew: what another property gave is no value of the field. */
export const planWithoutFormer = (ring: KeyRing, id: string, known: KnownPerson): PersonChange | null => {
  const record = known.base;
  if (!record || known.state !== "active" || known.left) return null;
  const to = version("active", personHash(ring, record));
  return to === known.version ? null : { kind: "person", id, op: "update", from: known.version, to, record };
};

/**
 * @param known what is stored
 * @param complete the object is everything Graph has (full read, live read): what is not mentioned is empty
 * @param earlier what earlier occurrences of the object in the same round have made of the record
 */
export const planPerson = (
  ring: KeyRing,
  { settings, blacklist }: Rules,
  standing: Standing,
  known: KnownPerson | null,
  object: RawObject,
  complete: boolean,
  earlier: PersonRecord | null = null,
): Planned<PersonChange> => {
  const id = personId(ring, object.id);
  const leave = (evidence: string): Planned<PersonChange> => ({
    change: planLeaving(settings, id, known, evidence),
    kept: 0,
  });
  if (object.removed) return leave(object.removed === "changed" ? "soft-deleted" : "deleted");
  if (known?.state === "erased") return { change: null, kept: 0 };

  const base = earlier ?? known?.base ?? known?.record ?? null;
  const {
    fields,
    known: facts,
    kept,
  } = overlayPerson(settings.attributes, base, object.properties, complete && !earlier);
  const manager = managerAfter(ring, object, complete && !earlier ? null : (base?.manager ?? null));
  const record: PersonRecord = { oid: object.id, manager, fields, known: facts };
  const decision = inScope(factsOf(record), settings, blacklist, standing);
  if (!decision.admitted) return leave(`scope: ${decision.rule}`);
  const to = version("active", personHash(ring, record));
  const from = known?.version ?? null;
  if (to === from) return { change: null, kept };
  const op = known === null ? "create" : known.state === "active" && !known.left ? "update" : "revive";
  const before = op === "update" ? (known?.record ?? null) : null;
  // Whoever was let in on the strength of this account has to hear of it, whatever the product sees of it otherwise.
  const isOff = before !== null && isSwitchedOff(before, record);
  const silent = before !== null && !isOff && isSameToTheProduct(before, record);
  const why = isOff ? { evidence: accountDisabled } : silent ? { silent: true as const } : {};
  return { change: { kind: "person", id, op, from, to, ...why, record }, kept };
};

/** Of somebody who stays synchronised all the same. */
export const accountDisabled = "account-disabled";

const isSwitchedOff = (before: PersonRecord, after: PersonRecord): boolean =>
  factsOf(before).accountEnabled !== false && factsOf(after).accountEnabled === false;

const isSameToTheProduct = (one: PersonRecord, other: PersonRecord): boolean =>
  one.manager === other.manager && canonicalJson(one.fields) === canonicalJson(other.fields);

/** Which document a group is, in one connection. */
export type GroupIdentity = Pick<GroupChange, "id" | "role" | "of">;

export const planGroup = (
  ring: KeyRing,
  identity: GroupIdentity,
  known: KnownGroup | null,
  object: Pick<RawObject, "properties">,
  earlier: GroupRecord | null = null,
): Planned<GroupChange> => {
  const from = known?.hash ?? null;
  const { fields, kept } = overlayGroup((earlier ?? known?.record)?.fields, object.properties);
  const record: GroupRecord = { fields: identity.role === "shown" ? fields : visibilityOf(fields) };
  const to = groupHash(ring, record);
  if (to === from) return { change: null, kept };
  return { change: { kind: "group", ...identity, op: known ? "update" : "create", from, to, record }, kept };
};

/** All that is kept of a group that is never shown: whether its list of members can be believed. */
const visibilityOf = ({ visibility }: GroupRecord["fields"]): GroupRecord["fields"] =>
  visibility === undefined ? {} : { visibility };

export const planGroupRemoval = (identity: GroupIdentity, known: KnownGroup, evidence: string): GroupChange => ({
  kind: "group",
  ...identity,
  op: "remove",
  from: known.hash,
  to: null,
  evidence,
});

/** 28 bytes; what a change contributes to the plan's hash. Times, run ids and evidence are left out on purpose. */
export const planTerm = (ring: KeyRing, change: PersonChange | GroupChange): Buffer =>
  mac(
    ring,
    "plan",
    canonicalJson({ from: change.from, id: change.id, kind: change.kind, op: change.op, to: change.to }),
  ).subarray(0, termBytes);

export const edgeTerm = (ring: KeyRing, group: string, op: "add" | "remove", member: string): Buffer =>
  mac(ring, "plan", canonicalJson({ group, kind: "edge", member, op })).subarray(0, termBytes);

export const termBytes = 28;

/** Sum of terms modulo 2^224: free of order, and a term can be taken out again. */
export class TermSum {
  /** Big-endian. */
  readonly #sum: Buffer;
  constructor(hex = "0") {
    this.#sum = Buffer.from(hex.padStart(termBytes * 2, "0"), "hex");
  }
  add(term: Uint8Array): void {
    this.#lay(term, 1);
  }
  remove(term: Uint8Array): void {
    this.#lay(term, -1);
  }
  /** Hexadecimal, without leading zeros. */
  toString(): string {
    return this.#sum.toString("hex").replace(/^0+(?=.)/, "");
  }
  #lay(term: Uint8Array, sign: 1 | -1): void {
    let carry = 0;
    for (let at = termBytes - 1; at >= 0; at--) {
      const byte = (this.#sum[at] ?? 0) + sign * (term[at] ?? 0) + carry;
      this.#sum[at] = byte & 0xff;
      carry = byte >> 8;
    }
  }
}

export const planHash = (settingsVersion: number, counts: Readonly<Record<string, number>>, sum: TermSum): string =>
  createHash("sha256")
    .update(canonicalJson({ settingsVersion, counts, sum: sum.toString() }))
    .digest("hex");
