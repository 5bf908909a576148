/**
 * The simulated Microsoft Graph v1.0: a request goes through script, token, throttle, route and permission to its answer, and
 * into the log. Everything it tells comes from the directories of a world; its own state is only what a restart may lose.
 */
import { randomUUID } from "node:crypto";
import type { SimRequest, SimResponse } from "../http.ts";
import type { Tenant, World } from "../world.ts";
import { answerBatch, type InnerRequest, type InnerResponse, parseBatch } from "./batch.ts";
import { type Call, withOrigin } from "./call.ts";
import { chance } from "./chance.ts";
import { createDelta } from "./delta.ts";
import { accessDenied, badRequest, errorBody, GraphError, invalidToken, methodNotAllowed } from "./errors.ts";
import { createFaultScript, type FaultScript, refusalOf, type Trouble, throttled } from "./faults.ts";
import { feedIndex } from "./feed-index.ts";
import { withContained } from "./permissions.ts";
import { parseQuery, type Query } from "./query.ts";
import { createRequestLog, type LoggedRequest, type RequestLog } from "./request-log.ts";
import { findRoute, type Route, routesOf } from "./routes.ts";
import { createLinkSealer } from "./sealed-link.ts";
import { type SubscriptionNeeds, subscriptionRoutes } from "./subscriptions.ts";
import { createSwitches, type Switches } from "./switches.ts";
import { createThrottle, type Throttle } from "./throttle.ts";

export interface GraphIdentity {
  tid: string;
  clientId: string;
  roles: string[];
  /** On whose behalf the token was issued, with its delegated permissions; absent for an application's own. */
  person?: { oid: string; scopes: string[] };
}

export interface GraphOptions {
  /** Ends in `/v1.0`. */
  url(): string;
  verifyToken(authorization: string | undefined): GraphIdentity | null;
  /** 32 bytes; links made under one key are understood by every simulator that has it. */
  linkKey: Buffer;
  seed: number;
  throttle?: Throttle;
  /** Absent: no endpoint can be reached, so that no subscription is made. */
  subscriptions?: SubscriptionNeeds;
}

export interface Graph {
  handle: (request: SimRequest) => Promise<SimResponse>;
  readonly faults: FaultScript;
  readonly switches: Switches;
  readonly log: RequestLog;
}

/** A request as the outside and the inside of a batch have it in common. */
interface Asked {
  method: string;
  url: URL;
  headers: Record<string, string>;
  body: string;
  inBatch: boolean;
}

interface Answered {
  status: number;
  headers: Record<string, string>;
  /** Null: none. */
  body: object | null;
}

const unreachable: SubscriptionNeeds = { validate: async () => "The endpoint cannot be reached.", changed: () => {} };
const versionRoot = "/v1.0";
const manyHeaders = 0.8;

