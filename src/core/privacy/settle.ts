/**
 * What has to be true before a connection is served: no erasure is left half done, and nobody is back who was erased. The second
 * happens when a backup of the database was put back; the ledger in the vault was not put back with it. An entry of the ledger is
 * kept when the person's marker is as young or younger - `erased`, or whatever somebody decided after that. Numbers of the log are
 * not asked: a database that was put back may have got past them before anybody looks.
 */
import type { AccessLog } from "../audit/access-log.ts";
import { plainEntry } from "../audit/change-log.ts";
import { AppError, isAppError } from "../errors.ts";
import { type Head, ids, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { type ErasureNeeds, erase, takeTurn } from "./erasure.ts";
import { type LedgerEntry, readLedger } from "./ledger.ts";
import { destructionDates } from "./receipt.ts";

const causeOfReplay = "restore";

export interface SettleNeeds extends ErasureNeeds {
  access: Pick<AccessLog, "record">;
}

/** Run whenever an instance loads the keys of a connection. Throws when it cannot be settled: then there are no keys. */
export const settleErasures =
  (needs: SettleNeeds) =>
  async (connectionId: string): Promise<void> => {
    const { ambient, store, secrets } = needs;
    const head = await store.read(connectionId, "head", ids.head);
    if (!head) return;
    try {
      await finishErasing(needs)(head);
      const ledger = await readLedger(secrets, connectionId, ambient.now());
      for (const entry of await undone(store, connectionId, ledger)) await eraseAgain(needs, connectionId, entry);
    } catch (error) {
      if (!isAppError(error, "changed-meanwhile")) throw error;
      throw new AppError("keys-unavailable", { detail: "Erasures are being repeated.", cause: error });
    }
  };

/** Finishes what somebody began whose turn has run out. */
export const finishErasing =
  (needs: ErasureNeeds) =>
  async (head: Stored<Head>): Promise<void> => {
    if (isBrokenOff(head, needs.ambient.now())) await erase(needs, await takeTurn(needs, head, head.erasing.entry));
  };

export const isBrokenOff = <H extends Pick<Head, "erasing">>(
  head: H,
  now: number,
): head is H & Required<Pick<Head, "erasing">> => head.erasing !== undefined && head.erasing.until <= now;

const undone = async (
  store: Pick<DirectoryStore, "load">,
  connectionId: string,
  ledger: readonly LedgerEntry[],
): Promise<LedgerEntry[]> => {
  if (ledger.length === 0) return [];
  const documents = ledger.map(({ person }) => ids.marker(person));
  const markers = await store.load(connectionId, "marker", documents);
  return ledger.filter(({ person, at }) => {
    const marker = markers.get(ids.marker(person));
    // Erased is erased, also when a second erasure of somebody who had come back was undone together with his coming.
    return marker === undefined || (marker.marker !== "erased" && Date.parse(marker.changedAt) < at);
  });
};

const eraseAgain = async (needs: SettleNeeds, connectionId: string, undoneEntry: LedgerEntry): Promise<void> => {
  const { person } = undoneEntry;
  const head = await needs.store.read(connectionId, "head", ids.head);
  // Whoever was at it when the ledger was read may be done by now.
  if (!head || (await undone(needs.store, connectionId, [undoneEntry])).length === 0) return;
  const { erasing } = head;
  // The ledger comes first: this is an erasure under way, and not one that was undone.
  if (erasing?.entry.object === person && erasing.entry.cause !== causeOfReplay) return;
  const entry = plainEntry(needs.ambient, { kind: "person", op: "erased", object: person, cause: causeOfReplay });
  const erased = Date.parse(await erase(needs, await takeTurn(needs, head, entry)));
  await recordAgain(needs, connectionId, person, erased);
};

/** Of the database that was put back there may be a backup already, which holds the person and is younger than the first receipt says. */
const recordAgain = async (needs: SettleNeeds, connectionId: string, person: string, at: number): Promise<void> => {
  const connection = await needs.store.read(connectionId, "connection", ids.connection);
  if (!connection) return;
  await needs.access.record(connection.workspaceId, {
    what: "person-erased",
    route: "people.erase",
    subject: "system",
    ip: "unknown",
    connectionId,
    objects: [person],
    receipt: destructionDates(at),
    correlationId: needs.ambient.ulid(),
  });
};
