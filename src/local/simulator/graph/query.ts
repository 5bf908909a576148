/** The OData options of a request. v1.0 wants the `$`; a name without it is not an option and is ignored, silently. */
import { badRequest, unsupportedQuery } from "./errors.ts";

const known = [
  "$select",
  "$top",
  "$filter",
  "$expand",
  "$orderby",
  "$count",
  "$search",
  "$skiptoken",
  "$deltatoken",
] as const;

export type OptionName = (typeof known)[number];
export type Query = Readonly<Partial<Record<OptionName, string>>>;

export const parseQuery = (url: URL): Query => {
  const query: Partial<Record<OptionName, string>> = {};
  for (const [name, value] of url.searchParams) {
    if (!name.startsWith("$")) continue;
    const option = known.find((each) => each === name.toLowerCase());
    if (!option) throw badRequest(`The query parameter '${name}' is not supported.`);
    if (query[option] !== undefined) throw badRequest(`Query option '${name}' was specified more than once.`);
    query[option] = value;
  }
  return query;
};

export const refuseOptions = (query: Query, refused: readonly OptionName[], where: string): void => {
  const used = refused.find((name) => query[name] !== undefined);
  if (used) throw badRequest(`The query option '${used}' is not supported ${where}.`);
};

export const pageSizeOf = (query: Query, largest: number): number => {
  const text = query.$top;
  if (text === undefined) return 100;
  const size = Number(text);
  if (!/^\d+$/.test(text) || size < 1 || size > largest) {
    throw unsupportedQuery(`Invalid page size specified: '${text}'. Must be between 1 and ${largest} inclusive.`);
  }
  return size;
};
