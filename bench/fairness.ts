/**
 * Many connections that are due at the same moment, on one instance of the host: what the timer costs, when they start, and
 * whether one tenant that is throttled, or one long import, delays the others. Time is passed in: nothing waits, and what a round
 * lasts is assumed from its requests, so that the results are the same on every machine.
 */
import { resolve } from "node:path";
import { everybody } from "../src/local/demo/everybody.ts";
import { readHostSettings } from "../src/local/host/settings.ts";
import { type App, openApp } from "./app.ts";
import { runInstance, type StandingClock, standingClock, standingQueue, type Workers } from "./instance.ts";
import { type Services, startServices } from "./services.ts";

/** Milliseconds of a hint, and of each Graph request that it makes; in the order of what Graph needs from Azure. */
const assumed = { hint: 100, graphRequest: 250 };

/** The throttled tenant is refused so often, and waits so long each time. */
const throttled = { times: 3, retryAfterSeconds: 120 };
/** As long as one slice of a large import may take. */
const longMilliseconds = 240_000;

export interface TimerCost {
  storeOperations: number;
  hints: number;
}

/** Seconds since the timer went off. */
export interface Spread {
  first: number;
  median: number;
  last: number;
  /** Most within one second. */
  most: number;
}

export interface FairnessCase {
  /** All but the one connection that is special; seconds since the timer went off until their rounds were done. */
  others: { median: number; last: number };
  /** Largest time by which one of them was done later than when nobody was special. */
  delayedSeconds: number;
  /** Store operations of the whole, the timer's included, and hints that were handled. */
  storeOperations: number;
  hints: number;
  /** Null where nobody is special. */
  special: { seconds: number; hints: number; graphRequests: number } | null;
}

export interface FairnessResult {
  connections: number;
  workers: Workers;
  assumed: typeof assumed;
  timer: { idle: TimerCost; due: TimerCost };
  /** When the timer's hints become visible, and when rounds began. */
  hinted: Spread;
  started: Spread;
  /** Minutes over which the rounds after this one are spread. */
  nextSpreadMinutes: number;
  intervalMinutes: number;
  quiet: FairnessCase;
  throttled: FairnessCase & { pauseSeconds: number };
  long: FairnessCase & { longSeconds: number };
}

const hostWorkers = (): Workers => readHostSettings(resolve(import.meta.dirname, ".."), {}).queues;

export const benchFairness = async (
  connections = 1000,
  { batchSize, newBatchThreshold }: Workers = hostWorkers(),
): Promise<FairnessResult> => {
  const services = await startServices();
  const clock = standingClock(Date.now());
  const queue = standingQueue(clock);
  const app = openApp(services.addresses, clock, queue);
  const scene: Scene = { services, app, clock, queue, workers: { batchSize, newBatchThreshold }, connected: [] };
  try {
    await services.simulator.command("switches", { tid: null, mode: "calm" });
    for (let index = 0; index < connections; index++) scene.connected.push(await connectSmall(scene, index));
    const idle = await timerCost(scene);
    const quiet = await allDue(scene, null);
    // Whoever is first is in everybody's way.
    const first = quiet.order[0] as string;
    const tid = scene.connected.find(({ connectionId }) => connectionId === first)?.tid as string;
    const { times, retryAfterSeconds } = throttled;
    const trouble = { kind: "throttle" as const, retryAfterSeconds };
    await services.simulator.command("faults", { add: [{ trouble, tid, times }] });
    const slow = await allDue(scene, { connectionId: first, milliseconds: null });
    const long = await allDue(scene, { connectionId: first, milliseconds: longMilliseconds });
    return {
      connections,
      workers: scene.workers,
      assumed,
      timer: { idle, due: quiet.timer },
      hinted: quiet.hinted,
      started: quiet.started,
      nextSpreadMinutes: quiet.nextSpreadMinutes,
      intervalMinutes: everybody.intervalMinutes,
      quiet: caseOf(quiet, quiet, null),
      throttled: { ...caseOf(slow, quiet, first), pauseSeconds: times * retryAfterSeconds },
      long: { ...caseOf(long, quiet, first), longSeconds: longMilliseconds / 1000 },
    };
  } finally {
    app.close();
    await services.stop();
  }
};

interface Scene {
  services: Services;
  app: App;
  clock: StandingClock;
  queue: ReturnType<typeof standingQueue>;
  workers: Workers;
  connected: { connectionId: string; tid: string }[];
}

/** A tenant of its own, imported already: what is due is a round that finds nothing. */
const connectSmall = async ({ services, app, queue }: Scene, index: number): Promise<Scene["connected"][number]> => {
  const { command } = services.simulator;
  const { tid } = await command("create-tenant", { users: 5, groups: 1, seed: index, domain: `fair-${index}.example` });
  await command("grant", { tid, clientId: services.addresses.clientId });
  const connectionId = await app.connect(tid, everybody);
  await app.makeDue(connectionId);
  if (!(await app.hint(connectionId))) throw new Error("The connection could not be imported.");
  queue.waiting.length = 0;
  return { connectionId, tid };
};

