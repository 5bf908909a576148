/** The form of a row in the table of routes, and the types that follow from a row. */
import type { z } from "zod";
import type { CostClass } from "../core/access/rate-limits.ts";
import type { Caller, Permission } from "../core/context.ts";
import type { PageRequest } from "../core/views/readable.ts";

export interface Route {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** From the root, without a slash in front. */
  path: string;
  summary: string;
  /** Null: anybody may ask. */
  permission: Permission | null;
  /** A program may not do it, whomever it acts for. */
  person?: true;
  /** Cannot be undone: it takes somebody who has signed in a moment ago, where the product's issuer tells when that was. */
  stepUp?: true;
  /** Which of the caller's buckets it takes from. Absent: `read` for GET, else `write`. */
  cost?: CostClass;
  /** Answers with personal data: recorded in the access log before it is answered. */
  personal: boolean;
  /** The access log names who is in the answer, by id: the same request may find others tomorrow. */
  namesFound?: boolean;
  query?: z.ZodType;
  body?: z.ZodType;
  /** Of the body; `csv`: the schema sees its text. Absent: JSON. */
  format?: "csv";
  /** Absent: what is enough for everything but files and lists. */
  maxBodyBytes?: number;
  /** Answers `{items, next}`; `next` is given out sealed and comes back as `cursor`. */
  paged?: boolean;
  /** Answers a part of a file, as text of the media types given here; where the next part is, is in the header `Link`. */
  file?: readonly string[];
  /** Whether the caller must (or may) send the ETag he has read. */
  ifMatch?: "required" | "optional";
  status: 200 | 201 | 202;
  /** Template of the header `Location`, from the path's parameters and the answer's id. */
  location?: string;
  answer: z.ZodType;
}

type Names<P extends string> = P extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;
type Parsed<S> = S extends z.ZodType ? z.output<S> : Record<string, never>;

export interface Input<R extends Route> {
  caller: R["permission"] extends null ? null : Caller;
  params: Readonly<Record<Names<R["path"]>, string>>;
  query: Parsed<R["query"]>;
  body: Parsed<R["body"]>;
  ifMatch: string | undefined;
  page: PageRequest;
}

export type Output<R extends Route> = z.input<R["answer"]>;

/**
 * `people-z-person-product-user` for `api/v1/connections/{connection}/people/{person}/product-user` of the area `people`. The host
 * takes the first route that fits in the order of names: the `z` puts a parameter behind the words that could stand in its place.
 */
export const functionName = (area: string, path: string): string => {
  const below = path
    .replace(/^api\/v1\//, "")
    .replace(/^connections\/\{connection\}\/(?=.)/, "")
    .replace(/\.json$/, "")
    .replaceAll(/\{(\w+)\}/g, "z-$1")
    .replaceAll("/", "-");
  return below === area || below.startsWith(`${area}-`) ? below : `${area}-${below}`;
};
