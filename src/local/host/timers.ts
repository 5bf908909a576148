/**
 * Timer triggers. Runs of one timer never overlap: the next occurrence is computed when a run has ended. The status of each timer
 * is kept, so that an occurrence missed while the host was down is made up for once, at the next start, as past due. A schedule
 * that was changed meanwhile has missed nothing.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Invoke } from "./invocation.ts";
import type { Log } from "./log.ts";
import { parseSchedule, type Schedule } from "./schedule.ts";
import type { Triggered } from "./triggers.ts";

export interface Timers {
  /** One run now, whatever the schedule says; rejects when it fails. */
  invoke(target: Triggered<"timer">): Promise<void>;
  /** No more runs begin; resolves when the present ones have ended. */
  close(): Promise<void>;
}

const instant = z.iso.datetime().transform((text) => new Date(text));
/** `next` is the first occurrence after `lastUpdated`, by the schedule of that time. */
const status = z.object({ last: instant.nullable(), next: instant, lastUpdated: instant });
type Status = z.infer<typeof status>;

const never = "0001-01-01T00:00:00+00:00";
const longestWaitMs = 24 * 3600 * 1000;

export const startTimers = (
  targets: readonly Triggered<"timer">[],
  invoke: Invoke,
  statusDirectory: string | undefined,
  log: Log,
): Timers => {
  const running = targets.map((target) => {
    const schedule = parseSchedule(target.trigger.schedule);
    const watched = target.trigger.useMonitor && !schedule.everyFewSeconds;
    const store = watched ? openStatus(statusDirectory, target.metadata.name) : undefined;
    return { target, ...runTimer(target, schedule, invoke, store, log) };
  });
  return {
    invoke: async (target) => {
      await running.find((timer) => timer.target === target)?.runNow();
    },
    close: async () => {
      await Promise.allSettled(running.map((timer) => timer.close()));
    },
  };
};

const runTimer = (
  target: Triggered<"timer">,
  schedule: Schedule,
  invoke: Invoke,
  store: StatusStore | undefined,
  log: Log,
): { runNow(): Promise<void>; close(): Promise<void> } => {
  let closed = false;
  let waiting: NodeJS.Timeout | undefined;
  let current: Promise<void> = Promise.resolve();

  const run = async (isPastDue: boolean, occurrence: Date): Promise<void> => {
    // A failure is in the log and does not stop the schedule.
    await invoke(target, timerInput(store?.load(), isPastDue)).catch(() => undefined);
    const next = nextAfter(occurrence);
    if (next) store?.save({ last: occurrence, ...next });
  };
  const start = (isPastDue: boolean, occurrence: Date): void => {
    if (closed) return;
    current = run(isPastDue, occurrence).then(() => wait(occurrence));
  };
  /** `ran` is the occurrence that was last handled: a timer that fires a little early must not repeat it. */
  const nextAfter = (ran: Date): Pick<Status, "next" | "lastUpdated"> | undefined => {
    const now = new Date();
    const lastUpdated = ran > now ? ran : now;
    const next = schedule.next(lastUpdated);
    return next && { next, lastUpdated };
  };
  const wait = (ran: Date): void => {
    const due = nextAfter(ran);
    if (closed || !due) return;
    const delayMs = due.next.getTime() - Date.now();
    waiting =
      delayMs > longestWaitMs
        ? setTimeout(() => wait(ran), longestWaitMs)
        : setTimeout(() => start(false, due.next), delayMs);
  };

  const now = new Date();
  const known = store?.load();
  const isSameSchedule = known && schedule.next(known.lastUpdated)?.getTime() === known.next.getTime();
  if (isSameSchedule && known.next < now) {
    log({ level: "information", functionName: target.metadata.name, message: "an occurrence was missed" });
    start(true, now);
  } else if (target.trigger.runOnStartup) {
    start(false, now);
  } else {
    const next = nextAfter(now);
    if (next && !isSameSchedule) store?.save({ last: null, ...next });
    wait(now);
  }
  const byHand = new Set<Promise<unknown>>();
  return {
    runNow: async () => {
      const call = invoke(target, timerInput(store?.load(), false));
      byHand.add(call);
      await call.finally(() => byHand.delete(call));
    },
    close: async () => {
      closed = true;
      clearTimeout(waiting);
      await Promise.allSettled([current, ...byHand]);
    },
  };
};

const timerInput = (known: Status | undefined, isPastDue: boolean) => ({
  data: {
    json: JSON.stringify({
      Schedule: { AdjustForDST: true },
      ScheduleStatus: known
        ? { Last: known.last?.toISOString() ?? never, Next: known.next, LastUpdated: known.lastUpdated }
        : null,
      IsPastDue: isPastDue,
    }),
  },
});

interface StatusStore {
  load(): Status | undefined;
  save(status: Status): void;
}

/** One small file for each timer; without a directory the status lives as long as the host. */
const openStatus = (directory: string | undefined, name: string): StatusStore => {
  let kept: Status | undefined;
  if (directory === undefined) {
    return {
      load: () => kept,
      save: (given) => {
        kept = given;
      },
    };
  }
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${name}.json`);
  return {
    load: () => {
      try {
        return status.parse(JSON.parse(readFileSync(file, "utf8")));
      } catch {
        return undefined; // None yet, or torn by a crash: as if the timer had never run.
      }
    },
    save: (given) => {
      writeFileSync(`${file}.new`, JSON.stringify(given));
      renameSync(`${file}.new`, file);
    },
  };
};
