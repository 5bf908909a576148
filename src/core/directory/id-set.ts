/** A set of person ids: the members of a closure may be a million. */
import { keyBytes, RecordTable } from "./record-table.ts";

export class IdSet {
  readonly #table = new RecordTable(0);

  get size(): number {
    return this.#table.size;
  }

  has(id: string): boolean {
    return this.#table.find(Buffer.from(id, "base64url")) >= 0;
  }

  add(id: string): void {
    this.#table.put(Buffer.from(id, "base64url"));
  }

  *[Symbol.iterator](): Iterator<string> {
    for (let record = 0; record < this.#table.size; record++) {
      const at = this.#table.offset(record);
      yield this.#table.block(record).toString("base64url", at, at + keyBytes);
    }
  }
}
