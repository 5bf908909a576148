/**
 * Sealing: AES-256-GCM with a random 96-bit IV and a 128-bit tag. The associated data name the place of the ciphertext, so
 * that one moved to another document, field or connection no longer opens.
 *
 * Text form: `1.<key id>.<base64url(iv | ciphertext | tag)>`. The key id is not secret and is part of the associated data.
 */
import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";
import type { Ambient } from "../ambient.ts";

declare const sealedValue: unique symbol;
/** JSON of a `T`, sealed. Only `seal` and `sealPacked` make one, and stores accept nothing else where content goes. */
export type Sealed<T> = string & { readonly [sealedValue]: T };

export interface ContentKey {
  id: string;
  key: KeyObject;
  /** Keys before or after this one in the same role: they open what they sealed, and seal nothing. */
  others?: readonly ContentKey[];
}

export interface Place {
  container: "directory" | "work" | "access" | "handshakes" | "state" | "shared" | "log" | "cursor" | "ref";
  partition: string;
  document: string;
  fields: string;
}

/** Thrown when a ciphertext was altered, moved, or sealed under another key. Says nothing about the content. */
export class SealBroken extends Error {
  constructor() {
    super("sealed data could not be opened");
    this.name = "SealBroken";
  }
}

const ivBytes = 12;
const tagBytes = 16;

const associatedData = (place: Place, keyId: string): Buffer =>
  Buffer.from(JSON.stringify([place.container, place.partition, place.document, place.fields, keyId]));

export const seal = <T>(ambient: Pick<Ambient, "randomBytes">, key: ContentKey, place: Place, value: T): Sealed<T> =>
  sealBytes(ambient, key, place, Buffer.from(JSON.stringify(value))) as Sealed<T>;

/** Throws `SealBroken` when anything - content, place, key - is not exactly what was sealed. */
export const open = <T>(key: ContentKey, place: Place, sealed: Sealed<T>): T => valueIn(openBytes(key, place, sealed));

/** Bytes as they are; `seal` puts a value into JSON first. */
export const sealBytes = (
  ambient: Pick<Ambient, "randomBytes">,
  key: ContentKey,
  place: Place,
  content: Uint8Array,
): string => {
  const iv = ambient.randomBytes(ivBytes);
  const cipher = createCipheriv("aes-256-gcm", key.key, iv, { authTagLength: tagBytes });
  cipher.setAAD(associatedData(place, key.id));
  const bytes = Buffer.concat([iv, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  return `1.${key.id}.${bytes.toString("base64url")}`;
};

/** Throws `SealBroken` as `open` does. */
export const openBytes = (key: ContentKey, place: Place, sealed: string): Buffer => {
  const [format, keyId, text, ...rest] = sealed.split(".");
  const named = [key, ...(key.others ?? [])].find(({ id }) => id === keyId);
  if (format !== "1" || !named || text === undefined || rest.length > 0) throw new SealBroken();
  const bytes = Buffer.from(text, "base64url");
  if (bytes.length < ivBytes + tagBytes || bytes.toString("base64url") !== text) throw new SealBroken();
  try {
    const decipher = createDecipheriv("aes-256-gcm", named.key, bytes.subarray(0, ivBytes), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(associatedData(place, named.id));
    decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes));
    // `update` releases text before it is authenticated: nothing is used until `final` has agreed.
    const head = decipher.update(bytes.subarray(ivBytes, bytes.length - tagBytes));
    return Buffer.concat([head, decipher.final()]);
  } catch {
    throw new SealBroken();
  }
};

/** What was sealed otherwise is no value. The parser's own error would quote the content. */
export const valueIn = <T>(content: Buffer): T => {
  try {
    return JSON.parse(content.toString("utf8")) as T;
  } catch {
    throw new SealBroken();
  }
};

/** Whether this is the key, or one of the keys beside it, that a text names. */
export const isSealedUnder = (key: ContentKey, sealed: string): boolean => {
  const id = sealedUnder(sealed);
  return key.id === id || (key.others?.some((other) => other.id === id) ?? false);
};

/** The id of the key a text was sealed under, without opening it; null when it is no sealed text. */
export const sealedUnder = (sealed: string): string | null => {
  const parts = sealed.split(".");
  return parts.length === 3 && parts[0] === "1" ? (parts[1] ?? null) : null;
};
