/**
 * One table of documents per container. Each scalar index path is a column beside the text, holding its index key; each array index
 * path fills `terms`. Indexes of scalars are partial: a document without the property costs nothing there.
 */
import type { DatabaseSync } from "node:sqlite";
import type { ContainerDefinition } from "./definitions.ts";

export const documentsTable = (container: string): string => `"docs:${container}"`;
export const termsTable = (container: string): string => `"terms:${container}"`;
export const idIndex = (container: string): string => `"docs:${container}/id"`;
export const scalarColumn = (path: string): string => `"${path}"`;
export const scalarIndex = (container: string, path: string): string => `"docs:${container}${path}"`;
/** Over all partitions, for the filter of an allowed cross-partition query. */
export const wideIndex = (container: string, path: string): string => `"docs:${container}${path} wide"`;

export const createSharedTables = (database: DatabaseSync): void => {
  database.exec(`
    CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS counters (one INTEGER PRIMARY KEY CHECK (one = 1), lsn INTEGER NOT NULL);
    INSERT OR IGNORE INTO counters VALUES (1, 0);
    CREATE TABLE IF NOT EXISTS partitions (
      part INTEGER PRIMARY KEY, container TEXT NOT NULL, key TEXT NOT NULL, bytes INTEGER NOT NULL, documents INTEGER NOT NULL);
  `);
};

/**
 * `body` is the text as it is answered, system properties included. `bytes` counts it without them. `terms`: how many index terms of
 * arrays it has. `expires`: Unix second, or null.
 */
export const createContainerTables = (database: DatabaseSync, definition: ContainerDefinition): void => {
  const { id, scalarPaths, crossPartition } = definition;
  const columns = scalarPaths.map((path) => `, ${scalarColumn(path)} TEXT`).join("");
  database.exec(`
    CREATE TABLE IF NOT EXISTS ${documentsTable(id)} (
      doc INTEGER PRIMARY KEY, part INTEGER NOT NULL, id TEXT NOT NULL, lsn INTEGER NOT NULL, ts INTEGER NOT NULL,
      expires INTEGER, bytes INTEGER NOT NULL, terms INTEGER NOT NULL, body TEXT NOT NULL${columns});
    CREATE UNIQUE INDEX IF NOT EXISTS ${idIndex(id)} ON ${documentsTable(id)} (part, id);
    CREATE INDEX IF NOT EXISTS "docs:${id} expiry" ON ${documentsTable(id)} (expires) WHERE expires IS NOT NULL;
    CREATE TABLE IF NOT EXISTS ${termsTable(id)} (
      path TEXT NOT NULL, part INTEGER NOT NULL, key TEXT NOT NULL, doc INTEGER NOT NULL,
      PRIMARY KEY (path, part, key, doc)) WITHOUT ROWID;
  `);
  for (const path of scalarPaths) {
    const column = scalarColumn(path);
    database.exec(`CREATE INDEX IF NOT EXISTS ${scalarIndex(id, path)} ON ${documentsTable(id)} (part, ${column}, id)
      WHERE ${column} IS NOT NULL`);
  }
  for (const path of crossPartition?.requiredPaths ?? []) {
    const column = scalarColumn(path);
    database.exec(`CREATE INDEX IF NOT EXISTS ${wideIndex(id, path)} ON ${documentsTable(id)}
      (${column}, part, id) WHERE ${column} IS NOT NULL`);
  }
};
