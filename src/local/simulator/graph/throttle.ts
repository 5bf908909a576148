/**
 * Graph's resource units for each app and tenant: a bucket that refills over ten seconds, sized by the number of users.
 * It runs by the machine's clock, whatever time the simulated world has: throttling protects from real load.
 */
export interface Throttle {
  /** Takes the cost; when the bucket is empty nothing is taken. */
  charge(clientId: string, tid: string, users: number, units: number): Charged;
}

export interface Charged {
  allowed: boolean;
  /** Share of the limit in use, counting this request. */
  used: number;
  retryAfterSeconds: number;
}

const refillSeconds = 10;
const limitFor = (users: number): number => (users < 50 ? 3500 : users <= 500 ? 5000 : 8000);

export const createThrottle = (monotonicMs: () => number = () => performance.now()): Throttle => {
  const buckets = new Map<string, { used: number; at: number }>();
  return {
    charge: (clientId, tid, users, units) => {
      const key = `${clientId} ${tid}`;
      const limit = limitFor(users);
      const now = monotonicMs();
      const bucket = buckets.get(key) ?? { used: 0, at: now };
      buckets.set(key, bucket);
      bucket.used = Math.max(0, bucket.used - ((now - bucket.at) / 1000) * (limit / refillSeconds));
      bucket.at = now;
      const allowed = bucket.used + units <= limit;
      if (allowed) bucket.used += units;
      const used = (allowed ? bucket.used : bucket.used + units) / limit;
      return { allowed, used, retryAfterSeconds: allowed ? 0 : Math.ceil((used - 1) * refillSeconds) + 1 };
    },
  };
};
