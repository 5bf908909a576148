/**
 * Change notifications through the whole product on one machine: how soon a change is in the change log, how soon the receiver
 * answers in a storm and what the storm costs, and what a cold instance needs for its first answer.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { openCosmos } from "../src/adapters/cosmos/client.ts";
import { directoryStore } from "../src/adapters/cosmos/directory-store.ts";
import { percentile } from "../src/core/directory/lateness.ts";
import { clientStateFor, notificationKeys } from "../src/core/notifications/client-state.ts";
import { type Head, ids } from "../src/core/store/documents.ts";
import { startQueuesProcess } from "../src/local/queues/process.ts";
import { type EndpointAnswer, httpsEndpoints } from "../src/local/simulator/graph/endpoints.ts";
import type { Subscription } from "../src/local/simulator/world.ts";
import { type ConnectedTenant, connectTenant, startTestStack, type TestStack } from "../test/support/stack.ts";
import { clientId, startReceiverHost } from "./receiver-host.ts";

export interface NotificationSizes {
  /** Changes one by one. */
  changes: number;
  /** Before each of them and before the storm: longer than the half minute in which the receiver sends no third hint. */
  restMilliseconds: number;
  /** Of the storm; 0: none. */
  seconds: number;
  perSecond: number;
  coldStarts: number;
}

export interface ArrivalResult {
  changes: number;
  /** Milliseconds from the change in the tenant to its entry in the log. */
  p50: number;
  p95: number;
  largest: number;
}

export interface StormResult {
  seconds: number;
  perSecond: number;
  posts: number;
  /** Answered 202 within Graph's three seconds. */
  taken: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
  largest: number;
  hints: number;
  rounds: number;
  /** From the last notification that was taken to the beginning of the round that follows it. */
  followedAfterSeconds: number;
}

/** Milliseconds; medians. */
export interface ColdResult {
  starts: number;
  /** From starting the process to the open port. */
  listening: number;
  /** From the first request to its 202. */
  first: number;
  /** The same where everything that the API needs is built first. */
  firstComposed: number;
}

export interface NotificationResult {
  cold: ColdResult;
  arrival: ArrivalResult;
  storm: StormResult | null;
}

const whole: NotificationSizes = { changes: 10, restMilliseconds: 31_000, seconds: 60, perSecond: 500, coldStarts: 5 };

const patienceMilliseconds = 180_000;
const graphWaitsMilliseconds = 3000;
/** Longer than Graph waits: an answer that comes too late is to be measured too. */
const senderWaitsMilliseconds = 30_000;

export const benchNotifications = async (sizes: NotificationSizes = whole): Promise<NotificationResult> => {
  const cold = await measureCold(sizes.coldStarts);
  const stack = await startTestStack({ notifications: true });
  try {
    const tenant = await connectTenant(stack, { users: 60, groups: 8, seed: 11 });
    await tenant.first();
    const watched = watch(stack, tenant);
    try {
      const subscription = await subscribed(stack, tenant.tid);
      const arrival = await measureArrival(stack, tenant, watched, sizes);
      const storm = sizes.seconds > 0 ? await measureStorm(stack, tenant, subscription, watched, sizes) : null;
      return { cold, arrival, storm };
    } finally {
      watched.close();
    }
  } finally {
    await stack.stop();
  }
};

interface Watched {
  head(): Promise<Head>;
  close(): void;
}

const watch = ({ config }: TestStack, { connectionId }: ConnectedTenant): Watched => {
  const { endpoint, database, key = "" } = config.cosmos;
  const handles = openCosmos({ endpoint, database, key });
  const store = directoryStore(handles.directory);
  return {
    head: async () => {
      const head = await store.read(connectionId, "head", ids.head);
      if (!head) throw new Error("The connection has no head.");
      return head;
    },
    close: () => handles.dispose(),
  };
};

/** The first answer that is not null, or a word about what did not come. */
const until = async <T>(what: string, look: () => Promise<T | null>, everyMilliseconds = 20): Promise<T> => {
  const end = performance.now() + patienceMilliseconds;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`There is still no ${what}.`);
    await delay(everyMilliseconds);
  }
};

const subscribed = (stack: TestStack, tid: string): Promise<Subscription> =>
  until("subscription of users", async () => {
    const { subscriptions } = await stack.simulator.command("subscriptions", { tid });
    return subscriptions.find(({ feed }) => feed === "users") ?? null;
  });

const measureArrival = async (
  stack: TestStack,
  { tid }: ConnectedTenant,
  watched: Watched,
  { changes, restMilliseconds }: NotificationSizes,
): Promise<ArrivalResult> => {
  const { accounts } = (await stack.simulator.command("list", {})).tenants.find((each) => each.tid === tid) ?? {};
  const id = accounts?.[0]?.objectId ?? "";
  const times: number[] = [];
  for (let number = 0; number < changes; number++) {
    await delay(restMilliseconds);
    const { sequence } = await watched.head();
    const begun = performance.now();
    const set = { jobTitle: `Title ${number}` };
    await stack.simulator.command("mutate", { tid, mutations: [{ op: "update-user", id, set }] });
    await until("entry", async () => ((await watched.head()).sequence > sequence ? true : null));
    times.push(performance.now() - begun);
  }
  return { changes, ...spread(times), p95: share(times, 0.95) };
};

