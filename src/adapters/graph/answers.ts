/**
 * What an answer of Graph means. Only status, codes and request ids are read: messages are unstable and may name people.
 * https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/graph/throttling
 */
import { AppError, type ErrorDetails } from "../../core/errors.ts";

export type JsonObject = Record<string, unknown>;

export interface GraphAnswer {
  status: number;
  header: (name: string) => string | null;
  /** Null: there was none, or it was not a JSON object. */
  body: JsonObject | null;
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `error.code` and the codes of nested inner errors, outermost first, in lower case: Graph varies their casing. */
export const errorCodes = (body: JsonObject | null): string[] => {
  const codes: string[] = [];
  for (let at = body?.error, depth = 0; isObject(at) && depth < 8; depth++) {
    if (typeof at.code === "string" && at.code !== "") codes.push(at.code.toLowerCase());
    at = at.innerError ?? at.innererror;
  }
  return codes;
};

/** Safe to log: `403 authorization_requestdenied request-id 1f2e...`. */
export const describe = ({ status, header, body }: GraphAnswer): string => {
  const code = errorCodes(body).find((each) => /^[\w.-]{1,64}$/.test(each));
  const inner = isObject(body?.error) && isObject(body.error.innerError) ? body.error.innerError["request-id"] : null;
  const requestId = [header("request-id"), inner].find(
    (each): each is string => typeof each === "string" && /^[\w-]{1,64}$/.test(each),
  );
  return [status, code, requestId && `request-id ${requestId}`].filter(Boolean).join(" ");
};

const longestWaitSeconds = 24 * 3600;
const waitWithoutAdviceSeconds = 10;

/** Whole seconds from a number, a fraction or an HTTP date; null when there is no usable value. */
export const retryAfterSeconds = (value: string | null, now: number): number | null => {
  const text = value?.trim() ?? "";
  const seconds = /^\d+(\.\d+)?$/.test(text)
    ? Number(text)
    : /[a-z]/i.test(text)
      ? (Date.parse(text) - now) / 1000
      : Number.NaN;
  return Number.isNaN(seconds) ? null : Math.min(Math.max(Math.ceil(seconds), 1), longestWaitSeconds);
};

export const throttled = ({ header }: Pick<GraphAnswer, "header">, now: number): AppError =>
  new AppError("graph-throttled", {
    retryAfterSeconds: retryAfterSeconds(header("retry-after"), now) ?? waitWithoutAdviceSeconds,
    scope: /^application(\/|$)/i.test(header("x-ms-throttle-scope") ?? "") ? "application" : "tenant",
  });

const passing = new Set([423, 500, 502, 503, 504, 509]);

/** Null for answers that the caller reads itself: 2xx, and 4xx with a body in Graph's form (400, 404, 410 and their like). */
export const refusal = (answer: GraphAnswer, now: number): AppError | null => {
  const { status, header, body } = answer;
  const details: ErrorDetails = { detail: describe(answer) };
  if (status === 429) return throttled(answer, now);
  if (passing.has(status)) {
    const seconds = retryAfterSeconds(header("retry-after"), now);
    return new AppError("graph-unavailable", seconds === null ? details : { ...details, retryAfterSeconds: seconds });
  }
  if (status === 401) return new AppError("graph-refused", details);
  // A gateway between us and Graph can answer with any status; only Graph's own form counts as evidence.
  const fromGraph = body !== null || status === 204 || status === 410;
  if (!fromGraph || status < 200 || (status >= 300 && status < 400)) return new AppError("graph-unavailable", details);
  if (status === 403) return new AppError(isDenied(answer) ? "permission-revoked" : "graph-refused", details);
  return status < 500 ? null : new AppError("graph-refused", details);
};

/** The token lacks a permission for this. */
export const isDenied = ({ status, body }: GraphAnswer): boolean =>
  status === 403 && errorCodes(body).includes("authorization_requestdenied");
