/**
 * Keys above connections: the platform key (vault secret `platform-k<n>`) and what HKDF-SHA-256 derives from it, one key for
 * each purpose. A text says which generation sealed it, so an old generation keeps working until its last text has expired.
 */
import { hkdfSync } from "node:crypto";
import { AppError } from "../errors.ts";
import { contentKey } from "./key-ring.ts";
import { type ContentKey } from "./seal.ts";

export type PlatformPurpose = "handshake" | "access" | "cursor" | "draft";

export interface PlatformKeys {
  /** Generation that seals new texts. */
  current: number;
  /** Throws `key-missing` for a generation that is not there, or no longer. */
  derive(purpose: PlatformPurpose, generation: number): ContentKey;
}

const emptySalt = Buffer.alloc(0);

/** `generations` maps n to the 32 bytes of `platform-k<n>`. */
export const platformKeys = (
  generations: ReadonlyMap<number, Buffer>,
  current = Math.max(...generations.keys()),
): PlatformKeys => {
  const derived = new Map<string, ContentKey>();
  return {
    current,
    derive: (purpose, generation) => {
      const id = `${purpose}-${generation}`;
      const known = derived.get(id);
      if (known) return known;
      const master = generations.get(generation);
      if (!master) throw new AppError("key-missing", { detail: `Platform key ${generation} is not there.` });
      const key = contentKey(id, Buffer.from(hkdfSync("sha256", master, emptySalt, `m365-sync/${purpose}`, 32)));
      derived.set(id, key);
      return key;
    },
  };
};

/** The generation a platform-sealed text names in its key id (`cursor-2` -> 2); null when it is none of that purpose. */
export const platformGeneration = (keyId: string | null, purpose: PlatformPurpose): number | null => {
  if (!keyId?.startsWith(`${purpose}-`)) return null;
  const generation = Number(keyId.slice(purpose.length + 1));
  return Number.isSafeInteger(generation) && generation > 0 ? generation : null;
};
