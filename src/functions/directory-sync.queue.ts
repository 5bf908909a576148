/** Works on the connection that a hint names, if there is anything to do. */
import { app, type StorageQueueHandler } from "@azure/functions";
import type { UseCases } from "../composition.ts";
import { HintMessage, syncQueue } from "../core/jobs.ts";
import { onMessage } from "./edge/trigger.ts";

export const workOnHint = (cases: () => Pick<UseCases, "work">): StorageQueueHandler =>
  onMessage("directory-sync-work", HintMessage, async ({ hint }) => ({
    connection: hint.connectionId,
    outcome: await cases().work(hint),
  }));

export const registerWork = (cases: () => UseCases): void =>
  app.storageQueue("directory-sync-work", {
    queueName: syncQueue,
    connection: "AzureWebJobsStorage",
    handler: workOnHint(cases),
  });
