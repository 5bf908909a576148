/** Random bytes for keys, IVs and ids, small pieces at a time: a call of the generator costs more than a hundred pieces. */
import { randomBytes, randomFillSync } from "node:crypto";

const poolBytes = 4096;
const largestPiece = 64;

/** Every byte of the pool is given out once, and erased from it when it is. */
export const pooledRandomBytes = (): ((count: number) => Buffer) => {
  const pool = Buffer.alloc(poolBytes);
  let at = poolBytes;
  return (count) => {
    if (count > largestPiece) return randomBytes(count);
    if (at + count > poolBytes) {
      randomFillSync(pool);
      at = 0;
    }
    const piece = Buffer.alloc(count);
    pool.copy(piece, 0, at, at + count);
    pool.fill(0, at, at + count);
    at += count;
    return piece;
  };
};

/** A number from 0 up to, but not, 1, as finely as one byte can say it: what makers of ids take to choose one of 32 letters. */
export const randomFraction = (randomBytes: (count: number) => Buffer) => (): number =>
  randomBytes(1).readUInt8() / 256;
