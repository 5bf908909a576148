/** Rows of one container: text and index columns kept together. Knows no etag rules; callers hold a transaction for every write. */
import { createHash } from "node:crypto";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { ContainerDefinition } from "./definitions.ts";
import {
  expiryOf,
  isJsonObject,
  type JsonObject,
  segmentsOf,
  textOf,
  valueAt,
  withSystemProperties,
} from "./document.ts";
import { indexKey } from "./index-key.ts";
import { createContainerTables, documentsTable, scalarColumn, termsTable } from "./schema.ts";

export interface Row {
  doc: number;
  lsn: number;
  expires: number | null;
  bytes: number;
  terms: number;
}

export interface Version {
  body: string;
  bytes: number;
  lsn: number;
}

export interface ExpiredRow extends Row {
  part: number;
  id: string;
}

export interface Collection {
  definition: ContainerDefinition;
  /** Base64 of 8 bytes: the SDK keys its session tokens by it. */
  rid: string;
  self: string;
  /** Also finds what has expired and is not yet purged: it still holds the place of its id. */
  find(part: number, id: string): Row | undefined;
  bodyOf(doc: number): string;
  put(part: number, id: string, item: JsonObject, at: { lsn: number; ts: number }, existing: Row | undefined): Version;
  remove(part: number, row: Row): void;
  expired(nowSeconds: number, atMost: number): ExpiredRow[];
  documents(): number;
  /** Statements are kept by their text: the same shape of query is prepared once. */
  prepare(sql: string): StatementSync;
}

const maxPreparedStatements = 300;

