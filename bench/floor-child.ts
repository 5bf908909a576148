/** The floor of an import in a process of its own. All of it is done twice: the first time warms up. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { serveChild } from "../src/local/child.ts";
import { openApp } from "./app.ts";
import { spent } from "./cpu.ts";
import type { CryptoCalls } from "./crypto-calls.ts";
import { bareCrypto, readBare, readyBatches, writeBare } from "./floor.ts";
import type { Turn } from "./import.ts";
import type { Addresses } from "./services.ts";

export interface FloorOrder {
  addresses: Addresses;
  /** Of the services whose processor time is asked for. */
  pids: number[];
  tid: string;
  /** A file with the documents that an import has written, as a JSON list. */
  documentsPath: string;
  calls: CryptoCalls;
}

serveChild<FloorOrder, Turn["floor"]>(async ({ addresses, pids, tid, documentsPath, calls }) => {
  const app = openApp(addresses);
  const documents = JSON.parse(readFileSync(documentsPath, "utf8")) as object[];
  const floor = async (): Promise<Turn["floor"]> => {
    const partition = `floor-${randomUUID()}`;
    const batches = readyBatches(documents, partition);
    const cipher = bareCrypto(calls);
    return {
      pages: await spent(pids, () => readBare(app, tid)),
      batches: await spent(pids, () => writeBare(app, batches, partition)),
      crypto: await spent(pids, cipher),
    };
  };
  await floor();
  return { ready: await floor(), close: async () => app.close() };
});
