/**
 * The access log: what people read or tried, per workspace and month. A request is answered only after its record is written.
 * Sealed under the platform key, because it outlives the connection it is about.
 */
import { type Ambient, iso } from "../ambient.ts";
import type { Keys } from "../crypto/keys.ts";
import { platformGeneration } from "../crypto/platform-key.ts";
import { open, type Place, type Sealed, seal, sealedUnder } from "../crypto/seal.ts";
import type { AccessStore } from "../store/ports.ts";

export interface AccessRecord {
  /** `read`, `refused`, `sign-in`, `connection-created`, `connection-deleted`. */
  what: "read" | "refused" | "sign-in" | "connection-created" | "connection-deleted";
  /** Route name from the permission table. */
  route: string;
  subject: string;
  ip: string;
  connectionId?: string;
  /** How many objects were answered. */
  count?: number;
  /** Person ids or group object ids that were asked for by id. */
  objects?: string[];
  /** Problem code of a refusal. */
  refusal?: string;
  correlationId: string;
}

export const accessTtlSeconds = 400 * 86_400;

export interface AccessLog {
  record(workspaceId: string, record: AccessRecord): Promise<void>;
  /** Records of one month (`2026-11`), oldest first. */
  list(
    workspaceId: string,
    month: string,
    options: { after?: string; limit: number },
  ): Promise<(AccessRecord & { id: string; at: string })[]>;
}

export const makeAccessLog = ({
  ambient,
  keys,
  store,
}: {
  ambient: Ambient;
  keys: Pick<Keys, "platform">;
  store: AccessStore;
}): AccessLog => {
  const place = (pk: string, id: string): Place => ({
    container: "access",
    partition: pk,
    document: id,
    fields: "record",
  });
  return {
    record: async (workspaceId, record) => {
      const at = iso(ambient.now());
      const pk = `${workspaceId}|${at.slice(0, 7)}`;
      const id = ambient.ulid();
      const platform = await keys.platform();
      const content = seal(ambient, platform.derive("access", platform.current), place(pk, id), record);
      await store.append({ id, pk, at, ttl: accessTtlSeconds, content });
    },
    list: async (workspaceId, month, options) => {
      const pk = `${workspaceId}|${month}`;
      const platform = await keys.platform();
      return (await store.list(pk, options)).flatMap(({ id, at, content }) => {
        const generation = platformGeneration(sealedUnder(content), "access");
        if (generation === null) return [];
        return [
          { ...open(platform.derive("access", generation), place(pk, id), content as Sealed<AccessRecord>), id, at },
        ];
      });
    },
  };
};
