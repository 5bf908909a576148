/** Partial update: operations in order on a copy, all or none; an optional condition decides whether any is done. */
import { z } from "zod";
import { isJsonObject, type JsonObject, segmentsOf } from "./document.ts";
import { badRequest } from "./errors.ts";
import type { Condition } from "./sql/condition.ts";
import { parseCondition } from "./sql/parser.ts";

export interface Patch {
  operations: PatchOperation[];
  condition: Condition | null;
}

type PatchOperation = z.infer<typeof PatchOperations>[number];

const maxOperations = 10;
const Pointer = z.string().regex(/^(\/[^/]+)+$/);
const PatchOperations = z.array(
  z.discriminatedUnion("op", [
    z.strictObject({ op: z.enum(["add", "set", "replace"]), path: Pointer, value: z.json() }),
    z.strictObject({ op: z.literal("incr"), path: Pointer, value: z.number() }),
    z.strictObject({ op: z.literal("remove"), path: Pointer, value: z.json().optional() }),
  ]),
);
const PatchBody = z.union([
  PatchOperations.transform((operations) => ({ operations, condition: undefined })),
  z.strictObject({ operations: PatchOperations, condition: z.string().optional() }),
]);

export const parsePatch = (body: unknown, partitionKeyPath: string): Patch => {
  const parsed = PatchBody.safeParse(body);
  if (!parsed.success) throw badRequest(`Not a patch this server knows: ${z.prettifyError(parsed.error)}`);
  const { operations, condition } = parsed.data;
  if (operations.length === 0) throw badRequest("A patch needs at least one operation.");
  if (operations.length > maxOperations) throw badRequest(`A patch has at most ${maxOperations} operations.`);
  for (const operation of operations) {
    const [first] = segmentsOf(operation.path);
    const fixed = first === "id" || first?.startsWith("_") || `${partitionKeyPath}/`.startsWith(`${operation.path}/`);
    if (fixed) throw badRequest(`A patch cannot change ${operation.path}.`);
  }
  return { operations, condition: condition === undefined ? null : parseCondition(condition) };
};

/** Changes `document` in place; the caller owns it. */
export const applyPatch = (document: JsonObject, operations: PatchOperation[]): void => {
  for (const operation of operations) applyOperation(document, operation);
};

const applyOperation = (document: JsonObject, operation: PatchOperation): void => {
  const names = segmentsOf(operation.path);
  const last = names.pop() ?? "";
  let parent: unknown = document;
  for (const name of names) parent = memberOf(parent, name);
  if (Array.isArray(parent)) applyToArray(parent, last, operation);
  else if (isJsonObject(parent)) applyToObject(parent, last, operation);
  else throw badRequest(`The parent of ${operation.path} is not there.`);
};

const memberOf = (parent: unknown, name: string): unknown => {
  if (Array.isArray(parent)) return /^\d+$/.test(name) ? parent[Number(name)] : undefined;
  return isJsonObject(parent) && Object.hasOwn(parent, name) ? parent[name] : undefined;
};

const applyToObject = (parent: JsonObject, name: string, operation: PatchOperation): void => {
  const there = Object.hasOwn(parent, name);
  switch (operation.op) {
    case "add":
    case "set":
      define(parent, name, operation.value);
      return;
    case "replace":
      if (!there) throw missing(operation.path);
      define(parent, name, operation.value);
      return;
    case "remove":
      if (!there) throw missing(operation.path);
      delete parent[name];
      return;
    case "incr":
      define(parent, name, incremented(there ? parent[name] : 0, operation));
  }
};

const applyToArray = (parent: unknown[], name: string, operation: PatchOperation): void => {
  if (name === "-" && (operation.op === "add" || operation.op === "set")) {
    parent.push(operation.value);
    return;
  }
  const at = /^\d+$/.test(name) ? Number(name) : -1;
  const highest = operation.op === "add" ? parent.length : parent.length - 1;
  if (at < 0 || at > highest) throw missing(operation.path);
  switch (operation.op) {
    case "add":
      parent.splice(at, 0, operation.value);
      return;
    case "set":
    case "replace":
      parent[at] = operation.value;
      return;
    case "remove":
      parent.splice(at, 1);
      return;
    case "incr":
      parent[at] = incremented(parent[at], operation);
  }
};

/** Defines an own property whatever its name, also `__proto__`. */
const define = (parent: JsonObject, name: string, value: unknown): void => {
  Object.defineProperty(parent, name, { value, writable: true, enumerable: true, configurable: true });
};

const incremented = (value: unknown, operation: PatchOperation & { op: "incr" }): number => {
  if (typeof value !== "number") throw badRequest(`${operation.path} is no number, it cannot be incremented.`);
  return value + operation.value;
};

const missing = (path: string) => badRequest(`There is nothing at ${path}.`);
