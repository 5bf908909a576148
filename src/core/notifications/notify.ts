/** Passes on that something has changed: a mark in the head of every connection that is enlisted, and a hint. Decides nothing. */
import type { Ambient } from "../ambient.ts";
import { hintIn } from "../connections/change-settings.ts";
import { commit } from "../store/commit.ts";
import { ids } from "../store/documents.ts";
import type { DirectoryStore, HintQueue } from "../store/ports.ts";
import { marked, type News, secondsTo } from "./mark.ts";
import { wantsNotifications } from "./wanted.ts";

export interface NotifyNeeds {
  ambient: Ambient;
  store: Pick<DirectoryStore, "read" | "write">;
  hints: HintQueue;
}

/** Numbers of connections. */
export interface Told {
  marked: number;
  /** A round that began later has answered it already, or nothing is to be told at present. */
  answered: number;
}

export const notify =
  (needs: NotifyNeeds) =>
  async (connections: readonly string[], news: News): Promise<Told> => {
    let count = 0;
    for (const connectionId of connections) if (await notifyOne(needs, connectionId, news)) count++;
    return { marked: count, answered: connections.length - count };
  };

const notifyOne = async (needs: NotifyNeeds, connectionId: string, { at, since }: News): Promise<boolean> => {
  const { ambient, store } = needs;
  const doc = await store.read(connectionId, "connection", ids.connection);
  if (!doc || !wantsNotifications(doc)) return false;
  const head = await store.read(connectionId, "head", ids.head);
  const now = ambient.now();
  // The clock of whoever received it may be ahead.
  const news = { at: Math.min(at, now), since: since && Math.min(since, now) };
  if (!head || marked(head, news, now) === null) return false;
  const result = await commit(needs, head, { advance: (fresh) => marked(fresh, news, now) ?? fresh });
  if (result.outcome !== "committed") return false;
  // While a run is under way each would wait for its end, and all of them would come back with every lease.
  if (!result.head.run) await hintIn(needs, connectionId, secondsTo(result.head, now));
  return true;
};
