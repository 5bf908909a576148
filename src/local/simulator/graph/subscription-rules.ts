/** What may stand in a subscription of users or groups, and how long it lives. */
import { z } from "zod";
import type { Subscription } from "../world.ts";
import { badRequest } from "./errors.ts";

const minute = 60_000;
/** Of directory objects: just under 29 days. */
const longestLife = 41_760 * minute;
/** Who asks for less gets this. */
const shortestLife = 45 * minute;

/** How long before its end a subscription asks for an answer, at most. */
const challengeAhead = 60 * minute;

const feeds: Readonly<Record<string, Subscription["feed"]>> = { users: "users", groups: "groups" };

/** The app may run on this machine only: nothing that is simulated reaches out of it. */
const isEndpoint = (text: string): boolean => {
  const url = URL.parse(text);
  return url?.protocol === "https:" && ["localhost", "127.0.0.1"].includes(url.hostname);
};
const endpoint = z.string().refine(isEndpoint, "must be an https address that can be reached");
const instant = z.iso.datetime({ offset: true });

const Asked = z.strictObject({
  changeType: z.string(),
  resource: z.string(),
  notificationUrl: endpoint,
  lifecycleNotificationUrl: endpoint.nullable().default(null),
  expirationDateTime: instant,
  clientState: z.string().max(128).nullable().default(null),
  latestSupportedTlsVersion: z.enum(["v1_2", "v1_3"]).default("v1_2"),
  /** Not offered for directory objects. */
  includeResourceData: z.literal(false).nullish(),
});

const Renewal = z
  .strictObject({ expirationDateTime: instant.optional(), notificationUrl: endpoint.optional() })
  .refine((changes) => Object.keys(changes).length > 0, "names nothing that can be changed");

type AskedSubscription = Pick<
  Subscription,
  | "resource"
  | "feed"
  | "changeTypes"
  | "notificationUrl"
  | "lifecycleNotificationUrl"
  | "clientState"
  | "latestSupportedTlsVersion"
> & { expirationDateTime: string };

/** Throws what Graph answers to anything else. */
export const askedSubscription = (body: string): AskedSubscription => {
  const { includeResourceData: _, changeType, ...asked } = parsed(Asked, body);
  const feed = feeds[asked.resource.replace(/^\//, "").toLowerCase()];
  if (feed === undefined) throw badRequest(`The resource '${asked.resource}' is not one the simulator notifies of.`);
  return { ...asked, feed, changeTypes: changeTypesIn(changeType) };
};

export const renewal = (body: string): z.output<typeof Renewal> => parsed(Renewal, body);

/** A life that is too short is made longer; one that is too long is refused. */
export const expiryOf = (expirationDateTime: string, now: number): number => {
  const wanted = Date.parse(expirationDateTime);
  if (wanted <= now) throw badRequest("The expirationDateTime is in the past.");
  if (wanted > now + longestLife)
    throw badRequest(`Subscription expiration can only be ${longestLife / minute} minutes in the future.`);
  return Math.max(wanted, now + shortestLife);
};

/** In the last fifth of a life, and not more than an hour before its end. */
export const nextChallenge = (now: number, expiresAt: number): number =>
  Math.max(now, expiresAt - Math.min(challengeAhead, (expiresAt - now) / 5));

/** A new object is `updated` too: nothing is told of as `created`. */
const changeTypesIn = (text: string): Subscription["changeTypes"] => {
  const words = new Set(text.split(",").map((word) => word.trim().toLowerCase()));
  const known = (["deleted", "updated"] as const).filter((word) => words.delete(word));
  if (words.size > 0 || known.length === 0)
    throw badRequest(`The changeType '${text}' is not supported for the resource.`);
  return known;
};

const parsed = <T>(schema: z.ZodType<T>, body: string): T => {
  const result = schema.safeParse(jsonIn(body));
  if (result.success) return result.data;
  throw badRequest(z.prettifyError(result.error));
};

const jsonIn = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    throw badRequest("Unable to read JSON request payload.");
  }
};
