/**
 * What all routes of the API share. Order: verb, caller, rate, permission (of the token, then on the connection), form, use-case,
 * record, answer. A read of personal data and a refusal are answered only after they have been recorded.
 */
import type { HttpHandler, HttpRequest, InvocationContext } from "@azure/functions";
import type { CostClass, RateLimiter } from "../../core/access/rate-limits.ts";
import type { AccessLog, AccessRecord } from "../../core/audit/access-log.ts";
import { actorOf } from "../../core/audit/entries.ts";
import type { Caller } from "../../core/context.ts";
import { AppError } from "../../core/errors.ts";
import type { PageRequest } from "../../core/views/readable.ts";
import type { Route } from "../route.ts";
import { type CallerVerifier, callerFrom } from "./caller.ts";
import { type HeaderSource, networkOf } from "./client-ip.ts";
import { corsHeaders, preflight } from "./cors.ts";
import type { Cursors, CursorUse } from "./cursor.ts";
import { parseBody, parseQuery } from "./parse.ts";
import { type Answer, asAppError, logProblem, problemAnswer, securityHeaders } from "./problem.ts";

/** What the edge needs of the composition. */
export interface Edge {
  verifyCaller: CallerVerifier;
  /** The caller with the permissions he has on this connection. */
  callerOn(caller: Caller, connectionId: string): Promise<Caller>;
  clientIp(headers: HeaderSource): string;
  limits: RateLimiter;
  /** Throws `sign-in-not-recent`. */
  requireRecentSignIn(caller: Caller): void;
  access: AccessLog;
  cursors: Cursors;
  corsOrigins: ReadonlySet<string>;
}

/** A request after everything was checked. `query` and `body` have the form of the route's schemas. */
export interface Checked {
  /** Null on public routes. */
  caller: Caller | null;
  params: Readonly<Record<string, string>>;
  query: unknown;
  body: unknown;
  ifMatch: string | undefined;
  page: PageRequest;
}

export interface Endpoint {
  name: string;
  route: Route;
  run(request: Checked): Promise<unknown>;
}

/** One handler for all verbs of a path: the host would answer 404 to a verb that is not registered. */
export const serve =
  (edge: () => Edge, endpoints: readonly Endpoint[]): HttpHandler =>
  async (request, context) => {
    const correlationId = context.invocationId;
    const verbs = endpoints.map(({ route }) => route.method);
    let cors: Record<string, string> = {};
    let name = "unknown";
    try {
      const parts = edge();
      cors = corsHeaders(request, parts.corsOrigins);
      if (request.method === "OPTIONS") return preflight(cors, verbs);
      const endpoint = endpoints.find(({ route }) => route.method === request.method);
      if (!endpoint) throw new AppError("method-not-allowed");
      name = endpoint.name;
      const answer = await answered(parts, endpoint, request, correlationId);
      return { ...answer, headers: { ...answer.headers, ...cors } };
    } catch (error) {
      const problem = asAppError(error);
      logProblem(context, "request-failed", problem, { route: name, correlationId });
      const answer = problemAnswer(problem, correlationId, pathOf(request));
      const allow = problem.kind === "method-not-allowed" ? { allow: verbs.join(", ") } : {};
      return { ...answer, headers: { ...answer.headers, ...cors, ...allow } };
    }
  };

/** What no route is registered for, so that it has the form of every other answer. */
export const notFound: HttpHandler = async (request: HttpRequest, context: InvocationContext) =>
  problemAnswer(new AppError("route-not-found"), context.invocationId, pathOf(request));

const pathOf = (request: HttpRequest): string => URL.parse(request.url)?.pathname ?? "";

const answered = async (
  edge: Edge,
  endpoint: Endpoint,
  request: HttpRequest,
  correlationId: string,
): Promise<Answer> => {
  const { route } = endpoint;
  if (route.permission === null) {
    takeForAddress(edge, request.headers);
    return toAnswer(route, {}, await work(edge, endpoint, request, null), correlationId);
  }
  const bearer = await edge.verifyCaller(request.headers.get("authorization"));
  const ip = edge.clientIp(request.headers);
  const { caller, refusal } = callerFrom(bearer, request.headers, { ip, correlationId });
  const params = { ...request.params };
  const record = (entry: Pick<AccessRecord, "what" | "count" | "objects" | "refusal">): Promise<void> =>
    edge.access.record(caller.workspaceId, {
      route: endpoint.name,
      ...actorOf(caller),
      correlationId,
      ...(isId(params.connection) ? { connectionId: params.connection } : {}),
      ...entry,
    });
  try {
    // Who may not act for a workspace does not use up what it has.
    edge.limits.take(costOf(route, request), refusal ? `refused ${caller.subject}` : caller.workspaceId);
    if (refusal) throw refusal;
    const body = await work(edge, endpoint, request, await allowed(edge, route, caller, params.connection));
    const count = route.personal ? countOf(route, body) : 0;
    if (count > 0) await record({ what: "read", count, ...objectsOf(params, route.namesFound ? itemsOf(body) : []) });
    return route.file ? fileAnswer(route, request, body, correlationId) : toAnswer(route, params, body, correlationId);
  } catch (error) {
    const problem = asAppError(error);
    if (isRefusal(problem)) await record({ what: "refused", refusal: problem.code, ...objectsOf(params) });
    throw error;
  }
};

