/** Commits the next state of a ring, which was planned from the one that is stored. */
import type { Ambient } from "../ambient.ts";
import { readHead } from "../connections/change.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError, isAppError } from "../errors.ts";
import { type Commit, commit } from "../store/commit.ts";
import { ids, type RingDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore, Write } from "../store/ports.ts";

export interface RingNeeds {
  ambient: Ambient;
  store: Pick<DirectoryStore, "read" | "write">;
  keys: Pick<Keys, "wrapping">;
}

export const readRing = async (needs: Pick<RingNeeds, "store">, connectionId: string): Promise<Stored<RingDoc>> => {
  const ring = await needs.store.read(connectionId, "ring", ids.ring);
  if (!ring) throw new AppError("key-missing");
  return ring;
};

/** False: the ring, or another document of the commit, has moved. Look again, and plan again. */
export const commitRing = async (
  needs: RingNeeds,
  from: Stored<RingDoc>,
  next: RingDoc,
  { writes = [], ...more }: Omit<Commit, "worker" | "ends"> = {},
): Promise<boolean> => {
  const head = await readHead(needs.store, from.connectionId);
  const replaced: Write = { op: "replace", doc: next, etag: from._etag };
  const { outcome } = await commit(needs, head, { ...more, writes: [replaced, ...writes] });
  return outcome === "committed";
};

/** Null: the key that wraps the ring was replaced by somebody else meanwhile, and is deleted already. */
export const unlessReplaced = async (
  needs: Pick<RingNeeds, "store">,
  { connectionId, generation }: RingDoc,
  next: Promise<RingDoc>,
): Promise<RingDoc | null> => {
  try {
    return await next;
  } catch (error) {
    if (!isAppError(error, "key-missing")) throw error;
    if ((await readRing(needs, connectionId)).generation === generation) throw error;
    return null;
  }
};

/** What somebody else's commit makes void is planned again so often at most. */
export const maxAttempts = 20;
