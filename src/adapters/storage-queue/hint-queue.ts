/**
 * Hints by Azure Storage queues. The SDK does not encode, the Functions host decodes base64: a message in clear would go to the
 * poison queue unread. A hint that is sent twice or lost does no harm.
 */
import type { TokenCredential } from "@azure/identity";
import { QueueServiceClient } from "@azure/storage-queue";
import { AppError } from "../../core/errors.ts";
import { type HintMessage, syncQueue } from "../../core/jobs.ts";
import type { HintQueue } from "../../core/store/ports.ts";

export type HintQueueOptions = { connectionString: string } | { queueServiceUri: string; credential: TokenCredential };

const longestDelaySeconds = 7 * 24 * 3600;

/** How long a hint stays after it has become visible; by then `wakeAt` has sent others. */
const lifeSeconds = 24 * 3600;

const callTimeoutMs = 10_000;
const clientOptions = { retryOptions: { maxTries: 3, retryDelayInMs: 200, maxRetryDelayInMs: 1000 } };

export const hintQueue = (options: HintQueueOptions, name: string = syncQueue): HintQueue => {
  const service =
    "connectionString" in options
      ? QueueServiceClient.fromConnectionString(options.connectionString, clientOptions)
      : new QueueServiceClient(options.queueServiceUri, options.credential, clientOptions);
  const queue = service.getQueueClient(name);

  return {
    send: async (hint, delaySeconds = 0) => {
      const message: HintMessage = { hint };
      const visibilityTimeout = Math.min(Math.max(Math.ceil(delaySeconds), 0), longestDelaySeconds);
      const send = () =>
        queue.sendMessage(Buffer.from(JSON.stringify(message)).toString("base64"), {
          visibilityTimeout,
          // Counts from now, and the service refuses a message that would end before it is seen.
          messageTimeToLive: visibilityTimeout + lifeSeconds,
          abortSignal: AbortSignal.timeout(callTimeoutMs),
        });
      try {
        await send().catch(async (error: unknown) => {
          if (statusOf(error) !== 404) throw error;
          await queue.createIfNotExists({ abortSignal: AbortSignal.timeout(callTimeoutMs) });
          await send();
        });
      } catch (error) {
        const status = statusOf(error);
        const name = error instanceof Error ? error.name : "unknown";
        throw new AppError("queue-unavailable", {
          cause: new Error(`Storage queue: ${typeof status === "number" ? status : name}`),
        });
      }
    },
  };
};

const statusOf = (error: unknown): unknown =>
  error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
