/** `/subscriptions`: made, shown, renewed and ended by the app that owns them, and by nobody else. */
import { randomUUID } from "node:crypto";
import type { Subscription, Tenant } from "../world.ts";
import { type Call, contextOf, type Reply } from "./call.ts";
import { accessDenied, badRequest, GraphError, resourceNotFound } from "./errors.ts";
import { rights } from "./permissions.ts";
import { refuseOptions } from "./query.ts";
import type { Route } from "./routes.ts";
import { askedSubscription, expiryOf, nextChallenge, renewal } from "./subscription-rules.ts";

export interface SubscriptionNeeds {
  /** Speaks to the endpoint as Microsoft does before it sends anything; answers what is wrong with it. */
  validate: (url: string) => Promise<string | null>;
  /** Called before an answer tells of a change. */
  changed: () => void;
}

/** Of all apps together. */
const mostInTenant = 1000;
const pageSize = 5;
/** Renewing and reauthorizing one subscription within this time leaves it in an undefined state. */
const settleMilliseconds = 10 * 60_000;

export const subscriptionRoutes = ({ validate, changed }: SubscriptionNeeds): Route[] => {
  const checkEndpoint = async (url: string): Promise<void> => {
    const fault = await validate(url);
    if (fault !== null)
      throw new GraphError(400, "ValidationError", `Subscription validation request failed. ${fault}`);
  };

  const create = async (call: Call): Promise<Reply> => {
    noOptions(call);
    const asked = askedSubscription(call.body);
    requireRight(call, asked.feed);
    const { challengeAt, expiresAt } = lifetimeOf(asked.expirationDateTime, call.now);
    refuseTooMany(call);
    refuseDuplicate(call, asked);
    for (const url of [asked.notificationUrl, asked.lifecycleNotificationUrl])
      if (url !== null) await checkEndpoint(url);
    // Somebody else may have made it while the endpoint was asked.
    refuseDuplicate(call, asked);
    const { expirationDateTime: _, ...kept } = asked;
    const subscription: Subscription = {
      id: randomUUID(),
      clientId: call.clientId,
      ...kept,
      expiresAt,
      challengeAt,
      renewedAt: null,
      reauthorizedAt: null,
      challenges: 0,
      inconsistent: false,
    };
    call.tenant.subscriptions.set(subscription.id, subscription);
    changed();
    return { status: 201, body: shown(call, subscription, subscription.clientState) };
  };

  const renew = async (call: Call): Promise<Reply> => {
    noOptions(call);
    const subscription = ownOne(call);
    const { expirationDateTime, notificationUrl } = renewal(call.body);
    const lifetime = expirationDateTime === undefined ? null : lifetimeOf(expirationDateTime, call.now);
    if (notificationUrl !== undefined) await checkEndpoint(notificationUrl);
    subscription.inconsistent ||= isRecent(subscription.reauthorizedAt, call.now);
    Object.assign(subscription, {
      ...lifetime,
      ...(notificationUrl === undefined ? {} : { notificationUrl }),
      renewedAt: call.now,
      challenges: 0,
    });
    changed();
    return { body: shown(call, subscription, null) };
  };

  const reauthorize = (call: Call): Reply => {
    noOptions(call);
    const subscription = ownOne(call);
    if (call.body !== "") throw badRequest("The request has no body.");
    subscription.inconsistent ||= isRecent(subscription.renewedAt, call.now);
    Object.assign(subscription, {
      reauthorizedAt: call.now,
      challenges: 0,
      challengeAt: nextChallenge(call.now, subscription.expiresAt),
    });
    changed();
    return { status: 204, body: null };
  };

  const end = (call: Call): Reply => {
    noOptions(call);
    call.tenant.subscriptions.delete(ownOne(call).id);
    changed();
    return { status: 204, body: null };
  };

  const one = "/subscriptions/{id}";
  return [
    { path: "/subscriptions", method: "POST", right: null, units: 1, answer: create },
    { path: "/subscriptions", right: null, units: 1, answer: list },
    { path: one, right: null, units: 1, answer: read },
    { path: one, method: "PATCH", right: null, units: 1, answer: renew },
    { path: one, method: "DELETE", right: null, units: 1, answer: end },
    { path: `${one}/reauthorize`, method: "POST", right: null, units: 1, answer: reauthorize },
  ];
};

