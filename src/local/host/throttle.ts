/** `maxOutstandingRequests` and `maxConcurrentRequests` of host.json: beyond the first a request is refused, beyond the second it waits. */
export type Admit = <T>(work: () => Promise<T>) => Promise<T> | undefined;

export const throttle = (maxOutstanding: number, maxConcurrent: number): Admit => {
  let running = 0;
  const waiting: (() => void)[] = [];
  return (work) => {
    if (running + waiting.length >= maxOutstanding) return undefined;
    const run = async () => {
      running += 1;
      try {
        return await work();
      } finally {
        running -= 1;
        waiting.shift()?.();
      }
    };
    if (running < maxConcurrent) return run();
    return new Promise<void>((resolve) => waiting.push(resolve)).then(run);
  };
};
