/** `/users/delta` and `/groups/delta`: from a request, or a link, to a page with exactly one link. */
import { type Call, contextOf, type Reply, withOrigin } from "./call.ts";
import { chance } from "./chance.ts";
import { changeRound } from "./change-round.ts";
import type { DeltaScene } from "./delta-entries.ts";
import { fillPage } from "./delta-page.ts";
import type { EmissionSource } from "./emission.ts";
import { badRequest, GraphError, unsupportedQuery } from "./errors.ts";
import type { Feed } from "./feed-index.ts";
import { parseFilter } from "./filter.ts";
import { initialRound } from "./initial-round.ts";
import { type Cursor, type DeltaQuery, LinkState, type NextState, type Round } from "./link-state.ts";
import { rights } from "./permissions.ts";
import { groupType, selected, userType } from "./properties.ts";
import { type Query, refuseOptions } from "./query.ts";

/** Documented for directory objects since July 2020. */
const deltaLinkLifetime = 7 * 24 * 3600_000;
/** Not documented; a client must not count on more. */
const nextLinkLifetime = 24 * 3600_000;
const mostFilteredIds = 50;
const plannedRounds = 12;

export type DeltaAnswer = (call: Call, feed: Feed) => Reply;

export const createDelta = (): DeltaAnswer => {
  /** Rounds whose pages are being read; each can be made again from its link. */
  const planned = new Map<string, EmissionSource>();

  const sourceOf = (scene: DeltaScene, tid: string): EmissionSource => {
    const { directory, index, query, round, traits } = scene;
    if (round.initial) return initialRound(directory, index, query, round);
    const key = JSON.stringify([tid, query, round]);
    const source = planned.get(key) ?? changeRound(directory, index, query, round, traits);
    planned.delete(key);
    planned.set(key, source);
    const [oldest] = planned.keys();
    if (planned.size > plannedRounds && oldest !== undefined) planned.delete(oldest);
    return source;
  };

  return (call, feed) => {
    const { query } = call;
    const minimal = /\breturn=minimal\b/i.test(call.headers["prefer"] ?? "");
    const token = query.$deltatoken || query.$skiptoken;
    if (token === undefined || token === "" || query.$deltatoken === "latest") {
      const asked = askedQuery(query, feed);
      const first: NextState = {
        ...issued(call),
        kind: "next",
        query: asked,
        round: newRound(call, asked, null, minimal),
        cursor: firstCursor,
      };
      return query.$deltatoken === "latest"
        ? answer(call, first, { value: [], next: null })
        : page(call, first, sourceOf);
    }
    return page(call, resumed(call, feed, minimal), sourceOf);
  };
};

const firstCursor: Cursor = { page: 0, last: null, pending: [], carried: [] };

const issued = (call: Call): { tid: string; issuedAt: number } => ({ tid: call.tenant.tid, issuedAt: call.now });

const askedQuery = (query: Query, feed: Feed): DeltaQuery => {
  refuseOptions(query, ["$expand", "$orderby", "$search", "$count"], "on change tracking");
  const type = feed === "users" ? userType : groupType;
  const explicit = query.$select !== undefined;
  const names = selected(query.$select ?? null, type, "delta");
  const withMembers = feed === "groups" && !explicit ? [...names, "members"] : names;
  return { feed, select: withMembers.toSorted(), explicit, ids: filteredIds(query.$filter, feed) };
};

const filteredIds = (text: string | undefined, feed: Feed): string[] | null => {
  if (text === undefined) return null;
  const { ids } = parseFilter(text, feed === "users" ? userType : groupType);
  if (!ids) throw unsupportedQuery("Only 'id eq' joined by 'or' is supported in a filter on change tracking.");
  if (ids.length > mostFilteredIds) throw unsupportedQuery(`A filter holds at most ${mostFilteredIds} ids.`);
  return ids.toSorted();
};

