/** The timer's work for subscriptions: a message for each that is due. It also repairs what somebody who died has left. */
import type { Ambient } from "../ambient.ts";
import type { Ledger, TendingQueue } from "./ports.ts";

const messagesPerTick = 500;

export const wakeSubscriptions =
  ({ ambient, ledger, tending }: { ambient: Ambient; ledger: Pick<Ledger, "due">; tending: TendingQueue }) =>
  async (): Promise<number> => {
    const due = await ledger.due(ambient.now(), messagesPerTick);
    for (const feed of due) await tending.send(feed);
    return due.length;
  };
