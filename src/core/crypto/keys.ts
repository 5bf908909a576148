/**
 * Loads and makes keys. One fetch per instance and period, however many ask at once; what is missing is remembered for a
 * short while, so that a deleted connection does not turn into a storm on the vault.
 */
import { type Ambient } from "../ambient.ts";
import { AppError } from "../errors.ts";
import { ids, type RingDoc } from "../store/documents.ts";
import type { DirectoryStore, SecretStore } from "../store/ports.ts";
import { contentKey, type KeyRing, keyRing, newRingContent, type RingContent } from "./key-ring.ts";
import { type PlatformKeys, platformGeneration, platformKeys } from "./platform-key.ts";
import { type ContentKey, open, type Place, seal, sealedUnder } from "./seal.ts";

export interface Keys {
  platform(): Promise<PlatformKeys>;
  /** Throws `key-missing` when the ring or its connection key no longer exists, `keys-unavailable` when it cannot be told. */
  ring(connectionId: string): Promise<KeyRing>;
  /** A ring for a new draft, wrapped by the platform key; the caller stores the document. */
  draftRing(connectionId: string): Promise<{ ring: KeyRing; doc: RingDoc }>;
  /** Makes the connection key in the vault (again when repeated: same name) and returns the ring wrapped under it. */
  promote(doc: RingDoc): Promise<RingDoc>;
  /** Destroys every generation of the connection key; the ring cannot be opened afterwards. */
  destroy(connectionId: string, generation: number | null): Promise<void>;
  forget(connectionId: string): void;
}

export interface KeysNeeds {
  ambient: Ambient;
  secrets: SecretStore;
  store: Pick<DirectoryStore, "read">;
  cacheMilliseconds?: number;
}

const missingMilliseconds = 30_000;

const ringPlace = (connectionId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.ring,
  fields: "ring",
});
const secretName = (connectionId: string, generation: number): string => `c-${connectionId}-k${generation}`;

export const makeKeys = ({ ambient, secrets, store, cacheMilliseconds = 600_000 }: KeysNeeds): Keys => {
  const cached = singleFlight<KeyRing>(ambient, cacheMilliseconds);
  const cachedPlatform = singleFlight<PlatformKeys>(ambient, cacheMilliseconds);

  const platform = (): Promise<PlatformKeys> =>
    cachedPlatform.get("platform", async () => {
      const generations = new Map<number, Buffer>();
      for (let generation = 1; ; generation++) {
        const value = await secrets.get(`platform-k${generation}`);
        if (value === null) break;
        generations.set(generation, Buffer.from(value, "base64url"));
      }
      if (generations.size === 0) {
        // Two instances may race here: the vault keeps the last value, so the key is read back before it is used.
        await secrets.set("platform-k1", ambient.randomBytes(32).toString("base64url"));
        const settled = await secrets.get("platform-k1");
        if (settled === null) throw new AppError("keys-unavailable");
        generations.set(1, Buffer.from(settled, "base64url"));
      }
      return platformKeys(generations);
    });

  const connectionKey = async (connectionId: string, generation: number): Promise<ContentKey> => {
    const value = await secrets.get(secretName(connectionId, generation));
    if (value === null) throw new AppError("key-missing");
    return contentKey(`c-${generation}`, Buffer.from(value, "base64url"));
  };

  const wrappingKey = async (doc: RingDoc): Promise<ContentKey> => {
    if (doc.generation !== null) return connectionKey(doc.connectionId, doc.generation);
    const generation = platformGeneration(sealedUnder(doc.wrapped), "draft");
    if (generation === null) throw new AppError("key-missing");
    return (await platform()).derive("draft", generation);
  };

  const unwrap = async (doc: RingDoc): Promise<RingContent> =>
    open(await wrappingKey(doc), ringPlace(doc.connectionId), doc.wrapped);

  return {
    platform,
    ring: (connectionId) =>
      cached.get(connectionId, async () => {
        const doc = await store.read(connectionId, "ring", ids.ring);
        if (!doc) throw new AppError("key-missing");
        return keyRing(await unwrap(doc));
      }),
    draftRing: async (connectionId) => {
      const content = newRingContent(ambient);
      const keys = await platform();
      const wrapped = seal(ambient, keys.derive("draft", keys.current), ringPlace(connectionId), content);
      return {
        ring: keyRing(content),
        doc: { id: ids.ring, kind: "ring", connectionId, v: 1, generation: null, wrapped },
      };
    },
    promote: async (doc) => {
      if (doc.generation !== null) return doc;
      const content = await unwrap(doc);
      const generation = 1;
      const name = secretName(doc.connectionId, generation);
      if ((await secrets.get(name)) === null) await secrets.set(name, ambient.randomBytes(32).toString("base64url"));
      // Read back: of two that made it at once, the vault's last value is the key of both.
      const key = await connectionKey(doc.connectionId, generation);
      const { id, connectionId } = doc;
      return {
        id,
        kind: "ring",
        connectionId,
        v: 1,
        generation,
        wrapped: seal(ambient, key, ringPlace(connectionId), content),
      };
    },
    destroy: async (connectionId, generation) => {
      for (let n = generation ?? 0; n >= 1; n--) await secrets.delete(secretName(connectionId, n));
      cached.forget(connectionId);
    },
    forget: (connectionId) => cached.forget(connectionId),
  };
};

/** Remembers values for a while and failures of kind `key-missing` briefly; concurrent askers share one load. */
const singleFlight = <T>(ambient: Pick<Ambient, "now">, milliseconds: number) => {
  const entries = new Map<string, { until: number; value: Promise<T> }>();
  return {
    get: (id: string, load: () => Promise<T>): Promise<T> => {
      const known = entries.get(id);
      if (known && known.until > ambient.now()) return known.value;
      const entry = { until: ambient.now() + milliseconds, value: load() };
      entries.set(id, entry);
      entry.value.catch((error: unknown) => {
        if (error instanceof AppError && error.code === "key-missing")
          entry.until = ambient.now() + missingMilliseconds;
        else if (entries.get(id) === entry) entries.delete(id);
      });
      return entry.value;
    },
    forget: (id: string): void => void entries.delete(id),
  };
};
