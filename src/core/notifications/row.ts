/** Changes of the ledger that are made again when somebody else was faster. */
import { AppError } from "../errors.ts";
import type { Ledger, LedgerRow } from "./ports.ts";

export const newRow = (feed: string, connectionId: string, now: number): LedgerRow => ({
  feed,
  state: "gone",
  connections: [connectionId],
  subscriptionId: null,
  madeWith: null,
  expiresAt: null,
  renewAt: null,
  alarmAt: null,
  touchedAt: null,
  catchUp: false,
  reason: null,
  failures: 0,
  counters: { created: 0, renewed: 0, refused: 0 },
  busyUntil: 0,
  wakeAt: now,
});

const maxAttempts = 6;

/**
 * `change` is asked again for every row it meets: null removes it, and the row that it was given leaves it as it is. Returns the
 * row as it is now.
 */
export const changeRow = async (
  ledger: Ledger,
  feed: string,
  change: (row: LedgerRow | null) => LedgerRow | null,
): Promise<LedgerRow | null> => {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const known = await ledger.read(feed);
    const next = change(known);
    if (next === known) return known;
    const etag = known?._etag ?? null;
    if (next === null) {
      if (etag === null || (await ledger.remove(feed, etag))) return null;
    } else if (await ledger.put(next, etag)) return next;
  }
  throw new AppError("store-unavailable");
};
