/** A query request: parsed, checked against what the containers file allows, answered page by page. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { parseDocument } from "./collection.ts";
import { valueAt } from "./document.ts";
import { badRequest } from "./errors.ts";
import type { FaultSource } from "./faults.ts";
import { type Scalar, scalarOfKey } from "./index-key.ts";
import type { Target } from "./operations.ts";
import { isTrue } from "./sql/condition.ts";
import { type Parameters, parseQuery, type Query, type Select } from "./sql/parser.ts";
import { filteredPath, type Position, planAggregate, planPage, type Scope } from "./sql/plan.ts";

export interface QueryRequest {
  body: unknown;
  /** null: over all partitions. */
  partitionKey: string | null;
  crossPartitionEnabled: boolean;
  /** -1: as many as the server likes. */
  maxItemCount: number;
  continuation: string | null;
  /** Log sequence number of the reader's session token. */
  readerHasSeen: number;
}

export interface QueryPage {
  /** JSON text of each result. */
  results: string[];
  continuation: string | null;
  /** Some of it is from before the last write. */
  stale: boolean;
}

const maxPageBytes = 4 * 1024 * 1024;
const defaultPageSize = 100;
const largestPage = 1000;

const QueryBody = z.strictObject({
  query: z.string(),
  parameters: z.array(z.strictObject({ name: z.string().startsWith("@"), value: z.unknown() })).optional(),
});

/** `left`: how many documents TOP still allows. */
const Continuation = z.strictObject({
  query: z.string(),
  after: z.array(z.union([z.string(), z.number()])).nullable(),
  left: z.int().nullable(),
});

export const answerQuery = (
  target: Omit<Target, "partitionKey">,
  request: QueryRequest,
  faults: FaultSource,
): QueryPage => {
  const { store, collection } = target;
  const parsed = QueryBody.safeParse(request.body);
  if (!parsed.success) throw badRequest(`Not a query: ${z.prettifyError(parsed.error)}`);
  const parameters: Parameters = new Map(parsed.data.parameters?.map(({ name, value }) => [name, value]));
  const query = parseQuery(parsed.data.query, parameters);
  if (request.partitionKey === null) refuseCrossPartition(query, target, request);
  const fingerprint = createHash("sha256")
    .update(JSON.stringify([collection.definition.id, request.partitionKey, parsed.data]))
    .digest("base64url")
    .slice(0, 16);
  const continued = request.continuation === null ? null : readContinuation(request.continuation, fingerprint);

  const partOf = (key: string): number => store.partition(collection.definition.id, key)?.part ?? -1;
  const scope: Scope = {
    definition: collection.definition,
    part: request.partitionKey === null ? null : partOf(request.partitionKey),
    partOf,
    nowSeconds: store.nowSeconds(),
  };
  if (query.select.kind === "aggregate")
    return { results: aggregated(target, query, query.select, scope), continuation: null, stale: false };

  const left = continued ? continued.left : query.top;
  const asked =
    request.maxItemCount === -1 ? largestPage : Math.min(request.maxItemCount || defaultPageSize, largestPage);
  const size = faults.pageSize(left === null ? asked : Math.min(asked, left));
  const page = walk(target, query, scope, continued?.after ?? null, size, request.readerHasSeen);
  const leftAfter = left === null ? null : left - page.walked;
  if (!page.more || leftAfter === 0) return { results: page.results, continuation: null, stale: page.stale };
  return {
    results: page.results,
    continuation: writeContinuation({ query: fingerprint, after: page.end, left: leftAfter }),
    stale: page.stale,
  };
};

interface Walk {
  results: string[];
  walked: number;
  end: Position | null;
  more: boolean;
  stale: boolean;
}

/** Asks for one document more than the page holds, to know whether there is one. */
const walk = (
  target: Omit<Target, "partitionKey">,
  query: Query,
  scope: Scope,
  after: Position | null,
  size: number,
  readerHasSeen: number,
): Walk => {
  const plan = planPage(query, scope, after, size + 1);
  const results: string[] = [];
  let walked = 0;
  let bytes = 0;
  let stale = false;
  let end = after;
  for (const row of target.collection.prepare(plan.sql).iterate(...plan.parameters)) {
    const seen = seenBy(target, query, readerHasSeen, Number(row["part"]), String(row["id"]), String(row["body"]));
    stale ||= seen.stale;
    const result = seen.body === null ? undefined : projected(query.select, seen.body);
    const resultBytes = result === undefined ? 0 : Buffer.byteLength(result);
    const full = walked === size || (walked > 0 && bytes + resultBytes > maxPageBytes);
    if (full) return { results, walked, end, more: true, stale };
    if (result !== undefined) results.push(result);
    bytes += resultBytes;
    walked++;
    end = plan.keys.map((key) => positionOf(row[key]));
  }
  return { results, walked, end, more: false, stale };
};

