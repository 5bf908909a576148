/** Rounds after the first: what they ask of Graph and of the store when nothing, little, or everything is read again. */
import { type App, openApp } from "./app.ts";
import { type Spent, spent } from "./cpu.ts";
import { reset, writtenInAll } from "./meter.ts";
import { type Services, startServices } from "./services.ts";
import { type BenchTenant, createTenant, ordinary } from "./tenant.ts";

export interface RoundCost {
  graphRequests: number;
  /** Reads, queries, patches and batches, as the store counts them. */
  storeOperations: number;
  /** Documents written, and those of people among them. */
  written: number;
  writtenPeople: number;
  time: Spent;
}

export interface Rounds {
  /** The round after one that found nothing: nothing has changed. */
  quiet: RoundCost;
  changed: RoundCost;
  changedPeople: number;
  /** A full read of what is stored already. */
  full: RoundCost;
}

export interface DeltaResult {
  sizes: ({ users: number; groups: number; memberships: number } & Rounds)[];
}

const mostChanged = 100;

export const benchDelta = async (sizes: readonly number[] = [1_000, 10_000, 100_000]): Promise<DeltaResult> => {
  const results: DeltaResult["sizes"] = [];
  for (const users of sizes) {
    const services = await startServices();
    const app = openApp(services.addresses);
    try {
      const tenant = await createTenant(services, app, ordinary(users));
      const connectionId = await app.connect(tenant.tid);
      const { groupsCreated: groups, membershipsAdded: memberships } = (await app.importAll(connectionId)).counts;
      results.push({ users, groups, memberships, ...(await roundsAfter(services, app, tenant, connectionId)) });
    } finally {
      app.close();
      await services.stop();
    }
  }
  return { sizes: results };
};

/** Of a connection that has just been imported. */
export const roundsAfter = async (
  services: Services,
  app: App,
  { tid, people }: BenchTenant,
  connectionId: string,
): Promise<Rounds> => {
  const cost = async (round: () => Promise<unknown>): Promise<RoundCost> => {
    const { mark } = await services.simulator.command("requests", { since: Number.MAX_SAFE_INTEGER });
    const before = await services.cosmos.stats();
    reset(app.meter);
    const time = await spent([services.cosmos.pid, services.simulator.pid], round);
    const after = await services.cosmos.stats();
    const { requests } = await services.simulator.command("requests", { since: mark });
    return {
      graphRequests: requests.filter(({ inBatch }) => !inBatch).length,
      storeOperations: after.requests - before.requests,
      written: writtenInAll(app.meter),
      writtenPeople: app.meter.written.person ?? 0,
      time,
    };
  };
  const scheduled = async (): Promise<RoundCost> => {
    await app.makeDue(connectionId);
    return cost(async () => {
      if (!(await app.hint(connectionId))) throw new Error("A round that was due was not carried out.");
    });
  };

  await scheduled();
  const quiet = await scheduled();
  const changedPeople = Math.min(mostChanged, people.length);
  await services.simulator.command("mutate", {
    tid,
    mutations: people
      .slice(0, changedPeople)
      .map((id, index) => ({ op: "update-user" as const, id, set: { jobTitle: `Changed ${index}` } })),
  });
  const changed = await scheduled();
  const full = await cost(() => app.run(connectionId, "full"));
  return { quiet, changed, changedPeople, full };
};