const timerCost = async ({ services, app, queue }: Scene): Promise<TimerCost> => {
  const before = (await services.cosmos.stats()).requests;
  const sent = queue.waiting.length;
  await app.wake();
  return { storeOperations: (await services.cosmos.stats()).requests - before, hints: queue.waiting.length - sent };
};

interface AllDue {
  timer: TimerCost;
  hinted: Spread;
  started: Spread;
  nextSpreadMinutes: number;
  storeOperations: number;
  /** Connections in the order in which their first hint was handled. */
  order: string[];
  /** Seconds until the round was done, hints handled and Graph requests, by connection. */
  done: Map<string, number>;
  hints: Map<string, number>;
  graphRequests: Map<string, number>;
}

/** `special`: the connection whose first hint lasts so long; null = as long as it lasts. */
const allDue = async (
  scene: Scene,
  special: { connectionId: string; milliseconds: number | null } | null,
): Promise<AllDue> => {
  const { services, app, clock, queue, workers, connected } = scene;
  queue.waiting.length = 0;
  clock.advance(1);
  for (const { connectionId } of connected) await app.makeDue(connectionId);
  const began = clock.now();
  const secondsSince = (time: number): number => (time - began) / 1000;
  const before = (await services.cosmos.stats()).requests;
  const asked = new Map(connected.map(({ connectionId }) => [connectionId, app.graphRequests(connectionId)]));
  const done = new Map<string, number>();
  const hints = new Map<string, number>();
  const startedAt: number[] = [];
  let timer: TimerCost | null = null;
  let hinted: number[] = [];
  await runInstance(clock, queue, workers, {
    tick: async () => {
      const cost = await timerCost(scene);
      if (timer) return;
      timer = cost;
      hinted = queue.waiting.map(({ visibleAt }) => secondsSince(visibleAt));
    },
    handle: async (hint) => {
      const { connectionId } = hint;
      const requests = app.graphRequests(connectionId);
      if (!hints.has(connectionId)) startedAt.push(secondsSince(clock.now()));
      hints.set(connectionId, (hints.get(connectionId) ?? 0) + 1);
      const outcome = await app.work(hint);
      const usual = assumed.hint + assumed.graphRequest * (app.graphRequests(connectionId) - requests);
      const isLong = special?.connectionId === connectionId && outcome === "done";
      const lasts = (isLong ? special?.milliseconds : null) ?? usual;
      if (outcome === "done") done.set(connectionId, secondsSince(clock.now() + lasts));
      return lasts;
    },
    isOver: () => done.size === connected.length && queue.waiting.length === 0,
  });
  const storeOperations = (await services.cosmos.stats()).requests - before;
  const nextDue: number[] = [];
  for (const { connectionId } of connected) nextDue.push((await app.head(connectionId)).dueAt ?? Number.NaN);
  return {
    timer: timer ?? { storeOperations: 0, hints: 0 },
    hinted: spreadOf(hinted),
    started: spreadOf(startedAt),
    nextSpreadMinutes: (Math.max(...nextDue) - Math.min(...nextDue)) / 60_000,
    storeOperations,
    order: [...hints.keys()],
    done,
    hints,
    graphRequests: new Map(
      connected.map(({ connectionId }) => [
        connectionId,
        app.graphRequests(connectionId) - (asked.get(connectionId) ?? 0),
      ]),
    ),
  };
};

const caseOf = (all: AllDue, quiet: AllDue, special: string | null): FairnessCase => {
  const others = [...all.done].filter(([connectionId]) => connectionId !== special);
  const { median, last } = spreadOf(others.map(([, seconds]) => seconds));
  const delays = others.map(([connectionId, seconds]) => seconds - (quiet.done.get(connectionId) ?? Number.NaN));
  return {
    others: { median, last },
    delayedSeconds: Math.max(0, ...delays),
    storeOperations: all.storeOperations,
    hints: [...all.hints.values()].reduce((sum, count) => sum + count, 0),
    special:
      special === null
        ? null
        : {
            seconds: all.done.get(special) ?? Number.NaN,
            hints: all.hints.get(special) ?? 0,
            graphRequests: all.graphRequests.get(special) ?? 0,
          },
  };
};

const spreadOf = (seconds: readonly number[]): Spread => {
  const sorted = seconds.toSorted((one, other) => one - other);
  const inSecond = Map.groupBy(sorted, (each) => Math.floor(each));
  return {
    first: sorted[0] ?? Number.NaN,
    median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    last: sorted.at(-1) ?? Number.NaN,
    most: Math.max(0, ...[...inSecond.values()].map(({ length }) => length)),
  };
};
