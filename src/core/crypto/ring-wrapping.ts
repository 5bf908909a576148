/**
 * What stands around a key ring: the connection key in the vault (`c-<connection>-k<n>`, one name for each generation), or for a
 * draft the platform key. Replacing the key that wraps a ring changes one document and nothing that the ring has sealed.
 *
 *   promise    the next key is laid into the ring, sealed by the one that wraps it now
 *   promote    it is put into the vault, and wraps the ring from then on
 *   discard    the one before is deleted
 */
import type { Ambient } from "../ambient.ts";
import { AppError } from "../errors.ts";
import { type EntryDraft, ids, type RingDoc } from "../store/documents.ts";
import type { SecretStore } from "../store/ports.ts";
import { contentKey, newKeyText, type RingContent } from "./key-ring.ts";
import { type PlatformKeys, platformGeneration } from "./platform-key.ts";
import { keyBytes } from "./platform-secrets.ts";
import { type ContentKey, open, type Place, seal, sealedUnder } from "./seal.ts";

export interface RingWrapping {
  /** Throws `key-missing` when the key that wraps it no longer exists, `keys-unavailable` when it cannot be told. */
  open(doc: RingDoc): Promise<RingContent>;
  /** The ring of a new draft. */
  wrapDraft(connectionId: string, content: RingContent): Promise<RingDoc>;
  /** With other content, under the key that wraps it; of a draft, under the platform key of today. */
  rewrap(doc: RingDoc, change?: (content: RingContent) => RingContent): Promise<RingDoc>;
  promise(doc: RingDoc, to: number, entry: EntryDraft): Promise<RingDoc>;
  /** Repeating it changes nothing. */
  promote(doc: RingDoc): Promise<RingDoc>;
  /** Deletes the key of one generation. */
  discard(connectionId: string, generation: number): Promise<void>;
}

export interface RingWrappingNeeds {
  ambient: Ambient;
  secrets: SecretStore;
  platform: () => Promise<PlatformKeys>;
}

const ringPlace = (connectionId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.ring,
  fields: "ring",
});

const secretName = (connectionId: string, generation: number): string => `c-${connectionId}-k${generation}`;
const connectionKey = (generation: number, name: string, value: string): ContentKey =>
  contentKey(`c-${generation}`, keyBytes(name, value));

/** Keys that were replaced go when nothing is stored any more that they open. */
const withoutExpired = ({ former = [], ...content }: RingContent, now: number): RingContent => {
  const needed = former.filter(({ until }) => until > now);
  return needed.length > 0 ? { ...content, former: needed } : content;
};

export const ringWrapping = ({ ambient, secrets, platform }: RingWrappingNeeds): RingWrapping => {
  const draftKey = async (): Promise<ContentKey> => {
    const keys = await platform();
    return keys.derive("draft", keys.current);
  };

  const vaultKey = async (connectionId: string, generation: number): Promise<ContentKey> => {
    const name = secretName(connectionId, generation);
    const value = await secrets.get(name);
    if (value === null) throw new AppError("key-missing");
    return connectionKey(generation, name, value);
  };

  const wrappingKey = async (doc: RingDoc): Promise<ContentKey> => {
    if (doc.generation !== null) return vaultKey(doc.connectionId, doc.generation);
    const generation = platformGeneration(sealedUnder(doc.wrapped), "draft");
    if (generation === null) throw new AppError("key-missing");
    const keys = await platform();
    try {
      return keys.derive("draft", generation);
    } catch (error) {
      // Sealed by an instance that knows a newer platform key already: this one learns of it when its own copy expires.
      throw generation > keys.current ? new AppError("keys-unavailable") : error;
    }
  };

  const wrapped = (key: ContentKey, connectionId: string, content: RingContent): Pick<RingDoc, "wrapped"> => ({
    wrapped: seal(ambient, key, ringPlace(connectionId), content),
  });

  const unwrap = async (doc: RingDoc): Promise<{ key: ContentKey; content: RingContent }> => {
    const key = await wrappingKey(doc);
    return { key, content: open(key, ringPlace(doc.connectionId), doc.wrapped) };
  };

  const rewrap: RingWrapping["rewrap"] = async (doc, change = (content) => content) => {
    const { key, content } = await unwrap(doc);
    const now = doc.generation === null ? { key: await draftKey(), wrappedAt: ambient.now() } : { key };
    const { key: sealing, ...times } = now;
    return { ...doc, ...times, ...wrapped(sealing, doc.connectionId, change(content)) };
  };

  /** Read back: what wraps the ring has to be in the vault, and nothing else under its name. */
  const keep = async (name: string, value: string): Promise<void> => {
    if ((await secrets.get(name)) === value) return;
    await secrets.set(name, value);
    if ((await secrets.get(name)) !== value)
      throw new AppError("keys-unavailable", { detail: `Secret ${name} does not hold what was put there.` });
  };

  return {
    open: async (doc) => (await unwrap(doc)).content,
    wrapDraft: async (connectionId, content) => ({
      id: ids.ring,
      kind: "ring",
      connectionId,
      v: 1,
      generation: null,
      wrappedAt: ambient.now(),
      careAt: null,
      ...wrapped(await draftKey(), connectionId, content),
    }),
    rewrap,
    promise: async (doc, to, entry) => ({
      ...(await rewrap(doc, (content) => ({
        ...withoutExpired(content, ambient.now()),
        connectionKey: newKeyText(ambient),
      }))),
      rotation: { to, entry },
    }),
    promote: async (doc) => {
      const { connectionId, rotation } = doc;
      const to = doc.generation === null ? 1 : rotation?.to;
      if (to === undefined || to === doc.generation) return doc;
      const { connectionKey: value, ...content } = (await unwrap(doc)).content;
      if (value === undefined) throw new AppError("unexpected", { detail: "The ring brings no connection key." });
      const name = secretName(connectionId, to);
      await keep(name, value);
      return {
        ...doc,
        generation: to,
        wrappedAt: ambient.now(),
        ...wrapped(connectionKey(to, name, value), connectionId, content),
      };
    },
    discard: (connectionId, generation) => secrets.delete(secretName(connectionId, generation)),
  };
};
