/**
 * Where Graph says that something has changed, and what is the matter with a subscription. For anybody, so what counts is what
 * an item proves; of a burst no address is refused.
 */
import type { HttpHandler, HttpRequest, HttpResponseInit, InvocationContext } from "@azure/functions";
import { z } from "zod";
import { isAppError } from "../core/errors.ts";
import type { Receive, Received } from "../core/notifications/intake.ts";
import { parseBody } from "./edge/parse.ts";
import { asAppError, logProblem, securityHeaders, statuses } from "./edge/problem.ts";
import type { HttpFunction } from "./register.ts";

const longestToken = 1024;
const maxBodyBytes = 1024 * 1024;
const tellEveryMilliseconds = 10_000;

const answer = (status: number, more: Readonly<Record<string, string>> = {}): HttpResponseInit => ({
  status,
  headers: { ...securityHeaders, ...more },
});

/** `receiver` is built on first use, and answers null where nothing has been subscribed to. */
export const receiveNotifications = (receiver: () => Receive | null, now: () => number = Date.now): HttpHandler => {
  const tell = teller(now);
  return async (request, context) => {
    if (request.method !== "POST") return answer(405, { allow: "POST" });
    const token = validationToken(request);
    if (token !== null) return handshake(token);
    try {
      const receive = receiver();
      const body = await bodyOf(request);
      tell(context, receive ? await receive(body) : unexpected);
      return answer(202);
    } catch (error) {
      const problem = asAppError(error);
      logProblem(context, "graph-notifications", problem, { correlationId: context.invocationId });
      return answer(statuses[problem.kind]);
    }
  };
};

const unexpected: Received = { taken: 0, forged: 1, unusable: 0, hints: 0 };

/** Decoded by the host already. What comes as JSON is no handshake, whatever its address says. */
const validationToken = (request: HttpRequest): string | null =>
  /^text\/plain(;|$)/i.test(request.headers.get("content-type") ?? "") ? request.query.get("validationToken") : null;

/** Before anything is read or built: Graph asks while it makes a subscription, and gives up after ten seconds. */
const handshake = (token: string): HttpResponseInit =>
  token === "" || Buffer.byteLength(token) > longestToken
    ? answer(400)
    : { ...answer(200, { "content-type": "text/plain; charset=utf-8" }), body: token };

/** What is no JSON is as unusable as what is of another form: Graph would only send it again. */
const bodyOf = async (request: HttpRequest): Promise<unknown> => {
  try {
    return await parseBody({ body: z.unknown(), maxBodyBytes }, request);
  } catch (error) {
    if (isAppError(error, "invalid-request")) return null;
    throw error;
  }
};

/** A line for each request would drown the log in a storm. What came since the last line is told with the next request. */
const teller = (now: () => number) => {
  let told = Number.NEGATIVE_INFINITY;
  let sums = { posts: 0, taken: 0, forged: 0, unusable: 0, hints: 0 };
  return (context: InvocationContext, received: Received): void => {
    sums = {
      posts: sums.posts + 1,
      taken: sums.taken + received.taken,
      forged: sums.forged + received.forged,
      unusable: sums.unusable + received.unusable,
      hints: sums.hints + received.hints,
    };
    if (now() - told < tellEveryMilliseconds) return;
    context.info(JSON.stringify({ event: "graph-notifications", ...sums }));
    told = now();
    sums = { posts: 0, taken: 0, forged: 0, unusable: 0, hints: 0 };
  };
};

/** One handler for both: Graph may be given one address for everything, so an item says itself which kind it is. */
export const notificationFunctions = (receiver: () => Receive | null): HttpFunction[] => {
  const handler = receiveNotifications(receiver);
  return [
    { name: "graph-notifications", route: "notifications/graph", handler },
    { name: "graph-notifications-lifecycle", route: "notifications/lifecycle", handler },
  ];
};
