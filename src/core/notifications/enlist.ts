/**
 * Brings the ledger level with what a connection wants. Head keeps what it is enlisted for and is written last, so whoever dies
 * in between is made good for by the next turn, or by whoever looks at the subscription and asks each connection.
 */
import type { Ambient } from "../ambient.ts";
import { isAppError } from "../errors.ts";
import type { ConnectionDoc } from "../store/documents.ts";
import type { Ledger, TendingQueue } from "./ports.ts";
import { changeRow, newRow } from "./row.ts";
import { feedsOf } from "./wanted.ts";

export interface EnlistNeeds {
  ambient: Ambient;
  ledger: Ledger;
  tending: TendingQueue;
  /** Of the registration whose feeds are subscribed to. */
  clientId: string;
}

/** Null: it is enlisted for what it wants. Otherwise what it is enlisted for now. */
export type Enlist = (doc: ConnectionDoc, enlisted: readonly string[]) => Promise<string[] | null>;

export const enlist =
  (needs: EnlistNeeds): Enlist =>
  async (doc, enlisted) => {
    const wanted = feedsOf(doc, needs.clientId);
    const joined = wanted.filter((feed) => !enlisted.includes(feed));
    const left = enlisted.filter((feed) => !wanted.includes(feed));
    if (joined.length + left.length === 0) return null;
    for (const feed of joined) await join(needs, feed, doc.connectionId);
    for (const feed of left) await leave(needs, feed, doc.connectionId);
    for (const feed of [...joined, ...left]) await tendNow(needs.tending, feed);
    return wanted;
  };

const join = ({ ledger, ambient }: EnlistNeeds, feed: string, connectionId: string): Promise<unknown> =>
  changeRow(ledger, feed, (row) => {
    const now = ambient.now();
    if (!row) return newRow(feed, connectionId, now);
    if (row.connections.includes(connectionId)) return row;
    // What was refused to the others may be granted since.
    const wakeAt = row.state === "live" ? row.wakeAt : Math.min(row.wakeAt, now);
    return { ...row, connections: [...row.connections, connectionId], wakeAt };
  });

/** The last one leaves an empty row behind, so that whoever looks at it takes the subscription back. */
const leave = ({ ledger, ambient }: EnlistNeeds, feed: string, connectionId: string): Promise<unknown> =>
  changeRow(ledger, feed, (row) => {
    if (!row?.connections.includes(connectionId)) return row;
    const connections = row.connections.filter((id) => id !== connectionId);
    return { ...row, connections, wakeAt: connections.length === 0 ? ambient.now() : row.wakeAt };
  });

/** The timer finds what is due also without a message. */
const tendNow = async (tending: TendingQueue, feed: string): Promise<void> => {
  try {
    await tending.send(feed);
  } catch (error) {
    if (!isAppError(error, "queue-unavailable")) throw error;
  }
};
