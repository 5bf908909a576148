/** Tells the connections that are enlisted what Graph has told, and looks after the subscription that a message names. */
import { app, type StorageQueueHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { NotificationMessage, notificationQueue, SubscriptionMessage, subscriptionQueue } from "../core/jobs.ts";
import { type Outcome, onMessage } from "./edge/trigger.ts";

export const passOnNotification = (cases: () => Pick<UseCases, "passOn">): StorageQueueHandler =>
  onMessage("graph-notifications-pass-on", NotificationMessage, async ({ notification }) => {
    const { feed, lifecycle } = notification;
    const passed = await cases().passOn(notification);
    return { feed, ...(lifecycle ? { lifecycle: lifecycle.event } : {}), ...passed, ...alarmOf(passed) };
  });

export const tendSubscription = (cases: () => Pick<UseCases, "tend">): StorageQueueHandler =>
  onMessage("graph-notifications-tend", SubscriptionMessage, async ({ subscription: { feed } }) => {
    const tended = { outcome: await cases().tend(feed) };
    return { feed, ...tended, ...alarmOf(tended) };
  });

const alarmOf = ({ outcome }: { outcome: string }): Outcome =>
  outcome === "overdue" ? { alarm: "subscription-overdue" } : {};

export const registerNotifications = (cases: () => UseCases): void => {
  const connection = "AzureWebJobsStorage";
  app.storageQueue("graph-notifications-pass-on", {
    queueName: notificationQueue,
    connection,
    handler: passOnNotification(cases),
  });
  app.storageQueue("graph-notifications-tend", {
    queueName: subscriptionQueue,
    connection,
    handler: tendSubscription(cases),
  });
};
