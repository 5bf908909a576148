/** What the API shows of the subscriptions that tell a connection of changes. */
import type { Head } from "../store/documents.ts";
import { type FeedResource, parseFeed } from "./feed.ts";
import type { Ledger, LedgerRow, Refusal } from "./ports.ts";

/** `waiting`: it is being made. Whatever the state, the schedule goes on. */
export interface SubscriptionView {
  resource: FeedResource;
  state: "waiting" | "live" | "refused";
  /** Why Microsoft refused it. */
  reason: Refusal | null;
}

export const viewSubscriptions = async (
  ledger: Pick<Ledger, "read">,
  { enlisted = [] }: Pick<Head, "enlisted">,
): Promise<SubscriptionView[]> => {
  const rows = await Promise.all(enlisted.map((feed) => ledger.read(feed)));
  return rows.flatMap((row) => {
    const feed = row && parseFeed(row.feed);
    return feed ? [{ resource: feed.resource, state: shownState(row), reason: row.reason }] : [];
  });
};

const shownState = ({ state }: LedgerRow): SubscriptionView["state"] =>
  state === "live" || state === "refused" ? state : "waiting";
