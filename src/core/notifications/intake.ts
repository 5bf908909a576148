/**
 * What Graph posts, as hints on a queue. Every item proves itself by its client state; nothing is looked up, and what does not
 * prove itself is counted and dropped without a word, because an answer would tell a forger something.
 * https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
 */
import { z } from "zod";
import { lifecycleEvents, type NotificationMessage } from "../jobs.ts";
import { feedOf, type NotificationKeys } from "./client-state.ts";
import { type Feed, feedKey } from "./feed.ts";
import { type GatedHint, hintGate } from "./hint-gate.ts";

export interface NotificationQueue {
  /** Throws `queue-unavailable` well before Graph stops waiting. */
  send(message: NotificationMessage, delaySeconds: number): Promise<void>;
}

export interface ReceiveNeeds {
  keys: NotificationKeys;
  queue: NotificationQueue;
  now: () => number;
}

/** Numbers of items; `hints` is what they have set off. */
export interface Received {
  taken: number;
  /** With a client state that is not ours, or is of another tenant. */
  forged: number;
  /** Of no known form. */
  unusable: number;
  hints: number;
}

export type Receive = (body: unknown) => Promise<Received>;

const mostItems = 1000;

/** Not item by item: half a million of them fit into a body. */
const Collection = z.object({ value: z.custom<readonly unknown[]>((value) => Array.isArray(value)) });
const Item = z.object({
  clientState: z.string().max(128),
  tenantId: z.string().max(64),
  /** Absent in a notification of a change. */
  lifecycleEvent: z.enum(lifecycleEvents).nullish(),
  subscriptionId: z.guid(),
});
type Item = z.infer<typeof Item>;

type Lifecycle = NonNullable<NotificationMessage["notification"]["lifecycle"]>;
interface Genuine {
  feed: string;
  lifecycle: Lifecycle | undefined;
}

/** Rejects with `queue-unavailable` when Graph has to send it all again. */
export const receive = ({ keys, queue, now }: ReceiveNeeds): Receive => {
  const gate = hintGate(now);
  return async (body) => {
    const { genuine, ...counts } = sorted(keys, body);
    let hints = 0;
    const send = async ({ feed, lifecycle }: Genuine, { delaySeconds, ...when }: GatedHint): Promise<void> => {
      await queue.send({ notification: { feed, ...when, ...(lifecycle ? { lifecycle } : {}) } }, delaySeconds);
      hints++;
    };
    // By the event and not by the subscription: whoever has seen one client state could make up any number of those.
    const distinct = new Map(genuine.map((each) => [`${each.feed} ${each.lifecycle?.event ?? ""}`, each]));
    await Promise.all([...distinct].map(([key, each]) => gate(key, (hint) => send(each, hint))));
    return { ...counts, hints };
  };
};

/** Each item on its own: whatever stands beside it. What exceeds the limit counts as unusable. */
const sorted = (keys: NotificationKeys, body: unknown): Omit<Received, "hints"> & { genuine: Genuine[] } => {
  const collection = Collection.safeParse(body);
  if (!collection.success) return { genuine: [], taken: 0, forged: 0, unusable: 1 };
  const { value } = collection.data;
  const feeds = new Map<string, Feed | null>();
  const feedIn = ({ clientState, tenantId }: Item): Feed | null => {
    const known = feeds.get(clientState);
    const feed = known === undefined ? feedOf(keys, clientState) : known;
    feeds.set(clientState, feed);
    return feed?.tenantId === tenantId.toLowerCase() ? feed : null;
  };

  const items = value.slice(0, mostItems).flatMap((each) => Item.safeParse(each).data ?? []);
  const genuine = items.flatMap((item): Genuine[] => {
    const feed = feedIn(item);
    if (!feed) return [];
    const { lifecycleEvent: event, subscriptionId } = item;
    return [{ feed: feedKey(feed), lifecycle: event ? { event, subscriptionId } : undefined }];
  });
  return {
    genuine,
    taken: genuine.length,
    forged: items.length - genuine.length,
    unusable: value.length - items.length,
  };
};
