/** One HTTP exchange with Graph: no redirects, a time limit over the whole answer, a bound on its size. */
import { AppError } from "../../core/errors.ts";
import { type GraphAnswer, isObject } from "./answers.ts";

export interface Limits {
  timeoutMs: number;
  maxBytes: number;
}

export const transport =
  ({ timeoutMs, maxBytes }: Limits) =>
  async (url: URL, init: RequestInit): Promise<GraphAnswer> => {
    try {
      const response = await fetch(url, { ...init, redirect: "manual", signal: AbortSignal.timeout(timeoutMs) });
      const text = await readBounded(response, maxBytes);
      return {
        status: response.status,
        header: (name) => response.headers.get(name),
        body: parsed(text, response.status),
      };
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError("graph-unavailable", { detail: reason(error) });
    }
  };

const readBounded = async (response: Response, maxBytes: number): Promise<string> => {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.byteLength;
    // Leaving the loop cancels the stream.
    if (size > maxBytes) throw new AppError("graph-unavailable", { detail: "answer too large" });
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
};

/** A broken success is no answer at all; a broken error still has its status. */
const parsed = (text: string, status: number) => {
  try {
    const body: unknown = JSON.parse(text);
    if (isObject(body)) return body;
  } catch {
    // Judged below, with everything else that is not an object.
  }
  if (status >= 200 && status < 300 && status !== 204)
    throw new AppError("graph-unavailable", { detail: `${status} without JSON` });
  return null;
};

const reason = (error: unknown): string => {
  if (error instanceof Error && error.name === "TimeoutError") return "timeout";
  const cause = error instanceof Error ? error.cause : null;
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "connection failed";
};
