/**
 * The access log: what people read or tried, per workspace and month. A request is answered only after its record is written.
 * Sealed under the platform key, because it outlives the connection it is about.
 */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import type { Keys } from "../crypto/keys.ts";
import { type PlatformKeys, platformGeneration } from "../crypto/platform-key.ts";
import { open, type Place, type Sealed, seal, sealedUnder } from "../crypto/seal.ts";
import type { AccessStore } from "../store/ports.ts";
import type { Actor } from "./entries.ts";
import { logSecondsOf } from "./retention.ts";

export interface AccessRecord extends Actor {
  what: "read" | "refused" | "sign-in" | "connection-created" | "connection-deleted" | "person-erased";
  /** Route name from the permission table. */
  route: string;
  connectionId?: string;
  /** How many objects were answered. */
  count?: number;
  /** Person ids or group object ids that were asked for by id. */
  objects?: string[];
  /** Problem code of a refusal. */
  refusal?: string;
  /** Of an erasure, or of a connection that was deleted: from when on what was destroyed is gone from where. */
  receipt?: Receipt;
  correlationId: string;
}

export const Receipt = z.strictObject({
  /** Nothing that is served or stored opens any more. */
  live: z.iso.datetime(),
  /** No instance holds a key in memory any longer that it had loaded before. */
  caches: z.iso.datetime(),
  /** The last backup that holds it has expired, and what the vault keeps of a deleted key. */
  backups: z.iso.datetime(),
  /** Of a connection: how much there was. */
  destroyed: z.strictObject({ people: z.int(), groups: z.int(), memberships: z.int(), logEntries: z.int() }).optional(),
});
export type Receipt = z.infer<typeof Receipt>;

export interface AccessLog {
  record(workspaceId: string, record: AccessRecord): Promise<void>;
  /** Records of one month (`2026-11`), oldest first. */
  list(
    workspaceId: string,
    month: string,
    options: { after?: string; limit: number },
  ): Promise<(AccessRecord & { id: string; at: string })[]>;
}

/** For whoever reads the log and does not write it. */
export interface AccessTrail {
  /** Newest first, recorded at `from` or later and before `to` (milliseconds), or before the record `before`. */
  listBackwards(
    workspaceId: string,
    month: string,
    options: { from: number; to: number; before?: string; limit: number },
  ): Promise<FoundRecord[]>;
}

/** `record` is null when it cannot be opened: it was altered, put there by somebody else, or its key is gone. */
export interface FoundRecord {
  id: string;
  at: string;
  record: AccessRecord | null;
}

const placeOf = (pk: string, id: string): Place => ({
  container: "access",
  partition: pk,
  document: id,
  fields: "record",
});

export const makeAccessLog = ({
  ambient,
  keys,
  store,
}: {
  ambient: Ambient;
  keys: Pick<Keys, "platform">;
  store: AccessStore;
}): AccessLog & AccessTrail => {
  return {
    record: async (workspaceId, record) => {
      const at = iso(ambient.now());
      const pk = `${workspaceId}|${at.slice(0, 7)}`;
      const id = ambient.ulid();
      const platform = await keys.platform();
      const content = seal(ambient, platform.derive("access", platform.current), placeOf(pk, id), record);
      await store.append({ id, pk, at, ttl: logSecondsOf(ambient), content });
    },
    list: async (workspaceId, month, options) => {
      const pk = `${workspaceId}|${month}`;
      const platform = await keys.platform();
      return (await store.list(pk, options)).flatMap(({ id, at, content }) => {
        const generation = platformGeneration(sealedUnder(content), "access");
        if (generation === null) return [];
        return [
          { ...open(platform.derive("access", generation), placeOf(pk, id), content as Sealed<AccessRecord>), id, at },
        ];
      });
    },
    listBackwards: async (workspaceId, month, { from, to, before = firstUlid(to), limit }) => {
      const pk = `${workspaceId}|${month}`;
      const platform = await keys.platform();
      const found = await store.listBackwards(pk, { from: firstUlid(from), before, limit });
      return found.map(({ id, at, content }) => {
        const generation = platformGeneration(sealedUnder(content), "access");
        const record = generation === null ? null : openedRecord(platform, generation, placeOf(pk, id), content);
        return { id, at, record };
      });
    },
  };
};

const openedRecord = (
  platform: PlatformKeys,
  generation: number,
  place: Place,
  content: Sealed<unknown>,
): AccessRecord | null => {
  try {
    return open(platform.derive("access", generation), place, content as Sealed<AccessRecord>);
  } catch {
    return null;
  }
};

const crockford = "0123456789abcdefghjkmnpqrstvwxyz";
const ulidTimeLetters = 10;

/** Before every ULID of this millisecond, and after those of the one before. */
const firstUlid = (milliseconds: number): string => {
  let rest = Math.max(0, Math.floor(milliseconds));
  let letters = "";
  for (let letter = 0; letter < ulidTimeLetters; letter++) {
    letters = `${crockford[rest % 32]}${letters}`;
    rest = Math.floor(rest / 32);
  }
  return letters;
};
