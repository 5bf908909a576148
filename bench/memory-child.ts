/** An import in a process of its own, under the heap limit it was started with. */
import { serveChild } from "../src/local/child.ts";
import { openApp } from "./app.ts";
import type { Addresses } from "./services.ts";

export interface ImportOrder {
  addresses: Addresses;
  tid: string;
  /** The process ends itself then: a heap that is almost too small is slow beyond use. */
  maxMilliseconds: number;
}

export interface Imported {
  people: number;
  groups: number;
  memberships: number;
  milliseconds: number;
  /** Largest seen after a call of a port, in bytes: in the heap, and in buffers outside of it. */
  heapBytes: number;
  bufferBytes: number;
}

serveChild<ImportOrder, Imported>(async ({ addresses, tid, maxMilliseconds }) => {
  setTimeout(() => process.exit(1), maxMilliseconds).unref();
  const app = openApp(addresses);
  const peak = { heapBytes: 0, bufferBytes: 0 };
  app.meter.onCall = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    peak.heapBytes = Math.max(peak.heapBytes, heapUsed);
    peak.bufferBytes = Math.max(peak.bufferBytes, arrayBuffers);
  };
  const connectionId = await app.connect(tid);
  const began = performance.now();
  const { counts } = await app.importAll(connectionId);
  const milliseconds = performance.now() - began;
  const { peopleCreated: people, groupsCreated: groups, membershipsAdded: memberships } = counts;
  return { ready: { people, groups, memberships, milliseconds, ...peak }, close: async () => app.close() };
});
