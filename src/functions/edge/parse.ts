/** From what came over the wire to what a route expects. Unknown fields are refused, in bodies and queries alike. */
import type { HttpRequest } from "@azure/functions";
import { z } from "zod";
import { AppError } from "../../core/errors.ts";
import type { Route } from "../route.ts";

export const maxBodyBytes = 256 * 1024;

const nothing = z.strictObject({});

/** A query as the host hands it over: a key that was repeated is one text with commas, which no schema takes for a number or a word. */
export const parseQuery = (schema: z.ZodType | undefined, request: Pick<HttpRequest, "query">): unknown =>
  parse(schema ?? nothing, Object.fromEntries(request.query));

export const parseBody = async (
  { body: schema, format, maxBodyBytes: most = maxBodyBytes }: Pick<Route, "body" | "format" | "maxBodyBytes">,
  request: Pick<HttpRequest, "headers" | "arrayBuffer">,
): Promise<unknown> => {
  if (Number(request.headers.get("content-length") ?? 0) > most) throw new AppError("body-too-large");
  const bytes = await request.arrayBuffer();
  if (bytes.byteLength > most) throw new AppError("body-too-large");
  if (bytes.byteLength === 0 && schema === undefined) return {};
  return parse(schema ?? nothing, format === "csv" ? textOf(bytes) : jsonOf(bytes));
};

const jsonOf = (bytes: ArrayBuffer): unknown => {
  try {
    return JSON.parse(decoded(bytes));
  } catch {
    throw new AppError("invalid-request", { detail: "The body is not JSON in UTF-8." });
  }
};

const textOf = (bytes: ArrayBuffer): string => {
  try {
    return decoded(bytes);
  } catch {
    throw new AppError("invalid-request", { detail: "The body is not text in UTF-8." });
  }
};

const decoded = (bytes: ArrayBuffer): string => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

const parse = (schema: z.ZodType, value: unknown): unknown => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (!issue) throw new AppError("invalid-request");
  const unknown = issue.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
  const field = [...issue.path.map(String), ...unknown].join(".");
  const detail = unknown.length > 0 ? "This field is not known here." : issue.message;
  throw new AppError("invalid-request", { detail, ...(field === "" ? {} : { field }) });
};
