/** What a message of the receiver sets off: rounds of those who are enlisted, and what Graph says of the subscription itself. */
import type { NotificationMessage } from "../jobs.ts";
import { parseFeed } from "./feed.ts";
import type { News } from "./mark.ts";
import { type NotifyNeeds, notify } from "./notify.ts";
import type { Ledger, LedgerRow } from "./ports.ts";
import { changeRow } from "./row.ts";
import type { Tended } from "./tend.ts";
import { challenged, gone } from "./upkeep.ts";

export interface PassOnNeeds extends NotifyNeeds {
  ledger: Ledger;
  tend(feed: string): Promise<Tended>;
}

/** For the log: counts of connections. */
export interface PassedOn {
  outcome: Tended | "notified";
  marked: number;
  answered: number;
}

export const passOn =
  (needs: PassOnNeeds) =>
  async ({ feed, receivedAt, since, lifecycle }: NotificationMessage["notification"]): Promise<PassedOn> => {
    const { ambient, ledger } = needs;
    const row = parseFeed(feed) ? await ledger.read(feed) : null;
    if (!row) return toNobody("unknown");
    if (!lifecycle) return await told(needs, row, { at: receivedAt, since: since ?? receivedAt });
    const { event, subscriptionId } = lifecycle;
    // Of an earlier one, or a stray: it says nothing of the one that counts.
    if (subscriptionId.toLowerCase() !== row.subscriptionId) return toNobody("unknown");
    if (event === "missed") return await told(needs, row, { at: receivedAt, since: null });
    const now = ambient.now();
    const change = event === "subscriptionRemoved" ? gone : challenged;
    const changed = await changeRow(ledger, feed, (fresh) =>
      fresh?.subscriptionId === row.subscriptionId ? change(fresh, now) : fresh,
    );
    return toNobody(changed && changed.wakeAt <= now ? await needs.tend(feed) : "nothing-due");
  };

const toNobody = (outcome: Tended): PassedOn => ({ outcome, marked: 0, answered: 0 });

const told = async (needs: PassOnNeeds, { connections }: LedgerRow, news: News): Promise<PassedOn> => ({
  outcome: "notified",
  ...(await notify(needs)(connections, news)),
});
