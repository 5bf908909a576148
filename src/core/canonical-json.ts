/**
 * Canonical JSON of RFC 8785: what the content hash, the plan hash and sealed cursors are computed from.
 * ECMAScript already prints strings and finite numbers as the RFC demands; what is left is the order of keys (UTF-16 units).
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

export const canonicalJson = (value: Json): string => (isOrdered(value) ? JSON.stringify(value) : ordered(value));

/** Nothing has to be put in order, and nothing refused: the engine's own printer says the same, and much faster. */
const isOrdered = (value: Json): boolean => {
  if (typeof value === "number") return Number.isFinite(value);
  if (value === null || typeof value !== "object") return true;
  if (isList(value)) return value.every(isOrdered);
  let before: string | null = null;
  for (const key of Object.keys(value)) {
    if (before !== null && before > key) return false;
    const member = value[key];
    if (member !== undefined && !isOrdered(member)) return false;
    before = key;
  }
  return true;
};

const ordered = (value: Json): string => {
  if (typeof value === "number" && !Number.isFinite(value))
    throw new TypeError("canonical JSON has no NaN or infinity");
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members: string[] = [];
  for (const key of Object.keys(value).toSorted()) {
    const member = value[key];
    if (member !== undefined) members.push(`${JSON.stringify(key)}:${canonicalJson(member)}`);
  }
  return `{${members.join(",")}}`;
};

const isList = (value: object): value is readonly Json[] => Array.isArray(value);
