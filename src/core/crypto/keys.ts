/**
 * Loads and makes keys. One fetch per instance and period, however many ask at once; what is missing is remembered for a
 * short while, so that a deleted connection does not turn into a storm on the vault.
 */
import type { KeyObject } from "node:crypto";
import type { Ambient } from "../ambient.ts";
import { AppError, isAppError } from "../errors.ts";
import { ledgerName } from "../privacy/ledger.ts";
import { ids, type RingDoc } from "../store/documents.ts";
import type { DirectoryStore, HandshakeStore, SecretStore } from "../store/ports.ts";
import { type KeyRing, keyRing, newKeyText, newRingContent, type RingContent } from "./key-ring.ts";
import type { PlatformKeys } from "./platform-key.ts";
import { loadNameKey, loadPlatformKeys } from "./platform-secrets.ts";
import { type RingWrapping, ringWrapping } from "./ring-wrapping.ts";
import { singleFlight } from "./single-flight.ts";

export interface Keys {
  platform(): Promise<PlatformKeys>;
  /** For the hashes by which names of connections are compared. */
  nameKey(): Promise<KeyObject>;
  /** Throws `key-missing` when the ring or its connection key no longer exists, `keys-unavailable` when it cannot be told. */
  ring(connectionId: string): Promise<KeyRing>;
  /** A ring for a new draft, wrapped by the platform key; the caller stores the document. */
  draftRing(connectionId: string): Promise<{ ring: KeyRing; doc: RingDoc }>;
  /** Puts the connection key into the vault and returns the ring wrapped under it; repeating it changes nothing. */
  promote(doc: RingDoc): Promise<RingDoc>;
  /** For those who replace keys. */
  readonly wrapping: RingWrapping;
  /** Destroys every generation of the connection key; the ring cannot be opened afterwards. */
  destroy(connectionId: string, generation: number | null): Promise<void>;
  forget(connectionId: string): void;
}

export interface KeysNeeds {
  ambient: Ambient;
  secrets: SecretStore;
  store: Pick<DirectoryStore, "read">;
  handshakes: Pick<HandshakeStore, "claim">;
  cacheMilliseconds?: number;
  /** What has to be done to a connection before its keys are handed out; when it fails there are none. */
  settle?: (connectionId: string) => Promise<void>;
}

/** How long a key may stay in memory. */
export const keyCacheMilliseconds = 600_000;

export const makeKeys = (needs: KeysNeeds): Keys => {
  const { ambient, secrets, store, cacheMilliseconds = keyCacheMilliseconds, settle } = needs;
  const cached = singleFlight<KeyRing>(ambient, cacheMilliseconds);
  const cachedPlatform = singleFlight<PlatformKeys>(ambient, cacheMilliseconds);
  const cachedNames = singleFlight<KeyObject>(ambient, cacheMilliseconds);

  const platform = (): Promise<PlatformKeys> => cachedPlatform.get("platform", () => loadPlatformKeys(needs));
  const wrapping = ringWrapping({ ambient, secrets, platform });

  /** The key that wraps it may be replaced, and deleted, between reading the document and asking the vault. */
  const openStored = async (
    connectionId: string,
    before?: RingDoc,
  ): Promise<{ doc: RingDoc; content: RingContent }> => {
    const doc = await store.read(connectionId, "ring", ids.ring);
    if (!doc || doc.generation === before?.generation) throw new AppError("key-missing");
    try {
      return { doc, content: await wrapping.open(doc) };
    } catch (error) {
      if (isAppError(error, "key-missing")) return openStored(connectionId, doc);
      throw error;
    }
  };

  return {
    platform,
    nameKey: () => cachedNames.get("names", () => loadNameKey(needs)),
    ring: (connectionId) =>
      cached.get(connectionId, async () => {
        const { doc, content } = await openStored(connectionId);
        // Of a draft nobody is stored.
        if (doc.generation !== null) await settle?.(connectionId);
        return keyRing(content);
      }),
    draftRing: async (connectionId) => {
      const content: RingContent = { ...newRingContent(ambient), connectionKey: newKeyText(ambient) };
      return { ring: keyRing(content), doc: await wrapping.wrapDraft(connectionId, content) };
    },
    promote: (doc) => wrapping.promote(doc),
    wrapping,
    destroy: async (connectionId, generation) => {
      // A draft, or a key that was being replaced, may have got as far as the next secret without the document saying so.
      for (let n = (generation ?? 0) + 1; n >= 1; n--) await wrapping.discard(connectionId, n);
      await secrets.delete(ledgerName(connectionId));
      cached.forget(connectionId);
    },
    forget: (connectionId) => cached.forget(connectionId),
  };
};
