/** Queue messages. They name, never decide; the body is wrapped so that no key shadows trigger metadata. */
import { z } from "zod";

const id = z.string().regex(/^[0-9a-z]{26}$/);

export const HintMessage = z.strictObject({
  hint: z.strictObject({ connectionId: id, receivedAt: z.int().positive(), mail: id.optional() }),
});
export type HintMessage = z.infer<typeof HintMessage>;

export const syncQueue = "directory-sync";
export const deliveryQueue = "webhook-delivery";

/** The three things that Graph says about a subscription itself: https://learn.microsoft.com/graph/change-notifications-lifecycle-events */
export const lifecycleEvents = ["reauthorizationRequired", "subscriptionRemoved", "missed"] as const;

/** Something has changed in what a feed watches, or is the matter with its subscription. */
export const NotificationMessage = z.strictObject({
  notification: z.strictObject({
    /** See `feedKey`. */
    feed: z.string().max(120),
    receivedAt: z.int().positive(),
    /** Of a message that stands for several: when the first of them was received. */
    since: z.int().positive().optional(),
    lifecycle: z.strictObject({ event: z.enum(lifecycleEvents), subscriptionId: z.guid() }).optional(),
  }),
});
export type NotificationMessage = z.infer<typeof NotificationMessage>;

export const notificationQueue = "graph-notifications";

/** A subscription is to be looked at. */
export const SubscriptionMessage = z.strictObject({ subscription: z.strictObject({ feed: z.string().max(120) }) });
export type SubscriptionMessage = z.infer<typeof SubscriptionMessage>;

export const subscriptionQueue = "graph-subscriptions";
