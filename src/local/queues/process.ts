/** Starts the queue service as a child process. */
import { type Child, type ChildExtras, startChild } from "../child.ts";
import type { QueuesOptions } from "./azurite.ts";
import type { QueuesReady } from "./main.ts";

export interface QueuesProcess extends Omit<Child<QueuesReady>, "ready">, QueuesReady {}

export const startQueuesProcess = async (options: QueuesOptions, extra?: ChildExtras): Promise<QueuesProcess> => {
  const { ready, ...child } = await startChild<QueuesOptions, QueuesReady>(
    new URL("./main.ts", import.meta.url),
    options,
    extra,
  );
  return { ...child, ...ready };
};
