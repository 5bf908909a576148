/**
 * Replaces the connection key. Nothing that the ring has sealed changes, so reads and syncs go on, and an instance that has the
 * ring in memory need not know.
 *
 *   1  the new key is laid into the ring, sealed by the old one; the document says to which generation it goes
 *   2  it is put into the vault
 *   3  it wraps the ring; the log tells of it in the same commit
 *   4  the old one is deleted, then the document says that it is done
 *
 * Whoever comes, goes on from what the document says. Who is at it at the same time sets the same key, and one commit of each wins.
 */
import type { FieldChange } from "../audit/entries.ts";
import { AppError } from "../errors.ts";
import type { EntryDraft, RingDoc, Stored } from "../store/documents.ts";
import { commitRing, maxAttempts, type RingNeeds, readRing, unlessReplaced } from "./ring-commit.ts";

/** Time for whoever begins something to come to its end before somebody else takes it up. */
export const graceMilliseconds = 60_000;

export type EntryFor = (changes: FieldChange[]) => EntryDraft;

/** Returns when the new key is in force and the old one deleted. A rotation that is under way is this one as well. */
export const rotate =
  (needs: RingNeeds) =>
  async (connectionId: string, entryFor: EntryFor): Promise<Stored<RingDoc>> => {
    const { generation } = await readRing(needs, connectionId);
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const ring = await readRing(needs, connectionId);
      if (ring.rotation || ring.generation !== generation) return await finishRotation(needs)(connectionId);
      await begin(needs, ring, entryFor);
    }
    throw new AppError("changed-meanwhile");
  };

const begin = async (needs: RingNeeds, ring: Stored<RingDoc>, entryFor: EntryFor): Promise<void> => {
  const { generation } = ring;
  if (generation === null) throw new AppError("state-conflict", { detail: "A draft has no key of its own yet." });
  if (ring.rekey) throw new AppError("state-conflict", { detail: "The keys are being replaced." });
  const to = generation + 1;
  const entry = entryFor([{ field: "generation", before: generation, after: to }]);
  const promised = await unlessReplaced(needs, ring, needs.keys.wrapping.promise(ring, to, entry));
  if (promised) await commitRing(needs, ring, { ...promised, careAt: needs.ambient.now() + graceMilliseconds });
};

export const finishRotation =
  (needs: RingNeeds) =>
  async (connectionId: string): Promise<Stored<RingDoc>> => {
    const { wrapping } = needs.keys;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const ring = await readRing(needs, connectionId);
      const { rotation, ...rest } = ring;
      if (!rotation) return ring;
      if (rotation.to !== ring.generation) {
        const promoted = await unlessReplaced(needs, ring, wrapping.promote(ring));
        if (promoted) await commitRing(needs, ring, promoted, { entries: [rotation.entry] });
      } else {
        await wrapping.discard(connectionId, rotation.to - 1);
        await commitRing(needs, ring, { ...rest, careAt: null });
      }
    }
    throw new AppError("changed-meanwhile");
  };
