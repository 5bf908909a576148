/** The queue service in a process of its own: `startChild<QueuesOptions, QueuesReady>(new URL("./queues/main.ts", ...), {...})`. */
import { serveChild } from "../child.ts";
import { type QueuesOptions, startQueues } from "./azurite.ts";

export interface QueuesReady {
  connectionString: string;
}

serveChild(async (options: QueuesOptions) => {
  const queues = await startQueues(options);
  const ready: QueuesReady = { connectionString: queues.connectionString };
  return { ready, close: () => queues.close() };
});
