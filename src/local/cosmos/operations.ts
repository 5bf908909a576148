/** What one operation does to one document, alone or inside a batch. */
import { type Collection, parseDocument, type Row, type Version } from "./collection.ts";
import { checkedId, checkPartitionKey, etagOf, type JsonObject } from "./document.ts";
import { badRequest, CosmosError, notFound, preconditionFailed, quoted } from "./errors.ts";
import { applyPatch, type Patch } from "./patch.ts";
import { isTrue } from "./sql/condition.ts";
import type { StaleCopies } from "./stale-copies.ts";
import type { Store, Transaction } from "./store.ts";

export type WriteOperation =
  | { kind: "Create"; item: JsonObject }
  | { kind: "Upsert"; item: JsonObject; ifMatch: string | undefined }
  | { kind: "Replace"; id: string; item: JsonObject; ifMatch: string | undefined }
  | { kind: "Patch"; id: string; patch: Patch; ifMatch: string | undefined }
  | { kind: "Delete"; id: string; ifMatch: string | undefined };

export type BatchOperation = WriteOperation | { kind: "Read"; id: string };

export interface Outcome {
  status: number;
  etag?: string;
  /** JSON text of the document. */
  body?: string;
}

export interface Target {
  store: Store;
  collection: Collection;
  partitionKey: string;
  stale: StaleCopies;
}

/** Thrown out of a transaction so that nothing of the batch stays. */
class BatchFailed extends Error {
  readonly at: number;
  readonly failure: CosmosError;

  constructor(at: number, failure: CosmosError) {
    super(failure.message);
    this.at = at;
    this.failure = failure;
  }
}

export const readDocument = ({ store, collection, partitionKey }: Target, id: string): Version => {
  const partition = store.partition(collection.definition.id, partitionKey);
  const row = partition && liveRow(store, collection, partition.part, id);
  if (!row) throw notFound(id);
  return { body: collection.bodyOf(row.doc), bytes: row.bytes, lsn: row.lsn };
};

export const writeDocument = (target: Target, operation: WriteOperation): Outcome =>
  target.store.write(target.collection, target.partitionKey, (transaction) => apply(target, transaction, operation));

/** All operations or none: on failure the failing one has its own status and every other one 424. */
export const writeBatch = (
  target: Target,
  operations: BatchOperation[],
): { committed: boolean; outcomes: Outcome[] } => {
  try {
    const outcomes = target.store.write(target.collection, target.partitionKey, (transaction) =>
      operations.map((operation, at) => {
        try {
          return operation.kind === "Read"
            ? readInside(target, transaction, operation.id)
            : apply(target, transaction, operation);
        } catch (error) {
          throw error instanceof CosmosError ? new BatchFailed(at, error) : error;
        }
      }),
    );
    return { committed: true, outcomes };
  } catch (error) {
    if (!(error instanceof BatchFailed)) throw error;
    const { at, failure } = error;
    return {
      committed: false,
      outcomes: operations.map((_, index) => ({ status: index === at ? failure.status : 424 })),
    };
  }
};

const readInside = ({ store, collection }: Target, { part }: Transaction, id: string): Outcome => {
  const row = liveRow(store, collection, part, id);
  if (!row) throw notFound(id);
  return { status: 200, etag: etagOf(row.lsn), body: collection.bodyOf(row.doc) };
};

const apply = (target: Target, transaction: Transaction, operation: WriteOperation): Outcome => {
  const { store, collection, partitionKey } = target;
  const { definition } = collection;
  if ("item" in operation) {
    checkPartitionKey(definition, operation.item, partitionKey);
    checkedId(operation.item["id"]);
  }
  const id = "id" in operation ? operation.id : String(operation.item["id"]);
  const row = liveRow(store, collection, transaction.part, id);
  const put = (item: JsonObject, existing: Row | undefined, status: number): Outcome => {
    remember(target, transaction, id, existing);
    const version = transaction.put(id, item, existing ?? makeRoom(target, transaction, id));
    return { status, etag: etagOf(version.lsn), body: version.body };
  };

  switch (operation.kind) {
    case "Create":
      if (row) throw new CosmosError(409, `There is already a document ${quoted(id)}.`);
      return put(operation.item, undefined, 201);
    case "Upsert":
      checkMatch(row, operation.ifMatch, id);
      return put(operation.item, row, row ? 200 : 201);
    case "Replace":
      if (!row) throw notFound(id);
      checkMatch(row, operation.ifMatch, id);
      if (operation.item["id"] !== id) throw badRequest("A replacement cannot change the id.");
      return put(operation.item, row, 200);
    case "Patch": {
      if (!row) throw notFound(id);
      checkMatch(row, operation.ifMatch, id);
      const document = parseDocument(collection.bodyOf(row.doc));
      if (!isTrue(operation.patch.condition, document))
        throw preconditionFailed("The condition of the patch is not true.");
      applyPatch(document, operation.patch.operations);
      return put(document, row, 200);
    }
    default:
      if (!row) throw notFound(id);
      checkMatch(row, operation.ifMatch, id);
      remember(target, transaction, id, row);
      transaction.remove(row);
      return { status: 204 };
  }
};

const liveRow = (store: Store, collection: Collection, part: number, id: string): Row | undefined => {
  const row = collection.find(part, id);
  return row && (row.expires === null || row.expires > store.nowSeconds()) ? row : undefined;
};

/** An expired document that is not purged yet gives its id free at once. */
const makeRoom = ({ collection }: Target, transaction: Transaction, id: string): undefined => {
  const expired = collection.find(transaction.part, id);
  if (expired) transaction.remove(expired);
};

/**
 * The service is said to ignore If-Match when an upsert inserts; nobody has confirmed it to us, so here a condition on a
 * document that is not there fails.
 */
const checkMatch = (row: Row | undefined, ifMatch: string | undefined, id: string): void => {
  if (ifMatch === undefined) return;
  if (row && (ifMatch === "*" || ifMatch === etagOf(row.lsn))) return;
  throw preconditionFailed(`The document ${quoted(id)} does not have the etag ${ifMatch}.`);
};

const remember = (target: Target, transaction: Transaction, id: string, existing: Row | undefined): void => {
  const { stale, collection, store, partitionKey } = target;
  if (!stale.wanted()) return;
  const previous = existing
    ? { body: collection.bodyOf(existing.doc), bytes: existing.bytes, lsn: existing.lsn }
    : null;
  transaction.afterCommit(() =>
    stale.remember({ container: collection.definition.id, partitionKey, id }, previous, store.lsn()),
  );
};
