/**
 * Replaces the keys in a connection's ring after they may have become known: rare, and long. The index key stays, since every id
 * depends on it, and so does the log, since its chain is over what is stored (docs/decisions/0025). Reads and syncs go on.
 *
 *   rotated     first of all: whoever has the connection key would open the new ring as well
 *   announced   the new keys are in the ring, and only open
 *   spreading   they seal; until every instance has them, others may still seal with those before
 *   resealing   what those have sealed is sealed again, a page for each commit; where it is stands in the ring's document
 *
 * The former keys stay in the ring, and people's former keys with the people, until all that they open has expired.
 */
import { iso } from "../ambient.ts";
import { draftEntry } from "../audit/change-log.ts";
import { type KeyRing, keyRing, newRingKeys, type RingContent } from "../crypto/key-ring.ts";
import { AppError } from "../errors.ts";
import type { Rekey, RingDoc, Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { formerMilliseconds, type Resealing, resealedHead } from "./reseal.ts";
import { firstPosition, pageAt } from "./reseal-pages.ts";
import { commitRing, maxAttempts, type RingNeeds, readRing } from "./ring-commit.ts";
import { type EntryFor, rotate } from "./rotation.ts";

export interface RekeyNeeds extends RingNeeds {
  store: Pick<DirectoryStore, "read" | "write" | "load" | "list">;
}

/** Ten minutes for which an instance remembers a ring, ten for what it began with it, and as many again. */
export const spreadMilliseconds = 1_800_000;

/** Throws `state-conflict` for a draft, and while another one is under way. */
export const beginRekey =
  (needs: RekeyNeeds) =>
  async (connectionId: string, entryFor: EntryFor): Promise<Stored<RingDoc>> => {
    const { ambient, keys } = needs;
    await rotate(needs)(connectionId, entryFor);
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const ring = await readRing(needs, connectionId);
      if (ring.rekey || ring.rotation) throw new AppError("state-conflict", { detail: "The keys are being replaced." });
      const announced: RingDoc = {
        ...(await keys.wrapping.rewrap(ring, (content) => ({ ...content, next: newRingKeys(ambient) }))),
        rekey: { phase: "announced", startedAt: iso(ambient.now()), resealed: 0, at: null },
        careAt: ambient.now() + spreadMilliseconds,
      };
      const entry = entryFor([{ field: "rekey", before: null, after: "begun" }]);
      if (await commitRing(needs, ring, announced, { entries: [entry] })) return await readRing(needs, connectionId);
    }
    throw new AppError("changed-meanwhile");
  };

/** Goes on until it is through, has to wait, or `endsAt` has come. */
export const continueRekey =
  (needs: RekeyNeeds) =>
  async (connectionId: string, endsAt: number): Promise<void> => {
    const { ambient } = needs;
    let refused = 0;
    while (ambient.now() < endsAt && refused < maxAttempts) {
      const ring = await readRing(needs, connectionId);
      if (!ring.rekey || (ring.careAt ?? 0) > ambient.now()) return;
      if (!(await step(needs, ring, ring.rekey))) refused++;
    }
  };

const step = async (needs: RekeyNeeds, ring: Stored<RingDoc>, rekey: Rekey): Promise<boolean> => {
  const { wrapping } = needs.keys;
  const now = needs.ambient.now();
  if (rekey.phase === "announced")
    return await commitRing(needs, ring, {
      ...(await wrapping.rewrap(ring, (content) => takenOver(content, now))),
      rekey: { ...rekey, phase: "spreading" },
      careAt: now + spreadMilliseconds,
    });
  if (rekey.phase === "spreading")
    return await commitRing(needs, ring, { ...ring, rekey: { ...rekey, phase: "resealing", at: firstPosition } });
  return await resealPage(needs, ring, rekey);
};

/** Pure. */
const takenOver = ({ next, ...content }: RingContent, now: number): RingContent => {
  if (!next) throw new AppError("unexpected", { detail: "The ring brings no keys that could take over." });
  const { id, sealing, wrapping, former = [] } = content;
  const until = now + spreadMilliseconds + formerMilliseconds;
  return { ...content, ...next, former: [...former, { id, sealing, wrapping, until }] };
};

const resealPage = async (needs: RekeyNeeds, ring: Stored<RingDoc>, rekey: Rekey): Promise<boolean> => {
  const { ambient, store, keys } = needs;
  const { connectionId } = ring;
  // Not from the cache, which may be older than the keys.
  const by: Resealing = { ambient, ring: keyRing(await keys.wrapping.open(ring)), connectionId };
  const at = rekey.at ?? firstPosition;
  const { writes, next } = await pageAt(store, by, at);
  const done: Rekey = { ...rekey, at: next, resealed: rekey.resealed + writes.length };
  const isFirst = at.kind === firstPosition.kind && at.after === null;
  if (next)
    return await commitRing(
      needs,
      ring,
      { ...ring, rekey: done },
      {
        writes,
        ...(isFirst ? { advance: (head) => resealedHead(by, head) } : {}),
      },
    );
  const { rekey: _, ...rest } = ring;
  return await commitRing(
    needs,
    ring,
    { ...rest, careAt: null },
    { writes, entries: [endOf(needs, by.ring, ring, done)] },
  );
};

const endOf = ({ ambient }: RekeyNeeds, ring: KeyRing, { connectionId }: RingDoc, { resealed }: Rekey) =>
  draftEntry(ambient, ring, connectionId, {
    kind: "security",
    op: "updated",
    object: "keys",
    cause: "rekey",
    changes: [
      { field: "rekey", before: "begun", after: "done" },
      { field: "resealed", before: null, after: resealed },
    ],
  });
