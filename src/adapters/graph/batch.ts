/** JSON batches of reads. https://learn.microsoft.com/graph/json-batching */
import { AppError } from "../../core/errors.ts";
import { type GraphAnswer, isObject, throttled } from "./answers.ts";

/** Graph takes no more in one batch. */
export const batchSize = 20;

/** Paths are relative to the version root; a request's id is its place. */
export const batchOf = (paths: readonly string[]): object => ({
  requests: paths.map((url, index) => ({ id: String(index), method: "GET", url })),
});

/** Answers in the order of the requests, whatever order they came in; null where none came. */
export const batchAnswers = (count: number, outer: GraphAnswer): (GraphAnswer | null)[] => {
  const answers: (GraphAnswer | null)[] = Array(count).fill(null);
  const responses = outer.status === 200 ? outer.body?.responses : null;
  if (!Array.isArray(responses)) throw new AppError("graph-unavailable", { detail: "batch answer" });
  for (const each of responses) {
    const index = isObject(each) && typeof each.id === "string" && /^\d+$/.test(each.id) ? Number(each.id) : -1;
    if (!isObject(each) || typeof each.status !== "number" || !(index in answers)) continue;
    const headers = isObject(each.headers) ? Object.entries(each.headers) : [];
    answers[index] = {
      status: each.status,
      header: (name) => {
        const value = headers.find(([key]) => key.toLowerCase() === name)?.[1];
        return typeof value === "string" || typeof value === "number" ? String(value) : null;
      },
      body: isObject(each.body) ? each.body : null,
    };
  }
  return answers;
};

/** The longest wait that an answer inside the batch asks for; null when none was throttled. The outer status is 200 even so. */
export const batchThrottled = (answers: readonly (GraphAnswer | null)[], now: number): AppError | null => {
  const waits = answers.flatMap((answer) => (answer?.status === 429 ? [throttled(answer, now)] : []));
  return waits.toSorted((a, b) => secondsOf(b) - secondsOf(a))[0] ?? null;
};

const secondsOf = ({ details }: AppError): number => details.retryAfterSeconds ?? 0;
