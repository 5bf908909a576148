/** What Microsoft does to a host that answers late: notifications for it are delayed, or dropped for good. */

export type EndpointMode = "prompt" | "slow" | "drop";

export interface SlowEndpoints {
  answered(host: string, at: number, milliseconds: number): void;
  modeOf(host: string, now: number): EndpointMode;
}

/** How long answers are remembered, and how long a verdict holds. */
export const windowMilliseconds = 10 * 60_000;
export const promptMilliseconds = 3000;
export const retryMilliseconds = 10_000;
const slowShare = 0.1;
const dropShare = 0.15;
/** One late answer of two says nothing. */
const fewestAnswers = 10;

export const createSlowEndpoints = (): SlowEndpoints => {
  const hosts = new Map<
    string,
    { answers: { at: number; milliseconds: number }[]; mode: EndpointMode; until: number }
  >();
  const of = (host: string) => {
    const known = hosts.get(host) ?? { answers: [], mode: "prompt" as EndpointMode, until: 0 };
    hosts.set(host, known);
    return known;
  };
  return {
    answered: (host, at, milliseconds) => of(host).answers.push({ at, milliseconds }),
    modeOf: (host, now) => {
      const known = of(host);
      if (now < known.until) return known.mode;
      known.answers = known.answers.filter(({ at }) => now - at < windowMilliseconds);
      known.mode = verdict(known.answers.map(({ milliseconds }) => milliseconds));
      if (known.mode !== "prompt") known.until = now + windowMilliseconds;
      return known.mode;
    },
  };
};

const verdict = (times: readonly number[]): EndpointMode => {
  if (times.length < fewestAnswers) return "prompt";
  const shareOver = (limit: number): number => times.filter((time) => time >= limit).length / times.length;
  if (shareOver(retryMilliseconds) > dropShare) return "drop";
  return shareOver(promptMilliseconds) > slowShare ? "slow" : "prompt";
};
