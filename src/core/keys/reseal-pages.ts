/** Everything in a connection that its ring has sealed, page by page, in an order that can be gone on with. */
import { tiers } from "../connections/tiers.ts";
import { type DirectoryDoc, ids, type Kind, type Rekey, type Stored } from "../store/documents.ts";
import type { DirectoryStore, ListedKind, Write } from "../store/ports.ts";
import { resealedWrite } from "../store/resealed.ts";
import { type Resealing, resealed } from "./reseal.ts";

export type Position = NonNullable<Rekey["at"]>;

export interface ResealedPage {
  writes: Write[];
  /** Null: this was the last page. */
  next: Position | null;
}

/** Every kind has to be here, or the compiler objects: what is forgotten would not open once the former keys are gone. */
const readers: { readonly [K in Kind]: "one" | "listed" | "large" | "nothing" } = {
  connection: "one",
  proof: "one",
  security: "one",
  settings: "listed",
  blacklist: "large",
  "product-groups": "large",
  group: "listed",
  operation: "listed",
  person: "listed",
  // Committed with the first page.
  head: "nothing",
  // Clear.
  marker: "nothing",
  members: "nothing",
  "product-user": "nothing",
  // Expires; and what is in the log stays as it was written, or its chain would not hold.
  run: "nothing",
  log: "nothing",
  ring: "nothing",
};

const order = (Object.keys(readers) as Kind[]).filter((kind) => readers[kind] !== "nothing");

export const firstPosition: Position = { kind: order[0] ?? "connection", after: null };

/** Fewer than a commit takes, so that it is not in the way of others for long. */
const documentsPerPage = 60;
const largePerPage = 1;
/** With the head and the ring it stays below what a commit takes. */
const bytesPerPage = 1_200_000;

export const pageAt = async (
  store: Pick<DirectoryStore, "load" | "list">,
  by: Resealing,
  { kind, after }: Position,
): Promise<ResealedPage> => {
  const { found, mayBeMore } = await documentsOf(store, by.connectionId, kind, after);
  const part = fitting(found);
  const writes = part.flatMap((doc) => {
    const again = resealed(by, doc);
    return again === doc || JSON.stringify(again) === JSON.stringify(doc) ? [] : [resealedWrite(doc, again)];
  });
  const last = part.at(-1);
  const isThrough = part.length === found.length && !mayBeMore;
  return { writes, next: isThrough || !last ? kindAfter(kind) : { kind, after: last.id } };
};

const kindAfter = (kind: Kind): Position | null => {
  const next = order[order.indexOf(kind) + 1];
  return next === undefined ? null : { kind: next, after: null };
};

const fitting = (found: readonly Stored<DirectoryDoc>[]): Stored<DirectoryDoc>[] => {
  let bytes = 0;
  return found.filter((doc, index) => (bytes += JSON.stringify(doc).length) <= bytesPerPage || index === 0);
};

const documentsOf = async (
  store: Pick<DirectoryStore, "load" | "list">,
  connectionId: string,
  kind: Kind,
  after: string | null,
): Promise<{ found: Stored<DirectoryDoc>[]; mayBeMore: boolean }> => {
  const reader = readers[kind];
  if (reader === "one") {
    const wanted = kind === "proof" ? tiers.map(ids.proof) : [kind];
    return { found: [...(await store.load(connectionId, kind, wanted)).values()], mayBeMore: false };
  }
  const limit = reader === "large" ? largePerPage : documentsPerPage;
  const found = await store.list(connectionId, kind as ListedKind, { limit, ...(after === null ? {} : { after }) });
  return { found, mayBeMore: found.length === limit };
};
