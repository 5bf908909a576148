/**
 * Records of one length, found by keys of 16 bytes and kept outside of the heap: a round may meet a million objects. They lie in
 * blocks that stay where they are, and an index of their numbers finds them: of all there is, only those 4 bytes a slot are made
 * anew when the table grows.
 */
export const keyBytes = 16;

const recordsPerBlock = 4096;
const smallestBlock = 16;
const smallestIndex = 32;

/** Keys are keyed hashes or random GUIDs; both ends, so that ids which were counted up lie apart as well. */
const placeOf = (key: Uint8Array): number => {
  const ends = wordAt(key, 0) ^ wordAt(key, keyBytes - 4);
  return Math.imul(ends, 0x9e3779b1) >>> 8;
};

const wordAt = (key: Uint8Array, at: number): number =>
  ((key[at] as number) << 24) |
  ((key[at + 1] as number) << 16) |
  ((key[at + 2] as number) << 8) |
  (key[at + 3] as number);

export class RecordTable {
  /** Key and value. */
  readonly recordBytes: number;
  readonly #blocks: Buffer[];
  /** Number of a record, from 1; 0 = free. */
  #index = new Uint32Array(smallestIndex);
  #size = 0;

  constructor(valueBytes: number) {
    this.recordBytes = keyBytes + valueBytes;
    this.#blocks = [Buffer.alloc(smallestBlock * this.recordBytes)];
  }

  /** Records are numbered from 0 in the order in which they came. */
  get size(): number {
    return this.#size;
  }

  get bytesTaken(): number {
    return this.#blocks.reduce((sum, block) => sum + block.length, this.#index.byteLength);
  }

  /** Number of the record with this key; -1 = there is none. */
  find(key: Uint8Array): number {
    return (this.#index[this.#slotOf(key)] as number) - 1;
  }

  /** Number of the record with this key; a new one has nothing but zeros for a value. */
  put(key: Uint8Array): number {
    const known = this.find(key);
    if (known >= 0) return known;
    if ((this.#size + 1) * 4 > this.#index.length * 3) this.#growIndex();
    const record = this.#size++;
    if (record % recordsPerBlock === 0 && record > 0)
      this.#blocks.push(Buffer.alloc(recordsPerBlock * this.recordBytes));
    else if (record < recordsPerBlock) this.#growFirstBlock(record);
    this.bytes(record).set(key.subarray(0, keyBytes));
    this.#index[this.#slotOf(key)] = record + 1;
    return record;
  }

  /** The record itself, to be read and written; good until the next `put`. */
  bytes(record: number): Buffer {
    const at = (record % recordsPerBlock) * this.recordBytes;
    return this.block(record).subarray(at, at + this.recordBytes);
  }

  /** Where the record lies; its first byte is at `offset`. */
  block(record: number): Buffer {
    return this.#blocks[Math.floor(record / recordsPerBlock)] as Buffer;
  }

  offset(record: number): number {
    return (record % recordsPerBlock) * this.recordBytes;
  }

  /** Where the key is, or the free place where it would be. */
  #slotOf(key: Uint8Array): number {
    const mask = this.#index.length - 1;
    for (let slot = placeOf(key) & mask; ; slot = (slot + 1) & mask) {
      const record = this.#index[slot] as number;
      if (record === 0 || this.#isAt(record - 1, key)) return slot;
    }
  }

  /** Byte by byte: asked several times for each object, and a call of `compare` costs more than the sixteen steps. */
  #isAt(record: number, key: Uint8Array): boolean {
    const block = this.block(record);
    const at = this.offset(record);
    for (let index = 0; index < keyBytes; index++) if (block[at + index] !== key[index]) return false;
    return true;
  }

  #growIndex(): void {
    this.#index = new Uint32Array(this.#index.length * 2);
    for (let record = 0; record < this.#size; record++) this.#index[this.#slotOf(this.bytes(record))] = record + 1;
  }

  /** Most tables stay small. */
  #growFirstBlock(record: number): void {
    const first = this.#blocks[0] as Buffer;
    if ((record + 1) * this.recordBytes <= first.length) return;
    const grown = Buffer.alloc(first.length * 2);
    first.copy(grown);
    this.#blocks[0] = grown;
  }
}
