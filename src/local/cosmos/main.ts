/** The server in a process of its own: SQLite is synchronous and would hold up the loop of whoever shares one with it. */
import { serveChild } from "../child.ts";
import { type CosmosOptions, startCosmos } from "./server.ts";

/** Functions do not travel between processes: the clock is moved by the fault `clockAheadSeconds` instead. */
export type CosmosChildOptions = Omit<CosmosOptions, "now">;

export interface CosmosReady {
  endpoint: string;
  key: string;
  database: string;
}

serveChild<CosmosChildOptions, CosmosReady>(async (options) => {
  const server = await startCosmos(options);
  const { endpoint, key, database } = server;
  return { ready: { endpoint, key, database }, close: () => server.close() };
});
