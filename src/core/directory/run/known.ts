/** Opens what is stored of a person or a group. */
import { type KeyRing, openPersonKey } from "../../crypto/key-ring.ts";
import { open } from "../../crypto/seal.ts";
import type { DocOf, Stored } from "../../store/documents.ts";
import { groupPlace, personPlace } from "../places.ts";
import { type KnownGroup, type KnownPerson, versionOf } from "../plan.ts";
import { underAttributes } from "../records.ts";
import type { Round } from "./round.ts";

export const knownPerson = (ring: KeyRing, doc: Stored<DocOf<"person">>): KnownPerson => {
  const id = doc.id.slice(2);
  const opened = (record: NonNullable<typeof doc.record>) =>
    open(openPersonKey(ring, doc.connectionId, id, doc.key), personPlace(doc.connectionId, id), record);
  return {
    version: versionOf(doc),
    state: doc.state,
    left: doc.state === "active" && doc.leftAt !== null,
    hash: doc.hash,
    record: doc.record && opened(doc.record),
  };
};

/** The stored record was made under the settings of the last round. */
export const underSettings = (
  { links, connection, cursor }: Pick<Round, "links" | "connection" | "cursor">,
  person: KnownPerson,
): KnownPerson => {
  if (!cursor.full.users || !links || !person.record) return person;
  return { ...person, base: underAttributes(person.record, links.basis.attributes, connection.settings.attributes) };
};

export const knownGroup = (ring: KeyRing, doc: Stored<DocOf<"group">>): KnownGroup => ({
  hash: doc.hash,
  record: open(ring.sealing, groupPlace(doc.connectionId, doc.id.slice(2)), doc.record),
});
