/**
 * What the product needs of Cosmos DB, as checks that a real account, the official emulator and the stand-in all have to pass. Uses the
 * unchanged SDK and the containers of `infra/containers.json`. Every check works in partitions of its own.
 */
import type { CosmosClient } from "@azure/cosmos";
import { afterAll, beforeAll } from "vitest";
import { documentContract } from "./contract-documents.ts";
import { queryContract } from "./contract-queries.ts";

export interface CosmosUnderTest {
  client: CosmosClient;
  database: string;
  letPass(seconds: number): Promise<void>;
  close(): Promise<void>;
}

export const cosmosContract = (open: () => Promise<CosmosUnderTest>): void => {
  let cosmos: CosmosUnderTest | undefined;
  const opened = (): CosmosUnderTest => {
    if (!cosmos) throw new Error("The database under test was not reached.");
    return cosmos;
  };
  beforeAll(async () => {
    cosmos = await open();
  });
  afterAll(() => cosmos?.close());
  documentContract(opened);
  queryContract(opened);
};
