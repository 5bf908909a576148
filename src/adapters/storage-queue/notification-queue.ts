/** What Graph has told, on its way to whoever knows the subscriptions. Graph waits three seconds and sends again what it gets no answer to. */
import { notificationQueue } from "../../core/jobs.ts";
import type { NotificationQueue } from "../../core/notifications/intake.ts";
import type { QueueAccount } from "./account.ts";
import { messageQueue } from "./message-queue.ts";

export const notificationSender = (account: QueueAccount): NotificationQueue =>
  messageQueue(account, notificationQueue, { tries: 2, milliseconds: 2000 });
