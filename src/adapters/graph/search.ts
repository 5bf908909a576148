/**
 * Live look-ups. What somebody has typed goes into the query of a request to Graph and nowhere else; it is escaped here.
 * https://learn.microsoft.com/graph/search-query-parameter, https://learn.microsoft.com/graph/aad-advanced-queries
 */
import type { DirectorySearch, FoundObject, PersonKey } from "../../core/directory/ports.ts";
import { AppError } from "../../core/errors.ts";
import { describe, errorCodes, type GraphAnswer, isDenied, isObject, type JsonObject } from "./answers.ts";
import type { GraphClient, Tenant } from "./client.ts";
import { malformed, memberOf } from "./feeds.ts";

/** Somebody waits. */
const interactive = { "x-ms-throttle-priority": "High" };
/** Searches are answered from an index, and Graph wants to hear that we know. */
const indexed = { ...interactive, consistencylevel: "eventual" };

/** Empty pages are ordinary; so many in one answer to somebody who waits are not. */
const maxPages = 20;
/** The largest page that Graph gives of a list of groups. */
const groupsTop = 999;
const mostNamed = 10;

const groupProperties = ["displayName", "description", "groupTypes", "mailEnabled", "securityEnabled"] as const;

export const directorySearch = (client: GraphClient): DirectorySearch => {
  interface List {
    url: URL;
    headers: Readonly<Record<string, string>>;
    limit?: number;
    wanted?: (object: JsonObject) => boolean;
  }

  /** Objects of a list until there are `limit` that are `wanted`. */
  const listed = async (connection: Tenant, { url: first, headers, ...list }: List): Promise<JsonObject[]> => {
    const { limit = Number.POSITIVE_INFINITY, wanted = () => true } = list;
    const found: JsonObject[] = [];
    let url = first;
    for (let page = 0; page < maxPages; page++) {
      const body = bodyOf(await client.send(connection, { method: "GET", url, headers }));
      found.push(...objectsOf(body).filter(wanted));
      const next = body["@odata.nextLink"];
      if (found.length >= limit || next === undefined) return found.slice(0, limit);
      url = client.address.own(next);
    }
    throw new AppError("graph-unavailable", { detail: `a list of more than ${maxPages} pages` });
  };

  const search = (collection: string, names: readonly string[], query: SearchQuery): Omit<List, "wanted"> => {
    const options = [
      `$search=${encodeURIComponent(clauses(names, query.text))}`,
      `$select=${selectOf(query.properties)}`,
      `$top=${query.limit}`,
    ];
    const url = client.address.at(`/${collection}?${options.join("&")}`);
    return { url, headers: indexed, limit: query.limit };
  };

  return {
    people: async (connection, query) => {
      const list = search("users", ["displayName", "mail", "userPrincipalName"], query);
      const found = await listed(connection, { ...list, wanted: isPerson });
      return found.map((object) => foundObject(object, query.properties));
    },
    groups: async (connection, query) => {
      const list = search("groups", ["displayName", "mail"], { ...query, properties: groupProperties });
      return (await listed(connection, list)).map((object) => foundObject(object, groupProperties));
    },
    named: async (connection, key, properties) => {
      const path = `/users?$filter=${encodeURIComponent(filterOf(key))}&$select=${selectOf(properties)}`;
      const list = { url: client.address.at(path), headers: interactive, limit: mostNamed, wanted: isPerson };
      return (await listed(connection, list)).map((object) => foundObject(object, properties));
    },
    groupsOf: async (connection, people, membership) => {
      const relation = membership === "nested" ? "transitiveMemberOf" : "memberOf";
      const paths = people.map((id) => `/users/${encodeURIComponent(id)}/${relation}?$select=id&$top=${groupsTop}`);
      const answers = await client.readMany(connection, paths);
      const found = new Map<string, ReadonlySet<string>>();
      for (const [index, id] of people.entries()) {
        const answer = answers[index] ?? null;
        if (answer?.status === 404 && errorCodes(answer.body)[0] === "request_resourcenotfound") continue;
        const body = bodyOf(answer);
        const next = body["@odata.nextLink"];
        const rest = next === undefined ? null : { url: client.address.own(next), headers: interactive };
        const groups = [...objectsOf(body), ...(rest ? await listed(connection, rest) : [])];
        found.set(id, new Set(groups.map((group) => memberOf(group).id)));
      }
      return found;
    },
  };
};

interface SearchQuery {
  text: string;
  limit: number;
  properties: readonly string[];
}

/**
 * One clause for each property. A quotation mark or backslash would end or bend it; an ampersand breaks it however it is encoded,
 * and words are told apart at signs as they are at spaces.
 */
const clauses = (names: readonly string[], text: string): string => {
  const escaped = text.replaceAll("&", " ").replaceAll(/["\\]/g, String.raw`\$&`);
  return names.map((name) => `"${name}:${escaped}"`).join(" OR ");
};

const filterOf = (key: PersonKey): string => {
  const [[name, value] = ["", ""]] = Object.entries("oid" in key ? { id: key.oid } : key);
  return `${name} eq '${value.replaceAll("'", "''")}'`;
};

const selectOf = (properties: readonly string[]): string => [...new Set(["id", ...properties])].join(",");

/** Of a single answer, or of one inside a batch, where nobody has judged the status before. */
const bodyOf = (answer: GraphAnswer | null): JsonObject => {
  if (answer?.status === 200 && answer.body) return answer.body;
  if (!answer || answer.status >= 500)
    throw new AppError("graph-unavailable", answer ? { detail: describe(answer) } : {});
  throw new AppError(isDenied(answer) ? "permission-revoked" : "graph-refused", { detail: describe(answer) });
};

const objectsOf = ({ value }: JsonObject): JsonObject[] => {
  if (!Array.isArray(value) || !value.every(isObject)) throw malformed("a page");
  return value;
};

/** A list of users leaves the type out; where it does not, the account is of a derived type and no person's. */
const isPerson = (object: JsonObject): boolean => ["unknown", "user"].includes(memberOf(object).type);

const foundObject = (object: JsonObject, names: readonly string[]): FoundObject => ({
  id: memberOf(object).id,
  properties: Object.fromEntries(names.filter((name) => name in object).map((name) => [name, object[name]])),
});
