/**
 * Keeps one endpoint from taking all places at which events are sent. Whoever is slow rests three times as long as he made us
 * wait, and until he has been quick again only one at a time goes to him. Known to this process only: nothing depends on it.
 */
export interface Turns {
  /** When the endpoint may be asked again; null = now. */
  waitUntil(endpoint: string): number | null;
  begin(endpoint: string): void;
  end(endpoint: string, milliseconds: number): void;
}

const slowMilliseconds = 1000;
const restFactor = 3;
const oneAtATimeMilliseconds = 10_000;

export const makeTurns = (now: () => number): Turns => {
  const known = new Map<string, { underWay: number; isSlow: boolean; restsUntil: number }>();
  const of = (endpoint: string) => {
    const turn = known.get(endpoint) ?? { underWay: 0, isSlow: false, restsUntil: 0 };
    known.set(endpoint, turn);
    return turn;
  };
  return {
    waitUntil: (endpoint) => {
      const { underWay, isSlow, restsUntil } = of(endpoint);
      if (restsUntil > now()) return restsUntil;
      return isSlow && underWay > 0 ? now() + oneAtATimeMilliseconds : null;
    },
    begin: (endpoint) => {
      of(endpoint).underWay += 1;
    },
    end: (endpoint, milliseconds) => {
      const turn = of(endpoint);
      turn.underWay -= 1;
      turn.isSlow = milliseconds >= slowMilliseconds;
      turn.restsUntil = turn.isSlow ? now() + restFactor * milliseconds : 0;
    },
  };
};