export const openCollection = (
  database: DatabaseSync,
  definition: ContainerDefinition,
  databaseName: string,
): Collection => {
  createContainerTables(database, definition);
  const table = documentsTable(definition.id);
  const terms = termsTable(definition.id);
  const rid = ridOf(8, `${databaseName}/${definition.id}`);
  const self = `dbs/${ridOf(4, databaseName)}/colls/${rid}/`;
  const scalars = definition.scalarPaths.map(segmentsOf);
  const arrays = definition.arrayPaths.map((path) => ({ path, segments: segmentsOf(path) }));

  const columns = definition.scalarPaths.map((path) => `, ${scalarColumn(path)}`).join("");
  const places = scalars.map(() => ", ?").join("");
  const insert = database.prepare(
    `INSERT INTO ${table} (lsn, ts, expires, bytes, terms, body${columns}, doc, part, id) VALUES (?, ?, ?, ?, ?, ?${places}, ?, ?, ?)`,
  );
  const assignments = definition.scalarPaths.map((path) => `, ${scalarColumn(path)} = ?`).join("");
  const update = database.prepare(
    `UPDATE ${table} SET lsn = ?, ts = ?, expires = ?, bytes = ?, terms = ?, body = ?${assignments} WHERE doc = ?`,
  );
  const findRow = database.prepare(`SELECT doc, lsn, expires, bytes, terms FROM ${table} WHERE part = ? AND id = ?`);
  const selectBody = database.prepare(`SELECT body FROM ${table} WHERE doc = ?`);
  const deleteRow = database.prepare(`DELETE FROM ${table} WHERE doc = ?`);
  const insertTerm = database.prepare(`INSERT OR IGNORE INTO ${terms} (path, part, key, doc) VALUES (?, ?, ?, ?)`);
  const deleteTerm = database.prepare(`DELETE FROM ${terms} WHERE path = ? AND part = ? AND key = ? AND doc = ?`);
  const selectExpired = database.prepare(
    `SELECT doc, lsn, expires, bytes, terms, part, id FROM ${table} WHERE expires <= ? ORDER BY expires LIMIT ?`,
  );
  const countRows = database.prepare(`SELECT count(*) AS documents FROM ${table}`);
  const highest = database.prepare(`SELECT coalesce(max(doc), 0) AS doc FROM ${table}`).get();
  let nextDoc = Number(highest?.["doc"]) + 1;
  const prepared = new Map<string, StatementSync>();

  const bodyOf = (doc: number): string => String(selectBody.get(doc)?.["body"]);

  const termsOf = (item: unknown): Map<string, Set<string>> => {
    const found = new Map<string, Set<string>>();
    for (const { path, segments } of arrays) {
      const value = valueAt(item, segments);
      if (!Array.isArray(value) || value.length === 0) continue;
      found.set(path, new Set(value.map(indexKey).filter((key) => key !== null)));
    }
    return found;
  };

  /** Writes only the difference: a list of a thousand members that gains one costs one row. */
  const moveTerms = (
    part: number,
    doc: number,
    before: Map<string, Set<string>>,
    after: Map<string, Set<string>>,
  ): void => {
    for (const [path, keys] of before) {
      for (const key of keys) if (!after.get(path)?.has(key)) deleteTerm.run(path, part, key, doc);
    }
    for (const [path, keys] of after) {
      for (const key of keys) if (!before.get(path)?.has(key)) insertTerm.run(path, part, key, doc);
    }
  };

  const storedTerms = (row: Row | undefined): Map<string, Set<string>> =>
    row && row.terms > 0 ? termsOf(JSON.parse(bodyOf(row.doc))) : new Map();

  return {
    definition,
    rid,
    self,
    bodyOf,
    find: (part, id) => {
      const row = findRow.get(part, id);
      return row && rowOf(row);
    },
    put: (part, id, item, { lsn, ts }, existing) => {
      const { text, bytes } = textOf(item);
      const doc = existing?.doc ?? nextDoc++;
      const documentRid = ridOfDocument(rid, doc);
      const body = withSystemProperties(text, documentRid, `${self}docs/${documentRid}/`, lsn, ts);
      const before = storedTerms(existing);
      const after = termsOf(item);
      const termCount = [...after.values()].reduce((sum, keys) => sum + keys.size, 0);
      const values: SQLInputValue[] = [lsn, ts, expiryOf(definition, item, ts), bytes, termCount, body];
      for (const path of scalars) values.push(indexKey(valueAt(item, path)));
      if (existing) update.run(...values, doc);
      else insert.run(...values, doc, part, id);
      moveTerms(part, doc, before, after);
      return { body, bytes, lsn };
    },
    remove: (part, row) => {
      moveTerms(part, row.doc, storedTerms(row), new Map());
      deleteRow.run(row.doc);
    },
    expired: (nowSeconds, atMost) =>
      selectExpired
        .all(nowSeconds, atMost)
        .map((row) => ({ ...rowOf(row), part: Number(row["part"]), id: String(row["id"]) })),
    documents: () => Number(countRows.get()?.["documents"]),
    prepare: (sql) => {
      const known = prepared.get(sql);
      if (known) return known;
      const statement = database.prepare(sql);
      if (prepared.size >= maxPreparedStatements) prepared.clear();
      prepared.set(sql, statement);
      return statement;
    },
  };
};

export const parseDocument = (body: string): JsonObject => {
  const document: unknown = JSON.parse(body);
  if (!isJsonObject(document)) throw new Error("A stored document is not a JSON object.");
  return document;
};

const rowOf = (row: Record<string, unknown>): Row => ({
  doc: Number(row["doc"]),
  lsn: Number(row["lsn"]),
  expires: row["expires"] === null ? null : Number(row["expires"]),
  bytes: Number(row["bytes"]),
  terms: Number(row["terms"]),
});

const ridOf = (bytes: number, name: string): string =>
  createHash("sha256").update(name).digest().subarray(0, bytes).toString("base64").replaceAll("/", "-");

const ridOfDocument = (collectionRid: string, doc: number): string => {
  const bytes = Buffer.alloc(16);
  bytes.write(collectionRid.replaceAll("-", "/"), 0, "base64");
  bytes.writeBigUInt64LE(BigInt(doc), 8);
  return bytes.toString("base64").replaceAll("/", "-");
};
