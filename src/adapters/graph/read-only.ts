/** The sync path holds no means to write: its client sends reads, and batches of reads, and nothing else. */
import { AppError } from "../../core/errors.ts";
import { isObject } from "./answers.ts";

export const assertReadOnly = (request: { method: string; url: URL; body: unknown }): void => {
  if (request.method === "GET" && request.body === undefined) return;
  if (request.method === "POST" && /^\/[^/]+\/\$batch$/.test(request.url.pathname) && isBatchOfReads(request.body))
    return;
  throw new AppError("unexpected", { detail: `The directory is read only here: ${request.method} refused.` });
};

const isBatchOfReads = (body: unknown): boolean =>
  isObject(body) &&
  Array.isArray(body.requests) &&
  body.requests.every((each) => isObject(each) && each.method === "GET" && !("body" in each));
