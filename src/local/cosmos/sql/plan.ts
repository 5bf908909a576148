/**
 * From a query to SQLite: which index drives it, in which order it is walked, what is refused because the service would have to scan.
 *
 * Pages continue by position (order column, partition, id), never by count, so writes between two pages neither repeat nor skip a
 * document that stays where it is. Without ORDER BY the service promises no order; here it is descending, so that nothing comes to
 * rely on an ascending one.
 */
import type { SQLInputValue } from "node:sqlite";
import type { ContainerDefinition } from "../definitions.ts";
import { segmentsOf } from "../document.ts";
import { badRequest } from "../errors.ts";
import { abovePrefix, indexKey, type Scalar, typeBounds, typeTag } from "../index-key.ts";
import { documentsTable, idIndex, scalarColumn, scalarIndex, termsTable, wideIndex } from "../schema.ts";
import {
  type Comparison,
  type Condition,
  conjuncts,
  isJunction,
  type Junction,
  type Leaf,
  leavesOf,
  type Path,
} from "./condition.ts";
import type { Query } from "./parser.ts";

export interface Scope {
  definition: ContainerDefinition;
  /** Row of the partition; null: all partitions. -1 finds nothing. */
  part: number | null;
  partOf: (partitionKey: string) => number;
  nowSeconds: number;
}

/** Where the last page ended: the values of `Plan.keys` of its last document. */
export type Position = (string | number)[];

export interface Plan {
  sql: string;
  parameters: SQLInputValue[];
  /** Column names of a position, in order. */
  keys: string[];
}

interface Fragment {
  sql: string;
  parameters: SQLInputValue[];
}

/** How a path is compared. `keyOf` gives null for a value the column can never equal. */
interface Column {
  sql: string;
  keyOf: (value: Scalar) => string | number | null;
  /** Index keys carry their type in front; ids and times are of one type. */
  typed: boolean;
  alwaysDefined: boolean;
  indexedPath: string | null;
}

/** The column a continued page walks along, and the side of it that the position bounds. */
interface Walked {
  column: string;
  side: "<" | ">";
}

// Bound, not written: SQLite would fold a constant into its neighbours and lose what proves a partial index usable.
const no: Fragment = { sql: "?", parameters: [0] };
const yes: Fragment = { sql: "?", parameters: [1] };
const idColumn: Column = {
  sql: "id",
  keyOf: (value) => (typeof value === "string" ? value : null),
  typed: false,
  alwaysDefined: true,
  indexedPath: null,
};
const tsColumn: Column = {
  sql: "ts",
  keyOf: (value) => (typeof value === "number" ? value : null),
  typed: false,
  alwaysDefined: true,
  indexedPath: null,
};

/** `size` documents at most, behind `after` when the query is continued. */
export const planPage = (query: Query, scope: Scope, after: Position | null, size: number): Plan => {
  const { definition, part } = scope;
  const { driver, order } = choose(query, scope);
  const descending = query.orderBy?.descending ?? true;
  const keys = [...(order ? [order.sql] : []), ...(part === null ? ["part"] : []), "id"];
  const walked: Walked | null = after && { column: order?.sql ?? "id", side: descending ? "<" : ">" };
  const filters = filtersOf(query, scope, driver, walked);
  if (query.orderBy && order && !order.alwaysDefined) filters.push({ sql: `${order.sql} IS NOT NULL`, parameters: [] });
  if (after) {
    const symbol = descending ? "<" : ">";
    const places = after.map(() => "?").join(", ");
    if (order) filters.push({ sql: `${order.sql} ${symbol}= ?`, parameters: after.slice(0, 1) });
    filters.push({ sql: `(${keys.join(", ")}) ${symbol} (${places})`, parameters: after });
  }
  const direction = descending ? "DESC" : "ASC";
  const columns = [...new Set([...keys, "id", "part"])].join(", ");
  const { sql, parameters } = joined(filters, " AND ");
  return {
    sql: `SELECT ${columns}, body FROM ${documentsTable(definition.id)} ${driver.hint} WHERE ${sql}
      ORDER BY ${keys.map((key) => `${key} ${direction}`).join(", ")} LIMIT ?`,
    parameters: [...parameters, size],
    keys: keys.map((key) => key.replaceAll('"', "")),
  };
};

