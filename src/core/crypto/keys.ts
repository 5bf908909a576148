/**
 * Loads and makes keys. One fetch per instance and period, however many ask at once; what is missing is remembered for a
 * short while, so that a deleted connection does not turn into a storm on the vault.
 */
import { type Ambient } from "../ambient.ts";
import { AppError } from "../errors.ts";
import { ledgerName } from "../privacy/ledger.ts";
import { ids, type RingDoc } from "../store/documents.ts";
import type { DirectoryStore, SecretStore } from "../store/ports.ts";
import { contentKey, type KeyRing, keyRing, newKeyText, newRingContent, type RingContent } from "./key-ring.ts";
import { type PlatformKeys, platformGeneration, platformKeys } from "./platform-key.ts";
import { type ContentKey, open, type Place, seal, sealedUnder } from "./seal.ts";

export interface Keys {
  platform(): Promise<PlatformKeys>;
  /** Throws `key-missing` when the ring or its connection key no longer exists, `keys-unavailable` when it cannot be told. */
  ring(connectionId: string): Promise<KeyRing>;
  /** A ring for a new draft, wrapped by the platform key; the caller stores the document. */
  draftRing(connectionId: string): Promise<{ ring: KeyRing; doc: RingDoc }>;
  /** Puts the connection key into the vault and returns the ring wrapped under it; repeating it changes nothing. */
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
  /** What has to be done to a connection before its keys are handed out; when it fails there are none. */
  settle?: (connectionId: string) => Promise<void>;
}

/** How long a key may stay in memory. */
export const keyCacheMilliseconds = 600_000;

const missingMilliseconds = 30_000;

const ringPlace = (connectionId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.ring,
  fields: "ring",
});
const secretName = (connectionId: string, generation: number): string => `c-${connectionId}-k${generation}`;

/** An operator may have put something else under the name of a key. */
const keyBytes = (name: string, value: string): Buffer => {
  const bytes = Buffer.from(value, "base64url");
  if (bytes.length !== 32) throw new AppError("keys-unavailable", { detail: `Secret ${name} holds no key.` });
  return bytes;
};

export const makeKeys = ({
  ambient,
  secrets,
  store,
  cacheMilliseconds = keyCacheMilliseconds,
  settle,
}: KeysNeeds): Keys => {
  const cached = singleFlight<KeyRing>(ambient, cacheMilliseconds);
  const cachedPlatform = singleFlight<PlatformKeys>(ambient, cacheMilliseconds);

  const platform = (): Promise<PlatformKeys> =>
    cachedPlatform.get("platform", async () => {
      const generations = new Map<number, Buffer>();
      for (let generation = 1; ; generation++) {
        const name = `platform-k${generation}`;
        const value = await secrets.get(name);
        if (value === null) break;
        generations.set(generation, keyBytes(name, value));
      }
      if (generations.size === 0) {
        // Read back, because the vault keeps the last value. That narrows a race of two first instances and does not close it:
        // who starts with several gives them the secret beforehand.
        await secrets.set("platform-k1", newKeyText(ambient));
        const settled = await secrets.get("platform-k1");
        if (settled === null) throw new AppError("keys-unavailable");
        generations.set(1, keyBytes("platform-k1", settled));
      }
      return platformKeys(generations);
    });

  const connectionKey = async (connectionId: string, generation: number): Promise<ContentKey> => {
    const name = secretName(connectionId, generation);
    const value = await secrets.get(name);
    if (value === null) throw new AppError("key-missing");
    return contentKey(`c-${generation}`, keyBytes(name, value));
  };

  const wrappingKey = async (doc: RingDoc): Promise<ContentKey> => {
    if (doc.generation !== null) return connectionKey(doc.connectionId, doc.generation);
    const generation = platformGeneration(sealedUnder(doc.wrapped), "draft");
    if (generation === null) throw new AppError("key-missing");
    const keys = await platform();
    // Sealed by an instance that knows a newer platform key already: this one learns of it when its own copy expires.
    if (generation > keys.current) throw new AppError("keys-unavailable");
    return keys.derive("draft", generation);
  };

  const unwrap = async (doc: RingDoc): Promise<RingContent> =>
    open(await wrappingKey(doc), ringPlace(doc.connectionId), doc.wrapped);

  return {
    platform,
    ring: (connectionId) =>
      cached.get(connectionId, async () => {
        const doc = await store.read(connectionId, "ring", ids.ring);
        if (!doc) throw new AppError("key-missing");
        const content = await unwrap(doc);
        // Of a draft nobody is stored.
        if (doc.generation !== null) await settle?.(connectionId);
        return keyRing(content);
      }),
    draftRing: async (connectionId) => {
      const content: RingContent = { ...newRingContent(ambient), connectionKey: newKeyText(ambient) };
      const keys = await platform();
      const wrapped = seal(ambient, keys.derive("draft", keys.current), ringPlace(connectionId), content);
      return {
        ring: keyRing(content),
        doc: { id: ids.ring, kind: "ring", connectionId, v: 1, generation: null, wrapped },
      };
    },
    promote: async (doc) => {
      if (doc.generation !== null) return doc;
      const { connectionKey: value, ...content } = await unwrap(doc);
      if (value === undefined) throw new AppError("unexpected", { detail: "A draft's ring brings no connection key." });
      const generation = 1;
      const name = secretName(doc.connectionId, generation);
      if ((await secrets.get(name)) === null) await secrets.set(name, value);
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
      // A draft may have got as far as its secret without its document saying so.
      for (let n = generation ?? 1; n >= 1; n--) await secrets.delete(secretName(connectionId, n));
      await secrets.delete(ledgerName(connectionId));
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
      // No key outlives its period only because nobody asks for it again.
      for (const [other, { until }] of entries) if (until <= ambient.now()) entries.delete(other);
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
