/** Pages of a collection that is not tracked. The whole query is repeated in every link and must come back unchanged. */

import { z } from "zod";
import { type Call, type Reply, withOrigin } from "./call.ts";
import { chance } from "./chance.ts";
import { badRequest, GraphError, unsupportedQuery } from "./errors.ts";
import { type Filter, parseFilter } from "./filter.ts";
import type { EntityType } from "./properties.ts";
import { pageSizeOf, refuseOptions } from "./query.ts";
import { parseSearch, type Search } from "./search.ts";

export const largestPage = 999;

const PageState = z.object({ tid: z.string(), asked: z.string(), last: z.string().nullable(), page: z.number() });

export interface Collection {
  context: string;
  type: EntityType;
  largestPage: number;
  /** Takes `$search`. */
  searchable?: boolean;
  /** Ids behind `last`, in their order. */
  after(last: string | null): Iterable<string>;
  /** Undefined: nothing of that id is in the collection (any more). */
  find(id: string): { properties: Record<string, unknown>; entry(): object } | undefined;
}

export const listed = (call: Call, collection: Collection): Reply => {
  const { query, sealer, traits } = call;
  refuseOptions(query, ["$deltatoken", "$orderby"], "by the simulator");
  const size = pageSizeOf(query, collection.largestPage);
  const filter = query.$filter === undefined ? null : parseFilter(query.$filter, collection.type);
  const search = searchOf(call, collection);
  const advanced = isAdvanced(call);
  if (filter?.advanced && !advanced) {
    throw unsupportedQuery("The filter needs the header 'ConsistencyLevel: eventual' and '$count=true'.");
  }
  const conditions: Conditions = { filter, search };
  const asked = askedWithoutToken(call.url);
  const state = query.$skiptoken === undefined ? null : PageState.safeParse(sealer.open(query.$skiptoken));
  if (state && !state.success) throw new GraphError(400, "Directory_ExpiredPageToken", "The page token is not valid.");
  if (state && (state.data.tid !== call.tenant.tid || state.data.asked !== asked)) {
    throw badRequest("The page token does not belong to this request.");
  }
  const { last, page } = state?.data ?? { last: null, page: 0 };
  const empty = chance(call.seed, "empty list page", asked, page) < traits.emptyPages;
  const taken = empty ? { entries: [], last, more: true } : take(collection, conditions, last, size);
  const next = new URL(`${call.graphUrl}${call.url.pathname.replace(/^\/v1\.0/, "")}${asked}`);
  if (taken.more) {
    const token = sealer.seal({ tid: call.tenant.tid, asked, last: taken.last, page: page + 1 });
    next.search += `${next.search ? "&" : "?"}$skiptoken=${token}`;
  }
  return {
    body: {
      "@odata.context": collection.context,
      ...(advanced && page === 0 ? { "@odata.count": count(collection, conditions) } : {}),
      ...(taken.more ? { "@odata.nextLink": withOrigin(next.href, traits.foreignOrigin.nextLink) } : {}),
      value: taken.entries,
    },
  };
};

/** Advanced queries need the header on every page: it does not travel in the link. */
export const isAdvanced = (call: Call): boolean => call.query.$count === "true" && isEventual(call);

const isEventual = (call: Call): boolean => call.headers["consistencylevel"]?.toLowerCase() === "eventual";

/** A search needs the header only, on every page as well. */
const searchOf = (call: Call, { searchable, type }: Collection): Search | null => {
  const text = call.query.$search;
  if (text === undefined) return null;
  if (!searchable) throw unsupportedQuery("'$search' is not supported on this collection.");
  if (!isEventual(call)) throw unsupportedQuery("'$search' needs the header 'ConsistencyLevel: eventual'.");
  if (call.query.$expand !== undefined) throw unsupportedQuery("'$search' and '$expand' cannot be combined.");
  return parseSearch(text, type);
};

interface Conditions {
  filter: Filter | null;
  search: Search | null;
}

const fits = ({ filter, search }: Conditions, id: string, properties: Record<string, unknown>): boolean =>
  (!filter || filter.matches(id, properties)) && (!search || search(properties));

const candidates = (collection: Collection, filter: Filter | null, last: string | null): Iterable<string> =>
  filter?.ids ? filter.ids.filter((id) => last === null || id > last).toSorted() : collection.after(last);

const take = (collection: Collection, conditions: Conditions, last: string | null, size: number) => {
  const entries: object[] = [];
  let newest = last;
  for (const id of candidates(collection, conditions.filter, last)) {
    const found = collection.find(id);
    if (!found || !fits(conditions, id, found.properties)) continue;
    if (entries.length === size) return { entries, last: newest, more: true };
    entries.push(found.entry());
    newest = id;
  }
  return { entries, last: newest, more: false };
};

const count = (collection: Collection, conditions: Conditions): number => {
  let matching = 0;
  for (const id of candidates(collection, conditions.filter, null)) {
    const found = collection.find(id);
    if (found && fits(conditions, id, found.properties)) matching++;
  }
  return matching;
};

const askedWithoutToken = (url: URL): string => {
  const kept = new URLSearchParams([...url.searchParams].filter(([name]) => name.toLowerCase() !== "$skiptoken"));
  const text = kept.toString().replaceAll("%24", "$").replaceAll("+", "%20");
  return text ? `?${text}` : "";
};
