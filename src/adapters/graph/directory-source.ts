/** The directory of a tenant through Graph v1.0: delta pages, members, and live look-ups. */
import {
  CursorExpired,
  type DirectorySource,
  type FeedPage,
  type MembersPage,
  type RawObject,
} from "../../core/directory/ports.ts";
import { AppError, isAppError } from "../../core/errors.ts";
import { describe, errorCodes, type GraphAnswer, type JsonObject } from "./answers.ts";
import type { GraphClient, Tenant } from "./client.ts";
import { attributesOf, feedObjects, liveGroup, livePerson, malformed, memberObjects, selectOf } from "./feeds.ts";
import { loopGuard } from "./loop-guard.ts";

/** The largest page that Graph gives of a member list. */
const membersTop = 999;

const expiryCodes = new Set([
  "syncstatenotfound",
  "resyncrequired",
  "directory_expiredpagetoken",
  "request_unsupportedquery",
]);

export const directorySource = (client: GraphClient): DirectorySource => {
  const guard = loopGuard();

  const page: DirectorySource["page"] = async (connection, feed, link) => {
    const url =
      link === null
        ? client.address.at(`/${feed}/delta?$select=${selectOf(feed, connection.settings)}`)
        : client.address.own(link);
    const body = read(await client.send(connection, { method: "GET", url }), link);
    const { next, delta } = links(client, body);
    if ((next === null) === (delta === null)) throw malformed("a page's links");
    const objects = feedObjects(feed, body);
    guard.check(`${connection.connectionId} ${feed}`, link, { objects, ends: delta !== null });
    return { objects, next, delta } satisfies FeedPage;
  };

  const members: DirectorySource["members"] = async (connection, groupId, link) => {
    const path = `/groups/${encodeURIComponent(groupId)}/members?$select=id&$top=${membersTop}`;
    const url = link === null ? client.address.at(path) : client.address.own(link);
    const answer = await client.send(connection, { method: "GET", url }).catch((error: unknown) => {
      // One group may be closed to us while the permission as such is there: the feed would tell.
      throw isAppError(error, "permission-revoked") ? new AppError("graph-refused", error.details) : error;
    });
    const body = read(answer, link);
    const found = memberObjects(body);
    const { next } = links(client, body);
    guard.check(`${connection.connectionId} ${groupId}`, link, { objects: found, ends: next === null });
    return { members: found, next } satisfies MembersPage;
  };

  /** What `there` makes of the object by id, `absent` for ids that Graph proves unknown; other ids are left out. */
  const lookUp = async <T>(
    connection: Tenant,
    ids: readonly string[],
    { path, there, absent }: { path: (id: string) => string; there: (body: JsonObject) => T; absent: T },
  ): Promise<Map<string, T>> => {
    const found = new Map<string, T>();
    const paths = ids.map((id) => path(encodeURIComponent(id)));
    const answers = await client.readMany(connection, paths);
    for (const [index, id] of ids.entries()) {
      const { status, body } = answers[index] ?? { status: 0, body: null };
      if (status === 404 && errorCodes(body)[0] === "request_resourcenotfound") found.set(id, absent);
      if (status === 200 && body && isFor(body, id)) found.set(id, there(body));
    }
    return found;
  };

  const memberOf: DirectorySource["memberOf"] = async (connection, ids) => {
    const paths = ids.map((id) => `/users/${encodeURIComponent(id)}/memberOf?$select=id&$top=${membersTop}`);
    const answers = await client.readMany(connection, paths);
    const found = new Map<string, ReadonlySet<string>>();
    for (const [index, id] of ids.entries()) {
      const { status, body } = answers[index] ?? { status: 0, body: null };
      if (status === 404 && errorCodes(body)[0] === "request_resourcenotfound") found.set(id, new Set());
      const groups = status === 200 && body ? await toTheEnd(connection, id, body) : null;
      if (groups) found.set(id, groups);
    }
    return found;
  };

  /** Ids of all pages of a list that begins with this one; null when Graph refuses one of them. */
  const toTheEnd = async (connection: Tenant, of: string, first: JsonObject): Promise<Set<string> | null> => {
    const found = memberObjects(first);
    for (let { next: link } = links(client, first); link !== null; ) {
      const answer = await client.send(connection, { method: "GET", url: client.address.own(link) });
      if (answer.status !== 200 || !answer.body) return null;
      const objects = memberObjects(answer.body);
      const { next } = links(client, answer.body);
      guard.check(`${connection.connectionId} ${of}`, link, { objects, ends: next === null });
      found.push(...objects);
      link = next;
    }
    return new Set(found.map(({ id }) => id));
  };

  return {
    page,
    members,
    memberOf,
    selection: (settings) => ({ groups: selectOf("groups", settings), users: selectOf("users", settings) }),
    present: (connection, feed, ids) =>
      lookUp(connection, ids, { path: (id) => `/${feed}/${id}?$select=id`, there: () => true, absent: false }),
    people: (connection, ids) => {
      const query = `$select=${["id", ...attributesOf("users", connection.settings)].join(",")}&$expand=manager($select=id)`;
      return lookUp<RawObject | null>(connection, ids, {
        path: (id) => `/users/${id}?${query}`,
        there: livePerson,
        absent: null,
      });
    },
    groups: (connection, ids) =>
      lookUp<RawObject | null>(connection, ids, {
        path: (id) => `/groups/${id}?$select=${["id", ...attributesOf("groups", connection.settings)].join(",")}`,
        there: liveGroup,
        absent: null,
      }),
    requests: (connectionId) => client.requests(connectionId),
  };
};

const isFor = (body: JsonObject, id: string): boolean =>
  typeof body.id === "string" && body.id.toLowerCase() === id.toLowerCase();

/**
 * The body of a page. A stored link may be dead in many disguises, which on a first request would mean something else: 410, codes
 * at any depth of the error, and any other 400. A 410's `Location` is not followed: a first read is made of our own lists.
 */
const read = (answer: GraphAnswer, link: string | null): JsonObject => {
  const { status, body } = answer;
  if (status === 200 && body) return body;
  const code = errorCodes(body).find((each) => expiryCodes.has(each));
  if (link !== null && (status === 410 || status === 400 || code !== undefined))
    throw new CursorExpired(describe(answer));
  // 404 is Graph's way of failing on some links for a while; on a first request it says that the group is gone.
  const passing = status === 410 || (status === 404 && link !== null);
  throw new AppError(passing ? "graph-unavailable" : "graph-refused", { detail: describe(answer) });
};

/** Both are checked when they arrive, so that no foreign address is ever stored. */
const links = (client: GraphClient, body: JsonObject): { next: string | null; delta: string | null } => {
  const checked = (link: unknown): string | null => (link === undefined ? null : client.address.own(link).href);
  return { next: checked(body["@odata.nextLink"]), delta: checked(body["@odata.deltaLink"]) };
};
