/**
 * The key hierarchy of one connection.
 *
 *   connection key (vault) -> key ring (document `ring`) -> person keys (in each person's document) -> records, log parts
 *
 * The connection key only wraps the ring. The ring seals what names nobody (sealing), wraps person keys (wrapping) and
 * computes pseudonyms and hashes (index). The index key never rotates: every id in the connection depends on it.
 */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import type { Ambient } from "../ambient.ts";
import { AppError } from "../errors.ts";
import { type ContentKey, open, type Place, type Sealed, seal } from "./seal.ts";

export interface KeyRing {
  sealing: ContentKey;
  wrapping: ContentKey;
  index: KeyObject;
}

/** Keys that a rekey replaces: base64url of 32 bytes each. */
export interface RingKeys {
  id: string;
  sealing: string;
  wrapping: string;
}

/** Raw ring as it is sealed under the connection key. */
export interface RingContent extends RingKeys {
  index: string;
  /** Will take over when every instance knows them; until then they only open. */
  next?: RingKeys;
  /** Were replaced; `until`, ms: what they sealed in the log has expired then. */
  former?: (RingKeys & { until: number })[];
  /**
   * Of a draft, or while the connection key is being replaced: the one that will wrap the ring. The vault knows no "create if
   * absent", so all who are at it at once have to set the same value, or the last of them would lock out the one whose document
   * was kept.
   */
  connectionKey?: string;
}

export interface WrappedKey {
  id: string;
  wrapped: Sealed<string>;
  /** Keys of before a rekey, which open what the log holds; `until`, ms: that has expired then. */
  former?: { id: string; wrapped: Sealed<string>; until: number }[];
}

export const contentKey = (id: string, bytes: Buffer): ContentKey => {
  if (bytes.length !== 32) throw new RangeError("a content key has 32 bytes");
  return { id, key: createSecretKey(bytes) };
};

/** With `others` only where there are any. */
const beside = (key: ContentKey, others: readonly ContentKey[]): ContentKey =>
  others.length > 0 ? { ...key, others } : key;

export const newKeyText = (ambient: Pick<Ambient, "randomBytes">): string =>
  ambient.randomBytes(32).toString("base64url");

export const newRingKeys = (ambient: Ambient): RingKeys => ({
  id: ambient.randomBytes(6).toString("base64url"),
  sealing: newKeyText(ambient),
  wrapping: newKeyText(ambient),
});

export const newRingContent = (ambient: Ambient): RingContent => ({
  ...newRingKeys(ambient),
  index: newKeyText(ambient),
});

const sealingKey = ({ id, sealing }: RingKeys) => contentKey(`s-${id}`, Buffer.from(sealing, "base64url"));
const wrappingKey = ({ id, wrapping }: RingKeys) => contentKey(`w-${id}`, Buffer.from(wrapping, "base64url"));

export const keyRing = (content: RingContent): KeyRing => {
  const others = [...(content.next ? [content.next] : []), ...(content.former ?? [])];
  return {
    sealing: beside(sealingKey(content), others.map(sealingKey)),
    wrapping: beside(wrappingKey(content), others.map(wrappingKey)),
    index: createSecretKey(Buffer.from(content.index, "base64url")),
  };
};

const personKeyPlace = (connectionId: string, personId: string, keyId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: `u:${personId}`,
  fields: `key ${keyId}`,
});

export const newPersonKey = (
  ambient: Ambient,
  ring: KeyRing,
  connectionId: string,
  personId: string,
): { key: ContentKey; wrapped: WrappedKey } => {
  const id = `p-${ambient.randomBytes(6).toString("base64url")}`;
  const bytes = ambient.randomBytes(32);
  const wrapped = seal(ambient, ring.wrapping, personKeyPlace(connectionId, personId, id), bytes.toString("base64url"));
  return { key: contentKey(id, bytes), wrapped: { id, wrapped } };
};

/** Throws `key-missing` for somebody who was erased. */
export const openPersonKey = (
  ring: KeyRing,
  connectionId: string,
  personId: string,
  key: WrappedKey | null,
): ContentKey => {
  if (!key) throw new AppError("key-missing");
  const opened = ({ id, wrapped }: Pick<WrappedKey, "id" | "wrapped">): ContentKey =>
    contentKey(id, Buffer.from(open(ring.wrapping, personKeyPlace(connectionId, personId, id), wrapped), "base64url"));
  return beside(opened(key), (key.former ?? []).map(opened));
};

/** A new key in the place of a person's, wrapped with all that came before it and still opens something at `now`. */
export const renewPersonKey = (
  ambient: Ambient,
  ring: KeyRing,
  connectionId: string,
  personId: string,
  key: WrappedKey,
  until: number,
): { key: ContentKey; wrapped: WrappedKey } => {
  const renewed = newPersonKey(ambient, ring, connectionId, personId);
  const former = [...(key.former ?? []), { ...key, until }]
    .filter((one) => one.until > ambient.now())
    .map(({ id, wrapped, until: end }) => {
      const place = personKeyPlace(connectionId, personId, id);
      return { id, wrapped: seal(ambient, ring.wrapping, place, open(ring.wrapping, place, wrapped)), until: end };
    });
  const wrapped: WrappedKey = { ...renewed.wrapped, former };
  return { key: openPersonKey(ring, connectionId, personId, wrapped), wrapped };
};

/** A key for one run: seals its staged chunks, lives sealed in head, is gone when the run ends. */
export const newRunKey = (ambient: Ambient): { key: ContentKey; content: RunKeyContent } => {
  const content = {
    id: `t-${ambient.randomBytes(6).toString("base64url")}`,
    key: newKeyText(ambient),
  };
  return { key: runKey(content), content };
};

export interface RunKeyContent {
  id: string;
  key: string;
}

export const runKey = (content: RunKeyContent): ContentKey =>
  contentKey(content.id, Buffer.from(content.key, "base64url"));

/** What a keyed hash is for; two purposes never give the same hash of the same text. */
export type MacPurpose = "person" | "mail" | "upn" | "product-user" | "content" | "plan" | "group";

export const mac = (ring: Pick<KeyRing, "index">, purpose: MacPurpose, text: string): Buffer =>
  createHmac("sha256", ring.index).update(`${purpose}\0${text}`).digest();

/** The pseudonym of an object id: document id, URL part, log subject. 22 characters. */
export const personId = (ring: Pick<KeyRing, "index">, objectId: string): string =>
  mac(ring, "person", objectId.toLowerCase()).subarray(0, 16).toString("base64url");

export const blindIndex = (
  ring: Pick<KeyRing, "index">,
  purpose: "mail" | "upn" | "product-user",
  text: string,
): string =>
  mac(ring, purpose, purpose === "product-user" ? text : normalised(text))
    .subarray(0, 16)
    .toString("base64url");

/** Lower-casing can leave letters decomposed that were composed before (U+01F0), hence the second normalisation. */
const normalised = (address: string): string => address.normalize("NFKC").trim().toLowerCase().normalize("NFKC");
