/**
 * The change log: one gap-free, hash-chained sequence per connection.
 *
 * A log document is the part of one commit: entries `first`..`last`, and `body`, the JSON text of the list of entries.
 *   chain = SHA-256(prev || first || last || body), numbers as 8 bytes big-endian, body as UTF-8; start = SHA-256(connection id)
 * It is defined on stored bytes, so it can be verified without any key and still holds after content was erased.
 */
import { createHash } from "node:crypto";
import { type Ambient, iso } from "../ambient.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { type ContentKey, open, type Place, type Sealed, seal } from "../crypto/seal.ts";
import { ids, type LogDoc } from "../store/documents.ts";
import { type Actor, EntryDraft, type FieldChange, type FieldTriple, subjectsOf } from "./entries.ts";
import { usualLogSeconds } from "./retention.ts";

export const chainStart = (connectionId: string): string => createHash("sha256").update(connectionId).digest("hex");

export const chainNext = (prev: string, first: number, last: number, body: string): string => {
  const numbers = Buffer.alloc(16);
  numbers.writeBigUInt64BE(BigInt(first), 0);
  numbers.writeBigUInt64BE(BigInt(last), 8);
  return createHash("sha256").update(Buffer.from(prev, "hex")).update(numbers).update(body, "utf8").digest("hex");
};

const texts = new WeakMap<EntryDraft, string>();

/** JSON of an entry; kept with it, so that it can be made ahead, and is not made again for each head a commit is laid on. */
export const printed = (entry: EntryDraft): string => {
  const text = texts.get(entry) ?? JSON.stringify(entry);
  texts.set(entry, text);
  return text;
};

/** The log document of a commit that follows number `sequence` with chain value `prev`. */
export const logDocument = (
  connectionId: string,
  at: { sequence: number; chain: string },
  time: number,
  entries: readonly EntryDraft[],
  ttl: number = usualLogSeconds,
): { doc: LogDoc; sequence: number; chain: string } => {
  const first = at.sequence + 1;
  const last = at.sequence + entries.length;
  const body = `[${entries.map(printed).join(",")}]`;
  const doc: LogDoc = {
    id: ids.log(first),
    kind: "log",
    connectionId,
    v: 1,
    first,
    last,
    prev: at.chain,
    at: iso(time),
    subjects: subjectsOf(entries),
    body,
    ttl,
  };
  return { doc, sequence: last, chain: chainNext(at.chain, first, last, body) };
};

/** More than one commit ever holds. */
const maxEntries = 10_000;

/**
 * Also of a document that somebody has altered: what is no entry any more stands in its place as `entry.unreadable`, so that
 * nobody is kept from what follows. Which document it is, verification says.
 */
export const entriesOf = (
  doc: Pick<LogDoc, "id" | "at" | "first" | "last" | "body">,
): (EntryDraft & { sequence: number })[] => {
  const found = listIn(doc.body) ?? [];
  const length = Math.min(Math.max(doc.last - doc.first + 1, 0), maxEntries);
  return Array.from({ length }, (_, index) => ({
    ...(EntryDraft.safeParse(found[index]).data ?? unreadable(`${doc.id}:${index}`, doc.at)),
    sequence: doc.first + index,
  }));
};

const unreadable = (id: string, at: string): EntryDraft => ({
  id,
  at,
  kind: "entry",
  op: "unreadable",
  object: "",
  cause: "",
});

const listIn = (body: string): unknown[] | null => {
  try {
    const list: unknown = JSON.parse(body);
    return Array.isArray(list) ? list : null;
  } catch {
    return null;
  }
};

export type ChainFault = { sequence: number; fault: "gap" | "prev" | "order" };

/** The first document that does not follow from the one before, or null. `from` is the trusted value before the first one. */
export const verifyChain = (
  docs: readonly Pick<LogDoc, "first" | "last" | "prev" | "body">[],
  from: { sequence: number; chain: string },
): { fault: ChainFault | null; sequence: number; chain: string } => {
  let { sequence, chain } = from;
  for (const doc of docs) {
    if (doc.first !== sequence + 1) return { fault: { sequence: doc.first, fault: "gap" }, sequence, chain };
    if (doc.prev !== chain) return { fault: { sequence: doc.first, fault: "prev" }, sequence, chain };
    if (doc.last - doc.first + 1 !== (listIn(doc.body)?.length ?? -1))
      return { fault: { sequence: doc.first, fault: "order" }, sequence, chain };
    chain = chainNext(chain, doc.first, doc.last, doc.body);
    sequence = doc.last;
  }
  return { fault: null, sequence, chain };
};

const entryPlace = (connectionId: string, entryId: string, fields: "changes" | "actor"): Place => ({
  container: "log",
  partition: connectionId,
  document: entryId,
  fields,
});

export interface EntryInput extends Omit<EntryDraft, "id" | "at" | "changes" | "actor"> {
  /** Before and after, sealed under `key`: the person's key for people, the ring's sealing key for the rest. */
  changes?: readonly FieldChange[];
  key?: ContentKey;
  /** Sealed under the ring; absent for what the system did. */
  actor?: Actor;
}

/** An entry that has nothing to seal: it can be made also when the keys are out of reach. */
export const plainEntry = (ambient: Ambient, input: Omit<EntryInput, "changes" | "key" | "actor">): EntryDraft => ({
  id: ambient.ulid(),
  at: iso(ambient.now()),
  ...input,
});

export const draftEntry = (ambient: Ambient, ring: KeyRing, connectionId: string, input: EntryInput): EntryDraft => {
  const { changes, key, actor, ...clear } = input;
  const entry = plainEntry(ambient, clear);
  const { id } = entry;
  const triples = (changes ?? []).map(({ field, before, after }): FieldTriple => [field, before, after]);
  return {
    ...entry,
    ...(triples.length > 0
      ? { changes: seal(ambient, key ?? ring.sealing, entryPlace(connectionId, id, "changes"), triples) }
      : {}),
    ...(actor ? { actor: seal(ambient, ring.sealing, entryPlace(connectionId, id, "actor"), actor) } : {}),
  };
};

export const openChanges = (key: ContentKey, connectionId: string, entry: EntryDraft): FieldChange[] =>
  entry.changes
    ? open(key, entryPlace(connectionId, entry.id, "changes"), entry.changes).map(([field, before, after]) => ({
        field,
        before,
        after,
      }))
    : [];

export const openActor = (ring: KeyRing, connectionId: string, entry: EntryDraft & { actor: Sealed<Actor> }): Actor =>
  open(ring.sealing, entryPlace(connectionId, entry.id, "actor"), entry.actor);
