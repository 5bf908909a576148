/**
 * Messages in Azure Storage queues. The SDK does not encode, the Functions host decodes base64: a message in clear would go to the
 * poison queue unread.
 */
import { QueueServiceClient } from "@azure/storage-queue";
import { AppError } from "../../core/errors.ts";
import type { QueueAccount } from "./account.ts";

export interface MessageQueue {
  /** Throws `queue-unavailable`. */
  send(message: object, delaySeconds?: number): Promise<void>;
}

export interface Patience {
  tries: number;
  /** For all tries together. */
  milliseconds: number;
}

const longestDelaySeconds = 7 * 24 * 3600;

/** How long a message stays after it has become visible; by then `wakeAt` has done what it was for. */
const lifeSeconds = 24 * 3600;

export const messageQueue = (account: QueueAccount, name: string, { tries, milliseconds }: Patience): MessageQueue => {
  const options = { retryOptions: { maxTries: tries, retryDelayInMs: 200, maxRetryDelayInMs: 1000 } };
  const service =
    "connectionString" in account
      ? QueueServiceClient.fromConnectionString(account.connectionString, options)
      : new QueueServiceClient(account.queueServiceUri, account.credential, options);
  const queue = service.getQueueClient(name);

  return {
    send: async (message, delaySeconds = 0) => {
      const visibilityTimeout = Math.min(Math.max(Math.ceil(delaySeconds), 0), longestDelaySeconds);
      const abortSignal = AbortSignal.timeout(milliseconds);
      const send = () =>
        queue.sendMessage(Buffer.from(JSON.stringify(message)).toString("base64"), {
          visibilityTimeout,
          // Counts from now, and the service refuses a message that would end before it is seen.
          messageTimeToLive: visibilityTimeout + lifeSeconds,
          abortSignal,
        });
      try {
        await send().catch(async (error: unknown) => {
          if (statusOf(error) !== 404) throw error;
          await queue.createIfNotExists({ abortSignal });
          await send();
        });
      } catch (error) {
        const status = statusOf(error);
        const kind = error instanceof Error ? error.name : "unknown";
        throw new AppError("queue-unavailable", {
          cause: new Error(`Storage queue: ${typeof status === "number" ? status : kind}`),
        });
      }
    },
  };
};

const statusOf = (error: unknown): unknown =>
  error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
