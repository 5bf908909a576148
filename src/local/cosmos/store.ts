/**
 * The database file: containers, partitions and their sizes, the log sequence number, transactions.
 *
 * WAL with synchronous NORMAL: a commit is in the operating system's hands before the answer is sent, so killing the process loses
 * nothing; only a power cut may take the last commits, and never half of one. That is enough for test equipment, and an fsync for each
 * batch would be the slowest part of every import.
 */
import { randomBytes } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { type Collection, openCollection, type Row, type Version } from "./collection.ts";
import type { ContainerDefinition, DatabaseDefinition } from "./definitions.ts";
import type { JsonObject } from "./document.ts";
import { CosmosError } from "./errors.ts";
import { createSharedTables } from "./schema.ts";

export interface Partition {
  part: number;
  key: string;
  bytes: number;
  documents: number;
}

/** The writes of one request; all of them or none. Every write gets the next log sequence number. */
export interface Transaction {
  part: number;
  put(id: string, item: JsonObject, existing: Row | undefined): Version;
  remove(row: Row): void;
  /** Run only when the transaction has been committed. */
  afterCommit(effect: () => void): void;
}

export interface Store {
  definition: DatabaseDefinition;
  key: string;
  collection(id: string): Collection | undefined;
  partition(container: string, key: string): Partition | undefined;
  keyOfPart(part: number): string;
  write<T>(collection: Collection, key: string, work: (transaction: Transaction) => T): T;
  lsn(): number;
  nowSeconds(): number;
  purgeExpired(): void;
  stats(): { writes: number; bytes: number; containers: Record<string, { documents: number; bytes: number }> };
  /** Everything stored, also what has expired and is not yet purged. */
  dump(): IterableIterator<string>;
  close(): void;
}

export interface StoreOptions {
  file: string;
  definition: DatabaseDefinition;
  key: string | undefined;
  now: () => number;
  maxPartitionBytes: () => number;
}

const purgedAtOnce = 500;

