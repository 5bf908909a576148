/** Starts the function host as a child process, so that it can be restarted, stopped or killed like an instance in Azure. */
import { type Child, type ChildExtras, startChild } from "../child.ts";
import type { Host, HostOptions } from "./host.ts";

export type HostReady = Pick<Host, "url" | "tlsUrl" | "functions">;

export interface HostProcess extends Omit<Child<HostReady>, "ready">, HostReady {
  /** Runs a timer (or, without a message, a queue function) now and waits for it; rejects when it fails. */
  invokeTimer(name: string): Promise<void>;
}

export const startHostProcess = async (options: HostOptions, extra?: ChildExtras): Promise<HostProcess> => {
  // What offers a connection string may offer more, e.g. to close it: that cannot travel to another process.
  const { connectionString } = options.queues;
  const { ready, ...child } = await startChild<HostOptions, HostReady>(
    new URL("./main.ts", import.meta.url),
    { ...options, queues: { connectionString } },
    extra,
  );
  return {
    ...child,
    ...ready,
    invokeTimer: async (name) => {
      const answer = await fetch(`${ready.url}/admin/functions/${name}`, { method: "POST", body: '{"input":""}' });
      if (answer.status !== 202) throw new Error(`${name} failed: see the host's log.`);
    },
  };
};