export const createGraph = (world: World, options: GraphOptions): Graph => {
  const faults = createFaultScript();
  const switches = createSwitches();
  const log = createRequestLog();
  const throttle = options.throttle ?? createThrottle();
  const sealer = createLinkSealer(options.linkKey);
  const routes = [...routesOf(createDelta()), ...subscriptionRoutes(options.subscriptions ?? unreachable)];
  let batches = 0;

  const answerOne = async (asked: Asked, trouble: Trouble | null, note: Partial<LoggedRequest>): Promise<Answered> => {
    const trace = { requestId: randomUUID(), clientRequestId: asked.headers["client-request-id"] ?? randomUUID() };
    const headers: Record<string, string> = {
      "Content-Type":
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
      "request-id": trace.requestId,
      "client-request-id": trace.clientRequestId,
      Date: new Date(world.now()).toUTCString(),
    };
    try {
      const identity = options.verifyToken(asked.headers["authorization"]);
      const scene = {
        now: world.now(),
        clientId: identity?.clientId ?? "",
        tid: identity?.tid ?? "",
        beginAgain: beginAgain(asked, identity?.tid),
      };
      const scripted = trouble && refusalOf(trouble, scene);
      if (scripted) throw scripted;
      const tenant = identity && world.tenants.get(identity.tid);
      if (!identity || !tenant || tenant.gone)
        throw invalidToken("Access token is missing, expired or not for this resource.");
      const query = parseQuery(asked.url);
      const { route, parameters } = findRoute(routes, asked.method, asked.url.pathname.slice(versionRoot.length));
      note.path = route.path;
      const units = cost(route, query);
      note.resourceUnits = units;
      const charged = throttle.charge(identity.clientId, identity.tid, tenant.directory.users.size, units);
      if (charged.used > manyHeaders) headers["x-ms-throttle-limit-percentage"] = charged.used.toFixed(2);
      if (!charged.allowed) throw throttled(charged.retryAfterSeconds, "Tenant_Application", scene, false);
      headers["x-ms-resource-unit"] = String(units);
      const call = callOf(identity, tenant, asked, query, parameters);
      if (route.right !== null && !call.roles.has(route.right)) throw accessDenied();
      const reply = await route.answer(call);
      const { "Content-Type": _, ...bodiless } = headers;
      const sent = reply.body === null ? bodiless : headers;
      return { status: reply.status ?? 200, headers: { ...sent, ...reply.headers }, body: reply.body };
    } catch (error) {
      if (!(error instanceof GraphError)) throw error;
      const origin = { date: new Date(world.now()).toISOString().slice(0, 19), ...trace };
      return { status: error.status, headers: { ...headers, ...error.headers }, body: errorBody(error, origin) };
    }
  };

  const callOf = (
    identity: GraphIdentity,
    tenant: Tenant,
    asked: Asked,
    query: Query,
    parameters: readonly string[],
  ): Call => ({
    tenant,
    clientId: identity.clientId,
    index: feedIndex(tenant.directory),
    traits: switches.of(tenant.tid),
    roles: withContained(identity.roles),
    person: identity.person ?? null,
    url: asked.url,
    query,
    headers: asked.headers,
    body: asked.body,
    parameters,
    graphUrl: options.url(),
    sealer,
    seed: options.seed,
    now: world.now(),
  });

  const beginAgain = ({ url }: Asked, tid: string | undefined): string => {
    const feed = /\/groups\//.test(url.pathname) ? "groups" : "users";
    const { foreignOrigin } = switches.of(tid ?? "");
    return withOrigin(`${options.url()}/${feed}/delta?$deltatoken=`, foreignOrigin.location);
  };

  const answerInner = async (
    outer: SimRequest,
    inner: InnerRequest,
    tid: string | undefined,
  ): Promise<Omit<InnerResponse, "id">> => {
    const headers: Record<string, string> = { authorization: outer.headers["authorization"] ?? "" };
    for (const [name, value] of Object.entries(inner.headers ?? {})) headers[name.toLowerCase()] ??= value;
    const url = new URL(`${options.url()}/${inner.url.replace(/^\//, "")}`);
    const body = JSON.stringify(inner.body ?? "");
    const asked: Asked = { method: inner.method.toUpperCase(), url, headers, body, inBatch: true };
    const trouble = faults.troubleFor({ tid, path: readablePath(url), link: linkOf(url), inBatch: true });
    const note: Partial<LoggedRequest> = {};
    const answered = await answerOne(asked, trouble, note);
    note.trouble = trouble?.kind ?? null;
    record(asked, tid, answered.status, 0, note);
    const shown = Object.entries(answered.headers).filter(([name]) => name !== "Date");
    return { status: answered.status, headers: Object.fromEntries(shown), body: answered.body };
  };

  const answerBatchRequest = async (
    request: SimRequest,
    asked: Asked,
    trouble: Trouble | null,
    note: Partial<LoggedRequest>,
  ): Promise<Answered> => {
    note.path = "/$batch";
    const identity = options.verifyToken(request.headers["authorization"]);
    const refused = trouble !== null && refusalOf(trouble, { now: 0, clientId: "", tid: "", beginAgain: "" }) !== null;
    if (!identity || refused) return await answerOne(asked, trouble, {});
    if (request.method !== "POST") return refusal(methodNotAllowed(), asked);
    const number = batches++;
    try {
      const requests = parseBatch(request.body);
      const answerInnerRequest = (inner: InnerRequest) => answerInner(request, inner, identity.tid);
      const body = await answerBatch(requests, answerInnerRequest, (id) => chance(options.seed, "batch", number, id));
      const headers = { "Content-Type": "application/json", "request-id": randomUUID() };
      return { status: 200, headers, body };
    } catch (error) {
      if (!(error instanceof GraphError)) throw error;
      return refusal(error, asked);
    }
  };

  const refusal = (error: GraphError, asked: Asked): Answered & { body: object } => {
    const trace = { requestId: randomUUID(), clientRequestId: asked.headers["client-request-id"] ?? randomUUID() };
    const headers = {
      "Content-Type": "application/json",
      "request-id": trace.requestId,
      "client-request-id": trace.clientRequestId,
      ...error.headers,
    };
    const origin = { date: new Date(world.now()).toISOString().slice(0, 19), ...trace };
    return { status: error.status, headers, body: errorBody(error, origin) };
  };

  const record = (
    asked: Asked,
    tid: string | undefined,
    status: number,
    bytes: number,
    note: Partial<LoggedRequest>,
  ): void =>
    log.add({
      method: asked.method,
      path: note.path ?? "unknown",
      link: linkOf(asked.url),
      status,
      tid: tid ?? null,
      bytes,
      resourceUnits: note.resourceUnits ?? 0,
      inBatch: asked.inBatch,
      trouble: note.trouble ?? null,
    });

  return {
    faults,
    switches,
    log,
    handle: async (request) => {
      const { method, url, headers, body } = request;
      const asked: Asked = { method, url, headers, body, inBatch: false };
      if (!request.url.pathname.startsWith(`${versionRoot}/`)) {
        return refusal(badRequest("Invalid version."), asked);
      }
      const tid = options.verifyToken(request.headers["authorization"])?.tid;
      const link = linkOf(request.url);
      const trouble = faults.troubleFor({ tid, path: readablePath(request.url), link, inBatch: false });
      const note: Partial<LoggedRequest> = { trouble: trouble?.kind ?? null };
      const batch = request.url.pathname === `${versionRoot}/$batch`;
      const answered = await (batch
        ? answerBatchRequest(request, asked, trouble, note)
        : answerOne(asked, trouble, note));
      const text = answered.body === null ? "" : JSON.stringify(answered.body);
      record(asked, tid, answered.status, Buffer.byteLength(text), note);
      return spoiled({ status: answered.status, headers: answered.headers, body: text }, trouble);
    },
  };
};

const spoiled = (response: SimResponse, trouble: Trouble | null): SimResponse => {
  switch (trouble?.kind) {
    case "reset":
    case "truncated":
      return { ...response, wire: trouble.kind };
    case "slow":
      return { ...response, delayMilliseconds: trouble.milliseconds };
    case "html":
      return {
        status: trouble.status,
        headers: { "Content-Type": "text/html" },
        body: "<!doctype html><title>Gateway</title><p>Our services aren't available right now.</p>",
      };
    default:
      return response;
  }
};

/** Base cost and its modifiers; nothing is free. */
const cost = (route: Route, query: Query): number => {
  const fewer = (query.$select === undefined ? 0 : 1) + (query.$top !== undefined && Number(query.$top) < 20 ? 1 : 0);
  return Math.max(1, route.units - fewer + (query.$expand === undefined ? 0 : 1));
};

const linkOf = (url: URL): "delta" | "next" | "none" => {
  if (url.searchParams.get("$skiptoken")) return "next";
  const token = url.searchParams.get("$deltatoken");
  return token && token !== "latest" ? "delta" : "none";
};

const readablePath = (url: URL): string => {
  const path = `${url.pathname.slice(versionRoot.length)}${url.search}`;
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
};
