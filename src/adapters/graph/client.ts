/**
 * Microsoft's Graph SDK with one middleware of our own in place of its chain. The SDK's own handlers sleep inside a call, follow
 * redirects and links to other hosts, and put a link together again in another order; here a call is one request (two when a
 * token was stale), to exactly the given address, and what came back is ours to judge.
 */
import { randomUUID } from "node:crypto";
import { Client, type Context, type Middleware, ResponseType } from "@microsoft/microsoft-graph-client";
import type { Tier } from "../../core/connections/tiers.ts";
import type { ConnectionContext } from "../../core/context.ts";
import { AppError } from "../../core/errors.ts";
import type { SharedStore } from "../../core/store/ports.ts";
import type { AppTokens } from "../entra/app-tokens.ts";
import { type GraphAddress, graphAddress } from "./address.ts";
import { type GraphAnswer, isDenied, refusal } from "./answers.ts";
import { batchAnswers, batchOf, batchSize, batchThrottled } from "./batch.ts";
import { pauses } from "./pauses.ts";
import { assertReadOnly } from "./read-only.ts";
import { transport } from "./transport.ts";

/** The tenant comes from the connection and from nowhere else. */
export type Tenant = Pick<ConnectionContext, "connectionId" | "tid">;

export interface GraphRequest {
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  url: URL;
  body?: object;
  /** Beside those of every request. They are no part of a link that Graph gives: each page needs them again. */
  headers?: Readonly<Record<string, string>>;
  /** Statuses beyond these of `send` whose meaning here only the caller knows. */
  judged?: readonly number[];
}

export interface GraphClient {
  readonly address: GraphAddress;
  /** Answers of 2xx and those 4xx that need the caller's judgement; throws for everything else, see `refusal`. */
  send(connection: Tenant, request: GraphRequest): Promise<GraphAnswer>;
  /** Reads by path, 20 in a request; answers in the order of the paths, null where none came. */
  readMany(connection: Tenant, paths: readonly string[]): Promise<(GraphAnswer | null)[]>;
  /** Requests sent for the connection since the process started. */
  requests(connectionId: string): number;
}

export interface GraphClientOptions {
  /** `https://graph.microsoft.com/v1.0`. */
  baseUrl: string;
  /** `read` refuses everything but reads, unless `assertAllowed` says otherwise. */
  tier: Tier;
  /** Throws for what this client is not for. */
  assertAllowed?: (request: { method: string; url: URL; body: unknown }) => void;
  /** Client id of the tier's registration: pauses hold for all who share it. */
  clientId: string;
  tokens: Pick<AppTokens, "token">;
  shared: SharedStore;
  now: () => number;
  timeoutMs?: number;
  maxBytes?: number;
}

/** One call on its way through the SDK, which would otherwise lose the exact address, the answer and our errors. */
class Call {
  readonly connection: Tenant;
  readonly request: GraphRequest;
  answer: GraphAnswer | null = null;
  failure: unknown = null;

  constructor(connection: Tenant, request: GraphRequest) {
    this.connection = connection;
    this.request = request;
  }
}

/** A denial is believed at once when the token is younger: it was issued with the permissions of now. */
const believedTokenMs = 5 * 60_000;

export const graphClient = (options: GraphClientOptions): GraphClient => {
  const { tier, tokens, now, timeoutMs = 30_000, maxBytes = 25 * 1024 * 1024 } = options;
  const assertAllowed = options.assertAllowed ?? (tier === "read" ? assertReadOnly : () => {});
  const address = graphAddress(options.baseUrl);
  const pause = pauses(options.shared, options.clientId, now);
  const sendOnce = transport({ timeoutMs, maxBytes });
  const sent = new Map<string, number>();
  const refreshedAt = new Map<string, number>();

  /** Consent given again meanwhile shows only in a new token, and another instance may have learnt of it. */
  const deservesFreshToken = (answer: GraphAnswer, tid: string): boolean =>
    answer.status === 401 || (isDenied(answer) && now() - (refreshedAt.get(tid) ?? -Infinity) >= believedTokenMs);

  const exchange = async (
    { connection: { connectionId, tid }, request }: Call,
    context: Context,
  ): Promise<GraphAnswer> => {
    const url = address.own(request.url.href);
    assertAllowed({ ...request, body: request.body });
    await pause.check(tid);
    const attempt = (token: string) => {
      sent.set(connectionId, (sent.get(connectionId) ?? 0) + 1);
      const headers = {
        accept: "application/json",
        "client-request-id": randomUUID(),
        "x-ms-throttle-priority": "Low",
        ...request.headers,
        authorization: `Bearer ${token}`,
        ...(request.body ? { "content-type": "application/json" } : {}),
      };
      return sendOnce(url, {
        method: request.method,
        headers,
        body: context.options?.body ?? null,
      });
    };
    let answer = await attempt(await tokens.token(tier, tid));
    if (deservesFreshToken(answer, tid)) {
      refreshedAt.set(tid, now());
      answer = await attempt(await tokens.token(tier, tid, { fresh: true }));
    }
    const problem = request.judged?.includes(answer.status) ? null : refusal(answer, now());
    if (!problem) return answer;
    await pause.begin(tid, problem);
    throw problem;
  };

  const middleware: Middleware = {
    execute: async (context) => {
      const call = context.middlewareControl?.getMiddlewareOptions(Call);
      if (!(call instanceof Call)) throw new AppError("unexpected", { detail: "a Graph request outside `send`" });
      try {
        call.answer = await exchange(call, context);
      } catch (error) {
        call.failure = error;
        throw error;
      }
    },
  };
  const sdk = Client.initWithMiddleware({ baseUrl: new URL(options.baseUrl).origin, middleware });

  const send: GraphClient["send"] = async (connection, request) => {
    const call = new Call(connection, request);
    const prepared = sdk.api(request.url.pathname).middlewareOptions([call]).responseType(ResponseType.RAW);
    const bySdk = {
      GET: () => prepared.get(),
      POST: () => prepared.post(request.body),
      PATCH: () => prepared.patch(request.body),
      PUT: () => prepared.put(request.body),
      DELETE: () => prepared.delete(),
    };
    try {
      await bySdk[request.method]();
    } catch (error) {
      throw call.failure ?? error;
    }
    if (!call.answer) throw new AppError("unexpected", { detail: "a Graph call without an answer" });
    return call.answer;
  };

  return {
    address,
    send,
    requests: (connectionId) => sent.get(connectionId) ?? 0,
    readMany: async (connection, paths) => {
      const answers: (GraphAnswer | null)[] = [];
      for (let from = 0; from < paths.length; from += batchSize) {
        const part = paths.slice(from, from + batchSize);
        const outer = await send(connection, { method: "POST", url: address.at("/$batch"), body: batchOf(part) });
        const inner = batchAnswers(part.length, outer);
        const problem = batchThrottled(inner, now());
        if (problem) {
          await pause.begin(connection.tid, problem);
          throw problem;
        }
        answers.push(...inner);
      }
      return answers;
    },
  };
};
