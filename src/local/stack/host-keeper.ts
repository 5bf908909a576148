/** Keeps one function host running: one that ends by itself is started again, later and later while it keeps ending. */
import { setTimeout as delay } from "node:timers/promises";
import type { ChildExtras } from "../child.ts";
import type { HostOptions } from "../host/host.ts";
import { type HostProcess, startHostProcess } from "../host/process.ts";

export interface KeptHost {
  /** The process that runs now, or the one that is about to. */
  running(): Promise<HostProcess>;
  /** SIGKILL. It is started again like after any other end. */
  kill(): Promise<void>;
  /** Ends in good order and starts anew; resolves when it runs again. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface HostEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  again: { inMs: number };
}

const firstPauseMs = 200;
const longestPauseMs = 30_000;
/** A host that ran this long was well: the pauses begin anew. */
const wellAfterMs = 60_000;

/** Rejects when the first start fails. */
export const keepHost = async (
  options: HostOptions,
  extra: ChildExtras,
  onEnd: (end: HostEnd) => void,
): Promise<KeptHost> => {
  const stopping = new AbortController();
  let endsInARow = 0;
  let isReplaced = false;

  const start = async (): Promise<HostProcess> => {
    const startedAt = Date.now();
    const host = await startHostProcess(options, extra);
    void replaceWhenEnded(host, startedAt);
    return host;
  };

  const replaceWhenEnded = async (host: HostProcess, startedAt: number): Promise<void> => {
    const { code, signal } = await host.exited;
    if (stopping.signal.aborted || isReplaced) return;
    endsInARow = Date.now() - startedAt > wellAfterMs ? 1 : endsInARow + 1;
    current = startAgain(code, signal);
  };

  const startAgain = async (code: number | null, signal: NodeJS.Signals | null): Promise<HostProcess> => {
    for (;;) {
      const inMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (endsInARow - 1));
      onEnd({ code, signal, again: { inMs } });
      await delay(inMs, undefined, { signal: stopping.signal });
      try {
        return await start();
      } catch {
        // Its own words are in the log already.
        endsInARow += 1;
      }
    }
  };

  let current = start();
  await current;
  return {
    running: () => current,
    kill: async () => {
      // Wished for: says nothing about how well the host runs.
      endsInARow = 0;
      await (await current).kill();
    },
    restart: async () => {
      const host = await current;
      isReplaced = true;
      await host.stop();
      isReplaced = false;
      current = start();
      await current;
    },
    stop: async () => {
      stopping.abort();
      // A start that is waiting for its turn ends with the abort.
      const host = await current.catch(() => null);
      await host?.stop();
    },
  };
};
