/** What a subscription needs, and what becomes of its row. Pure; times in ms. */
import { backOff, spread } from "../directory/schedule.ts";
import type { LedgerRow, Refusal, Subscription } from "./ports.ts";

const minute = 60_000;

/** Each is looked at so often: for changed settings of the installation, and for connections that went without a word. */
const lookMilliseconds = 1440 * minute;
const refusedMilliseconds = 6 * 60 * minute;
/** An instance that had to be started first may not have answered Graph in time. */
const addressMilliseconds = 10 * minute;
/** Longer than the few requests of a look, each with its time limit. */
const busyMilliseconds = 5 * minute;
/** Graph: inconsistent when it is renewed or reauthorized twice in less. */
const betweenTouches = 10 * minute;

export type Step = "create" | "renew" | "look";

const isLive = ({ state, subscriptionId, expiresAt }: LedgerRow, now: number): boolean =>
  state === "live" && subscriptionId !== null && expiresAt !== null && expiresAt > now;

const mayTouch = ({ touchedAt }: Pick<LedgerRow, "touchedAt">, now: number): boolean =>
  touchedAt === null || now - touchedAt >= betweenTouches;

/** `madeWith`: what one would be made with now. */
export const stepFor = (row: LedgerRow, madeWith: string, now: number): Step => {
  if (!isLive(row, now) || row.madeWith !== madeWith) return "create";
  return row.renewAt !== null && row.renewAt <= now && mayTouch(row, now) ? "renew" : "look";
};

/** Before anything is asked of Graph. */
export const claimed = (row: LedgerRow, step: Step, now: number): LedgerRow => {
  const busyUntil = now + busyMilliseconds;
  const busy = { ...row, busyUntil, wakeAt: busyUntil };
  if (step === "create") return pending(busy);
  return step === "renew" ? { ...busy, touchedAt: now } : busy;
};

export const pending = (row: LedgerRow): LedgerRow => ({ ...row, state: "pending", catchUp: true });

export const made = (row: LedgerRow, { id, expiresAt }: Subscription, madeWith: string, now: number): LedgerRow => ({
  ...row,
  ...times(row, now, expiresAt),
  state: "live",
  subscriptionId: id,
  madeWith,
  touchedAt: now,
  counters: { ...row.counters, created: row.counters.created + 1 },
});

export const renewed = (row: LedgerRow, expiresAt: number, now: number): LedgerRow => ({
  ...row,
  ...times(row, now, expiresAt),
  counters: { ...row.counters, renewed: row.counters.renewed + 1 },
});

/** Renewed at 50 to 70 % of its life, not all at once; at 85 % it is an alarm. */
const times = ({ feed }: LedgerRow, now: number, expiresAt: number) => {
  const life = expiresAt - now;
  const renewAt = now + Math.round(life * (0.5 + 0.2 * spread(feed)));
  return { expiresAt, renewAt, alarmAt: now + Math.round(life * 0.85), reason: null };
};

const ended = { subscriptionId: null, expiresAt: null, renewAt: null, alarmAt: null } as const;

export const refused = (row: LedgerRow, reason: Refusal): LedgerRow => ({
  ...row,
  ...ended,
  state: "refused",
  reason,
  counters: { ...row.counters, refused: row.counters.refused + 1 },
});

/** Graph says that it has ended, or somebody has come while the last one's was taken back. */
export const gone = (row: LedgerRow, now: number): LedgerRow => ({
  ...row,
  ...ended,
  state: "gone",
  busyUntil: 0,
  wakeAt: now,
});

/** Graph wants the app to prove anew that it may read: a renewal does that, and one that has just been is the answer already. */
export const challenged = (row: LedgerRow, now: number): LedgerRow =>
  // What changed while delivery was held up is not delivered later.
  isLive(row, now) && mayTouch(row, now) ? { ...row, renewAt: now, wakeAt: now, catchUp: true } : row;

/** After a look that came to its end. */
export const settled = (row: LedgerRow, now: number): LedgerRow => ({
  ...row,
  failures: 0,
  busyUntil: 0,
  wakeAt: nextLook(row, now),
});

const nextLook = (row: LedgerRow, now: number): number => {
  if (row.connections.length === 0) return now;
  if (row.state === "refused") return now + (row.reason === "address" ? addressMilliseconds : refusedMilliseconds);
  if (row.state !== "live") return now;
  // Should whoever is about to tell them die.
  if (row.catchUp) return now + minute;
  const { renewAt, touchedAt } = row;
  return Math.min(Math.max(renewAt ?? now, (touchedAt ?? 0) + betweenTouches), now + lookMilliseconds);
};

export const caughtUp = (row: LedgerRow, now: number): LedgerRow => settled({ ...row, catchUp: false }, now);

/** After a look that broke off. `isForbidden`: nobody may ask for this tenant at present. */
export const postponed = (
  row: LedgerRow,
  now: number,
  { isForbidden, retryAfterSeconds }: { isForbidden: boolean; retryAfterSeconds: number | undefined },
): LedgerRow => {
  const failures = row.failures + 1;
  const pause = retryAfterSeconds === undefined ? backOff(failures) : retryAfterSeconds * 1000;
  const at = now + (isForbidden ? refusedMilliseconds : pause);
  const next = isForbidden && !isLive(row, now) ? refused(row, "consent") : row;
  // A renewal whose answer was lost may have been one.
  const untouched = isLive(next, now) ? (next.touchedAt ?? 0) + betweenTouches : 0;
  return { ...next, failures, busyUntil: 0, wakeAt: Math.max(at, untouched) };
};

export const isOverdue = ({ alarmAt }: LedgerRow, now: number): boolean => alarmAt !== null && alarmAt <= now;
