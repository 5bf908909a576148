/** Rounds after the first: what they ask of Graph and of the store when nothing, little, or everything is read again. */
import { type App, openApp } from "./app.ts";
import { type Spent, spent } from "./cpu.ts";
import { reset, writtenInAll } from "./meter.ts";
import { type Services, startServices } from "./services.ts";
import { createTenant, ordinary } from "./tenant.ts";

export interface RoundCost {
  graphRequests: number;
  /** Reads, queries, patches and batches, as the store counts them. */
  storeOperations: number;
  /** Documents written, and those of people among them. */
  written: number;
  writtenPeople: number;
  time: Spent;
}

export interface DeltaResult {
  sizes: {
    users: number;
    groups: number;
    memberships: number;
    /** The round after one that found nothing: nothing has changed. */
    quiet: RoundCost;
    changed: RoundCost;
    changedPeople: number;
    /** A full read of what is stored already. */
    full: RoundCost;
  }[];
}

const people = 100;

export const benchDelta = async (sizes: readonly number[] = [1_000, 10_000, 100_000]): Promise<DeltaResult> => {
  const results: DeltaResult["sizes"] = [];
  for (const users of sizes) {
    const services = await startServices();
    const app = openApp(services.addresses);
    try {
      results.push(await measure(services, app, users));
    } finally {
      app.close();
      await services.stop();
    }
  }
  return { sizes: results };
};

const measure = async (services: Services, app: App, users: number): Promise<DeltaResult["sizes"][number]> => {
  const size = ordinary(users);
  const { tid, people: everybody } = await createTenant(services, app, size);
  const connectionId = await app.connect(tid);
  const imported = await app.importAll(connectionId);

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
  const changedPeople = Math.min(people, everybody.length);
  await services.simulator.command("mutate", {
    tid,
    mutations: everybody
      .slice(0, changedPeople)
      .map((id, index) => ({ op: "update-user" as const, id, set: { jobTitle: `Changed ${index}` } })),
  });
  const changed = await scheduled();
  const full = await cost(() => app.run(connectionId, "full"));
  const { groupsCreated: groups, membershipsAdded: memberships } = imported.counts;
  return { users, groups, memberships, quiet, changed, changedPeople, full };
};
