/** A set of person ids in 16 bytes each: the members of a closure may be a million. */
const idBytes = 16;

export class IdSet {
  #table = Buffer.alloc(256 * idBytes);
  #used = new Uint8Array(256);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(id: string): boolean {
    return this.#used[this.#slotOf(Buffer.from(id, "base64url"))] !== 0;
  }

  add(id: string): void {
    if (this.#size * 4 >= this.#used.length * 3) this.#grow();
    this.#put(Buffer.from(id, "base64url"));
  }

  /** In no order. */
  *[Symbol.iterator](): Iterator<string> {
    for (let slot = 0; slot < this.#used.length; slot++)
      if (this.#used[slot]) yield this.#table.toString("base64url", slot * idBytes, (slot + 1) * idBytes);
  }

  #put(bytes: Buffer): void {
    const slot = this.#slotOf(bytes);
    if (this.#used[slot]) return;
    this.#used[slot] = 1;
    this.#size++;
    bytes.copy(this.#table, slot * idBytes, 0, idBytes);
  }

  /** Where the id is, or the free place where it would be. Ids are keyed hashes: their first bytes are as good as any hash. */
  #slotOf(bytes: Buffer): number {
    const mask = this.#used.length - 1;
    let slot = bytes.readUInt32LE(0) & mask;
    while (this.#used[slot] && this.#table.compare(bytes, 0, idBytes, slot * idBytes, (slot + 1) * idBytes) !== 0)
      slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [table, used] = [this.#table, this.#used];
    this.#table = Buffer.alloc(table.length * 2);
    this.#used = new Uint8Array(used.length * 2);
    this.#size = 0;
    for (let slot = 0; slot < used.length; slot++)
      if (used[slot]) this.#put(table.subarray(slot * idBytes, (slot + 1) * idBytes));
  }
}