/** A link brings everything itself; whatever else the request says is an attempt to change it. */
const resumed = (call: Call, feed: Feed, minimal: boolean): NextState => {
  const { query, tenant, traits } = call;
  const token = query.$deltatoken ?? query.$skiptoken ?? "";
  refuseOptions(
    query,
    ["$select", "$top", "$filter", "$expand", "$orderby", "$count", "$search"],
    "together with a token",
  );
  const parsed = LinkState.safeParse(call.sealer.open(token));
  if (!parsed.success) throw badRequest("Badly formed token.");
  const state = parsed.data;
  const expected = query.$deltatoken === undefined ? "next" : "delta";
  if (state.kind !== expected || state.query.feed !== feed)
    throw badRequest("The token does not belong to this request.");
  if (state.tid !== tenant.tid) throw badRequest("The token was issued for another tenant.");
  if (state.round.known > tenant.directory.sequence) {
    throw new GraphError(400, "syncStateNotFound", "The sync state generation is not found; begin again.");
  }
  const age = call.now - state.issuedAt;
  if (state.kind === "next") {
    if (age > nextLinkLifetime) throw new GraphError(400, "Directory_ExpiredPageToken", "The page token has expired.");
    return state;
  }
  if (age > deltaLinkLifetime) {
    throw feed === "users"
      ? unsupportedQuery("DeltaLink older than 30 days is not supported.")
      : new GraphError(400, "syncStateNotFound", "The sync state generation is not found; begin again.");
  }
  return {
    ...issued(call),
    kind: "next",
    query: state.query,
    round: newRound(call, state.query, state.round, minimal, traits.replicationDelay),
    cursor: { ...firstCursor, pending: state.carried.map((piece) => ({ ...piece, due: 0 })) },
  };
};

const newRound = (call: Call, query: DeltaQuery, previous: Round | null, minimal: boolean, delayed = false): Round => {
  const known = call.tenant.directory.sequence;
  const number = previous ? previous.number + 1 : 0;
  const from = previous ? previous.upTo : known;
  // what changed since the round before began has not come through yet
  const upTo = previous && delayed ? Math.max(from, previous.known) : known;
  const seed = chance(call.seed, call.tenant.tid, query.feed, number, from).toString(36).slice(2, 10);
  return { number, initial: previous === null, seed, previousFrom: previous?.from ?? from, from, upTo, known, minimal };
};

const page = (call: Call, state: NextState, sourceOf: (scene: DeltaScene, tid: string) => EmissionSource): Reply => {
  const scene: DeltaScene = {
    directory: call.tenant.directory,
    index: call.index,
    query: state.query,
    round: state.round,
    traits: call.traits,
    seesHiddenMembers: call.roles.has(rights.hiddenMembers),
  };
  const { value, next, carried } = fillPage(scene, sourceOf(scene, call.tenant.tid), state.cursor);
  const looped = call.traits.loop === state.query.feed ? state.cursor : next;
  return answer(call, state, { value, next: looped, carried });
};

const answer = (
  call: Call,
  state: NextState,
  { value, next, carried = [] }: { value: object[]; next: Cursor | null; carried?: Cursor["carried"] },
): Reply => {
  const { query, round } = state;
  const { foreignOrigin } = call.traits;
  const link: LinkState = next
    ? { ...issued(call), kind: "next", query, round, cursor: next }
    : { ...issued(call), kind: "delta", query, round, carried };
  const url = `${call.graphUrl}/${query.feed}/delta?$${next ? "skiptoken" : "deltatoken"}=${call.sealer.seal(link)}`;
  return {
    body: {
      "@odata.context": contextOf(call, query.feed, query.explicit ? query.select : null),
      ...(next
        ? { "@odata.nextLink": withOrigin(url, foreignOrigin.nextLink) }
        : { "@odata.deltaLink": withOrigin(url, foreignOrigin.deltaLink) }),
      value,
    },
    ...(round.minimal ? { headers: { "Preference-Applied": "return=minimal" } } : {}),
  };
};