const measureStorm = async (
  stack: TestStack,
  { tid }: ConnectedTenant,
  subscription: Subscription,
  watched: Watched,
  sizes: NotificationSizes,
): Promise<StormResult> => {
  await delay(sizes.restMilliseconds);
  const hintsBefore = hintsIn(stack);
  const rounds = countRounds(watched);
  const answers = await post(stack, subscription, tid, sizes);
  const taken = answers.filter(({ status }) => status === 202);
  const lastAt = Math.max(...taken.map(({ sentAt }) => sentAt));
  const following = await until("later round", async () => {
    const { lastRound } = await watched.head();
    return lastRound && lastRound.startedAt > lastAt ? lastRound : null;
  });
  // What else the storm has set off comes within the same time.
  await delay(sizes.restMilliseconds);
  const times = answers.map(({ milliseconds }) => milliseconds);
  return {
    seconds: sizes.seconds,
    perSecond: sizes.perSecond,
    posts: answers.length,
    taken: taken.filter(({ milliseconds }) => milliseconds < graphWaitsMilliseconds).length,
    ...spread(times),
    p99: share(times, 0.99),
    hints: hintsIn(stack) - hintsBefore,
    rounds: await rounds.end(),
    followedAfterSeconds: (following.startedAt - lastAt) / 1000,
  };
};

type Answered = EndpointAnswer & { sentAt: number };

/** One item in each post, sent when it is due, whether or not those before it are answered. */
const post = async (
  { caPem }: TestStack,
  { id, clientState, notificationUrl }: Subscription,
  tid: string,
  { seconds, perSecond }: NotificationSizes,
): Promise<Answered[]> => {
  const endpoints = httpsEndpoints(caPem);
  const begun = performance.now();
  const answers: Promise<Answered>[] = [];
  const send = async (body: string, dueAt: number): Promise<Answered> => {
    const sentAt = Date.now();
    const asked = { contentType: "application/json", body, timeoutMilliseconds: senderWaitsMilliseconds };
    const answer = await endpoints.post(notificationUrl, asked);
    // A sender that is late itself hides nothing.
    return { ...answer, sentAt, milliseconds: performance.now() - dueAt };
  };
  for (let number = 0; number < seconds * perSecond; number++) {
    const dueAt = begun + (number * 1000) / perSecond;
    const early = dueAt - performance.now();
    if (early > 0) await delay(early);
    const item = {
      subscriptionId: id,
      clientState,
      tenantId: tid,
      changeType: "updated",
      resource: `Users/${randomUUID()}`,
    };
    answers.push(send(JSON.stringify({ value: [item] }), dueAt));
  }
  return Promise.all(answers).finally(() => endpoints.close());
};

/** Messages of the receiver that have been worked on. */
const hintsIn = ({ lines }: TestStack): number =>
  lines.filter((line) => line.includes('"event":"graph-notifications-pass-on"')).length;

/** Rounds of this connection that begin from now on. Two are never so close that one is missed. */
const countRounds = (watched: Watched): { end: () => Promise<number> } => {
  const from = Date.now();
  const begun = new Set<number>();
  const ended = new AbortController();
  const looking = (async () => {
    while (!ended.signal.aborted) {
      const { lastRound } = await watched.head();
      if (lastRound && lastRound.startedAt >= from) begun.add(lastRound.startedAt);
      await delay(500);
    }
  })();
  return {
    end: async () => {
      ended.abort();
      await looking;
      return begun.size;
    },
  };
};

const measureCold = async (starts: number): Promise<ColdResult> => {
  const queues = await startQueuesProcess({});
  const secret = randomBytes(32).toString("base64url");
  const feed = { clientId, tenantId: randomUUID(), resource: "users" } as const;
  const clientState = clientStateFor(notificationKeys.parse(secret), feed);
  const body = JSON.stringify({ value: [{ subscriptionId: randomUUID(), clientState, tenantId: feed.tenantId }] });

  const start = async (isComposed: boolean): Promise<{ listening: number; first: number }> => {
    const begun = performance.now();
    const host = await startReceiverHost(queues.connectionString, secret);
    try {
      const listening = performance.now();
      // Refused, because nobody is named; but by what everything else hangs on.
      if (isComposed) await fetch(`${host.url}/api/v1/connections`);
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${host.url}/notifications/graph`, { method: "POST", headers, body });
      if (answer.status !== 202) throw new Error(`The receiver answered ${answer.status}.`);
      return { listening: listening - begun, first: performance.now() - listening };
    } finally {
      await host.stop();
    }
  };

  try {
    const alone: { listening: number; first: number }[] = [];
    const composed: number[] = [];
    for (let turn = 0; turn < starts; turn++) {
      alone.push(await start(false));
      composed.push((await start(true)).first);
    }
    const [listening, first, firstComposed] = [
      alone.map((each) => each.listening),
      alone.map((each) => each.first),
      composed,
    ];
    return { starts, listening: median(listening), first: median(first), firstComposed: median(firstComposed) };
  } finally {
    await queues.stop();
  }
};

const share = (values: readonly number[], of: number): number => percentile(values, of) ?? Number.NaN;
const median = (values: readonly number[]): number => share(values, 0.5);
const spread = (values: readonly number[]): { p50: number; largest: number } => ({
  p50: median(values),
  largest: share(values, 1),
});
