/** Starts the database server as a child process: SQLite is synchronous, and a test may kill it. */
import { type Child, type ChildExtras, startChild } from "../child.ts";
import type { CosmosChildOptions, CosmosReady } from "./main.ts";
import { type CosmosFaults, type CosmosStats, controlKeyHeader } from "./server.ts";

export interface CosmosProcess extends Omit<Child<CosmosReady>, "ready">, CosmosReady {
  stats(): Promise<CosmosStats>;
  setFaults(change: Partial<CosmosFaults>): Promise<void>;
  /** One line of JSON for each stored document. */
  dump(): Promise<string>;
}

export const startCosmosProcess = async (options: CosmosChildOptions, extra?: ChildExtras): Promise<CosmosProcess> => {
  const { ready, ...child } = await startChild<CosmosChildOptions, CosmosReady>(
    new URL("./main.ts", import.meta.url),
    options,
    extra,
  );
  const control = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const answer = await fetch(`${ready.endpoint}/_control/${path}`, {
      ...init,
      headers: { [controlKeyHeader]: ready.key },
    });
    if (!answer.ok) throw new Error(`The database server answered ${answer.status}: ${await answer.text()}`);
    return answer;
  };
  return {
    ...child,
    ...ready,
    stats: async () => (await control("stats")).json() as Promise<CosmosStats>,
    setFaults: async (change) => {
      await control("faults", { method: "POST", body: JSON.stringify(change) });
    },
    dump: async () => (await control("dump")).text(),
  };
};
