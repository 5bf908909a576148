/** The timer's work: a hint for every connection whose time has come. It starts, resumes and repairs everything. */
import type { Ambient } from "../ambient.ts";
import type { DirectoryStore, HintQueue } from "../store/ports.ts";

const hintsPerTick = 5000;
/** Hints of one tick are spread, so that a thousand connections that are due at once do not start at once. */
const spreadSeconds = 30;

export const wake =
  ({
    ambient,
    store,
    hints,
  }: {
    ambient: Ambient;
    store: Pick<DirectoryStore, "due" | "dueToRetire" | "dueToReview">;
    hints: HintQueue;
  }) =>
  async (): Promise<number> => {
    const now = ambient.now();
    const lists = await Promise.all(
      [store.due, store.dueToRetire, store.dueToReview].map((list) => list(now, hintsPerTick)),
    );
    const due = [...new Set(lists.flat())];
    for (const [index, connectionId] of due.entries()) {
      const delay = due.length <= 20 ? 0 : Math.floor((index * spreadSeconds) / due.length);
      await hints.send({ connectionId, receivedAt: now }, delay);
    }
    return due.length;
  };
