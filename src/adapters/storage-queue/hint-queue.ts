/** Hints for workers. One that is sent twice or lost does no harm. */
import { type HintMessage, syncQueue } from "../../core/jobs.ts";
import type { HintQueue } from "../../core/store/ports.ts";
import type { QueueAccount } from "./account.ts";
import { messageQueue } from "./message-queue.ts";

export const hintQueue = (account: QueueAccount, name: string = syncQueue): HintQueue => {
  const queue = messageQueue(account, name, { tries: 3, milliseconds: 20_000 });
  return {
    send: (hint, delaySeconds) => {
      const message: HintMessage = { hint };
      return queue.send(message, delaySeconds);
    },
  };
};
