/**
 * A first import, against the floor of the same minutes: floor and import take turns, so that whatever else the machine does
 * meets both. Each has a process of its own and has warmed up: neither pays for the other's heap, nor for code that the engine
 * has prepared for the other's loops.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DirectoryDoc } from "../src/core/store/documents.ts";
import { startChild } from "../src/local/child.ts";
import { type App, openApp } from "./app.ts";
import { type Spent, spent } from "./cpu.ts";
import { type CryptoCalls, countingCrypto } from "./crypto-calls.ts";
import type { FloorOrder } from "./floor-child.ts";
import { callsOf, type Port, reset, waitedFor } from "./meter.ts";
import { type Services, startServices } from "./services.ts";
import { createTenant, ordinary, type TenantSize } from "./tenant.ts";
import { type Costs, costs } from "./written-documents.ts";

export interface Imported {
  /** Of the import, as its run counted. */
  people: number;
  groups: number;
  memberships: number;
  graphRequests: number;
  costs: Costs;
}

export interface ImportResult extends Imported {
  size: TenantSize;
  crypto: { seals: number; opens: number; macs: number };
  /** Milliseconds, one of each for a turn. */
  turns: Turn[];
  /** Of the turn in the middle when they are ordered by their ratio. */
  median: Turn;
}

export interface Turn {
  floor: { pages: Spent; batches: Spent; crypto: Spent };
  import: Spent;
  /** Milliseconds that the import waited for a port; what it did meanwhile is not taken off. */
  waited: Record<Port, number>;
  /** Import divided by floor: elapsed, and in processor time of the app, and of all processes. */
  ratio: { wall: number; app: number; all: number | null };
}

export const benchImport = async (users = 20_000, turns = 5): Promise<ImportResult> => {
  const size = ordinary(users);
  const folder = mkdtempSync(join(tmpdir(), "m365-sync-bench-"));
  const services = await startServices();
  const app = openApp(services.addresses);
  try {
    const { tid } = await createTenant(services, app, size);
    const documentsPath = join(folder, "documents.json");
    const { calls, ...described } = await firstImport(app, tid, documentsPath);
    // The engine prepares the code for what it meets; what it met while it was counted is not what it meets from now on.
    for (let warm = 0; warm < 2; warm++) await app.importAll(await app.connect(tid));

    const all: Turn[] = [];
    const order: FloorOrder = { addresses: services.addresses, pids: pidsOf(services), tid, documentsPath, calls };
    for (let turn = 0; turn < turns; turn++) all.push(await takeTurn({ services, app }, order));
    const byRatio = all.toSorted((one, other) => one.ratio.wall - other.ratio.wall);
    return {
      size,
      ...described,
      crypto: { seals: calls.seals.length, opens: calls.opens.length, macs: calls.macs.length },
      turns: all,
      median: byRatio[Math.floor(turns / 2)] as Turn,
    };
  } finally {
    app.close();
    await services.stop();
    rmSync(folder, { recursive: true });
  }
};

const pidsOf = ({ cosmos, simulator }: Services): number[] => [cosmos.pid, simulator.pid];

/** Not timed: it tells what the floor has to do. Its documents are put into a file. */
const firstImport = async (
  app: App,
  tid: string,
  documentsPath: string,
): Promise<Imported & { calls: CryptoCalls }> => {
  const connectionId = await app.connect(tid);
  const { result, calls } = await countingCrypto(() => importAndDescribe(app, connectionId));
  const { documents, ...described } = result;
  writeFileSync(documentsPath, JSON.stringify(documents));
  return { ...described, calls };
};

export const importAndDescribe = async (
  app: App,
  connectionId: string,
): Promise<Imported & { documents: DirectoryDoc[] }> => {
  const commits: DirectoryDoc[][] = [];
  reset(app.meter);
  app.meter.onCommit = (docs) => commits.push(docs);
  const { counts } = await app.importAll(connectionId);
  app.meter.onCommit = null;
  const { peopleCreated: people, groupsCreated: groups, membershipsAdded: memberships, graphRequests } = counts;
  const staged = callsOf(app.meter, "work.put");
  return {
    people,
    groups,
    memberships,
    graphRequests,
    costs: costs(commits, { people, memberships, staged }),
    documents: commits.flat(),
  };
};

const takeTurn = async ({ services, app }: { services: Services; app: App }, order: FloorOrder): Promise<Turn> => {
  const child = await startChild<FloorOrder, Turn["floor"]>(new URL("./floor-child.ts", import.meta.url), order, {
    env: { NODE_EXTRA_CA_CERTS: services.caPath },
  });
  await child.stop();
  const floor = child.ready;
  const connectionId = await app.connect(order.tid);
  reset(app.meter);
  const whole = await spent(order.pids, () => app.run(connectionId, "full"));
  const waited = {
    graph: waitedFor(app.meter, "graph"),
    store: waitedFor(app.meter, "store"),
    work: waitedFor(app.meter, "work"),
  };
  return { floor, import: whole, waited, ratio: ratioOf(whole, Object.values(floor)) };
};

const ratioOf = (whole: Spent, parts: readonly Spent[]): Turn["ratio"] => {
  const sum = (of: (spent: Spent) => number): number => parts.reduce((total, part) => total + of(part), 0);
  const all = ({ app, services }: Spent): number => app + (services ?? Number.NaN);
  const ratio = all(whole) / sum(all);
  return {
    wall: whole.wall / sum(({ wall }) => wall),
    app: whole.app / sum(({ app }) => app),
    all: Number.isNaN(ratio) ? null : ratio,
  };
};