const list = (call: Call): Reply => {
  refuseOptions(
    call.query,
    ["$select", "$filter", "$orderby", "$top", "$expand", "$count", "$search", "$deltatoken"],
    "on subscriptions",
  );
  if (!isAllowed(call, "users") && !isAllowed(call, "groups")) throw accessDenied();
  const last = call.query.$skiptoken ?? "";
  const own = liveIn(call.tenant, call.now)
    .filter(({ clientId, feed, id }) => clientId === call.clientId && isAllowed(call, feed) && id > last)
    .toSorted((one, other) => (one.id < other.id ? -1 : 1));
  const page = own.slice(0, pageSize);
  const next = own.length > pageSize ? page.at(-1)?.id : undefined;
  return {
    body: {
      "@odata.context": contextOf(call, "subscriptions", null),
      ...(next === undefined ? {} : { "@odata.nextLink": `${call.graphUrl}/subscriptions?$skiptoken=${next}` }),
      value: page.map((subscription) => representation(subscription, call, null)),
    },
  };
};

const read = (call: Call): Reply => {
  noOptions(call);
  return { body: shown(call, ownOne(call), null) };
};

/** What has expired is deleted by then. */
export const liveIn = ({ subscriptions }: Tenant, now: number): Subscription[] => {
  for (const { id, expiresAt } of subscriptions.values()) if (expiresAt <= now) subscriptions.delete(id);
  return [...subscriptions.values()];
};

const lifetimeOf = (expirationDateTime: string, now: number): Pick<Subscription, "expiresAt" | "challengeAt"> => {
  const expiresAt = expiryOf(expirationDateTime, now);
  return { expiresAt, challengeAt: nextChallenge(now, expiresAt) };
};

const isRecent = (instant: number | null, now: number): boolean =>
  instant !== null && now - instant < settleMilliseconds;

const noOptions = ({ query }: Call): void => {
  const [option] = Object.keys(query);
  if (option !== undefined) throw badRequest(`The query option '${option}' is not supported on subscriptions.`);
};

const isAllowed = ({ roles, traits }: Call, feed: Subscription["feed"]): boolean =>
  roles.has(feed === "users" ? rights.users : traits.groupSubscriptionRight);

const requireRight = (call: Call, feed: Subscription["feed"]): void => {
  if (!isAllowed(call, feed)) throw accessDenied();
};

const ownOne = (call: Call): Subscription => {
  const id = call.parameters[0] ?? "";
  const found = liveIn(call.tenant, call.now).find((subscription) => subscription.id === id.toLowerCase());
  if (found?.clientId !== call.clientId) throw resourceNotFound(id);
  requireRight(call, found.feed);
  return found;
};

const refuseTooMany = (call: Call): void => {
  const all = liveIn(call.tenant, call.now);
  const own = all.filter(({ clientId }) => clientId === call.clientId).length;
  const { mostSubscriptions } = call.traits;
  if (own >= mostSubscriptions) throw overQuota(`${mostSubscriptions} subscriptions for an application in a tenant`);
  if (all.length >= mostInTenant) throw overQuota(`${mostInTenant} subscriptions in a tenant`);
};

const overQuota = (limit: string): GraphError =>
  new GraphError(403, "Forbidden", `The subscription would exceed the limit of ${limit}.`);

const refuseDuplicate = (call: Call, asked: Pick<Subscription, "feed" | "changeTypes">): void => {
  if (call.traits.duplicateSubscriptions) return;
  const known = liveIn(call.tenant, call.now).find(
    ({ clientId, feed, changeTypes }) =>
      clientId === call.clientId && feed === asked.feed && changeTypes.join() === asked.changeTypes.join(),
  );
  if (known)
    throw new GraphError(409, "Conflict", `Subscription Id ${known.id} already exists for the requested combination`);
};

const shown = (call: Call, subscription: Subscription, clientState: string | null): object => ({
  "@odata.context": contextOf(call, "subscriptions", null, true),
  ...representation(subscription, call, clientState),
});

/** The client state is told to its maker once, by the answer to the POST. */
const representation = (subscription: Subscription, { clientId }: Call, clientState: string | null): object => ({
  id: subscription.id,
  resource: subscription.resource,
  applicationId: clientId,
  changeType: subscription.changeTypes.join(","),
  clientState,
  notificationUrl: subscription.notificationUrl,
  notificationQueryOptions: null,
  lifecycleNotificationUrl: subscription.lifecycleNotificationUrl,
  expirationDateTime: new Date(subscription.expiresAt).toISOString(),
  creatorId: clientId,
  includeResourceData: null,
  latestSupportedTlsVersion: subscription.latestSupportedTlsVersion,
  encryptionCertificate: null,
  encryptionCertificateId: null,
  notificationUrlAppId: null,
});
