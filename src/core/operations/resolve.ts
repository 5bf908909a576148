/** Finds out what became of operations whose outcome nobody has recorded: the process died, or Microsoft's answer was lost. */
import { unlessBroken } from "../audit/content.ts";
import type { ConnectionContext } from "../context.ts";
import { open, type Sealed } from "../crypto/seal.ts";
import { isAppError } from "../errors.ts";
import type { CommitNeeds } from "../store/commit.ts";
import { type ConnectionDoc, ids, type OperationDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import type { Operation } from "./perform.ts";
import { postpone, recordOutcome, targetPlace } from "./record.ts";

/** The rows of a catalogue, each with a target of its own form, which only its own functions look at. */
export type Catalogue = readonly Operation<never>[];

export interface ResolveNeeds extends CommitNeeds {
  store: Pick<DirectoryStore, "read" | "write" | "list" | "dueToCheck">;
  contextFor(doc: ConnectionDoc): Promise<ConnectionContext>;
}

const connectionsPerTick = 100;
const operationsPerPage = 50;
/** 5 minutes, 10, 20 ... : what cannot be told after some ten hours is recorded as unknown. */
const maxChecks = 7;
const firstPauseMilliseconds = 300_000;

export interface Resolved {
  checked: number;
  settled: number;
}

/** The timer's work. What is our own fault is thrown when all have been looked at, so that one operation holds up no other. */
export const resolveOperations = (needs: ResolveNeeds, catalogue: Catalogue) => async (): Promise<Resolved> => {
  let [checked, settled] = [0, 0];
  const faults: unknown[] = [];
  const noAnswer = (error: unknown): null => {
    if (!isAppError(error)) faults.push(error);
    return null;
  };
  for (const connectionId of await needs.store.dueToCheck(needs.ambient.now(), connectionsPerTick)) {
    const connection = await contextOf(needs, connectionId).catch(noAnswer);
    if (!connection) continue;
    for await (const doc of unsettled(needs.store, connectionId)) {
      if (doc.checkAt > needs.ambient.now()) continue;
      checked++;
      if (await resolve(needs, connection, doc, { catalogue, noAnswer })) settled++;
    }
  }
  if (faults.length > 0) throw faults[0];
  return { checked, settled };
};

/** Those that are not due yet may be the first of very many. */
async function* unsettled(
  store: Pick<DirectoryStore, "list">,
  connectionId: string,
): AsyncIterable<Stored<OperationDoc>> {
  for (let after: string | undefined = ""; after !== undefined; ) {
    const page: Stored<OperationDoc>[] = await store.list(connectionId, "operation", {
      after,
      limit: operationsPerPage,
    });
    yield* page;
    after = page.length < operationsPerPage ? undefined : page.at(-1)?.id;
  }
}

/** Null while it cannot be opened, or is being deleted with all its operations: the others are not held up. */
const contextOf = async (needs: ResolveNeeds, connectionId: string): Promise<ConnectionContext | null> => {
  const doc = await needs.store.read(connectionId, "connection", ids.connection);
  if (!doc || doc.state === "closing") return null;
  return needs.contextFor(doc);
};

const resolve = async (
  needs: ResolveNeeds,
  connection: ConnectionContext,
  doc: Stored<OperationDoc>,
  { catalogue, noAnswer }: { catalogue: Catalogue; noAnswer: (error: unknown) => null },
): Promise<boolean> => {
  const operation = catalogue.find(({ name }) => name === doc.name);
  const place = targetPlace(connection.connectionId, doc.id.slice(2));
  const opened = unlessBroken(() => ({ target: open(connection.ring.sealing, place, doc.target as Sealed<never>) }));
  const outcome = operation && opened ? await operation.check(connection, opened.target).catch(noAnswer) : null;
  if (outcome) return recordOutcome(needs, connection, doc, outcome);
  if (doc.checks + 1 >= maxChecks) return recordOutcome(needs, connection, doc, { outcome: "unknown" });
  await postpone(needs, doc, needs.ambient.now() + firstPauseMilliseconds * 2 ** doc.checks);
  return false;
};
