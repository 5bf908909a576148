/** Failures as callers and the log see them: a stable code and the correlation id for both, what is behind it for neither. */
import type { InvocationContext } from "@azure/functions";
import { AppError, type ErrorKind, problems } from "../../core/errors.ts";
import { UnknownOutcome } from "../../core/store/ports.ts";

export const statuses: Readonly<Record<ErrorKind, number>> = {
  "invalid-input": 400,
  unauthenticated: 401,
  forbidden: 403,
  "not-consented": 403,
  "not-found": 404,
  "method-not-allowed": 405,
  conflict: 409,
  gone: 410,
  "precondition-failed": 412,
  "too-large": 413,
  "precondition-required": 428,
  throttled: 429,
  internal: 500,
  misconfigured: 500,
  "upstream-unavailable": 503,
};

export interface Answer {
  status: number;
  headers: Record<string, string>;
  jsonBody?: unknown;
  /** Instead of JSON: a part of a file. */
  body?: string;
}

/** Nothing that an API answers is for a cache, a frame or a referrer. */
export const securityHeaders: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000",
  "x-content-type-options": "nosniff",
};

/** Everything that can be thrown, as one of our own errors. */
export const asAppError = (error: unknown): AppError => {
  if (error instanceof AppError) return error;
  // The caller reads again and sees what became of it.
  if (error instanceof UnknownOutcome) return new AppError("store-unavailable", { cause: error });
  return new AppError("unexpected", { cause: error });
};

export const isRetryable = ({ kind }: AppError): boolean => kind === "throttled" || kind === "upstream-unavailable";

/** RFC 9457. https://www.rfc-editor.org/rfc/rfc9457 */
export const problemAnswer = (problem: AppError, correlationId: string, path: string): Answer => {
  const { code, kind, advice, details } = problem;
  const status = statuses[kind];
  // What an installation lacks or a service answered is for the log.
  const detail = status < 500 ? details.detail : undefined;
  return {
    status,
    headers: {
      ...securityHeaders,
      "content-type": "application/problem+json",
      "x-correlation-id": correlationId,
      ...(status === 401 ? { "www-authenticate": challengeOf(problem) } : {}),
      ...retryAfter(problem),
    },
    jsonBody: {
      type: `urn:m365-sync:problem:${code}`,
      title: problems[code].title,
      status,
      code,
      ...(details.field === undefined ? {} : { field: details.field.slice(0, 200) }),
      ...(detail === undefined ? {} : { detail: detail.slice(0, 500) }),
      ...(advice === undefined ? {} : { advice }),
      ...(details.lines === undefined ? {} : { lines: details.lines }),
      ...(code === "feed-too-old" ? { snapshot: path.replace(/\/changes\/?$/, "/snapshot") } : {}),
      retryable: isRetryable(problem),
      correlationId,
    },
  };
};

/** What the product has to ask its issuer for: RFC 9470. https://www.rfc-editor.org/rfc/rfc9470 */
const challengeOf = ({ details: { maxAgeSeconds } }: AppError): string =>
  maxAgeSeconds === undefined
    ? "Bearer"
    : `Bearer error="insufficient_user_authentication", max_age="${maxAgeSeconds}"`;

/** Whole seconds, at least one. */
export const retryAfter = ({ details: { retryAfterSeconds } }: AppError): Record<string, string> =>
  retryAfterSeconds === undefined ? {} : { "retry-after": String(Math.max(1, Math.ceil(retryAfterSeconds))) };

type Log = Pick<InvocationContext, "error" | "warn" | "info">;

/** One JSON object per line. A refusal is no event; what is ours or a service's fault is. */
export const logProblem = (log: Log, what: string, problem: AppError, more: Readonly<Record<string, string>>): void => {
  const { code, kind, details } = problem;
  const status = statuses[kind];
  const line = { event: what, code, kind, ...more };
  if (status < 500) log.info(JSON.stringify(line));
  else {
    const text = JSON.stringify({ ...line, detail: details.detail, stack: traceOf(problem) });
    if (kind === "upstream-unavailable") log.warn(text);
    else log.error(text);
  }
};

/** Names and frames of an error and its causes. Messages stay out: those of libraries carry what they were working on. */
export const traceOf = (error: unknown): string[] => {
  const lines: string[] = [];
  for (let current = error; current instanceof Error && lines.length < 60; current = current.cause)
    lines.push(current.name, ...framesOf(current));
  return lines;
};

/** The stack begins with the message, which may have lines of any kind. */
const framesOf = ({ stack = "", message }: Error): string[] =>
  stack
    .slice(Math.max(0, stack.indexOf(message)) + message.length)
    .split("\n")
    .filter((line) => /^ {4}at /.test(line))
    .map((line) => line.trim());
