/**
 * Which change needs which record. `commit` refuses a batch in which an entry is missing, so no path through the code can store a
 * change that nobody is told of. A new kind of document has to have a rule here, or the compiler objects.
 *
 * A batch shows what a document becomes and not what it was. Where a document also holds what only the sync needs - facts that
 * the scope decides by, shards with people who are not synchronised - its replacement alone says nothing; the rule is then
 * for what can only be a change: that it comes, goes, or is in another state.
 */
import type { DirectoryDoc, DocOf, Kind } from "../store/documents.ts";
import type { Expiry, Write } from "../store/ports.ts";
import type { EntryDraft, EntryKind } from "./entries.ts";

/** Kinds of entries, one of which has to be about it. `object`: of exactly this one. */
interface Need {
  kinds: readonly EntryKind[];
  object?: string;
}

type Rule<K extends Kind> = (doc: DocOf<K>, op: "create" | "replace") => Need | "none" | "never";

const none = () => "none" as const;
/** Only commit itself writes it. */
const never = () => "never" as const;
const by =
  (...kinds: EntryKind[]) =>
  (): Need => ({ kinds });

const rules: { [K in Kind]: Rule<K> } = {
  head: never,
  log: never,
  connection: (doc) => (doc.state === "closing" ? { kinds: ["connection"] } : "none"),
  ring: (doc) => {
    const isRotated = doc.rotation !== undefined && doc.rotation.to === doc.generation;
    return isRotated || doc.rekey?.phase === "announced" ? { kinds: ["security"], object: "keys" } : "none";
  },
  proof: by("tier"),
  security: by("security"),
  settings: by("settings"),
  blacklist: by("settings"),
  "product-groups": by("settings"),
  person: (doc, op) =>
    op === "create" || doc.state !== "active" ? { kinds: ["person", "product-user"], object: doc.id.slice(2) } : "none",
  marker: (doc) => ({ kinds: ["person"], object: doc.id.slice(2) }),
  "product-user": (doc) => ({ kinds: ["product-user"], object: doc.personId }),
  group: (doc, op) => (op === "create" && doc.shown ? { kinds: ["group"], object: doc.id.slice(2) } : "none"),
  operation: (doc, op) => (op === "create" ? { kinds: ["operation"], object: doc.id.slice(2) } : "none"),
  members: none,
  run: none,
};

/** What is deleted is known by its id. Groups and shards that only the sync needs come and go without a word. */
const deletions: readonly [prefix: string, need: (id: string) => Need | "never"][] = [
  ["u:", (id) => ({ kinds: ["person"], object: id.slice(2) })],
  ["p:", by("product-user", "person")],
  ["x:", (id) => ({ kinds: ["person"], object: id.slice(2) })],
  ["o:", (id) => ({ kinds: ["operation"], object: id.slice(2) })],
  ["l:", never],
  ["s:", never],
  ["b:", never],
  ["pg:", never],
  ["proof:", by("tier")],
  ["connection", never],
  ["security", never],
  ["ring", never],
  ["head", never],
];

/** Kind or id prefix of the first write that lacks its record; null: every change has one. */
export const unrecorded = (writes: readonly (Write | Expiry)[], entries: readonly EntryDraft[]): string | null => {
  const told = new Set(entries.flatMap(({ kind, object }) => [kind, `${kind} ${object}`]));
  for (const write of writes) {
    const need = needOf(write);
    if (need === "none") continue;
    const what = "doc" in write ? write.doc.kind : (write.id.split(":")[0] ?? "");
    if (need === "never") return what;
    const { kinds, object } = need;
    if (!kinds.some((kind) => told.has(object === undefined ? kind : `${kind} ${object}`))) return what;
  }
  return null;
};

const needOf = (write: Write | Expiry): Need | "none" | "never" => {
  if (write.op === "expire" || (write.op === "replace" && write.resealed)) return "none";
  if (write.op === "delete") return deletions.find(([prefix]) => write.id.startsWith(prefix))?.[1](write.id) ?? "none";
  return ruleOf(write.doc.kind)(write.doc, write.op);
};

/** The table pairs every kind with the rule for its own documents. */
const ruleOf = (kind: Kind) => rules[kind] as (doc: DirectoryDoc, op: "create" | "replace") => Need | "none" | "never";
