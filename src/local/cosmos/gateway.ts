/** The gateway's HTTP contract: paths and headers to operations, outcomes to answers. No sockets here. */
import { z } from "zod";
import type { Collection } from "./collection.ts";
import { checkedId, etagOf, isJsonObject, type JsonObject, jsonOf, partitionKeyOfHeader } from "./document.ts";
import { badRequest, CosmosError, errorAnswer, notFound } from "./errors.ts";
import type { FaultSource, RequestKind } from "./faults.ts";
import {
  type BatchOperation,
  type Outcome,
  readDocument,
  type Target,
  type WriteOperation,
  writeBatch,
  writeDocument,
} from "./operations.ts";
import { parsePatch } from "./patch.ts";
import { answerQuery } from "./query.ts";
import { accountBody, collectionBody, databaseBody, rangesBody } from "./resources.ts";
import type { StaleCopies } from "./stale-copies.ts";
import type { Store } from "./store.ts";

export interface GatewayRequest {
  method: string;
  /** Decoded segments of the path. */
  path: string[];
  header(name: string): string | undefined;
  body: string;
}

export interface GatewayAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export interface Gateway {
  /** null: metadata, which no fault switch touches and no counter counts. */
  kindOf(request: GatewayRequest): { kind: RequestKind; container: string } | null;
  answer(request: GatewayRequest): GatewayAnswer;
}

const maxBatchOperations = 100;

export const gateway = (store: Store, stale: StaleCopies, faults: FaultSource, endpoint: () => string): Gateway => ({
  kindOf: (request) => {
    const [, , , container = "", feed] = request.path;
    if (feed !== "docs" || isPlanRequest(request)) return null;
    if (request.method === "GET") return { kind: request.path.length === 6 ? "read" : "query", container };
    if (isQuery(request)) return { kind: "query", container };
    return { kind: request.header("x-ms-cosmos-is-batch-request") ? "batch" : "write", container };
  },
  answer: (request) => {
    const { method, path } = request;
    const [dbs, database, colls, container, feed, id] = path;
    if (path.length === 0 && method === "GET") return ok(accountBody(endpoint(), store.definition.consistency));
    if (dbs !== "dbs" || database === undefined)
      throw badRequest(`${method} /${path.join("/")} is not part of this server.`);
    if (database !== store.definition.database) throw notFound(database);
    if (path.length === 2 && method === "GET") return ok(databaseBody(database));
    const collection = colls === "colls" && container !== undefined ? store.collection(container) : undefined;
    if (colls === "colls" && container !== undefined && !collection) throw notFound(container);
    if (!collection) throw new CosmosError(403, "Containers are made from infra/containers.json, not by clients.");
    if (path.length === 4 && method === "GET") return ok(collectionBody(collection));
    if (feed === "pkranges" && method === "GET") return ok(rangesBody(collection));
    if (feed !== "docs" || path.length > 6)
      throw badRequest(`${method} /${path.join("/")} is not part of this server.`);

    const answered = withFailures(() => answerDocuments(request, { store, collection, stale }, faults, id));
    const session: Record<string, string> = {
      // An answer from before a write must not tell the client that it has seen the write.
      "x-ms-session-token": `0:-1#${answered.stale ? readerHasSeen(request) : store.lsn()}`,
      "x-ms-content-path": collection.rid,
      "x-ms-alt-content-path": `dbs/${database}/colls/${collection.definition.id}`,
    };
    return { ...answered.answer, headers: { ...session, ...answered.answer.headers } };
  },
});

type Place = Omit<Target, "partitionKey">;
type Answered = { answer: GatewayAnswer; stale?: boolean };

/** A refusal carries the session token too: who is told 412 has seen that the document changed. */
const withFailures = (answer: () => Answered): Answered => {
  try {
    return answer();
  } catch (error) {
    if (error instanceof CosmosError) return { answer: errorAnswer(error) };
    throw error;
  }
};

