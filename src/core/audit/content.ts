/**
 * The sealed content of an entry, opened as far as it can be. Nobody can tell a key that is gone from a key id that somebody has
 * altered; what only the connection itself seals has never lost its key, so there it is an alteration.
 */
import type { ConnectionContext } from "../context.ts";
import { type KeyRing, openPersonKey } from "../crypto/key-ring.ts";
import { type ContentKey, isSealedUnder, SealBroken, sealedUnder } from "../crypto/seal.ts";
import type { PersonDoc } from "../store/documents.ts";
import { openChanges } from "./change-log.ts";
import { type EntryDraft, type FieldChange, personIn } from "./entries.ts";

/** `erased`: there is none any more. `unreadable`: it is there, and was altered. */
export type PersonKey = ContentKey | "erased" | "unreadable";

export interface OpenedContent {
  content: "open" | "erased" | "unreadable";
  changes: FieldChange[];
}

/** Null when what was to be opened has been altered. */
export const unlessBroken = <T>(opening: () => T): T | null => {
  try {
    return opening();
  } catch (error) {
    if (error instanceof SealBroken) return null;
    throw error;
  }
};

export const personKeyOf = (
  ring: KeyRing,
  connectionId: string,
  personId: string,
  doc: Pick<PersonDoc, "state" | "key"> | null,
): PersonKey => {
  if (!doc?.key || doc.state === "erased") return "erased";
  return unlessBroken(() => openPersonKey(ring, connectionId, personId, doc.key)) ?? "unreadable";
};

/** `person`: the key of the person whom the entry is about. */
export const contentOf = (
  { ring, connectionId }: Pick<ConnectionContext, "ring" | "connectionId">,
  entry: EntryDraft,
  person: PersonKey = "erased",
): OpenedContent => {
  if (!entry.changes) return { content: "open", changes: [] };
  const sealed = entry.changes;
  const key = [ring.sealing, person].find((one) => typeof one === "object" && isSealedUnder(one, sealed));
  if (typeof key === "object") {
    const changes = unlessBroken(() => openChanges(key, connectionId, entry));
    return changes ? { content: "open", changes } : { content: "unreadable", changes: [] };
  }
  // A person who was erased and came back has a new key, which opens nothing of before.
  const isGone = personIn(entry) !== null && person !== "unreadable" && sealedUnder(sealed)?.startsWith("p-");
  return { content: isGone ? "erased" : "unreadable", changes: [] };
};
