/** What the app asks of `node:crypto`: seals, openings and keyed hashes with the length of what went in. */
import crypto, { KeyObject } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

/** Bytes of each call. */
export interface CryptoCalls {
  seals: number[];
  opens: number[];
  macs: number[];
}

/** Counts while `task` runs. Hashes under keys of the SDKs are left out: theirs are buffers, ours key objects. */
export const countingCrypto = async <T>(task: () => Promise<T>): Promise<{ result: T; calls: CryptoCalls }> => {
  const calls: CryptoCalls = { seals: [], opens: [], macs: [] };
  const { createCipheriv, createDecipheriv, createHmac } = crypto;
  Object.assign(crypto, {
    createCipheriv: (...made: Parameters<typeof createCipheriv>) =>
      countingUpdates(createCipheriv(...made), calls.seals),
    createDecipheriv: (...made: Parameters<typeof createDecipheriv>) =>
      countingUpdates(createDecipheriv(...made), calls.opens),
    createHmac: (...made: Parameters<typeof createHmac>) => {
      const hmac = createHmac(...made);
      return made[1] instanceof KeyObject ? countingUpdates(hmac, calls.macs) : hmac;
    },
  });
  syncBuiltinESMExports();
  try {
    return { result: await task(), calls };
  } finally {
    Object.assign(crypto, { createCipheriv, createDecipheriv, createHmac });
    syncBuiltinESMExports();
  }
};

type Updatable = { update(data: string | NodeJS.ArrayBufferView, ...rest: never[]): unknown };

/** Adds one number to `lengths` for the object: the sum of what it is fed. */
const countingUpdates = <T extends Updatable>(object: T, lengths: number[]): T => {
  const index = lengths.push(0) - 1;
  const update = object.update.bind(object);
  object.update = (data: string | NodeJS.ArrayBufferView, ...rest: never[]) => {
    lengths[index] = (lengths[index] ?? 0) + Buffer.byteLength(data);
    return update(data, ...rest);
  };
  return object;
};
