import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { CosmosClient, PartitionKeyDefinitionVersion, PartitionKeyKind } from "@azure/cosmos";
import { describe } from "vitest";
import { readDefinitions } from "../../../src/local/cosmos/definitions.ts";
import { startCosmos } from "../../../src/local/cosmos/server.ts";
import { type CosmosUnderTest, cosmosContract } from "./contract.ts";

const openStandIn = async (): Promise<CosmosUnderTest> => {
  const server = await startCosmos({ file: ":memory:" });
  const client = new CosmosClient({ endpoint: server.endpoint, key: server.key });
  return {
    client,
    database: server.database,
    letPass: async (seconds) => {
      server.faults.clockAheadSeconds += seconds;
    },
    close: async () => {
      client.dispose();
      await server.close();
    },
  };
};

/** Makes a database of its own from the containers file and removes it afterwards. */
const openAccount = async (endpoint: string, key: string): Promise<CosmosUnderTest> => {
  const client = new CosmosClient({ endpoint, key });
  const id = `contract-${randomUUID()}`;
  const { database } = await client.databases.create({ id });
  const file = fileURLToPath(new URL("../../../infra/containers.json", import.meta.url));
  for (const definition of readDefinitions(file).containers) {
    const included = [
      ...definition.scalarPaths.map((path) => `${path}/?`),
      ...definition.arrayPaths.map((path) => `${path}/[]/?`),
    ];
    await database.containers.create({
      id: definition.id,
      partitionKey: {
        paths: [definition.partitionKey],
        kind: PartitionKeyKind.Hash,
        version: PartitionKeyDefinitionVersion.V2,
      },
      ...(definition.defaultTtl === null ? {} : { defaultTtl: definition.defaultTtl }),
      indexingPolicy: { includedPaths: included.map((path) => ({ path })), excludedPaths: [{ path: "/*" }] },
    });
  }
  return {
    client,
    database: id,
    letPass: (seconds) => delay(seconds * 1000),
    close: async () => {
      await database.delete();
      client.dispose();
    },
  };
};

describe("the stand-in", () => cosmosContract(openStandIn));

const { COSMOS_CONTRACT_ENDPOINT: endpoint, COSMOS_CONTRACT_KEY: key } = process.env;
if (endpoint && key) describe(`the account ${endpoint}`, () => cosmosContract(() => openAccount(endpoint, key)));