/** One row with `documents`, the count; or the values of a column, as `value`. */
export const planAggregate = (query: Query, scope: Scope, path: Path | null): Plan & { indexKeys: boolean } => {
  const { driver } = choose(query, scope);
  const column = path && columnOf(path, scope);
  const filters = filtersOf(query, scope, driver, null);
  if (column && !column.alwaysDefined) filters.push({ sql: `${column.sql} IS NOT NULL`, parameters: [] });
  const { sql, parameters } = joined(filters, " AND ");
  const select = column ? `${column.sql} AS value` : "count(*) AS documents";
  return {
    sql: `SELECT ${select} FROM ${documentsTable(scope.definition.id)} ${driver.hint} WHERE ${sql}`,
    parameters,
    keys: [],
    indexKeys: column?.typed ?? false,
  };
};

interface Driver {
  /** Which index SQLite has to use: a plan that cannot use it fails instead of scanning. */
  hint: string;
  rows: Fragment | null;
}

const by = (index: string): Driver => ({ hint: `INDEXED BY ${index}`, rows: null });

/**
 * In a partition: by id, then by array, then along the ordered stretch of an index, then by equality, then in the asked order, then by
 * range, then by alternatives that are each indexed; else the whole partition.
 */
const choose = (query: Query, scope: Scope): { driver: Driver; order: Column | null } => {
  const { definition, part } = scope;
  refuseUnindexed(query, scope);
  const terms = conjuncts(query.where);
  const ordered = query.orderBy && orderColumn(query.orderBy.path, scope);
  const order = ordered?.sql === "id" ? null : ordered;
  const byPath = (path: string): Driver => by(scalarIndex(definition.id, path));
  const scalarOf = (term: Condition | undefined): string | null =>
    term && !isJunction(term) && term.kind !== "array-contains" ? columnOf(term.path, scope).indexedPath : null;

  if (part === null) {
    const required = filteredPath(query, definition.crossPartition?.requiredPaths ?? []);
    if (required === null) return { driver: by(idIndex(definition.id)), order: null };
    return { driver: by(wideIndex(definition.id, required)), order: columnOf(segmentsOf(required), scope) };
  }
  const byId = terms.some((term) => isEquality(term) && term.path.join("/") === "id");
  if (byId) return { driver: by(idIndex(definition.id)), order };
  const contains = terms.find((term) => term.kind === "array-contains");
  if (contains) return { driver: { hint: "NOT INDEXED", rows: rowsOf(contains, scope) }, order };

  const equal = terms.find((term) => isEquality(term) && scalarOf(term) !== null);
  const ranged = terms.find((term) => isRange(term) && scalarOf(term) !== null);
  const orderPath = order?.indexedPath ?? null;
  const orderedRange = orderPath !== null && terms.some((term) => isRange(term) && scalarOf(term) === orderPath);
  const path = orderedRange ? orderPath : (scalarOf(equal) ?? orderPath ?? scalarOf(ranged));
  if (path !== null) {
    const natural = !query.orderBy && !equal ? columnOf(segmentsOf(path), scope) : null;
    return { driver: byPath(path), order: order ?? natural };
  }
  const alternative = terms.find((term) => term.kind === "or");
  const rows = alternative ? rowsOf(alternative, scope) : null;
  return { driver: rows ? { hint: "NOT INDEXED", rows } : by(idIndex(definition.id)), order };
};

/** A set of row numbers found through indexes alone, or null. */
const rowsOf = (condition: Condition, scope: Scope): Fragment | null => {
  if (isJunction(condition)) return rowsOfJunction(condition, scope);
  if (condition.kind === "array-contains") return termRows(condition, scope);
  const { definition, part } = scope;
  const column = columnOf(condition.path, scope);
  if (!isEquality(condition) || (column.indexedPath === null && column.sql !== "id")) return null;
  const index = column.indexedPath === null ? idIndex(definition.id) : scalarIndex(definition.id, column.indexedPath);
  const leaf = leafSql(condition, scope, null);
  return {
    sql: `SELECT doc FROM ${documentsTable(definition.id)} INDEXED BY ${index} WHERE part = ? AND ${leaf.sql}`,
    parameters: [part, ...leaf.parameters],
  };
};

