/** One commit in the making: at most one write per document, its log entries, and the changes it was made from. */
import type { EntryDraft } from "../../audit/entries.ts";
import { maxBytesPerCommit, maxWritesPerCommit } from "../../store/commit.ts";
import { type DirectoryDoc, type Head, type PersonState, personOf, type Stored } from "../../store/documents.ts";
import type { Write } from "../../store/ports.ts";
import type { Change } from "../plan.ts";
import type { Position } from "./cursor.ts";

/** The run's own document and the connection may go out with any batch. */
const maxWrites = maxWritesPerCommit - 2;
const maxBytes = maxBytesPerCommit - 40_000;

export class Batch {
  readonly entries: EntryDraft[] = [];
  readonly changes: Change[] = [];
  /** People, groups and memberships that come and go with this batch. */
  readonly delta = { people: 0, groups: 0, memberships: 0 };
  /** When the first of those who leave with it is to be removed; null = nobody is. */
  retireAt: number | null = null;
  /** Groups that are removed, by document id, and whether shards of theirs are left. */
  readonly emptying = new Map<string, { shown: boolean; shardsLeft: boolean }>();
  /** Where the run was when the batch was begun: nothing before it is missing in the store. */
  readonly from: Position;
  /** Load every document before it is written; a first attempt takes new objects to be new. */
  readonly careful: boolean;
  readonly #writes = new Map<string, Write>();
  #bytes = 0;

  constructor(from: Position, careful = false) {
    this.from = from;
    this.careful = careful;
  }

  get size(): number {
    return this.#writes.size;
  }

  /** A person is one document; a group may bring some of its shards. */
  hasRoomFor({ kind }: Change): boolean {
    return this.fits(kind === "person" ? 1 : 8, 200_000);
  }

  fits(writes: number, bytes: number): boolean {
    return this.#writes.size + writes <= maxWrites && this.#bytes + bytes <= maxBytes;
  }

  /** The document as this batch leaves it: undefined = not touched, null = deleted. */
  pending(id: string): DirectoryDoc | null | undefined {
    const write = this.#writes.get(id);
    return write === undefined ? undefined : write.op === "delete" ? null : write.doc;
  }

  /** `stored` is the document as it is in the store, null when it is not there. */
  put(doc: DirectoryDoc, stored: Stored<DirectoryDoc> | null): void {
    const { _etag, ...clean } = doc as Stored<DirectoryDoc>;
    const bytes = approximateSize(clean);
    if (!stored) this.#add({ op: "create", doc: clean, grows: bytes }, bytes);
    else this.#add({ op: "replace", doc: clean, etag: stored._etag, grows: bytes - approximateSize(stored) }, bytes);
  }

  delete(id: string, stored: Stored<DirectoryDoc> | null): void {
    if (stored) this.#add({ op: "delete", id, etag: stored._etag, grows: -approximateSize(stored) }, 0);
    else this.#writes.delete(id);
  }

  log(entry: EntryDraft): void {
    this.entries.push(entry);
    const people = [entry.added, entry.removed];
    const groups = [entry.groups, entry.childrenAdded, entry.childrenRemoved];
    this.#bytes += 300 + (entry.changes?.length ?? 0) + 27 * countOf(people) + 41 * countOf(groups);
  }

  writes(): Write[] {
    return [...this.#writes.values()];
  }

  /** People as this batch leaves them. */
  eachPerson(tell: (id: string, state: PersonState) => void): void {
    for (const write of this.#writes.values())
      if (write.op !== "delete" && write.doc.kind === "person") tell(personOf(write.doc.id), write.doc.state);
  }

  /** Head with this batch counted in. */
  count(head: Head): Head {
    const { people, groups, memberships } = head.counters;
    const begun = [...this.emptying].flatMap(([id, { shown, shardsLeft }]) => (shardsLeft ? [{ id, shown }] : []));
    return {
      ...head,
      retireAt: earlier(head.retireAt, this.retireAt),
      emptying: [...head.emptying.filter(({ id }) => !this.emptying.has(id)), ...begun],
      counters: {
        people: people + this.delta.people,
        groups: groups + this.delta.groups,
        memberships: memberships + this.delta.memberships,
      },
    };
  }

  #add(write: Write, bytes: number): void {
    const id = write.op === "delete" ? write.id : write.doc.id;
    this.#writes.set(id, write);
    this.#bytes += bytes;
  }
}

export const earlier = (one: number | null, other: number | null): number | null =>
  one === null || other === null ? (one ?? other) : Math.min(one, other);

const countOf = (lists: readonly (readonly string[] | undefined)[]): number =>
  lists.reduce((sum, list) => sum + (list?.length ?? 0), 0);

/** Bytes of a document's JSON; where there are many of a kind, by what is most of them. */
const approximateSize = (doc: DirectoryDoc): number => {
  if (doc.kind === "members") return 300 + doc.members.length * 25;
  if (doc.kind !== "person") return JSON.stringify(doc).length;
  const keys = doc.key ? [doc.key, ...(doc.key.former ?? [])] : [];
  const sealed = [doc.record, doc.productUser?.value, ...keys.map(({ wrapped }) => wrapped)];
  return 500 + sealed.reduce((sum, text) => sum + (text?.length ?? 0), 0);
};
