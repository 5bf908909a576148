/**
 * NCRONTAB: six fields `{second} {minute} {hour} {day} {month} {day-of-week}`, UTC; five fields start at the minute. A day must match
 * both day fields. Only what NCRONTAB knows is let through: the library behind it knows more.
 */
import { Cron } from "croner";

export interface Schedule {
  /** The first occurrence after `instant`; undefined when there is none. */
  next(instant: Date): Date | undefined;
  /** Fires more than once a minute: such timers are not watched for missed occurrences. */
  everyFewSeconds: boolean;
}

const value = "(?:\\d+|[a-z]{3})";
const range = `(?:\\*|${value}(?:-${value})?)(?:/\\d+)?`;
const field = new RegExp(`^${range}(?:,${range})*$`, "i");

export const parseSchedule = (text: string): Schedule => {
  const fields = text.trim().split(/\s+/);
  if (![5, 6].includes(fields.length) || !fields.every((part) => field.test(part))) {
    throw new Error(`"${text}" is not an NCRONTAB schedule.`);
  }
  const cron = new Cron(text, { paused: true, timezone: "UTC", mode: "5-or-6-parts", domAndDow: true });
  const next = (instant: Date): Date | undefined => cron.nextRun(instant) ?? undefined;
  const [first, second] = cron.nextRuns(2, new Date());
  const everyFewSeconds = first !== undefined && second !== undefined && second.getTime() - first.getTime() < 60_000;
  return { next, everyFewSeconds };
};