const rowsOfJunction = ({ kind, terms }: Junction, scope: Scope): Fragment | null => {
  const found = terms.map((term) => rowsOf(term, scope));
  const rows = found.filter((one) => one !== null);
  if (kind === "and") return rows[0] ?? null;
  return rows.length === found.length ? joined(rows, " UNION ALL ") : null;
};

const termRows = (leaf: Leaf & { kind: "array-contains" }, { definition, part }: Scope): Fragment => ({
  sql: `SELECT doc FROM ${termsTable(definition.id)} WHERE path = ? AND part = ? AND key = ?`,
  parameters: [`/${leaf.path.join("/")}`, part, indexKey(leaf.value)],
});

const filtersOf = (query: Query, scope: Scope, driver: Driver, walked: Walked | null): Fragment[] => {
  const filters: Fragment[] = [{ sql: "(expires IS NULL OR expires > ?)", parameters: [scope.nowSeconds] }];
  if (scope.part !== null) filters.push({ sql: "part = ?", parameters: [scope.part] });
  if (driver.rows) filters.push({ sql: `doc IN (${driver.rows.sql})`, parameters: driver.rows.parameters });
  if (query.where) filters.push(conditionSql(query.where, scope, walked));
  return filters;
};

const conditionSql = (condition: Condition, scope: Scope, walked: Walked | null): Fragment => {
  if (!isJunction(condition)) return leafSql(condition, scope, walked);
  const terms = condition.terms.map((term) => conditionSql(term, scope, walked));
  const { sql, parameters } = joined(terms, condition.kind === "and" ? " AND " : " OR ");
  return { sql: `(${sql})`, parameters };
};

const leafSql = (leaf: Leaf, scope: Scope, walked: Walked | null): Fragment => {
  if (leaf.kind === "array-contains") {
    const rows = termRows(leaf, scope);
    return { sql: `doc IN (${rows.sql})`, parameters: rows.parameters };
  }
  const column = columnOf(leaf.path, scope);
  const { sql } = column;
  switch (leaf.kind) {
    case "compare":
      return comparisonSql(column, leaf.comparison, leaf.value, walked);
    case "in": {
      const keys = leaf.values.map(column.keyOf).filter((key) => key !== null);
      return {
        sql: `${sql} ${leaf.negated ? "NOT IN" : "IN"} (SELECT value FROM json_each(?))`,
        parameters: [JSON.stringify(keys)],
      };
    }
    case "starts-with": {
      const prefix = column.keyOf(leaf.prefix);
      if (typeof prefix !== "string") throw badRequest(`STARTSWITH is not supported on ${leaf.path.join(".")}.`);
      const within = range(
        column,
        [
          [">=", prefix],
          ["<", abovePrefix(prefix)],
        ],
        walked,
      );
      if (!leaf.negated) return within;
      const outside: Fragment = { sql: `NOT ${within.sql}`, parameters: within.parameters };
      return column.typed ? joined([ofType(column, prefix, walked), outside], " AND ") : outside;
    }
    case "is-defined":
      if (column.alwaysDefined) return leaf.negated ? no : yes;
      return { sql: `${sql} IS ${leaf.negated ? "" : "NOT "}NULL`, parameters: [] };
    default:
      if (!column.typed) return leaf.negated ? yes : no;
      return { sql: leaf.negated ? `(${sql} IS NULL OR ${sql} <> ?)` : `${sql} = ?`, parameters: [typeTag.null] };
  }
};

