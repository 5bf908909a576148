/** Tells the vendor's endpoints that the connection a hint names has changes. */
import { app, type StorageQueueHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { deliveryQueue, HintMessage } from "../core/jobs.ts";
import { onMessage } from "./edge/trigger.ts";

export const deliverOnHint = (cases: () => Pick<UseCases, "deliver">): StorageQueueHandler =>
  onMessage("webhook-delivery", HintMessage, async ({ hint }) => {
    const { died, ...counts } = await cases().deliver(hint);
    return { connection: hint.connectionId, ...counts, ...(died > 0 ? { alarm: "webhook-dead", died } : {}) };
  });

export const registerDelivery = (cases: () => UseCases): void =>
  app.storageQueue("webhook-delivery", {
    queueName: deliveryQueue,
    connection: "AzureWebJobsStorage",
    handler: deliverOnHint(cases),
  });
