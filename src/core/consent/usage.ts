/** When a tier was last used, to the day: what an administrator asks before taking a permission back. */
import { type Ambient, iso } from "../ambient.ts";
import type { Tier } from "../connections/tiers.ts";
import { AppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import { type Head, ids } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";

export interface UsageNeeds {
  ambient: Ambient;
  store: Pick<DirectoryStore, "read" | "write">;
}

const dayOf = (instant: number): string => iso(instant).slice(0, 10);

/** One write a day at most. It is worth no failure of what used the tier. */
export const noteUse =
  ({ ambient, store }: UsageNeeds) =>
  async (connectionId: string, tier: Tier): Promise<void> => {
    const day = dayOf(ambient.now());
    try {
      const head = await store.read(connectionId, "head", ids.head);
      if (!head || head.usedOn?.[tier] === day) return;
      await commit({ ambient, store }, head, {
        advance: (fresh) => ({ ...fresh, usedOn: { ...fresh.usedOn, [tier]: day } }),
      });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
    }
  };

/** Runs tell it of reading: each uses all of what the tier may do. Null: never, or not within what is known. */
export const lastUse = ({ usedOn, lastRound }: Pick<Head, "usedOn" | "lastRound">, tier: Tier): string | null =>
  tier === "read" && lastRound ? dayOf(lastRound.endedAt) : (usedOn?.[tier] ?? null);
