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

export const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();
