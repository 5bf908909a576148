/** A database in memory and documents to put into it. */
import { type CosmosHandles, openCosmos } from "../../src/adapters/cosmos/client.ts";
import type { Sealed } from "../../src/core/crypto/seal.ts";
import { noCounts } from "../../src/core/directory/run/round.ts";
import type {
  GroupDoc,
  Head,
  LogDoc,
  PersonDoc,
  PersonState,
  RunDoc,
  ShardDoc,
} from "../../src/core/store/documents.ts";
import { ids } from "../../src/core/store/documents.ts";
import { newHead } from "../../src/core/store/head.ts";
import type { Write } from "../../src/core/store/ports.ts";
import { type CosmosServer, startCosmos } from "../../src/local/cosmos/server.ts";

export interface TestDatabase {
  server: CosmosServer;
  cosmos: CosmosHandles;
  close(): Promise<void>;
}

export const openTestDatabase = async (): Promise<TestDatabase> => {
  const server = await startCosmos({ file: ":memory:" });
  const cosmos = openCosmos(server);
  return {
    server,
    cosmos,
    close: async () => {
      cosmos.dispose();
      await server.close();
    },
  };
};

let made = 0;
/** Looks like a ULID; new with every call, in rising order. */
export const newId = (): string => `01k${String((made += 1)).padStart(23, "0")}`;

export const sealedText = <T>(text: string): Sealed<T> => `1.test.${text}` as Sealed<T>;

export const headOf = (connectionId: string, changes: Partial<Head> = {}): Head => ({
  ...newHead(connectionId, "c0"),
  chain: "00",
  ...changes,
});

export const personDoc = (connectionId: string, personId: string, state: PersonState = "active"): PersonDoc => ({
  id: ids.person(personId),
  kind: "person",
  v: 1,
  connectionId,
  state,
  reason: null,
  leftAt: null,
  hash: "h",
  key: { id: "k", wrapped: sealedText("key") },
  record: sealedText("record"),
  mailIndex: null,
  upnIndex: null,
  productUser: null,
  changedAt: "2026-01-01T00:00:00.000Z",
});

export const groupDoc = (connectionId: string, groupId: string, children: string[], shown = true): GroupDoc => ({
  id: ids.group(groupId),
  kind: "group",
  v: 1,
  connectionId,
  role: shown ? "shown" : "scope",
  of: null,
  shown,
  hash: "h",
  record: sealedText("record"),
  leaves: [],
  children,
  changedAt: "2026-01-01T00:00:00.000Z",
});

export const shardDoc = (connectionId: string, groupId: string, bits: string, members: string[]): ShardDoc => ({
  id: ids.shard(groupId, bits),
  kind: "members",
  v: 1,
  connectionId,
  groupId,
  members,
});

export const logDoc = (connectionId: string, first: number, last: number): LogDoc => ({
  id: ids.log(first),
  kind: "log",
  v: 1,
  connectionId,
  first,
  last,
  prev: "00",
  at: "2026-01-01T00:00:00.000Z",
  subjects: [],
  body: "[]",
});

export const runDoc = (connectionId: string, runId: string): RunDoc => ({
  id: ids.run(runId),
  kind: "run",
  v: 1,
  connectionId,
  mode: "delta",
  cause: "schedule",
  phase: "ended",
  outcome: "done",
  failure: null,
  counts: noCounts(),
  warnings: [],
  planHash: null,
  guard: [],
  requestedAt: "2026-01-01T00:00:00.000Z",
  startedAt: null,
  endedAt: null,
  settingsVersion: 1,
  requestedBy: null,
});

export const creates = (...docs: Extract<Write, { op: "create" }>["doc"][]): Write[] =>
  docs.map((doc) => ({ op: "create", doc }));