const answerDocuments = (
  request: GatewayRequest,
  place: Place,
  faults: FaultSource,
  id: string | undefined,
): Answered => {
  const { method } = request;
  if (id !== undefined) {
    const target = { ...place, partitionKey: partitionKeyOf(request) };
    if (method === "GET") return readAnswer(request, target, checkedId(id));
    return { answer: documentAnswer(writeDocument(target, singleWrite(request, place.collection, checkedId(id)))) };
  }
  if (method !== "POST")
    throw badRequest("Documents are listed by queries; change feed and read feed are not supported.");
  if (isPlanRequest(request)) throw badRequest("This server gives no query plans: it answers the query itself.");
  if (isQuery(request)) return queryAnswer(request, place, faults);
  const target = { ...place, partitionKey: partitionKeyOf(request) };
  if (request.header("x-ms-cosmos-is-batch-request")) return { answer: batchAnswer(request, target) };
  refuseHeaders(request, ["if-none-match"]);
  const item = objectOf(request.body);
  if (isTrueHeader(request, "x-ms-documentdb-is-upsert")) {
    return {
      answer: documentAnswer(writeDocument(target, { kind: "Upsert", item, ifMatch: request.header("if-match") })),
    };
  }
  refuseHeaders(request, ["if-match"]);
  return { answer: documentAnswer(writeDocument(target, { kind: "Create", item })) };
};

const readAnswer = (request: GatewayRequest, target: Target, id: string): Answered => {
  refuseHeaders(request, ["if-match"]);
  const { partitionKey, collection } = target;
  const copy = target.stale.take({ container: collection.definition.id, partitionKey, id }, readerHasSeen(request));
  if (copy && !copy.previous) return { answer: errorAnswer(notFound(id)), stale: true };
  const version = copy?.previous ?? readDocument(target, id);
  const etag = etagOf(version.lsn);
  const answer =
    request.header("if-none-match") === etag
      ? { status: 304, headers: { etag }, body: "" }
      : { status: 200, headers: { etag }, body: version.body };
  return { answer, stale: copy !== undefined };
};

const singleWrite = (request: GatewayRequest, { definition }: Collection, id: string): WriteOperation => {
  refuseHeaders(request, ["if-none-match"]);
  const ifMatch = request.header("if-match");
  switch (request.method) {
    case "PUT":
      return { kind: "Replace", id, item: objectOf(request.body), ifMatch };
    case "PATCH":
      return { kind: "Patch", id, patch: parsePatch(jsonOf(request.body), definition.partitionKey), ifMatch };
    case "DELETE":
      return { kind: "Delete", id, ifMatch };
    default:
      throw new CosmosError(405, `${request.method} is not a method of documents.`);
  }
};

const documentAnswer = ({ status, etag, body }: Outcome): GatewayAnswer => ({
  status,
  headers: etag === undefined ? {} : { etag },
  body: body ?? "",
});

const queryAnswer = (request: GatewayRequest, place: Place, faults: FaultSource): Answered => {
  const header = request.header("x-ms-documentdb-partitionkey");
  const maxItemCount = Number(request.header("x-ms-max-item-count") ?? "100");
  if (!Number.isInteger(maxItemCount) || maxItemCount < -1) throw badRequest("x-ms-max-item-count is -1 or a count.");
  const { results, continuation, stale } = answerQuery(
    place,
    {
      body: jsonOf(request.body),
      partitionKey: header === undefined ? null : partitionKeyOfHeader(header),
      crossPartitionEnabled: isTrueHeader(request, "x-ms-documentdb-query-enablecrosspartition"),
      maxItemCount,
      continuation: request.header("x-ms-continuation") ?? null,
      readerHasSeen: readerHasSeen(request),
    },
    faults,
  );
  const headers: Record<string, string> = { "x-ms-item-count": String(results.length) };
  if (continuation !== null) headers["x-ms-continuation"] = continuation;
  const body = `{"_rid":"${place.collection.rid}","Documents":[${results.join(",")}],"_count":${results.length}}`;
  return { answer: { status: 200, headers, body }, stale };
};

const BatchBody = z.array(
  z.strictObject({
    operationType: z.enum(["Create", "Upsert", "Read", "Delete", "Replace", "Patch"]),
    id: z.string().optional(),
    ifMatch: z.string().optional(),
    partitionKey: z.string().optional(),
    resourceBody: z.unknown().optional(),
  }),
);

