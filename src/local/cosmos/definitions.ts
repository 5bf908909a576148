/**
 * The containers of `infra/containers.json`. The same file makes the real account, so an index or a cross-partition query that
 * is missing there is missing here too.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";

export interface ContainerDefinition {
  id: string;
  /** `/connectionId` */
  partitionKey: string;
  /** Seconds; -1: only items with a `ttl` of their own expire; null: nothing does. */
  defaultTtl: number | null;
  /** Paths of `/kind/?`, as `/kind`. */
  scalarPaths: string[];
  /** Paths of `/members/[]/?`, as `/members`. */
  arrayPaths: string[];
  crossPartition: CrossPartitionRule | null;
}

/** A query without partition key is allowed, when it filters on one of these paths if there are any. */
export interface CrossPartitionRule {
  requiredPaths: string[];
}

export interface DatabaseDefinition {
  database: string;
  consistency: string;
  containers: ContainerDefinition[];
}

const ContainersFile = z.object({
  database: z.string().min(1),
  consistency: z.string(),
  containers: z.array(
    z.object({
      id: z.string().regex(/^[a-z0-9-]+$/),
      partitionKey: z.string().regex(/^(\/\w+)+$/),
      defaultTtl: z.int().optional(),
      indexed: z.array(z.string().regex(/^(\/\w+)+\/(\[\]\/)?\?$/)),
    }),
  ),
  crossPartitionQueries: z.array(z.string().regex(/^[a-z0-9-]+: .+$/)),
});

export const readDefinitions = (file: string): DatabaseDefinition => {
  const read = ContainersFile.parse(JSON.parse(readFileSync(file, "utf8")));
  return {
    database: read.database,
    consistency: read.consistency,
    containers: read.containers.map(({ id, partitionKey, defaultTtl, indexed }) => {
      const arrayPaths = indexed.filter((path) => path.endsWith("/[]/?")).map((path) => path.slice(0, -"/[]/?".length));
      const scalarPaths = indexed
        .filter((path) => !path.endsWith("/[]/?"))
        .map((path) => path.slice(0, -"/?".length))
        .filter((path) => path !== "/id");
      return {
        id,
        partitionKey,
        defaultTtl: defaultTtl ?? null,
        scalarPaths,
        arrayPaths,
        crossPartition: crossPartitionRule(read.crossPartitionQueries, id, scalarPaths),
      };
    }),
  };
};

/**
 * A line is `<container>: <sentence>`. When the sentence names indexed paths of the container ("heads past wakeAt"), the query
 * has to filter on one of them.
 */
const crossPartitionRule = (lines: string[], container: string, scalarPaths: string[]): CrossPartitionRule | null => {
  const line = lines.find((text) => text.startsWith(`${container}: `));
  if (line === undefined) return null;
  const words = line.slice(container.length + 2).split(/\W+/);
  return { requiredPaths: scalarPaths.filter((path) => words.includes(path.slice(1))) };
};
