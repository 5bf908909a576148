/** Which objects of each feed this round has met, and where their changes are. */
import type { Feed } from "../ports.ts";
import { groupKeyBytes, personKeyBytes, SeenSet } from "../seen.ts";
import { type Pass, passes } from "./cursor.ts";
import type { WorkParts } from "./work-parts.ts";

/** Packed in text they are 540 kB; a full read without changes may meet very many between two checkpoints. */
const objectsPerPart = 20_000;
const feeds = ["groups", "users"] as const;

/** Where a change is. */
export interface ChunkPlace {
  pass: Pass;
  chunk: number;
}

/** Number of a chunk over all passes: 0 = none. */
const codeOf = ({ pass, chunk }: ChunkPlace): number => passes.indexOf(pass) * 2 ** 28 + chunk + 1;
const placeOf = (code: number): ChunkPlace => ({
  pass: passes[Math.floor((code - 1) / 2 ** 28)] as Pass,
  chunk: (code - 1) % 2 ** 28,
});

/** Met without a change. */
const thereCode = 0;
/** Met as a tombstone that changes nothing. */
const goneCode = 0xffffffff;
/** Met, and nobody's business so far. */
const passedOverCode = 0xfffffffe;

const keyOf = (feed: Feed, id: string): Buffer => (feed === "users" ? personKeyBytes(id) : groupKeyBytes(id));

export class MetObjects {
  readonly #parts: WorkParts;
  readonly #seen: Record<Feed, SeenSet> = { groups: new SeenSet(), users: new SeenSet() };
  readonly #touched: Record<Feed, Set<string>> = { groups: new Set(), users: new Set() };

  constructor(parts: WorkParts) {
    this.#parts = parts;
  }

  /** Those met before this slice. */
  async resume(): Promise<void> {
    for (const feed of feeds)
      for (let part = 0; part < this.#parts.count(`seen:${feed}`); part++)
        this.#seen[feed].unpack(await this.#parts.getClear(`seen:${feed}`, part));
  }

  get written(): boolean {
    return this.#touched.groups.size + this.#touched.users.size === 0;
  }

  has(feed: Feed, id: string): boolean {
    return this.#seen[feed].has(keyOf(feed, id));
  }

  /** What earlier occurrences in this round said of the object; null = not met. */
  said(feed: Feed, id: string): "there" | "gone" | null {
    const code = this.#seen[feed].get(keyOf(feed, id));
    if (code === null || code === passedOverCode) return null;
    if (code === thereCode) return "there";
    return code === goneCode || placeOf(code).pass.endsWith("-") ? "gone" : "there";
  }

  /** Null: no change of it is planned. */
  placeOf(feed: Feed, id: string): ChunkPlace | null {
    const code = this.#seen[feed].get(keyOf(feed, id)) ?? thereCode;
    return code === thereCode || code >= passedOverCode ? null : placeOf(code);
  }

  meet(feed: Feed, id: string, what: ChunkPlace | "there" | "gone" | "passed-over"): void {
    const codes = { there: thereCode, gone: goneCode, "passed-over": passedOverCode };
    this.#seen[feed].set(keyOf(feed, id), typeof what === "string" ? codes[what] : codeOf(what));
    this.#touched[feed].add(id);
  }

  passedOver(group: string): boolean {
    return this.#seen.groups.get(keyOf("groups", group)) === passedOverCode;
  }

  flagPerson(id: string, on: boolean): void {
    this.#seen.users.flag(personKeyBytes(id), on);
  }

  isFlagged(id: string): boolean {
    return this.#seen.users.isFlagged(personKeyBytes(id));
  }

  async flush(): Promise<void> {
    for (const feed of feeds) {
      const touched = [...this.#touched[feed]];
      for (let at = 0; at < touched.length; at += objectsPerPart) {
        const packed = this.#seen[feed].pack(touched.slice(at, at + objectsPerPart).map((id) => keyOf(feed, id)));
        await this.#parts.putClear(`seen:${feed}`, this.#parts.count(`seen:${feed}`), packed);
      }
      this.#touched[feed].clear();
    }
  }
}
