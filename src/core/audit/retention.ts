/**
 * How long the change log and the access log are kept, and with them what only they explain: runs, earlier settings, earlier lists.
 * A setting of the installation. A document keeps the time it was written with, so another setting holds for what comes after it.
 */
import type { Ambient } from "../ambient.ts";

export const logDayLimits = { least: 90, usual: 400, most: 1095 } as const;

const daySeconds = 86_400;

export const logSecondsOf = ({ logDays = logDayLimits.usual }: Pick<Ambient, "logDays">): number =>
  logDays * daySeconds;

/** Under whichever setting: for keys and anchors, which nothing that they open or prove may outlive. */
export const longestLogSeconds = logDayLimits.most * daySeconds;
export const usualLogSeconds = logDayLimits.usual * daySeconds;
