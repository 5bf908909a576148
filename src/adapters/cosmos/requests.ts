/**
 * The few shapes of request the stores are made of. All name one logical partition, except the one query that says so; none
 * waits long: whoever calls has a schedule of its own.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Container, JSONObject, OperationInput, SqlParameter } from "@azure/cosmos";
import { AppError } from "../../core/errors.ts";
import type { Stored } from "../../core/store/documents.ts";
import { UnknownOutcome } from "../../core/store/ports.ts";
import {
  containerMissing,
  type Failure,
  failureOf,
  mayReadAgain,
  mayWriteAgain,
  readError,
  TransactionRefused,
  writeError,
} from "./failures.ts";

const attempts = 3;
const firstPauseMs = 50;
const longestPauseMs = 1000;

/** Stands where an answer would, for a status that the caller named as an outcome. */
export interface Refusal {
  statusCode: number;
  resource?: undefined;
}

const persevere = async <T>(
  request: () => Promise<T>,
  again: (failure: Failure, error: unknown) => boolean,
  outcomeOf: (failure: Failure) => T | Error,
): Promise<T> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await request();
    } catch (error) {
      if (error instanceof AppError) throw error;
      const failure = failureOf(error);
      if (attempt === attempts || !again(failure, error)) {
        const outcome = outcomeOf(failure);
        if (outcome instanceof Error) throw outcome;
        return outcome;
      }
      await pause(Math.min(longestPauseMs, Math.max(failure.retryAfterMs, firstPauseMs * 4 ** (attempt - 1))));
    }
  }
};

export const reading = <T>(request: () => Promise<T>): Promise<T> => persevere(request, mayReadAgain, readError);

/** Never sent again once it may have happened. */
export const writing = <T>(request: () => Promise<T>, ...expected: number[]): Promise<T | Refusal> =>
  persevere<T | Refusal>(request, mayWriteAgain, (failure) =>
    typeof failure.code === "number" && expected.includes(failure.code)
      ? { statusCode: failure.code }
      : writeError(failure),
  );

/** For a write that does no harm when it happens twice: sent again also when its outcome is not known. */
export const repeating = async <T>(write: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof UnknownOutcome) || attempt === attempts) throw error;
      await pause(firstPauseMs * 4 ** (attempt - 1));
    }
  }
};

/** Creates a document whose id nobody else can have chosen: that it exists already means that an earlier try had worked. */
export const createOnce = async (container: Container, doc: object): Promise<void> => {
  let tried = false;
  await repeating(async () => {
    const expected = tried ? [409] : [];
    tried = true;
    await writing(() => container.items.create(toBody(doc)), ...expected);
  });
};

/** Properties that Cosmos DB adds. `_etag` is wanted. */
const added = new Set(["_rid", "_self", "_ts", "_attachments"]);

export const stored = <D>(resource: object): Stored<D> =>
  Object.fromEntries(Object.entries(resource).filter(([name]) => !added.has(name))) as Stored<D>;

/** A document as it is sent: the ETag it was read with travels beside it, not inside. */
export const toBody = (doc: object): JSONObject => {
  const { _etag, ...body } = doc as JSONObject;
  return body;
};

/** Characters that no id has: Cosmos DB refuses them. */
const unstorable = /[/\\?#]/;

/** Null when there is no such document. A missing container is a fault and must not look like a missing document. */
export const readDocument = async <D>(container: Container, partition: string, id: string): Promise<Stored<D> | null> =>
  reading(async () => {
    if (unstorable.test(id)) return null;
    const { resource, statusCode, substatus } = await container.item(id, required(partition)).read<object>();
    if (resource) return stored<D>(resource);
    if (statusCode === 404 && substatus !== containerMissing) return null;
    throw readError({ code: statusCode, substatus: substatus ?? 0, retryAfterMs: 0 });
  });

type QueryParameters = Record<string, string | number | boolean>;

/** All rows of a query inside one partition; the query bounds their number. */
export const rows = <T>(
  container: Container,
  partition: string,
  query: string,
  parameters: QueryParameters = {},
): Promise<T[]> =>
  rowsOf<T>(container, query, parameters, { partitionKey: required(partition) }, Number.POSITIVE_INFINITY);

/** At most `limit` rows, in no order: order and TOP over all partitions would be work of the SDK, not of the service. */
export const rowsOfAllPartitions = <T>(
  container: Container,
  query: string,
  parameters: QueryParameters,
  limit: number,
): Promise<T[]> => rowsOf<T>(container, query, parameters, {}, limit);

const rowsOf = <T>(
  container: Container,
  query: string,
  parameters: QueryParameters,
  where: { partitionKey?: string },
  limit: number,
): Promise<T[]> =>
  reading(async () => {
    const values = Object.entries(parameters).map(([name, value]): SqlParameter => ({ name: `@${name}`, value }));
    // -1: the service makes a page as long as it can.
    const maxItemCount = Number.isFinite(limit) ? limit : -1;
    const iterator = container.items.query<T>({ query, parameters: values }, { ...where, maxItemCount });
    const found: T[] = [];
    // A page may be short or empty with more to come.
    while (iterator.hasMoreResults() && found.length < limit)
      found.push(...((await iterator.fetchNext()).resources ?? []));
    return found.slice(0, limit);
  });

/** `@i0, @i1, ...` for an IN list, with its parameters. */
export const inList = (values: readonly string[]): { list: string; parameters: QueryParameters } => ({
  list: values.map((_, index) => `@i${index}`).join(", "),
  parameters: Object.fromEntries(values.map((value, index) => [`i${index}`, value])),
});

export type TransactionAnswer =
  | { ok: true; etags: (string | undefined)[] }
  /** Nothing was written; `index` is the operation that was refused, with its status. */
  | { ok: false; index: number; status: 404 | 409 | 412 };

export type TransactionOperation = OperationInput & { ifMatch?: string };

export const maxOperations = 100;

/** All or nothing inside one partition. The SDK resolves also when an operation failed, so every status is looked at. */
export const transaction = async (
  container: Container,
  partition: string,
  operations: readonly TransactionOperation[],
): Promise<TransactionAnswer> => {
  if (operations.length === 0 || operations.length > maxOperations) {
    throw new RangeError(`a transaction has 1 to ${maxOperations} operations, not ${operations.length}`);
  }
  const answer = await writing<TransactionAnswer>(async () => {
    const { code, result } = await container.items.batch([...operations], required(partition));
    const answers = result ?? [];
    const index = answers.findIndex(({ statusCode }) => statusCode >= 300 && statusCode !== 424);
    const status = answers[index]?.statusCode;
    if (status === undefined) {
      const complete = answers.length === operations.length && answers.every(({ statusCode }) => statusCode < 300);
      if (!complete) throw new TransactionRefused(code && code >= 300 ? code : 500);
      return { ok: true, etags: answers.map(({ eTag }) => eTag) };
    }
    if (status === 404 || status === 409 || status === 412) return { ok: false, index, status };
    // Inside a transaction only the size of the partition forbids: a caller without rights is turned away before it.
    if (status === 403) throw new AppError("store-full");
    throw new TransactionRefused(status);
  });
  if ("statusCode" in answer) throw new AppError("unexpected");
  return answer;
};

/** Without a value the SDK would search all partitions. */
const required = (partition: string): string => {
  if (!partition) throw new RangeError("a partition key is required");
  return partition;
};