/** Of the person, not of the form of the request. A code that is not or no longer good for anything may have been stolen. */
const isRefusal = ({ code, kind }: AppError): boolean =>
  kind === "forbidden" || kind === "not-found" || code === "consent-attempt-unusable" || code === "sign-in-not-recent";

/**
 * The caller as the use-case gets him: with what he may do on the connection, if the route is about one. Who has lost a right there
 * has lost it for everything that a route may show beside its own.
 */
const allowed = async (edge: Edge, route: Route, caller: Caller, connection: string | undefined): Promise<Caller> => {
  requireRight(route, caller);
  const here = connection === undefined ? caller : await edge.callerOn(caller, connection);
  requireRight(route, here);
  if (route.stepUp) edge.requireRecentSignIn(here);
  return here;
};

const requireRight = ({ permission, person }: Route, caller: Caller): void => {
  if (permission === null || !caller.permissions.has(permission))
    throw new AppError("permission-missing", { detail: `It takes ${permission}.` });
  if (person && caller.machine) throw new AppError("person-required");
};

/** A long poll that does not wait is a read like any other. */
const costOf = ({ cost, method }: Route, { query }: HttpRequest): CostClass => {
  if (cost !== undefined && (cost !== "wait" || Number(query.get("wait") ?? 0) !== 0)) return cost;
  return method === "GET" ? "read" : "write";
};

/** Of whom nothing is known but an address. Throws `rate-limited`. */
export const takeForAddress = ({ limits, clientIp }: Pick<Edge, "limits" | "clientIp">, headers: HeaderSource): void =>
  limits.take("address", networkOf(clientIp(headers)));

const work = async (edge: Edge, endpoint: Endpoint, request: HttpRequest, caller: Caller | null): Promise<unknown> => {
  const { route, name } = endpoint;
  const params = { ...request.params };
  const query = parseQuery(route.query, request);
  const body = await parseBody(route, request);
  const { cursor, limit: _limit, ...asked } = Object.fromEntries(request.query);
  // As the schema gives it back: the same filter is the same text.
  const searched = route.paged && route.body ? { body: JSON.stringify(body) } : {};
  const parameters = { ...asked, ...params, ...searched };
  const use: CursorUse = { route: name, workspaceId: caller?.workspaceId ?? "", parameters };
  const page: PageRequest = {
    limit: numberIn(query, "limit"),
    ...(route.paged && cursor !== undefined ? { after: await edge.cursors.open(use, cursor) } : {}),
  };
  const ifMatch = request.headers.get("if-match") ?? undefined;
  const result = await endpoint.run({ caller, params, query, body, ifMatch, page });
  const next = route.paged ? textIn(result, "next") : null;
  return next === null ? result : { ...asObject(result), next: await edge.cursors.seal(use, next) };
};

const toAnswer = (
  route: Route,
  params: Readonly<Record<string, string>>,
  body: unknown,
  correlationId: string,
): Answer => {
  const etag = textIn(body, "etag");
  return {
    status: route.status,
    headers: {
      ...securityHeaders,
      "content-type": "application/json",
      "x-correlation-id": correlationId,
      ...(etag === null ? {} : { etag }),
      ...(route.location === undefined
        ? {}
        : { location: filled(route.location, { ...params, id: textIn(body, "id") ?? "" }) }),
    },
    jsonBody: body,
  };
};

/** A part of a file; the address of the next one is in the header `Link` (RFC 8288), with everything that was asked for. */
const fileAnswer = (route: Route, request: HttpRequest, part: unknown, correlationId: string): Answer => {
  const next = textIn(part, "next");
  const query = new URLSearchParams({
    ...Object.fromEntries(request.query),
    ...(next === null ? {} : { cursor: next }),
  });
  return {
    status: route.status,
    headers: {
      ...securityHeaders,
      "content-type": textIn(part, "mediaType") ?? "application/octet-stream",
      "content-disposition": `attachment; filename="${textIn(part, "fileName") ?? "export"}"`,
      "x-correlation-id": correlationId,
      ...(next === null ? {} : { link: `<${pathOf(request)}?${query.toString()}>; rel="next"` }),
    },
    body: textIn(part, "text") ?? "",
  };
};

const filled = (template: string, values: Readonly<Record<string, string>>): string =>
  `/${template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ""))}`;

/** What a caller may have typed is not for the record; ids are. */
const isId = (text: string | undefined): text is string => text !== undefined && /^[A-Za-z0-9_-]{22,36}$/.test(text);

const objectsOf = (
  { person, group, run }: Readonly<Record<string, string>>,
  found: readonly unknown[] = [],
): { objects?: string[] } => {
  const objects = [person, group, run, ...found.map((item) => textIn(item, "id") ?? undefined)].filter(isId);
  return objects.length > 0 ? { objects } : {};
};

const itemsOf = (body: unknown): unknown[] => {
  const { items } = asObject(body);
  return Array.isArray(items) ? items : [body];
};

const countOf = ({ file }: Route, body: unknown): number => (file ? numberIn(body, "count") : itemsOf(body).length);

const asObject = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};

const textIn = (value: unknown, name: string): string | null => {
  const found = asObject(value)[name];
  return typeof found === "string" ? found : null;
};

const numberIn = (value: unknown, name: string): number => {
  const found = asObject(value)[name];
  return typeof found === "number" ? found : 0;
};
