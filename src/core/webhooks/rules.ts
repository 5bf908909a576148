/** What is to be done for one endpoint of one connection, and what an answer changes. Pure; `now` in ms. */
import type { Answer, DeliveryRecord, DeliveryRow } from "./ports.ts";

const second = 1000;
const hour = 3600 * second;

const firstBackOff = 30 * second;
const longestBackOff = 6 * hour;
/** An endpoint that has taken nothing for so long is dead. */
export const deadAfterMilliseconds = 5 * 24 * hour;
/** Of one connection an endpoint hears at most so often; what happens meanwhile is told together. */
export const pauseBetweenEvents = 5 * second;
/** How long whoever sends has his turn: longer than a request may take. When it dies, the next one comes then. */
export const turnMilliseconds = 20 * second;
/** For each endpoint of a connection. */
export const pauseBetweenTests = 5 * second;
export const maxRecords = 20;

export type Step = { do: "nothing" } | { do: "wait"; until: number } | { do: "send" };

/** A place beyond head is of a log that was lost with a restored backup: it counts for nothing. */
export const reached = (row: Pick<DeliveryRow, "delivered"> | null, sequence: number): number =>
  row && row.delivered <= sequence ? row.delivered : 0;

export const stepOf = (row: DeliveryRow | null, sequence: number, now: number): Step => {
  if (reached(row, sequence) >= sequence || (row && row.deadSince !== null)) return { do: "nothing" };
  return row && row.nextAt !== null && row.nextAt > now ? { do: "wait", until: row.nextAt } : { do: "send" };
};

export const newRow = (endpoint: string): DeliveryRow => ({
  endpoint,
  delivered: 0,
  message: null,
  attempts: 0,
  nextAt: null,
  failingSince: null,
  deadSince: null,
  testedAt: null,
  log: [],
});

/** The turn is taken. The same event keeps its id over all attempts, so that a receiver knows it again. */
export const begun = (row: DeliveryRow, { id, sequence }: { id: string; sequence: number }, now: number) => ({
  ...row,
  message: row.message?.sequence === sequence ? row.message : { id, sequence },
  nextAt: now + turnMilliseconds,
});

export const isTaken = ({ status }: Pick<Answer, "status">): boolean =>
  status !== null && status >= 200 && status <= 299;

/** 30 s, 1, 2, 4 ... minutes, 6 hours, and up to a quarter on top, so that what failed together does not come together. */
export const backOff = (attempts: number, random: number): number =>
  Math.round(
    Math.min(longestBackOff, firstBackOff * 2 ** Math.min(attempts - 1, 20)) * (attempts === 0 ? 0 : 1 + random / 4),
  );

/** `row` as it was begun; 0 <= random < 1. */
export const settled = (row: DeliveryRow, answer: Answer, now: number, random: number): DeliveryRow => {
  const sequence = row.message?.sequence ?? row.delivered;
  const log = withRecord(row.log, { kind: "event", at: now, sequence, ...answer });
  if (isTaken(answer)) return { ...row, delivered: sequence, ...untroubled, nextAt: now + pauseBetweenEvents, log };
  const attempts = row.attempts + 1;
  const failingSince = row.failingSince ?? now;
  // 410: the receiver says that it does not want to hear any more.
  const isDead = answer.status === 410 || now - failingSince >= deadAfterMilliseconds;
  return {
    ...row,
    attempts,
    failingSince,
    deadSince: isDead ? now : null,
    nextAt: isDead ? null : now + backOff(attempts, random),
    log,
  };
};

const untroubled = { message: null, attempts: 0, failingSince: null, deadSince: null } as const;

/** What the endpoint has taken after `after` counts as not taken; the next event is a new one. */
export const rewound = (row: DeliveryRow, after: number): DeliveryRow => ({
  ...row,
  ...untroubled,
  delivered: Math.min(row.delivered, after),
  nextAt: null,
});

export const withRecord = (log: readonly DeliveryRecord[], record: DeliveryRecord): DeliveryRecord[] =>
  [record, ...log].slice(0, maxRecords);
