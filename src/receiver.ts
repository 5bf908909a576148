/**
 * Wires the receiver of notifications by itself: Graph gives it three seconds, also on an instance that has just been started. It
 * builds nothing that `composition.ts` knows beside the queue, so neither database nor vault nor Microsoft can keep it from answering.
 */
import { queueAccount } from "./adapters/storage-queue/account.ts";
import { notificationSender } from "./adapters/storage-queue/notification-queue.ts";
import { configFromEnvironment } from "./config.ts";
import { type Receive, receive } from "./core/notifications/intake.ts";

let built: Receive | null | undefined;

/** Null: nothing has been subscribed to. */
export const receiver = (): Receive | null => {
  if (built !== undefined) return built;
  const { notificationKeys: keys, queue } = configFromEnvironment();
  built = keys && receive({ keys, queue: notificationSender(queueAccount(queue)), now: Date.now });
  return built;
};
