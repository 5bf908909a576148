/**
 * One instance of the Functions host before a queue, event by event: how many messages it handles at once, and when it fetches
 * more, is what `host.json` says; the clock is moved from one event to the next, so nothing waits. The work itself is real, only
 * how long it is under way is told by whoever does it.
 */
import type { Hint, HintQueue } from "../src/core/store/ports.ts";
import type { Clock } from "./app.ts";

export interface Workers {
  batchSize: number;
  newBatchThreshold: number;
}

/** A clock that stands still between events. */
export interface StandingClock extends Clock {
  moveTo(time: number): void;
}

export const standingClock = (start: number): StandingClock => {
  let time = start;
  return {
    now: () => time,
    advance: (milliseconds) => {
      time += milliseconds;
    },
    moveTo: (next) => {
      time = Math.max(time, next);
    },
  };
};

export interface Queue extends HintQueue {
  /** What has been sent and not been taken, whoever is visible first coming first. */
  waiting: { hint: Hint; visibleAt: number }[];
}

export const standingQueue = (clock: Clock): Queue => {
  const waiting: Queue["waiting"] = [];
  return {
    waiting,
    send: async (hint, delaySeconds = 0) => {
      const visibleAt = clock.now() + delaySeconds * 1000;
      const behind = waiting.findIndex((other) => other.visibleAt > visibleAt);
      waiting.splice(behind < 0 ? waiting.length : behind, 0, { hint, visibleAt });
    },
  };
};

export interface Duties {
  /** Answers after how many milliseconds the message is dealt with. */
  handle: (hint: Hint) => Promise<number>;
  tick: () => Promise<void>;
  isOver: () => boolean;
}

const tickMilliseconds = 60_000;

/** The timer goes off at once, and then every minute, until `isOver`. */
export const runInstance = async (
  clock: StandingClock,
  { waiting }: Queue,
  { batchSize, newBatchThreshold }: Workers,
  { handle, tick, isOver }: Duties,
): Promise<void> => {
  let nextTick = clock.now();
  let underWay: number[] = [];
  while (!isOver()) {
    const first = waiting[0];
    const ends = underWay.toSorted((one, other) => one - other);
    const freeAt = ends[ends.length - newBatchThreshold - 1] ?? clock.now();
    const fetchAt = first ? Math.max(freeAt, first.visibleAt, clock.now()) : Number.POSITIVE_INFINITY;
    if (nextTick <= fetchAt) {
      clock.moveTo(nextTick);
      await tick();
      nextTick += tickMilliseconds;
      continue;
    }
    clock.moveTo(fetchAt);
    underWay = underWay.filter((end) => end > fetchAt);
    const visible = waiting.findIndex(({ visibleAt }) => visibleAt > fetchAt);
    const batch = waiting.splice(0, Math.min(batchSize, visible < 0 ? waiting.length : visible));
    underWay.push(...(await Promise.all(batch.map(async ({ hint }) => fetchAt + (await handle(hint))))));
  }
};
