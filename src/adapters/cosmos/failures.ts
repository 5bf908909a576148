/**
 * What a failed request to Cosmos DB says about the data. The one question that matters for a write is whether it may have
 * happened: only a failure that proves it did not becomes an `AppError`, everything else is an `UnknownOutcome`.
 */
import { AppError } from "../../core/errors.ts";
import { UnknownOutcome } from "../../core/store/ports.ts";

export interface Failure {
  /** HTTP status, or the word that a socket, the SDK or the credential uses. */
  code: number | string;
  substatus: number;
  retryAfterMs: number;
}

/** The service itself answers 403 with this substatus when a logical partition has reached its size. */
const partitionFull = 1014;
/** A 404 whose missing thing is the container, not the document. */
export const containerMissing = 1003;

/** Words of failures that happen before a request leaves: no connection, or no token for it. */
const neverSent = new Set<number | string>([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "AuthenticationError",
  "AuthenticationRequiredError",
  "AggregateAuthenticationError",
  "CredentialUnavailableError",
]);

/** Statuses that go away by themselves within moments. 429 is not among them: the SDK has waited for it already. */
const passing = new Set<number | string>([408, 410, 449, 500, 503]);

/** One operation of a transaction was refused for lack of throughput or a clash inside the service; all is rolled back. */
export class TransactionRefused extends Error {
  readonly code: number;
  constructor(status: number) {
    super(`an operation of the transaction was answered ${status}`);
    this.name = "TransactionRefused";
    this.code = status;
  }
}

/** The SDK wraps what went wrong with a batch; the first error of the chain that has a code is the one that tells. */
export const failureOf = (error: unknown): Failure => {
  for (let current = error; current instanceof Error; current = current.cause) {
    const code: unknown = neverSent.has(current.name) ? current.name : Reflect.get(current, "code");
    if (typeof code === "number" || typeof code === "string") {
      const number = (name: string): number => Number(Reflect.get(current, name) ?? 0);
      return { code, substatus: number("substatus"), retryAfterMs: number("retryAfterInMs") };
    }
  }
  return { code: error instanceof Error ? error.name : "unknown", substatus: 0, retryAfterMs: 0 };
};

/** Without the request: that carries the account key's signature and the documents. */
const reason = ({ code, substatus }: Failure): Error =>
  new Error(`Cosmos DB: ${code}${substatus ? `/${substatus}` : ""}`);

const unavailable = (failure: Failure): AppError =>
  new AppError("store-unavailable", {
    cause: reason(failure),
    ...(failure.retryAfterMs > 0 ? { retryAfterSeconds: Math.ceil(failure.retryAfterMs / 1000) } : {}),
  });

/** A request time-out, a partition that moved and a server fault leave open whether the write was carried out first. */
const nothingWritten = ({ code }: Failure): boolean =>
  neverSent.has(code) || (typeof code === "number" && code >= 400 && code < 500 && code !== 408 && code !== 410);

export const readError = (failure: Failure): AppError => unavailable(failure);

export const writeError = (failure: Failure): AppError | UnknownOutcome => {
  if (!nothingWritten(failure)) return new UnknownOutcome(reason(failure));
  if (failure.code === 403 && failure.substatus === partitionFull)
    return new AppError("store-full", { cause: reason(failure) });
  if (failure.code === 400 || failure.code === 409 || failure.code === 412 || failure.code === 413) {
    return new AppError("unexpected", { detail: `A write was answered ${failure.code}.`, cause: reason(failure) });
  }
  return unavailable(failure);
};

export const mayReadAgain = (failure: Failure): boolean => passing.has(failure.code);

/** Only what certainly changed nothing may be sent a second time. */
export const mayWriteAgain = (failure: Failure, error: unknown): boolean =>
  failure.code === 449 || (error instanceof TransactionRefused && failure.code === 429);
