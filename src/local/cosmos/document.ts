/** What makes a JSON object a document of a container: identity, partition key, size, time to live, system properties. */

import type { ContainerDefinition } from "./definitions.ts";
import { badRequest, quoted, tooLarge } from "./errors.ts";

export type JsonObject = { [name: string]: unknown };

const maxItemBytes = 2 * 1024 * 1024;
const maxIdBytes = 1023;
const maxPartitionKeyBytes = 2048;
const maxTtlSeconds = 2_147_483_647;
const systemProperties = ["_rid", "_self", "_etag", "_attachments", "_ts"];

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest("The body is not JSON.");
  }
};

/** Only own properties: `constructor` is not a property of a document that does not say so. */
export const valueAt = (document: unknown, path: readonly string[]): unknown => {
  let value = document;
  for (const name of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
};

export const segmentsOf = (path: string): string[] => path.slice(1).split("/");

export const checkedId = (id: unknown): string => {
  if (typeof id !== "string" || id === "") throw badRequest("A document needs an id, a string that is not empty.");
  if (/[/\\?#]/.test(id)) throw badRequest(`The id ${quoted(id)} holds one of the characters / \\ ? #.`);
  if (id.endsWith(" ")) throw badRequest(`The id ${quoted(id)} ends with a space.`);
  if (Buffer.byteLength(id) > maxIdBytes) throw badRequest(`An id has at most ${maxIdBytes} bytes.`);
  return id;
};

/** The header is a JSON array with one value. Only strings: every container of ours is keyed by one. */
export const partitionKeyOfHeader = (header: string): string => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(header);
  } catch {
    throw badRequest("The partition key header is not JSON.");
  }
  const [key, ...more] = Array.isArray(parsed) ? parsed : [];
  if (typeof key !== "string" || more.length > 0) {
    throw badRequest("The partition key has to be one string; this server takes no undefined, null or composite key.");
  }
  if (Buffer.byteLength(key) > maxPartitionKeyBytes) {
    throw badRequest(`A partition key has at most ${maxPartitionKeyBytes} bytes.`);
  }
  return key;
};

/** Substatus 1001: partition key mismatch. */
export const checkPartitionKey = (definition: ContainerDefinition, item: JsonObject, expected: string): void => {
  if (valueAt(item, segmentsOf(definition.partitionKey)) === expected) return;
  throw badRequest(`${definition.partitionKey} of the document is not the partition key of the request.`, 1001);
};

/** Unix second from which on the document is gone, or null. Counted from `_ts`, the second of the last write. */
export const expiryOf = (definition: ContainerDefinition, item: JsonObject, ts: number): number | null => {
  const ttl = item["ttl"];
  if (
    ttl !== undefined &&
    (typeof ttl !== "number" || !Number.isInteger(ttl) || (ttl !== -1 && ttl < 1) || ttl > maxTtlSeconds)
  ) {
    throw badRequest(`ttl is -1 or a whole number of seconds from 1 to ${maxTtlSeconds}.`);
  }
  if (definition.defaultTtl === null) return null;
  const seconds = ttl ?? definition.defaultTtl;
  return seconds === -1 ? null : ts + seconds;
};

/** The text without system properties; what a client sends under these names is ignored, as by the service. */
export const textOf = (item: JsonObject): { text: string; bytes: number } => {
  const text = JSON.stringify(systemProperties.some((name) => name in item) ? withoutSystemProperties(item) : item);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxItemBytes) throw tooLarge("The document", bytes, maxItemBytes);
  return { text, bytes };
};

export const withSystemProperties = (text: string, rid: string, self: string, lsn: number, ts: number): string =>
  `${text.slice(0, -1)},"_rid":"${rid}","_self":"${self}","_etag":${JSON.stringify(etagOf(lsn))},"_attachments":"attachments/","_ts":${ts}}`;

/** Quoted, as the service sends it. The log sequence number grows with every write, so no two versions share an etag. */
export const etagOf = (lsn: number): string => {
  const hex = lsn.toString(16).padStart(12, "0");
  return `"${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000"`;
};

const withoutSystemProperties = (item: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(item).filter(([name]) => !systemProperties.includes(name)));