export const openStore = (options: StoreOptions): Store => {
  const database = new DatabaseSync(options.file);
  // Exclusive: sizes and sequence numbers are also kept in memory, so a second server on the same file has to fail.
  database.exec("PRAGMA busy_timeout = 1000; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;");
  database.exec("PRAGMA synchronous = NORMAL;");
  // 64 MB of cache; 64 MB of log between the copies into the file, each of which waits for the disk.
  database.exec("PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 16384;");
  createSharedTables(database);
  const key = settled(database, "key", options.key ?? randomBytes(64).toString("base64"), options.key !== undefined);
  const definition = options.definition;
  const collections = new Map(
    definition.containers.map((container) => {
      refuseOtherShape(database, container);
      return [container.id, openCollection(database, container, definition.database)] as const;
    }),
  );

  const partitions = new Map<string, Partition>();
  const keys = new Map<number, string>();
  for (const row of database.prepare("SELECT part, container, key, bytes, documents FROM partitions").all()) {
    const partition = {
      part: Number(row["part"]),
      key: String(row["key"]),
      bytes: Number(row["bytes"]),
      documents: Number(row["documents"]),
    };
    partitions.set(placeOf(String(row["container"]), partition.key), partition);
    keys.set(partition.part, partition.key);
  }
  let nextPart = Math.max(0, ...keys.keys()) + 1;
  let lsn = Number(database.prepare("SELECT lsn FROM counters").get()?.["lsn"]);
  let writes = 0;

  const saveLsn = database.prepare("UPDATE counters SET lsn = ?");
  const insertPartition = database.prepare(
    "INSERT INTO partitions (part, container, key, bytes, documents) VALUES (?, ?, ?, 0, 0)",
  );
  const savePartition = database.prepare("UPDATE partitions SET bytes = ?, documents = ? WHERE part = ?");
  const deletePartition = database.prepare("DELETE FROM partitions WHERE part = ?");
  const begin = database.prepare("BEGIN IMMEDIATE");
  const commit = database.prepare("COMMIT");
  const rollback = database.prepare("ROLLBACK");

  const nowSeconds = (): number => Math.floor(options.now() / 1000);

  const write = <T>(collection: Collection, partitionKey: string, work: (transaction: Transaction) => T): T => {
    const place = placeOf(collection.definition.id, partitionKey);
    const known = partitions.get(place);
    const partition = known ?? { part: nextPart++, key: partitionKey, bytes: 0, documents: 0 };
    let { bytes, documents } = partition;
    let count = 0;
    const effects: (() => void)[] = [];
    const ts = nowSeconds();
    const transaction: Transaction = {
      part: partition.part,
      put: (id, item, existing) => {
        const version = collection.put(partition.part, id, item, { lsn: ++lsn, ts }, existing);
        bytes += version.bytes - (existing?.bytes ?? 0);
        documents += existing ? 0 : 1;
        count++;
        if (bytes > options.maxPartitionBytes()) throw partitionFull(bytes);
        return version;
      },
      remove: (row) => {
        collection.remove(partition.part, row);
        lsn++;
        bytes -= row.bytes;
        documents--;
        count++;
      },
      afterCommit: (effect) => effects.push(effect),
    };
    begin.run();
    let result: T;
    try {
      if (!known) insertPartition.run(partition.part, collection.definition.id, partitionKey);
      result = work(transaction);
      if (documents === 0) deletePartition.run(partition.part);
      else savePartition.run(bytes, documents, partition.part);
      saveLsn.run(lsn);
      commit.run();
    } catch (error) {
      if (database.isTransaction) rollback.run();
      throw error;
    }
    writes += count;
    if (documents === 0) {
      partitions.delete(place);
      keys.delete(partition.part);
    } else {
      partitions.set(place, Object.assign(partition, { bytes, documents }));
      keys.set(partition.part, partitionKey);
    }
    for (const effect of effects) effect();
    return result;
  };

  return {
    definition,
    key,
    collection: (id) => collections.get(id),
    partition: (container, partitionKey) => partitions.get(placeOf(container, partitionKey)),
    keyOfPart: (part) => keys.get(part) ?? "",
    write,
    lsn: () => lsn,
    nowSeconds,
    purgeExpired: () => {
      for (const collection of collections.values()) {
        for (const row of collection.expired(nowSeconds(), purgedAtOnce)) {
          write(collection, keys.get(row.part) ?? "", (transaction) => transaction.remove(row));
        }
      }
    },
    stats: () => {
      const bytesOf = database.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM partitions WHERE container = ?");
      const containers = Object.fromEntries(
        [...collections].map(([id, collection]) => [
          id,
          { documents: collection.documents(), bytes: Number(bytesOf.get(id)?.["bytes"]) },
        ]),
      );
      const bytes = Object.values(containers).reduce((sum, container) => sum + container.bytes, 0);
      return { writes, bytes, containers };
    },
    *dump() {
      for (const [id, collection] of collections) {
        for (const row of database.prepare(`SELECT part, body FROM "docs:${id}" ORDER BY doc`).iterate()) {
          const partition = keys.get(Number(row["part"])) ?? "";
          const place = `{"container":${JSON.stringify(collection.definition.id)},"partitionKey":${JSON.stringify(partition)}`;
          yield `${place},"document":${String(row["body"])}}\n`;
        }
      }
    },
    close: () => database.close(),
  };
};

/** Substatus 1014 is what operators report for a full logical partition. */
const partitionFull = (bytes: number): CosmosError =>
  new CosmosError(403, `Partition key reached maximum size: it would hold ${bytes} bytes.`, { substatus: 1014 });

const placeOf = (container: string, key: string): string => `${container}\u0000${key}`;

/** What the file already says wins, unless the caller insists. */
const settled = (database: DatabaseSync, name: string, value: string, insist: boolean): string => {
  const conflict = insist ? "DO UPDATE SET value = excluded.value" : "DO NOTHING";
  database.prepare(`INSERT INTO settings VALUES (?, ?) ON CONFLICT ${conflict}`).run(name, value);
  return String(database.prepare("SELECT value FROM settings WHERE name = ?").get(name)?.["value"]);
};

const refuseOtherShape = (database: DatabaseSync, container: ContainerDefinition): void => {
  const shape = JSON.stringify([
    container.partitionKey,
    container.scalarPaths,
    container.arrayPaths,
    container.crossPartition,
  ]);
  if (settled(database, `shape:${container.id}`, shape, false) === shape) return;
  throw new Error(
    `The stored container ${container.id} has other keys or indexes than the containers file. Start with an empty data folder.`,
  );
};
