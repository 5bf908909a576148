/**
 * Erases one person for good: what is held of the person, and the key of what the log holds. The person stays out until somebody
 * switches the synchronisation on again, and is somebody new then.
 */
import { z } from "zod";
import { type AccessLog, Receipt } from "../audit/access-log.ts";
import { actorOf } from "../audit/entries.ts";
import { entryOf, readHead } from "../connections/change.ts";
import { hintNow } from "../connections/change-settings.ts";
import { type OpenedConnection, openConnection } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { openRef } from "../directory/ref.ts";
import { AppError } from "../errors.ts";
import type { HintQueue } from "../store/ports.ts";
import { personIdPattern } from "../views/people.ts";
import { type ErasureNeeds, erase, erasedSince, knownOf, takeTurn } from "./erasure.ts";
import { destructionDates } from "./receipt.ts";
import { settleErasures } from "./settle.ts";

export const ErasePerson = z.strictObject({
  /** The id is repeated, so that nobody is erased who was not meant. */
  person: z.string().max(100),
  /** As live search gave it; needed for somebody of whom nothing is stored. */
  ref: z.string().min(1).max(2000).optional(),
});
export type ErasePerson = z.infer<typeof ErasePerson>;

export const ErasureReceipt = z.strictObject({
  id: z.string(),
  erasedAt: z.iso.datetime(),
  ...Receipt.omit({ destroyed: true }).shape,
});
export type ErasureReceipt = z.infer<typeof ErasureReceipt>;

export interface ErasePersonNeeds extends ErasureNeeds {
  keys: Pick<Keys, "ring">;
  access: Pick<AccessLog, "record">;
  hints: HintQueue;
}

/** May be repeated: it answers with the same receipt. Works also while the connection is paused or is being deleted. */
export const erasePerson =
  (needs: ErasePersonNeeds) =>
  async (caller: Caller, connectionId: string, personId: string, input: ErasePerson): Promise<ErasureReceipt> => {
    const opened = await openConnection(needs)(caller.workspaceId, connectionId);
    if (input.person !== personId)
      throw new AppError("invalid-request", { field: "person", detail: "It must repeat the id of the person." });
    const receipt = receiptOf(personId, await erasedAt(needs, caller, opened, personId, input.ref));
    await needs.access.record(caller.workspaceId, {
      what: "person-erased",
      route: "people.erase",
      ...actorOf(caller),
      connectionId,
      objects: [personId],
      receipt: { live: receipt.live, caches: receipt.caches, backups: receipt.backups },
      correlationId: caller.correlationId,
    });
    return receipt;
  };

const erasedAt = async (
  needs: ErasePersonNeeds,
  caller: Caller,
  { context }: OpenedConnection,
  personId: string,
  ref: string | undefined,
): Promise<string> => {
  const { ambient, store } = needs;
  const { connectionId } = context;
  if (!personIdPattern.test(personId)) throw new AppError("person-not-found");
  if (ref !== undefined) openRef(ambient, context, ref, personId);
  await settleErasures(needs)(connectionId);
  const known = await knownOf(store, connectionId, personId);
  if (!known.person && !known.marker && ref === undefined) throw new AppError("person-not-found");
  const head = await readHead(store, connectionId);
  const since = erasedSince(known);
  const isDone = since !== null && head.erasing?.entry.object !== personId;
  // A run of an older version may have brought the pseudonym back into a group.
  if (isDone && (await store.groupsOf(connectionId, personId)).length === 0) return since;
  const entry = entryOf(ambient, context, caller, { kind: "person", op: "erased", object: personId });
  const at = await erase(needs, await takeTurn(needs, head, entry));
  await hintNow(needs, connectionId);
  return at;
};

const receiptOf = (id: string, erased: string): ErasureReceipt => ({
  id,
  erasedAt: erased,
  ...destructionDates(Date.parse(erased)),
});
