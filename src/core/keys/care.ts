/** What the timer does for keys: ends what was begun, replaces what is old, and goes on with a rekey. Costs what is due. */
import { draftEntry } from "../audit/change-log.ts";
import type { Keys } from "../crypto/keys.ts";
import { isAppError, type ProblemCode } from "../errors.ts";
import { ids } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { careForPlatformKey, type PlatformRotationNeeds } from "./platform-rotation.ts";
import { continueRekey, type RekeyNeeds } from "./rekey.ts";
import { commitRing, readRing } from "./ring-commit.ts";
import { finishRotation, rotate } from "./rotation.ts";

export interface CareNeeds extends RekeyNeeds, Omit<PlatformRotationNeeds, "store"> {
  store: DirectoryStore;
  keys: Pick<Keys, "wrapping" | "ring">;
  /** Age at which a key is replaced. */
  rotationMilliseconds: number;
  /** How long one call may work. */
  sliceMilliseconds: number;
}

export interface Care {
  connections: number;
  failed: number;
  /** Why the last one failed. */
  problem: ProblemCode | null;
  platformMade: number | null;
  platformDeleted: number;
}

const perTick = 2000;
const againMilliseconds = 3_600_000;

export const careForKeys = (needs: CareNeeds) => async (): Promise<Care> => {
  const { ambient, store, rotationMilliseconds } = needs;
  const now = ambient.now();
  const endsAt = now + needs.sliceMilliseconds;
  const { made, deleted } = await careForPlatformKey(needs)(rotationMilliseconds);
  const care: Care = {
    connections: 0,
    failed: 0,
    problem: null,
    platformMade: made,
    platformDeleted: deleted.length,
  };
  for (const connectionId of await store.dueForKeyCare(now, now - rotationMilliseconds, perTick)) {
    if (ambient.now() >= endsAt) break;
    care.connections++;
    try {
      await careFor(needs, connectionId, endsAt);
    } catch (error) {
      care.failed++;
      care.problem = isAppError(error) ? error.code : "unexpected";
      await putOff(needs, connectionId).catch(() => undefined);
    }
  }
  return care;
};

/** A large connection is sealed again over many calls, and comes first in each of them. */
const rekeyShare = ({ sliceMilliseconds }: CareNeeds): number => sliceMilliseconds / 4;

const careFor = async (needs: CareNeeds, connectionId: string, endsAt: number): Promise<void> => {
  const { ambient, store, keys } = needs;
  const ring = await readRing(needs, connectionId);
  if (ring.rotation) return void (await finishRotation(needs)(connectionId));
  const doc = await store.read(connectionId, "connection", ids.connection);
  // It goes, with its keys; a deletion that is undone finds it here again.
  if (!doc || doc.state === "closing") return await putOff(needs, connectionId);
  if (ring.rekey) return await continueRekey(needs)(connectionId, Math.min(endsAt, ambient.now() + rekeyShare(needs)));
  if (ring.wrappedAt > ambient.now() - needs.rotationMilliseconds)
    return void (await commitRing(needs, ring, { ...ring, careAt: null }));
  if (ring.generation === null)
    return void (await commitRing(needs, ring, { ...(await keys.wrapping.rewrap(ring)), careAt: null }));
  const opened = await keys.ring(connectionId);
  await rotate(needs)(connectionId, (changes) =>
    draftEntry(ambient, opened, connectionId, {
      kind: "security",
      op: "updated",
      object: "keys",
      cause: "schedule",
      changes,
    }),
  );
};

/** What fails once may fail for long, and holds up nobody else. What was begun is tried again at the next tick. */
const putOff = async (needs: CareNeeds, connectionId: string): Promise<void> => {
  const ring = await readRing(needs, connectionId);
  if (ring.rotation || ring.rekey) return;
  await commitRing(needs, ring, { ...ring, careAt: needs.ambient.now() + againMilliseconds });
};
