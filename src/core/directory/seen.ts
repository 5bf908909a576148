/**
 * Which objects a round has met, in 48 bytes each: 16 of the id, 4 of the chunk that holds its change (0 = none), 28 of the
 * change's term in the plan hash. A hash table over one buffer: a directory of 1,000,000 people takes 64-96 MB, not a GB.
 */
import { termBytes } from "./plan.ts";

export const idBytes = 16;
const recordBytes = idBytes + 4 + termBytes;
const noTerm = new Uint8Array(termBytes);

/** Of a slot: 0 = free. */
const met = 1;
const flagged = 2;

export interface Seen {
  chunk: number;
  term: Uint8Array;
}

export class SeenSet {
  #table: Buffer;
  #used: Uint8Array;
  #capacity: number;
  #size = 0;

  constructor(expected = 256) {
    this.#capacity = Math.max(256, 2 ** Math.ceil(Math.log2(Math.max(1, expected) * 1.5)));
    this.#table = Buffer.alloc(this.#capacity * recordBytes);
    this.#used = new Uint8Array(this.#capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** Null = not met in this round. */
  get(id: Buffer): Seen | null {
    const slot = this.#find(id);
    if (!this.#used[slot]) return null;
    const at = slot * recordBytes + idBytes;
    return {
      chunk: this.#table.readUInt32BE(at),
      term: Uint8Array.prototype.slice.call(this.#table, at + 4, at + 4 + termBytes),
    };
  }

  has(id: Buffer): boolean {
    return this.#used[this.#find(id)] !== 0;
  }

  set(id: Buffer, chunk: number, term: Uint8Array = noTerm): void {
    if (this.#size * 4 >= this.#capacity * 3) this.#grow();
    const slot = this.#find(id);
    if (!this.#used[slot]) {
      this.#used[slot] = met;
      this.#size++;
      id.copy(this.#table, slot * recordBytes, 0, idBytes);
    }
    const at = slot * recordBytes + idBytes;
    this.#table.writeUInt32BE(chunk, at);
    this.#table.set(term, at + 4);
  }

  /** A flag beside the record, false until it is set; it is not packed. Nothing happens to an id that was not met. */
  flag(id: Buffer, on: boolean): void {
    const slot = this.#find(id);
    if (this.#used[slot]) this.#used[slot] = on ? flagged : met;
  }

  isFlagged(id: Buffer): boolean {
    return this.#used[this.#find(id)] === flagged;
  }

  /** The records of these ids, packed; what is stored between slices. */
  pack(ids: Iterable<Buffer>): Buffer {
    const parts: Buffer[] = [];
    for (const id of ids) {
      const slot = this.#find(id);
      if (this.#used[slot]) parts.push(Buffer.from(this.#table.subarray(slot * recordBytes, (slot + 1) * recordBytes)));
    }
    return Buffer.concat(parts);
  }

  /** Later records of an id replace earlier ones. */
  unpack(packed: Buffer): void {
    for (let at = 0; at + recordBytes <= packed.length; at += recordBytes) {
      const record = packed.subarray(at, at + recordBytes);
      this.set(record.subarray(0, idBytes), record.readUInt32BE(idBytes), record.subarray(idBytes + 4));
    }
  }

  #find(id: Buffer): number {
    // Ids are keyed hashes or random GUIDs: their first bytes are as good as any hash of them.
    let slot = id.readUInt32LE(0) & (this.#capacity - 1);
    while (this.#used[slot] && !this.#isAt(slot, id)) slot = (slot + 1) & (this.#capacity - 1);
    return slot;
  }

  /** Byte by byte: asked several times for each object, and a call of `compare` costs more than the sixteen steps. */
  #isAt(slot: number, id: Buffer): boolean {
    const at = slot * recordBytes;
    for (let index = 0; index < idBytes; index++) if (this.#table[at + index] !== id[index]) return false;
    return true;
  }

  #grow(): void {
    const [table, used] = [this.#table, this.#used];
    this.#capacity *= 2;
    this.#table = Buffer.alloc(this.#capacity * recordBytes);
    this.#used = new Uint8Array(this.#capacity);
    for (let slot = 0; slot < used.length; slot++) {
      if (!used[slot]) continue;
      const record = table.subarray(slot * recordBytes, (slot + 1) * recordBytes);
      const free = this.#find(record);
      this.#used[free] = used[slot] ?? met;
      record.copy(this.#table, free * recordBytes);
    }
  }
}

export const personKeyBytes = (personId: string): Buffer => Buffer.from(personId, "base64url");
export const groupKeyBytes = (groupId: string): Buffer => Buffer.from(groupId.replaceAll("-", ""), "hex");
