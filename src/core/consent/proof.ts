/** The proof of an approval: who approved, sealed in its place; unconfirmed until the product has redeemed the code. */
import type { Ambient } from "../ambient.ts";
import type { Tier } from "../connections/tiers.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { open, type Place, seal } from "../crypto/seal.ts";
import { ids, type ProofDoc, type Stored } from "../store/documents.ts";
import type { Write } from "../store/ports.ts";
import { handshakeMilliseconds } from "./handshakes.ts";

export type ProvenAdministrator = { oid: string; name: string; userPrincipalName: string };

/** Of somebody whose approval nobody confirms, nothing is to stay: as long as the code that stands for it, and some clock skew. */
const unconfirmedSeconds = (2 * handshakeMilliseconds) / 1000;

const placeIn = (connectionId: string, document: string): Place => ({
  container: "directory",
  partition: connectionId,
  document,
  fields: "administrator",
});

export const administratorPlace = (connectionId: string, tier: Tier): Place => placeIn(connectionId, ids.proof(tier));

export const openAdministrator = (ring: KeyRing, { connectionId, id, administrator }: ProofDoc): ProvenAdministrator =>
  open(ring.sealing, placeIn(connectionId, id), administrator);

type Facts = Omit<ProofDoc, "id" | "kind" | "v" | "ttl" | "administrator">;

export const unconfirmedProof = (
  ambient: Ambient,
  ring: KeyRing,
  facts: Facts,
  administrator: ProvenAdministrator,
): ProofDoc => {
  const id = ids.unconfirmedProof(facts.tier);
  const sealed = seal(ambient, ring.sealing, placeIn(facts.connectionId, id), administrator);
  return { ...facts, id, kind: "proof", v: 1, ttl: unconfirmedSeconds, administrator: sealed };
};

/** The unconfirmed proof takes the place of the one that was in force, if there was one. */
export const confirmation = (
  ambient: Ambient,
  ring: KeyRing,
  unconfirmed: Stored<ProofDoc>,
  before: Stored<ProofDoc> | null,
): Write[] => {
  const { _etag, ttl: _, ...proof } = unconfirmed;
  const place = administratorPlace(proof.connectionId, proof.tier);
  const administrator = seal(ambient, ring.sealing, place, openAdministrator(ring, unconfirmed));
  const doc: ProofDoc = { ...proof, id: ids.proof(proof.tier), administrator };
  return [
    before ? { op: "replace", doc, etag: before._etag } : { op: "create", doc },
    { op: "delete", id: unconfirmed.id, etag: _etag },
  ];
};
