/**
 * Replaces the platform key. The new generation is put into the vault at once and seals half an hour later, when every instance
 * knows it. An old one stays until the last text under it has ended: handshakes and cursors end within the hour, records of the
 * access log after three years at most; the rings of drafts are wrapped anew when their time comes, and no key goes before them.
 */
import type { Ambient } from "../ambient.ts";
import { longestLogSeconds } from "../audit/retention.ts";
import { newKeyText } from "../crypto/key-ring.ts";
import { keyCacheMilliseconds } from "../crypto/keys.ts";
import {
  type Generation,
  leadMilliseconds,
  mayChangeGenerations,
  type PlatformNeeds,
  platformSecretName,
  readGenerations,
  writeGenerations,
} from "../crypto/platform-secrets.ts";
import { AppError } from "../errors.ts";
import type { DirectoryStore, SecretStore } from "../store/ports.ts";

export interface PlatformRotationNeeds extends PlatformNeeds {
  ambient: Ambient;
  secrets: SecretStore;
  store: Pick<DirectoryStore, "hasDraftWrappedBy">;
}

export interface PlatformCare {
  /** A generation was made. */
  made: number | null;
  /** Generations that were deleted. */
  deleted: number[];
}

const nothing: PlatformCare = { made: null, deleted: [] };

/** Pure: when the last instance may still have sealed under the generation before this one. */
const takenOverAt = ({ madeAt }: Generation): number => madeAt + leadMilliseconds + keyCacheMilliseconds;

/** The last record that was sealed under it has expired, and a day for clocks. */
export const keptMilliseconds = longestLogSeconds * 1000 + 86_400_000;

/** Makes a generation when the newest is older than `period`, ms, and deletes those that nothing needs any more. May be repeated. */
export const careForPlatformKey =
  (needs: PlatformRotationNeeds) =>
  async (period: number): Promise<PlatformCare> => {
    const { ambient, secrets } = needs;
    const now = ambient.now();
    const due = workOn(await readGenerations(secrets), now, period);
    if (!due || !(await mayChangeGenerations(needs))) return nothing;
    // Whoever had the turn before has done it.
    const listed = await readGenerations(secrets);
    const work = workOn(listed, now, period);
    if (!work) return nothing;
    if (!listed) {
      if ((await secrets.get(platformSecretName(1))) !== null) await writeGenerations(secrets, [{ n: 1, madeAt: now }]);
      return nothing;
    }
    const deleted = await ended(needs, work.over);
    const made = work.next === null ? [] : [await make(needs, work.next)];
    const kept = listed.filter(({ n }) => !deleted.includes(n));
    if (deleted.length + made.length > 0) await writeGenerations(secrets, [...kept, ...made]);
    return { made: made[0]?.n ?? null, deleted };
  };

interface Work {
  next: number | null;
  /** No longer needed, by time. */
  over: { n: number; until: number }[];
}

/** Pure. Null: nothing is to be done. Without a list it has to be begun: from then on the age of the key is known. */
const workOn = (listed: readonly Generation[] | null, now: number, period: number): Work | null => {
  if (!listed) return { next: null, over: [] };
  const newest = listed.at(-1);
  const next = newest && newest.madeAt + period <= now ? newest.n + 1 : null;
  const over = listed.flatMap(({ n }, index) => {
    const successor = listed[index + 1];
    const until = successor ? takenOverAt(successor) : now;
    return successor && until + keptMilliseconds <= now ? [{ n, until }] : [];
  });
  return next === null && over.length === 0 ? null : { next, over };
};

const make = async ({ ambient, secrets }: PlatformRotationNeeds, n: number): Promise<Generation> => {
  const name = platformSecretName(n);
  // It may be there, where somebody died before the list said so.
  if ((await secrets.get(name)) === null) await secrets.set(name, newKeyText(ambient));
  if ((await secrets.get(name)) === null) throw new AppError("keys-unavailable");
  return { n, madeAt: ambient.now() };
};

/** Deleted before the list says so: what the list names and is not there is left out by whoever loads it. */
const ended = async ({ secrets, store }: PlatformRotationNeeds, over: Work["over"]): Promise<number[]> => {
  const deleted: number[] = [];
  for (const { n, until } of over) {
    if (await store.hasDraftWrappedBy(until)) break;
    await secrets.delete(platformSecretName(n));
    deleted.push(n);
  }
  return deleted;
};
