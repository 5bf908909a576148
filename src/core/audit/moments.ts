/** From a time to a place in the change log. Times are those of the commits, as the clocks of the instances had them. */
import type { DirectoryStore } from "../store/ports.ts";

export interface TimeRange {
  /** Milliseconds; recorded at this time or later. */
  from: number | null;
  /** Recorded before this time. */
  to: number | null;
}

/** How many entries were recorded before this time: found by halving, some twenty small reads in a log of a million entries. */
const entriesBefore = async (
  store: Pick<DirectoryStore, "loggedAt">,
  { connectionId, sequence }: { connectionId: string; sequence: number },
  time: number,
): Promise<number> => {
  let [low, high] = [0, sequence];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const at = await store.loggedAt(connectionId, middle);
    if (at === null || Date.parse(at) >= time) high = middle;
    else low = middle + 1;
  }
  return low;
};

/** Entries after `after`, up to and with `through`; both stand between two commits. */
export const entriesBetween = async (
  store: Pick<DirectoryStore, "loggedAt">,
  head: { connectionId: string; sequence: number },
  { from, to }: TimeRange,
): Promise<{ after: number; through: number }> => ({
  after: from === null ? 0 : await entriesBefore(store, head, from),
  through: to === null ? head.sequence : await entriesBefore(store, head, to),
});
