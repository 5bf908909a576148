/** Head of a connection in which nothing has happened yet. */
import { chainStart } from "../audit/change-log.ts";
import { type Head, ids } from "./documents.ts";
import { emptySize } from "./size.ts";

export const newHead = (connectionId: string, commitId: string): Head => ({
  id: ids.head,
  kind: "head",
  connectionId,
  v: 1,
  sequence: 0,
  chain: chainStart(connectionId),
  owner: null,
  leaseUntil: 0,
  commitId,
  wakeAt: null,
  dueAt: null,
  tellAt: null,
  epoch: 1,
  attempts: 0,
  failures: 0,
  strikes: 0,
  requested: null,
  run: null,
  links: null,
  suspect: false,
  retireAt: null,
  reviewAt: null,
  marked: false,
  lastRound: null,
  counters: { people: 0, groups: 0, memberships: 0 },
  size: emptySize,
  emptying: [],
  guard: [],
});
