/** Counts and times what goes through the ports of the app. Costs a few microseconds for each call, none for each document. */
import type { DirectorySource } from "../src/core/directory/ports.ts";
import type { DirectoryDoc, Kind } from "../src/core/store/documents.ts";
import type { DirectoryStore, WorkStore } from "../src/core/store/ports.ts";

export interface Meter {
  /** Documents written by kind of document, head and log included; deletions count. */
  written: Partial<Record<Kind | "deleted", number>>;
  /** By port and method, e.g. `store.write`. Calls under way at the same time count each. */
  calls: Map<string, { count: number; milliseconds: number }>;
  /** Called after each call of a port: for whoever samples memory. */
  onCall: (() => void) | null;
  /** Gets the documents of each commit. */
  onCommit: ((docs: DirectoryDoc[]) => void) | null;
}

export const newMeter = (): Meter => ({ written: {}, calls: new Map(), onCall: null, onCommit: null });

export const reset = (meter: Meter): void => {
  meter.written = {};
  meter.calls = new Map();
};

export const writtenInAll = ({ written }: Meter): number =>
  Object.values(written).reduce((sum, count) => sum + count, 0);

export const callsOf = ({ calls }: Meter, method: string): number => calls.get(method)?.count ?? 0;

export type Port = "graph" | "store" | "work";

export const waitedFor = ({ calls }: Meter, port: Port): number => {
  let sum = 0;
  for (const [method, { milliseconds }] of calls) if (method.startsWith(`${port}.`)) sum += milliseconds;
  return sum;
};

/** The port with every asynchronous method timed. */
const metered = <P extends object>(name: Port, port: P, meter: Meter): P =>
  new Proxy(port, {
    get: (target, method, receiver) => {
      const value: unknown = Reflect.get(target, method, receiver);
      if (typeof value !== "function") return value;
      return (...given: unknown[]): unknown => {
        const answer: unknown = Reflect.apply(value, target, given);
        return answer instanceof Promise ? timed(meter, `${name}.${String(method)}`, answer) : answer;
      };
    },
  });

const timed = async <T>(meter: Meter, method: string, answer: Promise<T>): Promise<T> => {
  const began = performance.now();
  try {
    return await answer;
  } finally {
    const call = meter.calls.get(method) ?? { count: 0, milliseconds: 0 };
    meter.calls.set(method, call);
    call.count++;
    call.milliseconds += performance.now() - began;
    meter.onCall?.();
  }
};

export const meteredStore = (store: DirectoryStore, meter: Meter): DirectoryStore => {
  const inner = metered("store", store, meter);
  return {
    ...inner,
    write: async (connectionId, writes) => {
      const outcome = await inner.write(connectionId, writes);
      if (!outcome.ok) return outcome;
      for (const write of writes) {
        const kind = "doc" in write ? write.doc.kind : "deleted";
        meter.written[kind] = (meter.written[kind] ?? 0) + 1;
      }
      meter.onCommit?.(writes.flatMap((write) => ("doc" in write ? [write.doc] : [])));
      return outcome;
    },
  };
};

export const meteredWork = (work: WorkStore, meter: Meter): WorkStore => metered("work", work, meter);

export const meteredSource = (source: DirectorySource, meter: Meter): DirectorySource =>
  metered("graph", source, meter);
