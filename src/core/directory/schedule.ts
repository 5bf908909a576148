/** When a connection is due. Pure; head's `wakeAt` is the only thing that acts on it. */
import { createHash } from "node:crypto";
import type { Settings } from "../connections/settings.ts";
import type { ConnectionDoc, Head } from "../store/documents.ts";
import { isInTrouble } from "./run/trouble.ts";

const minute = 60_000;

/** 0 <= x < 1, always the same for one name: spreads what was started together. */
export const spread = (name: string): number => createHash("sha256").update(name).digest().readUInt32BE(0) / 2 ** 32;

/** When the schedule wants the next round after one that started at `startedAt`; null = never. At most the interval, at least 95 % of it. */
export const nextDue = (connectionId: string, settings: Settings, startedAt: number): number | null =>
  settings.automatic && !settings.paused
    ? Math.round(startedAt + settings.intervalMinutes * minute * (1 - spread(connectionId) * 0.05))
    : null;

/** The settings that the schedule goes by: before the setup was finished for the first time nothing is automatic. */
export const scheduleOf = ({ settings, wizard }: Pick<ConnectionDoc, "settings" | "wizard">): Settings =>
  wizard.finishedAt === null ? { ...settings, automatic: false, signIn: { createPeople: false } } : settings;

/** The first round after the setup, anywhere within one interval: not all begin when people are at work, and none waits longer than a day. */
export const firstDue = (connectionId: string, settings: Settings, finishedAt: number): number | null =>
  settings.automatic && !settings.paused
    ? Math.round(finishedAt + settings.intervalMinutes * minute * spread(connectionId))
    : null;

/** A connection in trouble is tried out so often, and not run. */
export const selfTestMilliseconds = 60 * minute;

/** When the connection next wants something by itself, after a turn at `now`: a round, or a self-test while it is in trouble. */
export const nextTurn = (
  doc: Pick<ConnectionDoc, "connectionId" | "settings" | "wizard" | "state" | "quarantine">,
  now: number,
): number | null => {
  const due = nextDue(doc.connectionId, scheduleOf(doc), now);
  return due !== null && isInTrouble(doc) ? now + selfTestMilliseconds : due;
};

/** What head waits for when nobody holds it. Retries set `wakeAt` themselves. */
export const wakeAfter = (head: Pick<Head, "run" | "requested" | "dueAt">, now: number): number | null => {
  if (head.run || head.requested) return now;
  return head.dueAt;
};

/** 30 s, 1, 2, 4 ... minutes, at most an hour, for the n-th failure in a row. */
export const backOff = (failures: number): number => Math.min(60 * minute, 30_000 * 2 ** Math.max(0, failures - 1));
