/**
 * Large content that soon goes away again, packed before it is sealed: a fifth of the bytes to write and to read back. The length
 * of a ciphertext then tells how much its content repeats itself; to learn anything from that, somebody would have to see the
 * store and put content of his own beside a secret, over and over.
 *
 * Packing runs on threads of its own, while the program goes on.
 */
import { deflateRaw, inflateRaw } from "node:zlib";
import type { Ambient } from "../ambient.ts";
import { type ContentKey, openBytes, type Place, SealBroken, type Sealed, sealBytes, valueIn } from "./seal.ts";

declare const packedValue: unique symbol;
/** JSON of a `T`, packed and sealed. */
export type Packed<T> = Sealed<{ readonly [packedValue]: T }>;

const fastest = 1;

const deflate = (text: string): Promise<Buffer> =>
  new Promise((resolve, reject) =>
    deflateRaw(text, { level: fastest }, (error, packed) => (error ? reject(error) : resolve(packed))),
  );

const inflate = (packed: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) =>
    inflateRaw(packed, (error, content) => (error ? reject(new SealBroken()) : resolve(content))),
  );

export const sealPacked = async <T>(
  ambient: Pick<Ambient, "randomBytes">,
  key: ContentKey,
  place: Place,
  value: T,
): Promise<Packed<T>> => sealBytes(ambient, key, place, await deflate(JSON.stringify(value))) as Packed<T>;

/** Throws `SealBroken` when anything is not exactly what was packed and sealed. */
export const openPacked = async <T>(key: ContentKey, place: Place, packed: Packed<T>): Promise<T> =>
  valueIn(await inflate(openBytes(key, place, packed)));
