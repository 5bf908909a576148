/** Which objects a round has met: of each the 16 bytes of its id, and 4 of the chunk that holds its change (0 = none). */
import { keyBytes, RecordTable } from "./record-table.ts";

const packedBytes = keyBytes + 4;
/** After what is packed. */
const flagAt = packedBytes;

export class SeenSet {
  readonly #table = new RecordTable(flagAt + 1 - keyBytes);

  get size(): number {
    return this.#table.size;
  }

  /** The chunk; null = not met in this round. */
  get(id: Buffer): number | null {
    const record = this.#table.find(id);
    return record < 0 ? null : this.#table.block(record).readUInt32BE(this.#table.offset(record) + keyBytes);
  }

  has(id: Buffer): boolean {
    return this.#table.find(id) >= 0;
  }

  set(id: Buffer, chunk: number): void {
    const record = this.#table.put(id);
    this.#table.block(record).writeUInt32BE(chunk, this.#table.offset(record) + keyBytes);
  }

  /** A flag beside the record, false until it is set; it is not packed. Nothing happens to an id that was not met. */
  flag(id: Buffer, on: boolean): void {
    const record = this.#table.find(id);
    if (record >= 0) this.#table.bytes(record)[flagAt] = on ? 1 : 0;
  }

  isFlagged(id: Buffer): boolean {
    const record = this.#table.find(id);
    return record >= 0 && this.#table.bytes(record)[flagAt] === 1;
  }

  /** The records of these ids, packed; what is stored between slices. */
  pack(ids: Iterable<Buffer>): Buffer {
    const parts: Buffer[] = [];
    for (const id of ids) {
      const record = this.#table.find(id);
      if (record >= 0) parts.push(this.#table.bytes(record).subarray(0, packedBytes));
    }
    return Buffer.concat(parts);
  }

  /** Later records of an id replace earlier ones. */
  unpack(packed: Buffer): void {
    for (let at = 0; at + packedBytes <= packed.length; at += packedBytes)
      this.set(packed.subarray(at, at + keyBytes), packed.readUInt32BE(at + keyBytes));
  }
}

export const personKeyBytes = (personId: string): Buffer => Buffer.from(personId, "base64url");
export const groupKeyBytes = (groupId: string): Buffer => Buffer.from(groupId.replaceAll("-", ""), "hex");
