/**
 * A first import, against the floor of the same minutes: floor and import take turns, so that whatever else the machine does
 * meets both.
 */
import type { DirectoryDoc } from "../src/core/store/documents.ts";
import { type App, openApp } from "./app.ts";
import { type Spent, spent } from "./cpu.ts";
import { type CryptoCalls, countingCrypto } from "./crypto-calls.ts";
import { bareCrypto, readBare, readyBatches, writeBare } from "./floor.ts";
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
  const services = await startServices();
  const app = openApp(services.addresses);
  try {
    const tenant = await createTenant(services, app, size);

    // The first import is not timed: it warms up, and tells what the floor has to do.
    const first = await app.connect(tenant.tid);
    const { result, calls } = await countingCrypto(() => importAndDescribe(app, first));
    const { documents, ...described } = result;

    const all: Turn[] = [];
    for (let turn = 0; turn < turns; turn++) all.push(await takeTurn({ services, app }, tenant.tid, documents, calls));
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
  }
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

const takeTurn = async (
  { services, app }: { services: Services; app: App },
  tid: string,
  documents: readonly DirectoryDoc[],
  calls: CryptoCalls,
): Promise<Turn> => {
  const pids = [services.cosmos.pid, services.simulator.pid];
  const partition = `floor-${app.uniqueNumber()}`;
  const batches = readyBatches(documents, partition);
  const cipher = bareCrypto(calls);
  const floor = {
    pages: await spent(pids, () => readBare(app, tid)),
    batches: await spent(pids, () => writeBare(app, batches, partition)),
    crypto: await spent(pids, cipher),
  };
  const connectionId = await app.connect(tid);
  reset(app.meter);
  const whole = await spent(pids, () => app.run(connectionId, "full"));
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
