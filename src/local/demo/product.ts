/** The back end of a product that uses the API: one token, JSON, problem details. What it does not use of an answer it ignores. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

export class ProductProblem extends Error {
  readonly status: number;
  readonly code: string;
  constructor(request: string, status: number, problem: z.infer<typeof Problem>) {
    const text = [problem.title, problem.detail, problem.advice].filter(Boolean).join(" ");
    super(`${request} answered ${status} ${problem.code}: ${text} (${problem.correlationId})`);
    this.status = status;
    this.code = problem.code;
  }
}

const Problem = z.object({
  code: z.string().default("unknown"),
  title: z.string().default(""),
  detail: z.string().optional(),
  advice: z.string().nullish(),
  correlationId: z.string().default(""),
});

export interface Product {
  get<Answer extends z.ZodType>(path: string, answer: Answer): Promise<z.output<Answer>>;
  /** Writes are not tried again: whether the first one was carried out is not known. */
  post<Answer extends z.ZodType>(path: string, body: object, answer: Answer): Promise<z.output<Answer>>;
  put<Answer extends z.ZodType>(path: string, body: object, etag: string, answer: Answer): Promise<z.output<Answer>>;
  /** All items of a list, page by page. */
  list<Item extends z.ZodType>(path: string, item: Item): Promise<z.output<Item>[]>;
}

const attempts = 6;
const pauseMs = 500;

/** Reads are tried again while the host is not there. */
export const openProduct = (url: string, token: () => Promise<string>): Product => {
  const send = async (method: string, path: string, body?: object, etag?: string): Promise<unknown> => {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await token()}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(etag === undefined ? {} : { "if-match": etag }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const json = parsed(text);
    if (!answer.ok) throw new ProductProblem(`${method} ${path}`, answer.status, Problem.parse(json ?? {}));
    return json;
  };
  const read = async (path: string): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send("GET", path);
      } catch (error) {
        const passing = !(error instanceof ProductProblem) || error.status >= 502;
        if (!passing || attempt === attempts) throw error;
      }
      await delay(pauseMs * attempt);
    }
  };
  const get: Product["get"] = async (path, answer) => answer.parse(await read(path));
  return {
    get,
    post: async (path, body, answer) => answer.parse(await send("POST", path, body)),
    put: async (path, body, etag, answer) => answer.parse(await send("PUT", path, body, etag)),
    list: async (path, item) => {
      const Page = listOf(item);
      const items: z.output<typeof item>[] = [];
      for (let cursor: string | null | undefined = ""; cursor !== null && cursor !== undefined; ) {
        const page: z.output<typeof Page> = await get(withQuery(path, cursor === "" ? {} : { cursor }), Page);
        items.push(...page.items);
        cursor = page.next;
      }
      return items;
    },
  };
};

export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next: z.string().nullish() });

const withQuery = (path: string, query: Record<string, string>): string => {
  const text = new URLSearchParams(query).toString();
  return text === "" ? path : `${path}${path.includes("?") ? "&" : "?"}${text}`;
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
