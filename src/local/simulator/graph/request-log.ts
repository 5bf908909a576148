/** What was asked of Graph, for tests that count requests. Holds no ids of people: paths are the routes' own. */
export interface LoggedRequest {
  /** Grows by one for each; the `mark` to ask from. */
  number: number;
  method: string;
  /** Of the route, e.g. `/users/{id}`, or `unknown`. */
  path: string;
  link: "delta" | "next" | "none";
  status: number;
  tid: string | null;
  /** Of the answer's body; 0 for a request inside a batch. */
  bytes: number;
  resourceUnits: number;
  inBatch: boolean;
  /** Kind of the scripted trouble. */
  trouble: string | null;
}

export interface RequestLog {
  add(entry: Omit<LoggedRequest, "number">): void;
  /** Requests behind the mark; 0: all that are kept. */
  since(mark: number): LoggedRequest[];
  mark(): number;
}

const kept = 50_000;

export const createRequestLog = (): RequestLog => {
  const entries: LoggedRequest[] = [];
  let newest = 0;
  return {
    add: (entry) => {
      newest++;
      entries.push({ number: newest, ...entry });
      if (entries.length > kept * 1.2) entries.splice(0, entries.length - kept);
    },
    since: (mark) => entries.filter((entry) => entry.number > mark),
    mark: () => newest,
  };
};
