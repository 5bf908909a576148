/** Time, randomness and ids come from outside, so that every decision can be repeated in a test. */
export interface Ambient {
  /** Milliseconds since 1970, UTC. */
  now(): number;
  randomBytes(count: number): Buffer;
  /** A new lower-case ULID; monotonic within a process. */
  ulid(): string;
  /** How many days the logs are kept; absent: the usual number (`audit/retention.ts`). */
  logDays?: number;
}

/** Printed once for all that happens in the same millisecond. */
let printed = { milliseconds: 0, text: new Date(0).toISOString() };

export const iso = (milliseconds: number): string => {
  if (printed.milliseconds !== milliseconds) printed = { milliseconds, text: new Date(milliseconds).toISOString() };
  return printed.text;
};
