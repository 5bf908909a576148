/** Subscriptions that are to be looked at. A message that is lost is sent again by the timer. */
import { type SubscriptionMessage, subscriptionQueue } from "../../core/jobs.ts";
import type { TendingQueue } from "../../core/notifications/ports.ts";
import type { QueueAccount } from "./account.ts";
import { messageQueue } from "./message-queue.ts";

export const tendingQueue = (account: QueueAccount): TendingQueue => {
  const queue = messageQueue(account, subscriptionQueue, { tries: 3, milliseconds: 20_000 });
  return {
    send: (feed) => {
      const message: SubscriptionMessage = { subscription: { feed } };
      return queue.send(message);
    },
  };
};