const comparisonSql = (column: Column, comparison: Comparison, value: Scalar, walked: Walked | null): Fragment => {
  const key = column.keyOf(value);
  if (comparison === "=") return key === null ? no : { sql: `${column.sql} = ?`, parameters: [key] };
  if (comparison === "!=") return key === null ? yes : { sql: `${column.sql} <> ?`, parameters: [key] };
  if (column.sql === "part") throw badRequest("The partition key can only be compared with =, != and IN.");
  if (key === null) return no;
  const bound = range(column, [[comparison, key]], walked);
  return column.typed && typeof key === "string" ? joined([bound, ofType(column, key, walked)], " AND ") : bound;
};

const ofType = (column: Column, key: string, walked: Walked | null): Fragment => {
  const { from, below } = typeBounds(key);
  return range(
    column,
    [
      [">=", from],
      ["<", below],
    ],
    walked,
  );
};

/**
 * On a continued page the position bounds the walked column more tightly than a filter can on that side. SQLite starts its walk at one
 * bound for each side, so the filter's are hidden from it there by a unary plus; else each page would begin at the beginning.
 */
const range = (column: Column, bounds: [symbol: string, key: string | number][], walked: Walked | null): Fragment => ({
  sql: `(${bounds
    .map(
      ([symbol]) =>
        `${walked?.column === column.sql && symbol.startsWith(walked.side) ? "+" : ""}${column.sql} ${symbol} ?`,
    )
    .join(" AND ")})`,
  parameters: bounds.map(([, key]) => key),
});

const columnOf = (path: Path, { definition, partOf }: Scope): Column => {
  const name = `/${path.join("/")}`;
  if (name === "/id") return idColumn;
  if (name === "/_ts") return tsColumn;
  if (name === definition.partitionKey) {
    const keyOf = (value: Scalar): number | null => (typeof value === "string" ? partOf(value) : null);
    return { sql: "part", keyOf, typed: false, alwaysDefined: true, indexedPath: null };
  }
  if (definition.scalarPaths.includes(name)) {
    return { sql: scalarColumn(name), keyOf: indexKey, typed: true, alwaysDefined: false, indexedPath: name };
  }
  throw badRequest(`${name} is not indexed in the container ${definition.id}: on the service this would be a scan.`);
};

const orderColumn = (path: Path, scope: Scope): Column => {
  const column = columnOf(path, scope);
  if (column.sql === "part") throw badRequest("ORDER BY the partition key is not supported.");
  return column;
};

const refuseUnindexed = (query: Query, scope: Scope): void => {
  const { definition, part } = scope;
  for (const leaf of leavesOf(query.where)) {
    if (leaf.kind !== "array-contains") {
      columnOf(leaf.path, scope);
      if (leaf.kind === "in" && leaf.fromList && part === null)
        throw badRequest("A list of ids needs a partition key.");
      continue;
    }
    const name = `/${leaf.path.join("/")}`;
    if (!definition.arrayPaths.includes(name)) {
      throw badRequest(
        `${name}/[] is not indexed in the container ${definition.id}: on the service this would be a scan.`,
      );
    }
    if (part === null) throw badRequest("ARRAY_CONTAINS needs a partition key.");
  }
};

type Equality = Leaf & { kind: "compare" | "in" };

const isEquality = (condition: Condition): condition is Equality =>
  (condition.kind === "compare" && condition.comparison === "=") || (condition.kind === "in" && !condition.negated);

const isRange = (condition: Condition): condition is Leaf =>
  (condition.kind === "compare" && /^[<>]/.test(condition.comparison)) ||
  (condition.kind === "starts-with" && !condition.negated);

/** A filter that an index narrows down to a stretch of itself. */
const isSargable = (condition: Condition): condition is Leaf => isEquality(condition) || isRange(condition);

/** The first of these paths that the query filters on in such a way; null = none. */
export const filteredPath = (query: Query, paths: readonly string[]): string | null => {
  const terms = conjuncts(query.where).filter(isSargable);
  return paths.find((path) => terms.some((term) => term.path.join("/") === segmentsOf(path).join("/"))) ?? null;
};

const joined = (fragments: Fragment[], separator: string): Fragment => ({
  sql: fragments.map(({ sql }) => sql).join(separator),
  parameters: fragments.flatMap(({ parameters }) => parameters),
});
