/** What a run remembers of groups that the feed does not bring, or not in whole: they are read one by one. */
import type { WorkParts } from "./work-parts.ts";

/** Why a group is read by itself: it matters and is not held; it is not held in the right role; it may be one to be shown. */
export const lacks = ["group", "role", "kind"] as const;
export type Lack = (typeof lacks)[number];

/** `unknown`: a delta has told of it, and it is not held. Otherwise: it was read because it lacked this. */
export type Note = Lack | "unknown";

type Noted = [Note, string][];

/** Packed and sealed, some 300 kB. */
const notesPerPart = 10_000;

export class GroupNotes {
  readonly #parts: WorkParts;
  readonly #noted: Record<Note, Set<string>> = {
    group: new Set(),
    role: new Set(),
    kind: new Set(),
    unknown: new Set(),
  };
  #fresh: Noted = [];

  constructor(parts: WorkParts) {
    this.#parts = parts;
  }

  async resume(): Promise<void> {
    for (let part = 0; part < this.#parts.count("notes"); part++)
      for (const [note, group] of await this.#parts.get<Noted>("notes", part)) this.#noted[note].add(group);
  }

  get written(): boolean {
    return this.#fresh.length === 0;
  }

  add(note: Note, group: string): void {
    if (this.#noted[note].has(group)) return;
    this.#noted[note].add(group);
    this.#fresh.push([note, group]);
  }

  has(note: Note, group: string): boolean {
    return this.#noted[note].has(group);
  }

  get unknown(): ReadonlySet<string> {
    return this.#noted.unknown;
  }

  /** Read by itself in this round, with all its members. */
  wasRead(group: string): boolean {
    return lacks.some((lack) => this.has(lack, group));
  }

  async flush(): Promise<void> {
    for (let at = 0; at < this.#fresh.length; at += notesPerPart)
      await this.#parts.put("notes", this.#parts.count("notes"), this.#fresh.slice(at, at + notesPerPart));
    this.#fresh = [];
  }
}
