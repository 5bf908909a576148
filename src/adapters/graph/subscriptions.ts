/**
 * Subscriptions of this app in one tenant, made by a client that can do nothing else.
 * https://learn.microsoft.com/graph/api/resources/subscription
 */
import { AppError } from "../../core/errors.ts";
import type { Feed, FeedResource } from "../../core/notifications/feed.ts";
import type { Refusal, Subscription, Subscriptions } from "../../core/notifications/ports.ts";
import { describe, type GraphAnswer, isDenied, isObject, type JsonObject } from "./answers.ts";
import type { GraphClient, GraphRequest, Tenant } from "./client.ts";

const minute = 60_000;

/** `created` is not offered for users and groups: a new object shows as `updated`. The lifetime is the longest there is, less what clocks differ. */
const kinds: Record<FeedResource, { changeType: string; lifetimeMinutes: number }> = {
  users: { changeType: "updated,deleted", lifetimeMinutes: 41_760 - 15 },
  groups: { changeType: "updated,deleted", lifetimeMinutes: 41_760 - 15 },
};

/** More than one app may have in a tenant. */
const maxPages = 50;

export interface SubscriptionOptions {
  notificationUrl: string;
  lifecycleNotificationUrl: string;
  now: () => number;
}

export const subscriptions = (client: GraphClient, options: SubscriptionOptions): Subscriptions => {
  const { notificationUrl, lifecycleNotificationUrl, now } = options;
  const send = (feed: Feed, request: GraphRequest): Promise<GraphAnswer> => client.send(tenantOf(feed), request);
  const expiry = ({ resource }: Feed): string =>
    new Date(now() + kinds[resource].lifetimeMinutes * minute).toISOString();
  const one = (id: string): URL => client.address.at(`/subscriptions/${encodeURIComponent(id)}`);

  return {
    list: async (feed) => {
      const found: Subscription[] = [];
      let url: URL | null = client.address.at("/subscriptions");
      for (let page = 0; url !== null && page < maxPages; page++) {
        const answer: GraphAnswer = await send(feed, { method: "GET", url });
        const items = answer.status === 200 ? answer.body?.value : null;
        if (!Array.isArray(items)) throw unusable(answer);
        found.push(...items.filter(isObject).flatMap((item) => read(item) ?? []));
        const next = answer.body?.["@odata.nextLink"];
        url = next === undefined ? null : client.address.own(next);
      }
      return found;
    },

    create: async (feed, clientState) => {
      const { resource } = feed;
      const answer = await send(feed, {
        method: "POST",
        url: client.address.at("/subscriptions"),
        judged: [403],
        body: {
          changeType: kinds[resource].changeType,
          resource,
          notificationUrl,
          lifecycleNotificationUrl,
          expirationDateTime: expiry(feed),
          clientState,
        },
      });
      const made = answer.status === 201 && answer.body ? read(answer.body) : null;
      if (made) return made;
      return refusalOf(answer);
    },

    renew: async (feed, id) => {
      const answer = await send(feed, { method: "PATCH", url: one(id), body: { expirationDateTime: expiry(feed) } });
      if (answer.status === 404) return null;
      const renewed = answer.status === 200 && answer.body ? read(answer.body) : null;
      if (!renewed) throw unusable(answer);
      return renewed.expiresAt;
    },

    remove: async (feed, id) => {
      const answer = await send(feed, { method: "DELETE", url: one(id) });
      if (answer.status !== 404 && answer.status >= 300) throw unusable(answer);
    },
  };
};

/** Requests are counted by the feed: they belong to no connection alone. */
const tenantOf = ({ clientId, tenantId }: Feed): Tenant => ({ connectionId: `feed:${clientId}`, tid: tenantId });

/** Graph tells no codes apart beyond these: a limit is a 403 as well, and 400 is what an endpoint gets that did not answer. */
const refusalOf = (answer: GraphAnswer): Refusal => {
  if (answer.status === 403) return isDenied(answer) ? "permission" : "quota";
  if (answer.status === 409) return "taken";
  if (answer.status === 400) return "address";
  throw unusable(answer);
};

const unusable = (answer: GraphAnswer): AppError => new AppError("graph-refused", { detail: describe(answer) });

const read = ({ id, resource, notificationUrl, expirationDateTime }: JsonObject): Subscription | null => {
  const expiresAt = typeof expirationDateTime === "string" ? Date.parse(expirationDateTime) : Number.NaN;
  if (typeof id !== "string" || typeof resource !== "string" || Number.isNaN(expiresAt)) return null;
  return {
    id: id.toLowerCase(),
    resource: resource.replace(/^\//, "").toLowerCase(),
    notificationUrl: typeof notificationUrl === "string" ? notificationUrl : "",
    expiresAt,
  };
};
