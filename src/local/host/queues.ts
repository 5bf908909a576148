/**
 * Queue triggers: receives in batches, hides what is being handled and renews that, deletes on success, gives back on failure and
 * sets aside in `<queue>-poison` what failed too often. Delivery is at least once and in no order.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type QueueClient, QueueServiceClient, type ReceivedMessageItem, RestError } from "@azure/storage-queue";
import type { Invoke } from "./invocation.ts";
import { type Log, messageOf } from "./log.ts";
import { decodeText, toTriggerInput } from "./queue-message.ts";
import type { QueueSettings } from "./settings.ts";
import type { Triggered } from "./triggers.ts";

export interface QueueListener {
  /** Receives no more; resolves when what was received is handled. */
  close(): Promise<void>;
}

const shortestPollMs = 100;
const longestQueueName = 63;
/** After a failed renewal the next is tried sooner, but not sooner than this (or half the lease, if that is shorter). */
const shortestRenewalMs = 60_000;

export const listenToQueue = (
  target: Triggered<"queue">,
  connectionString: string,
  settings: QueueSettings,
  invoke: Invoke,
  log: Log,
): QueueListener => {
  const { queueName } = target.trigger;
  const service = QueueServiceClient.fromConnectionString(connectionString);
  const queue = service.getQueueClient(queueName);
  const poisonName = `${queueName}-poison`;
  const hasPoison = !queueName.endsWith("-poison") && poisonName.length <= longestQueueName;
  const poison = hasPoison ? service.getQueueClient(poisonName) : undefined;
  const closing = new AbortController();
  const inFlight = new Set<Promise<void>>();

  const warn = (message: string): void => log({ level: "warning", functionName: target.metadata.name, message });

  const handle = async (message: ReceivedMessageItem): Promise<void> => {
    const body = decodeText(message.messageText, settings.messageEncoding);
    if (body === undefined) {
      warn(`message ${message.messageId} is not ${settings.messageEncoding}`);
      return setAside(queue, poison, message, message.popReceipt);
    }
    if (poison && message.dequeueCount > settings.maxDequeueCount) {
      return setAside(queue, poison, message, message.popReceipt);
    }
    const lease = keepHidden(queue, message, settings.invisibilitySeconds, warn);
    const succeeded = await invoke(target, toTriggerInput(message, body)).then(
      () => true,
      () => false,
    );
    const popReceipt = await lease.end();
    if (succeeded) return ifStillOurs(queue.deleteMessage(message.messageId, popReceipt));
    if (!poison) return; // It stays hidden until its lease ends.
    if (message.dequeueCount >= settings.maxDequeueCount) return setAside(queue, poison, message, popReceipt);
    const { visibilityTimeoutSeconds } = settings;
    return ifStillOurs(queue.updateMessage(message.messageId, popReceipt, undefined, visibilityTimeoutSeconds));
  };

  const receive = async (): Promise<ReceivedMessageItem[]> => {
    try {
      const received = await queue.receiveMessages({
        numberOfMessages: settings.batchSize,
        visibilityTimeout: settings.invisibilitySeconds,
        abortSignal: closing.signal,
      });
      return received.receivedMessageItems;
    } catch (error) {
      if (!closing.signal.aborted && codeOf(error) !== "QueueNotFound") warn(`cannot receive: ${messageOf(error)}`);
      return [];
    }
  };

  const poll = async (): Promise<void> => {
    let emptyPolls = 0;
    while (!closing.signal.aborted) {
      const messages = await receive();
      for (const message of messages) {
        const handling = handle(message)
          .catch((error: unknown) => warn(`message ${message.messageId}: ${messageOf(error)}`))
          .finally(() => inFlight.delete(handling));
        inFlight.add(handling);
      }
      while (inFlight.size > settings.newBatchThreshold) await Promise.race(inFlight);
      emptyPolls = messages.length > 0 ? 0 : emptyPolls + 1;
      if (emptyPolls > 0) await pause(pollDelayMs(emptyPolls, settings.maxPollingIntervalMs), closing.signal);
    }
  };

  const polling = poll();
  return {
    close: async () => {
      closing.abort();
      await polling;
      await Promise.all(inFlight);
    },
  };
};

/** Doubles with each poll that found nothing, give or take a fifth, up to the maximum. */
const pollDelayMs = (emptyPolls: number, maximumMs: number): number => {
  const jitter = 0.8 + Math.random() * 0.4;
  return Math.min(maximumMs, shortestPollMs * jitter * 2 ** Math.min(emptyPolls - 1, 20));
};

/**
 * Renews the lease of a message at half its life. Each renewal gives a new pop receipt, the only one that counts from then on:
 * `end` answers it.
 */
const keepHidden = (
  queue: QueueClient,
  message: ReceivedMessageItem,
  seconds: number,
  warn: (message: string) => void,
): { end(): Promise<string> } => {
  const halfLifeMs = (seconds * 1000) / 2;
  const ended = new AbortController();
  let popReceipt = message.popReceipt;

  const renew = async (): Promise<void> => {
    let waitMs = halfLifeMs;
    while (await pause(waitMs, ended.signal)) {
      try {
        const renewed = await queue.updateMessage(message.messageId, popReceipt, undefined, seconds);
        popReceipt = renewed.popReceipt ?? popReceipt;
        waitMs = halfLifeMs;
      } catch (error) {
        warn(`cannot renew message ${message.messageId}: ${messageOf(error)}`);
        if (isLost(error)) return;
        waitMs = Math.min(halfLifeMs, Math.max(waitMs / 2, shortestRenewalMs));
      }
    }
  };

  const renewing = renew();
  return {
    end: async () => {
      ended.abort();
      await renewing;
      return popReceipt;
    },
  };
};

/** The copy has the text only: a new id, a new age, no count. */
const setAside = async (
  queue: QueueClient,
  poison: QueueClient | undefined,
  message: ReceivedMessageItem,
  popReceipt: string,
): Promise<void> => {
  if (poison) {
    await poison.createIfNotExists();
    await poison.sendMessage(message.messageText);
  }
  await ifStillOurs(queue.deleteMessage(message.messageId, popReceipt));
};

/** Somebody else has the message by now, or it is gone: what was to be done with it is theirs. */
const ifStillOurs = async (operation: Promise<unknown>): Promise<void> => {
  try {
    await operation;
  } catch (error) {
    if (!isLost(error)) throw error;
  }
};

const isLost = (error: unknown): boolean => ["MessageNotFound", "PopReceiptMismatch"].includes(codeOf(error) ?? "");

const codeOf = (error: unknown): string | undefined => (error instanceof RestError ? error.code : undefined);

/** False when it was cut short. */
const pause = async (milliseconds: number, signal: AbortSignal): Promise<boolean> => {
  try {
    await sleep(milliseconds, undefined, { signal });
    return true;
  } catch {
    return false;
  }
};
