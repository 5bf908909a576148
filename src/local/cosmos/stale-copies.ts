/**
 * Stale reads: what a second client may see under session consistency. A reader whose session token is older than a write is given
 * the version before it, a set number of times for each write, so that a reader who tries again gets on.
 */
import type { Version } from "./collection.ts";
import type { CosmosFaults } from "./faults.ts";

export interface Place {
  container: string;
  partitionKey: string;
  id: string;
}

export interface StaleCopies {
  wanted(): boolean;
  /** `previous` is null when the document was not there. */
  remember(place: Place, previous: Version | null, writtenAt: number): void;
  /** undefined: the reader sees the present. */
  take(place: Place, readerHasSeen: number): { previous: Version | null } | undefined;
}

interface Copy {
  previous: Version | null;
  writtenAt: number;
  servings: number;
}

export const staleCopies = (faults: CosmosFaults): StaleCopies => {
  const copies = new Map<string, Copy>();
  return {
    wanted: () => faults.staleReads > 0,
    remember: (place, previous, writtenAt) => {
      copies.set(nameOf(place), { previous, writtenAt, servings: faults.staleReads });
    },
    take: (place, readerHasSeen) => {
      if (faults.staleReads === 0) return undefined;
      const name = nameOf(place);
      const copy = copies.get(name);
      if (!copy || copy.writtenAt <= readerHasSeen) return undefined;
      copy.servings--;
      if (copy.servings <= 0) copies.delete(name);
      return { previous: copy.previous };
    },
  };
};

const nameOf = ({ container, partitionKey, id }: Place): string => [container, partitionKey, id].join("\u0000");