const batchAnswer = (request: GatewayRequest, target: Target): GatewayAnswer => {
  if (!isTrueHeader(request, "x-ms-cosmos-batch-atomic")) {
    throw badRequest("Bulk requests are not supported: they are not atomic. Use a batch.");
  }
  const parsed = BatchBody.safeParse(jsonOf(request.body));
  if (!parsed.success) throw badRequest(`Not a batch this server knows: ${z.prettifyError(parsed.error)}`);
  const count = parsed.data.length;
  if (count === 0) throw badRequest("A batch needs at least one operation.");
  if (count > maxBatchOperations) throw badRequest(`A batch has at most ${maxBatchOperations} operations.`);
  const operations = parsed.data.map((operation) => batchOperation(operation, target));
  const { committed, outcomes } = writeBatch(target, operations);
  const minimal = request.header("prefer") === "return=minimal";
  const results = outcomes.map(({ status, etag, body }, index) => {
    const eTag = etag === undefined ? "" : `,"eTag":${JSON.stringify(etag)}`;
    const isWanted = !minimal || operations[index]?.kind === "Read";
    const resource = body !== undefined && isWanted ? `,"resourceBody":${body}` : "";
    return `{"statusCode":${status},"requestCharge":1${eTag}${resource}}`;
  });
  return {
    status: committed ? 200 : 207,
    headers: { "x-ms-item-count": String(count) },
    body: `[${results.join(",")}]`,
  };
};

const batchOperation = (
  input: z.infer<typeof BatchBody>[number],
  { collection, partitionKey }: Target,
): BatchOperation => {
  const { operationType, ifMatch, resourceBody } = input;
  if (input.partitionKey !== undefined && partitionKeyOfHeader(input.partitionKey) !== partitionKey) {
    throw badRequest("An operation names another partition key than its batch.", 1001);
  }
  if (operationType === "Create" || operationType === "Upsert") {
    if (!isJsonObject(resourceBody)) throw badRequest(`${operationType} needs a document.`);
    if (operationType === "Upsert") return { kind: "Upsert", item: resourceBody, ifMatch };
    if (ifMatch !== undefined)
      throw badRequest("A Create takes no ifMatch: it already needs the document to be absent.");
    return { kind: "Create", item: resourceBody };
  }
  const id = checkedId(input.id);
  switch (operationType) {
    case "Read":
      return { kind: "Read", id };
    case "Delete":
      return { kind: "Delete", id, ifMatch };
    case "Replace":
      if (!isJsonObject(resourceBody)) throw badRequest("Replace needs a document.");
      return { kind: "Replace", id, item: resourceBody, ifMatch };
    default:
      return { kind: "Patch", id, patch: parsePatch(resourceBody, collection.definition.partitionKey), ifMatch };
  }
};

const partitionKeyOf = (request: GatewayRequest): string => {
  const header = request.header("x-ms-documentdb-partitionkey");
  if (header === undefined) throw badRequest("The request names no partition key.");
  return partitionKeyOfHeader(header);
};

/** The session token is `<range>:<version>#<log sequence number>`; none: the reader has seen nothing. */
const readerHasSeen = (request: GatewayRequest): number =>
  Number(request.header("x-ms-session-token")?.match(/#(\d+)/)?.[1] ?? "0");

/** Conditions whose meaning on this operation nobody has confirmed to us. */
const refuseHeaders = (request: GatewayRequest, names: string[]): void => {
  for (const name of names) {
    if (request.header(name) !== undefined) throw badRequest(`${name} is not supported on this operation.`);
  }
};

const isPlanRequest = (request: GatewayRequest): boolean => isTrueHeader(request, "x-ms-cosmos-is-query-plan-request");
const isQuery = (request: GatewayRequest): boolean => isTrueHeader(request, "x-ms-documentdb-isquery");
const isTrueHeader = (request: GatewayRequest, name: string): boolean => request.header(name)?.toLowerCase() === "true";

const objectOf = (text: string): JsonObject => {
  const value = jsonOf(text);
  if (!isJsonObject(value)) throw badRequest("A document is a JSON object.");
  return value;
};

const ok = (body: object): GatewayAnswer => ({ status: 200, headers: {}, body: JSON.stringify(body) });
