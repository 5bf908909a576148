/** The keys of one connection for those who may secure it: how old, replaced now, or - after they may have become known - all anew. */
import { z } from "zod";
import { iso } from "../ambient.ts";
import { type ChangeNeeds, entryOf, requireOpen } from "../connections/change.ts";
import { DisplayName, openName } from "../connections/name.ts";
import { type OpenedConnection, openConnection } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError } from "../errors.ts";
import type { RingDoc } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { beginRekey } from "./rekey.ts";
import { readRing } from "./ring-commit.ts";
import { type EntryFor, rotate } from "./rotation.ts";

export const KeysView = z.strictObject({
  /** Of the connection key; null while the connection is a draft. */
  generation: z.int().nullable(),
  since: z.iso.datetime(),
  /** When it is replaced by itself. */
  replacedAt: z.iso.datetime(),
  /** It is being replaced now. */
  rotating: z.boolean(),
  /** Null: none is under way. */
  rekey: z
    .strictObject({
      phase: z.enum(["announced", "spreading", "resealing"]),
      startedAt: z.iso.datetime(),
      /** When it goes on. */
      continuesAt: z.iso.datetime().nullable(),
      /** Documents that were sealed again. */
      resealed: z.int(),
    })
    .nullable(),
});
export type KeysView = z.infer<typeof KeysView>;

/** The name is repeated, so that nobody does to a connection what he did not mean. */
export const RekeyConnection = z.strictObject({ displayName: DisplayName });
export type RekeyConnection = z.infer<typeof RekeyConnection>;

export interface ManageKeysNeeds extends ChangeNeeds {
  store: Pick<DirectoryStore, "read" | "write" | "load" | "list">;
  keys: Pick<Keys, "ring" | "wrapping">;
  rotationMilliseconds: number;
}

export const showKeys =
  (needs: ManageKeysNeeds) =>
  async (caller: Caller, connectionId: string): Promise<KeysView> => {
    await openConnection(needs)(caller.workspaceId, connectionId);
    return viewOf(needs, await readRing(needs, connectionId));
  };

/** Each generation is a secret that the vault keeps for days after it was deleted. */
const pauseMilliseconds = 3_600_000;

export const rotateKeys =
  (needs: ManageKeysNeeds) =>
  async (caller: Caller, connectionId: string): Promise<KeysView> => {
    const opened = await openConnection(needs)(caller.workspaceId, connectionId);
    requireOpen(opened.doc);
    const { generation, rotation, wrappedAt } = await readRing(needs, connectionId);
    const rest = wrappedAt + pauseMilliseconds - needs.ambient.now();
    if (generation !== null && generation > 1 && !rotation && rest > 0)
      throw new AppError("rate-limited", {
        detail: "The key was replaced within the hour.",
        retryAfterSeconds: Math.ceil(rest / 1000),
      });
    return viewOf(needs, await rotate(needs)(connectionId, entriesBy(needs, caller, opened)));
  };

export const rekeyConnection =
  (needs: ManageKeysNeeds) =>
  async (caller: Caller, connectionId: string, input: RekeyConnection): Promise<KeysView> => {
    const opened = await openConnection(needs)(caller.workspaceId, connectionId);
    requireOpen(opened.doc);
    if (input.displayName !== openName(opened.context.ring, opened.doc))
      throw new AppError("invalid-request", {
        field: "displayName",
        detail: "It must repeat the name of the connection.",
      });
    return viewOf(needs, await beginRekey(needs)(connectionId, entriesBy(needs, caller, opened)));
  };

const entriesBy =
  ({ ambient }: ManageKeysNeeds, caller: Caller, { context }: OpenedConnection): EntryFor =>
  (changes) =>
    entryOf(ambient, context, caller, { kind: "security", op: "updated", object: "keys", changes });

const viewOf = (
  { rotationMilliseconds }: ManageKeysNeeds,
  { generation, wrappedAt, rotation, rekey, careAt }: RingDoc,
): KeysView => ({
  generation,
  since: iso(wrappedAt),
  replacedAt: iso(wrappedAt + rotationMilliseconds),
  rotating: rotation !== undefined,
  rekey: rekey
    ? {
        phase: rekey.phase,
        startedAt: rekey.startedAt,
        continuesAt: careAt === null ? null : iso(careAt),
        resealed: rekey.resealed,
      }
    : null,
});
