/** Values that are asked for by many at once and change rarely: one load at a time, remembered for a while. */
import type { Ambient } from "../ambient.ts";
import { AppError } from "../errors.ts";

const missingMilliseconds = 30_000;

/** Failures of kind `key-missing` are remembered briefly; any other is forgotten at once. */
export const singleFlight = <T>(ambient: Pick<Ambient, "now">, milliseconds: number) => {
  const entries = new Map<string, { until: number; value: Promise<T> }>();
  return {
    get: (id: string, load: () => Promise<T>): Promise<T> => {
      const known = entries.get(id);
      if (known && known.until > ambient.now()) return known.value;
      // No key outlives its period only because nobody asks for it again.
      for (const [other, { until }] of entries) if (until <= ambient.now()) entries.delete(other);
      const entry = { until: ambient.now() + milliseconds, value: load() };
      entries.set(id, entry);
      entry.value.catch((error: unknown) => {
        if (error instanceof AppError && error.code === "key-missing")
          entry.until = ambient.now() + missingMilliseconds;
        else if (entries.get(id) === entry) entries.delete(id);
      });
      return entry.value;
    },
    forget: (id: string): void => void entries.delete(id),
  };
};
