/**
 * Items on their way to endpoints, by the clock of the world: put together by address, tried again for four hours, delayed or
 * dropped where an endpoint is late. Only in memory: what a restart loses was lost on the way.
 */
import type { EndpointRequest, Endpoints } from "./endpoints.ts";
import {
  createSlowEndpoints,
  type EndpointMode,
  promptMilliseconds,
  retryMilliseconds,
  windowMilliseconds,
} from "./slow-endpoints.ts";

export interface Item {
  url: string;
  /** JSON text. */
  text: string;
  dueAt: number;
  /** Among those that go out together; equal ones stay as they came. */
  order: number;
}

export interface OutboxCounts {
  posts: number;
  /** Items that an endpoint has taken. */
  delivered: number;
  /** Posts that have to be repeated. */
  failed: number;
  /** Items given up. */
  dropped: number;
  waiting: number;
  modes: Record<string, EndpointMode>;
}

export interface Outbox {
  add(item: Item): void;
  /** A body that is no collection of items; once. */
  send(url: string, body: string): void;
  /** Sends what is due by now. */
  catchUp(): void;
  /** Resolves when nothing is on its way; what waits for its time still waits. */
  settled(): Promise<void>;
  counts(): OutboxCounts;
  close(): void;
}

interface Post {
  url: string;
  items: Item[];
  attempts: number;
  firstAt: number;
  dueAt: number;
}

const mostItems = 20;
const mostAtOnce = 32;
const firstRetryAfter = 10_000;
const givenUpAfter = 4 * 3600_000;
const longestTimer = 2 ** 31 - 1;

export const createOutbox = ({ now, endpoints }: { now: () => number; endpoints: Endpoints }): Outbox => {
  const slow = createSlowEndpoints();
  const onTheWay = new Set<Promise<void>>();
  const counts = { posts: 0, delivered: 0, failed: 0, dropped: 0 };
  let items: Item[] = [];
  let posts: Post[] = [];
  let timer: NodeJS.Timeout | undefined;
  let nextAt = Number.POSITIVE_INFINITY;
  let closed = false;

  const attempt = async (url: string, asked: EndpointRequest): Promise<boolean> => {
    counts.posts++;
    const { status, milliseconds } = await endpoints.post(url, asked);
    slow.answered(hostOf(url), now(), milliseconds);
    return status !== null && status >= 200 && status < 300 && milliseconds < asked.timeoutMilliseconds;
  };

  const once = async (url: string, asked: EndpointRequest): Promise<void> => {
    await attempt(url, asked);
  };

  const sendPost = async (post: Post): Promise<void> => {
    const body = `{"value":[${post.items.map(({ text }) => text).join(",")}]}`;
    const timeoutMilliseconds = post.attempts === 0 ? promptMilliseconds : retryMilliseconds;
    if (await attempt(post.url, { contentType: "application/json; charset=utf-8", body, timeoutMilliseconds })) {
      counts.delivered += post.items.length;
      return;
    }
    counts.failed++;
    const dueAt = now() + firstRetryAfter * 2 ** post.attempts;
    if (dueAt - post.firstAt > givenUpAfter) counts.dropped += post.items.length;
    else posts.push({ ...post, attempts: post.attempts + 1, dueAt });
  };

  const track = (sending: Promise<void>): void => {
    const tracked = sending.finally(() => {
      onTheWay.delete(tracked);
      catchUp();
    });
    onTheWay.add(tracked);
  };

  const putTogether = (): void => {
    const [due, later] = parted(items, now());
    items = later;
    for (const [url, together] of Map.groupBy(due, (item) => item.url)) {
      const ordered = together.toSorted((one, other) => one.order - other.order);
      for (let at = 0; at < ordered.length; at += mostItems)
        posts.push({ url, items: ordered.slice(at, at + mostItems), attempts: 0, firstAt: now(), dueAt: now() });
    }
  };

  const catchUp = (): void => {
    if (closed) return;
    putTogether();
    const [due, later] = parted(posts, now());
    const free = Math.max(0, mostAtOnce - onTheWay.size);
    posts = [...due.slice(free), ...later];
    for (const post of due.slice(0, free)) track(sendPost(post));
    arm();
  };

  /** The end of a post looks again, so a full house needs no timer. */
  const arm = (): void => {
    clearTimeout(timer);
    nextAt = [...items, ...posts].reduce((next, { dueAt }) => Math.min(next, dueAt), Number.POSITIVE_INFINITY);
    if (onTheWay.size < mostAtOnce) timer = timerFor(nextAt - now(), catchUp);
  };

  return {
    add: (item) => {
      const mode = slow.modeOf(hostOf(item.url), now());
      if (mode === "drop") {
        counts.dropped++;
        return;
      }
      const dueAt = mode === "slow" ? Math.max(item.dueAt, now() + windowMilliseconds) : item.dueAt;
      items.push({ ...item, dueAt });
      if (dueAt < nextAt) arm();
    },
    send: (url, body) => {
      const asked = { contentType: "application/json", body, timeoutMilliseconds: promptMilliseconds };
      track(once(url, asked));
    },
    catchUp,
    settled: async () => {
      while (onTheWay.size > 0) await Promise.all(onTheWay);
    },
    counts: () => {
      const waiting = items.length + posts.reduce((sum, post) => sum + post.items.length, 0);
      const hosts = [...items, ...posts].map(({ url }) => hostOf(url));
      return { ...counts, waiting, modes: Object.fromEntries(hosts.map((host) => [host, slow.modeOf(host, now())])) };
    },
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
};

/** Does nothing for what never comes, and keeps no process alive. */
export const timerFor = (milliseconds: number, carryOut: () => void): NodeJS.Timeout | undefined => {
  if (milliseconds === Number.POSITIVE_INFINITY) return undefined;
  return setTimeout(carryOut, Math.min(Math.max(milliseconds, 0), longestTimer)).unref();
};

const hostOf = (url: string): string => new URL(url).host;

const parted = <T extends { dueAt: number }>(all: readonly T[], now: number): [due: T[], later: T[]] => [
  all.filter(({ dueAt }) => dueAt <= now),
  all.filter(({ dueAt }) => dueAt > now),
];
