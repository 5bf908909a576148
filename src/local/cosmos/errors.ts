/** An answer that is not a success, in the service's words: HTTP status and the `code` of the JSON body. */
export class CosmosError extends Error {
  readonly status: number;
  readonly code: string;
  readonly substatus: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(status: number, message: string, extra: { substatus?: number; retryAfterMs?: number } = {}) {
    super(message);
    this.name = "CosmosError";
    this.status = status;
    this.code = codes[status] ?? "InternalServerError";
    this.substatus = extra.substatus;
    this.retryAfterMs = extra.retryAfterMs;
  }
}

const codes: Record<number, string> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  408: "RequestTimeout",
  409: "Conflict",
  412: "PreconditionFailed",
  413: "RequestEntityTooLarge",
  429: "TooManyRequests",
  449: "RetryWith",
  503: "ServiceUnavailable",
};

export const errorAnswer = ({ status, code, message, substatus, retryAfterMs }: CosmosError) => {
  const headers: Record<string, string> = {};
  if (substatus !== undefined) headers["x-ms-substatus"] = String(substatus);
  if (retryAfterMs !== undefined) headers["x-ms-retry-after-ms"] = String(retryAfterMs);
  return { status, headers, body: JSON.stringify({ code, message }) };
};

export const badRequest = (message: string, substatus?: number): CosmosError =>
  new CosmosError(400, message, substatus === undefined ? {} : { substatus });

export const notFound = (id: string): CosmosError => new CosmosError(404, `There is no resource ${quoted(id)}.`);

export const preconditionFailed = (message: string): CosmosError => new CosmosError(412, message);

export const tooLarge = (what: string, bytes: number, maxBytes: number): CosmosError =>
  new CosmosError(413, `${what} has ${bytes} bytes, at most ${maxBytes} are allowed.`);

export const quoted = (text: string): string => JSON.stringify(text);
