/** The table of what the simulated Graph answers. */
import type { Call, Reply } from "./call.ts";
import type { DeltaAnswer } from "./delta.ts";
import { badRequest, methodNotAllowed } from "./errors.ts";
import { checkMemberObjects } from "./me.ts";
import { rights } from "./permissions.ts";
import * as reading from "./reading.ts";

export interface Route {
  /** Segments; `{...}` takes any. */
  path: string;
  /** GET unless told. */
  method?: "POST" | "PATCH" | "DELETE";
  /** Null: the answering function asks for what it needs. */
  right: string | null;
  /** Resource units before modifiers. */
  units: number;
  answer(call: Call): Reply | Promise<Reply>;
}

export interface FoundRoute {
  route: Route;
  parameters: string[];
}

export const routesOf = (delta: DeltaAnswer): Route[] => {
  const { users, groups, organization } = rights;
  const usersDelta = (call: Call): Reply => delta(call, "users");
  const groupsDelta = (call: Call): Reply => delta(call, "groups");
  return [
    { path: "/organization", right: organization, units: 1, answer: reading.organization },
    { path: "/users", right: users, units: 2, answer: reading.users },
    { path: "/users/delta", right: users, units: 2, answer: usersDelta },
    { path: "/users/microsoft.graph.delta", right: users, units: 2, answer: usersDelta },
    { path: "/users/{id}", right: users, units: 1, answer: reading.user },
    { path: "/users/{id}/manager", right: users, units: 1, answer: reading.managerOf },
    { path: "/users/{id}/memberOf", right: users, units: 2, answer: reading.memberOf },
    { path: "/users/{id}/transitiveMemberOf", right: users, units: 2, answer: reading.transitiveMemberOf },
    { path: "/groups", right: groups, units: 1, answer: reading.groups },
    { path: "/groups/delta", right: groups, units: 1, answer: groupsDelta },
    { path: "/groups/microsoft.graph.delta", right: groups, units: 1, answer: groupsDelta },
    { path: "/groups/{id}", right: groups, units: 1, answer: reading.group },
    { path: "/groups/{id}/members", right: groups, units: 3, answer: reading.members },
    { path: "/groups/{id}/members/{type}", right: groups, units: 3, answer: reading.members },
    { path: "/me/checkMemberObjects", method: "POST", right: null, units: 4, answer: checkMemberObjects },
    { path: "/directory/deletedItems/microsoft.graph.user", right: null, units: 1, answer: reading.deletedUsers },
    { path: "/directory/deletedItems/microsoft.graph.group", right: null, units: 1, answer: reading.deletedGroups },
    { path: "/directory/deletedItems/{id}", right: null, units: 1, answer: reading.deletedItem },
  ];
};

/** `path` is below the version root and still percent-encoded. */
export const findRoute = (routes: readonly Route[], method: string, path: string): FoundRoute => {
  const segments = segmentsOf(path);
  let isKnown = false;
  for (const route of routes) {
    const parameters = matched(route.path.split("/").slice(1), segments);
    if (!parameters) continue;
    if (method === (route.method ?? "GET")) return { route, parameters };
    isKnown = true;
  }
  if (isKnown) throw methodNotAllowed();
  throw badRequest(`Resource not found for the segment '${segments.at(-1) ?? ""}'.`);
};

const matched = (pattern: readonly string[], segments: readonly string[]): string[] | null => {
  if (pattern.length !== segments.length) return null;
  const parameters: string[] = [];
  for (const [at, part] of pattern.entries()) {
    const segment = segments[at] ?? "";
    if (part.startsWith("{")) parameters.push(segment);
    else if (part.toLowerCase() !== segment.toLowerCase()) return null;
  }
  return parameters;
};

/** `/users('id')` says the same as `/users/id`, `delta()` the same as `delta`. */
const segmentsOf = (path: string): string[] => {
  const segments: string[] = [];
  for (const encoded of path.split("/").slice(1)) {
    const segment = decoded(encoded);
    const keyed = /^(\w+)\('(.+)'\)$/.exec(segment);
    if (keyed?.[1] && keyed[2]) segments.push(keyed[1], keyed[2].replaceAll("''", "'"));
    else if (segment.startsWith("$")) throw badRequest(`Resource not found for the segment '${segment}'.`);
    else segments.push(segment.replace(/\(\)$/, ""));
  }
  return segments;
};

const decoded = (segment: string): string => {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest("The request URI is not valid.");
  }
};
