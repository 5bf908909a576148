/**
 * People from selected groups with all that is nested in them, and groups that stand for some of the product: what is written for
 * each person and membership, and whether a round still costs by what has changed. Counts, so any machine will do.
 */
import { openApp } from "./app.ts";
import { type Rounds, roundsAfter } from "./delta.ts";
import { type Imported, importAndDescribe } from "./import.ts";
import { startServices } from "./services.ts";
import { chosenGroups, createTenant, ordinary } from "./tenant.ts";

export interface ChosenResult {
  sizes: ({ users: number; selected: number; mapped: number } & Imported & Rounds)[];
}

export const benchChosen = async (sizes: readonly number[] = [1_000, 10_000]): Promise<ChosenResult> => {
  const results: ChosenResult["sizes"] = [];
  for (const users of sizes) {
    const services = await startServices();
    const app = openApp(services.addresses);
    try {
      const tenant = await createTenant(services, app, ordinary(users));
      const settings = chosenGroups(tenant);
      const connectionId = await app.connect(tenant.tid, settings);
      const { documents: _, ...imported } = await importAndDescribe(app, connectionId);
      const rounds = await roundsAfter(services, app, tenant, connectionId);
      const [selected, mapped] = [settings.people.groups.length, settings.groups.mapping.length];
      results.push({ users, selected, mapped, ...imported, ...rounds });
    } finally {
      app.close();
      await services.stop();
    }
  }
  return { sizes: results };
};