/** The present text, or the one before the last write where stale reads are switched on; null where that one does not match. */
const seenBy = (
  { store, collection, stale }: Omit<Target, "partitionKey">,
  query: Query,
  readerHasSeen: number,
  part: number,
  id: string,
  body: string,
): { body: string | null; stale: boolean } => {
  if (!stale.wanted()) return { body, stale: false };
  const copy = stale.take(
    { container: collection.definition.id, partitionKey: store.keyOfPart(part), id },
    readerHasSeen,
  );
  if (!copy) return { body, stale: false };
  const { previous } = copy;
  const matched = previous !== null && isTrue(query.where, parseDocument(previous.body));
  return { body: matched ? previous.body : null, stale: true };
};

/** undefined: SELECT VALUE of a property that is not there gives no result. */
const projected = (select: Select, body: string): string | undefined => {
  switch (select.kind) {
    case "document":
      return body;
    case "value":
      return select.path.length === 0 ? body : JSON.stringify(valueAt(parseDocument(body), select.path));
    case "fields": {
      const document = parseDocument(body);
      return JSON.stringify(Object.fromEntries(select.fields.map(({ name, path }) => [name, valueAt(document, path)])));
    }
    default:
      throw new Error(`${select.aggregate} is not made of single documents.`);
  }
};

const aggregated = (
  { collection }: Omit<Target, "partitionKey">,
  query: Query,
  { aggregate, path }: Select & { kind: "aggregate" },
  scope: Scope,
): string[] => {
  const plan = planAggregate(query, scope, path);
  const rows = collection.prepare(plan.sql).iterate(...plan.parameters);
  if (path === null) {
    let documents = 0;
    for (const row of rows) documents = Number(row["documents"]);
    return [String(documents)];
  }
  let count = 0;
  let sum: number | null = 0;
  let least: string | number | undefined;
  let greatest: string | number | undefined;
  const scalarOf = (value: string | number): Scalar =>
    plan.indexKeys && typeof value === "string" ? scalarOfKey(value) : value;
  for (const row of rows) {
    const value = positionOf(row["value"]);
    const scalar = scalarOf(value);
    count++;
    sum = sum !== null && typeof scalar === "number" ? sum + scalar : null;
    if (least === undefined || value < least) least = value;
    if (greatest === undefined || value > greatest) greatest = value;
  }
  // A sum over anything but numbers, and the least of nothing, are undefined: no result.
  if (aggregate === "COUNT") return [String(count)];
  if (aggregate === "SUM") return sum === null ? [] : [String(sum)];
  const extreme = aggregate === "MIN" ? least : greatest;
  return extreme === undefined ? [] : [JSON.stringify(scalarOf(extreme))];
};

const refuseCrossPartition = (
  query: Query,
  { collection }: Omit<Target, "partitionKey">,
  request: QueryRequest,
): void => {
  const { id, crossPartition } = collection.definition;
  if (!request.crossPartitionEnabled)
    throw badRequest("A query without partition key needs the header that enables it.");
  if (!crossPartition) throw badRequest(`The containers file allows no query without partition key on ${id}.`);
  if (query.orderBy || query.top !== null || query.select.kind === "aggregate") {
    throw badRequest(
      "ORDER BY, TOP and aggregates over all partitions are the client's work on the service: not supported here.",
    );
  }
  const { requiredPaths } = crossPartition;
  if (requiredPaths.length > 0 && filteredPath(query, requiredPaths) === null)
    throw badRequest(`A query without partition key on ${id} has to filter on ${requiredPaths.join(" or ")}.`);
};

const writeContinuation = (continuation: z.infer<typeof Continuation>): string =>
  Buffer.from(JSON.stringify(continuation)).toString("base64url");

const readContinuation = (text: string, fingerprint: string): z.infer<typeof Continuation> => {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    throw badRequest("The continuation is not one of this server.");
  }
  const parsed = Continuation.safeParse(value);
  if (!parsed.success) throw badRequest("The continuation is not one of this server.");
  if (parsed.data.query !== fingerprint) throw badRequest("The continuation belongs to another query.");
  return parsed.data;
};

const positionOf = (value: unknown): string | number => (typeof value === "number" ? value : String(value));
