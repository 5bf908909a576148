/** JSON batching: what is refused as a whole, the order of dependants, and answers in any order. */
import { z } from "zod";
import { badRequest } from "./errors.ts";

const mostRequests = 20;

const Inner = z.object({
  id: z.string().min(1),
  method: z.string().min(1),
  url: z.string().min(1),
  dependsOn: z.array(z.string()).optional(),
  headers: z.record(z.string(), z.string()).optional(),
  body: z.unknown().optional(),
});
const Batch = z.object({ requests: z.array(Inner).min(1) });
export type InnerRequest = z.infer<typeof Inner>;

export interface InnerResponse {
  id: string;
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

export const parseBatch = (text: string): InnerRequest[] => {
  const { requests } = parsed(text);
  if (requests.length > mostRequests) {
    throw badRequest(`Number of batch request steps exceeds the maximum value of ${mostRequests}.`);
  }
  const ids = new Set(requests.map(({ id }) => id.toLowerCase()));
  if (ids.size !== requests.length) throw badRequest("Request Id is not unique.");
  for (const { id, url, method, headers, body, dependsOn } of requests) {
    if (/^https?:/i.test(url)) throw badRequest(`Request '${id}': the URL must be relative.`);
    const names = Object.keys(headers ?? {}).map((name) => name.toLowerCase());
    if (body !== undefined && !names.includes("content-type")) {
      throw badRequest(`Request '${id}': a body needs a Content-Type header.`);
    }
    if (method.toUpperCase() === "POST" && body === undefined) throw badRequest(`Request '${id}': POST needs a body.`);
    const unknown = dependsOn?.find(
      (other) => !ids.has(other.toLowerCase()) || other.toLowerCase() === id.toLowerCase(),
    );
    if (unknown !== undefined) throw badRequest(`Request '${id}' depends on '${unknown}', which is not in the batch.`);
  }
  refuseCircles(requests);
  return requests;
};

const parsed = (text: string): z.infer<typeof Batch> => {
  try {
    return Batch.parse(JSON.parse(text));
  } catch {
    throw badRequest("Invalid batch payload format.");
  }
};

const refuseCircles = (requests: readonly InnerRequest[]): void => {
  const done = new Set<string>();
  for (let left = [...requests]; left.length > 0; ) {
    const ready = left.filter(({ dependsOn }) => (dependsOn ?? []).every((other) => done.has(other.toLowerCase())));
    if (ready.length === 0) throw badRequest("The dependencies of the batch form a circle.");
    for (const { id } of ready) done.add(id.toLowerCase());
    left = left.filter((request) => !ready.includes(request));
  }
};

/** Answers each request once those it depends on have succeeded. The answers come back in an order of their own. */
export const answerBatch = async (
  requests: readonly InnerRequest[],
  answer: (request: InnerRequest) => Promise<Omit<InnerResponse, "id">>,
  order: (id: string) => number,
): Promise<{ responses: InnerResponse[] }> => {
  const statuses = new Map<string, number>();
  const responses: InnerResponse[] = [];
  for (let left = [...requests]; left.length > 0; ) {
    const ready = left.filter(({ dependsOn }) => (dependsOn ?? []).every((other) => statuses.has(other.toLowerCase())));
    for (const request of ready) {
      const failed = (request.dependsOn ?? []).some((other) => (statuses.get(other.toLowerCase()) ?? 500) >= 400);
      const response = failed ? dependencyFailed : await answer(request);
      statuses.set(request.id.toLowerCase(), response.status);
      responses.push({ id: request.id, ...response });
    }
    left = left.filter((request) => !ready.includes(request));
  }
  return { responses: responses.toSorted((one, other) => order(one.id) - order(other.id)) };
};

const dependencyFailed: Omit<InnerResponse, "id"> = {
  status: 424,
  headers: { "Content-Type": "application/json" },
  body: { error: { code: "FailedDependency", message: "A request this one depends on has failed.", innerError: {} } },
};
