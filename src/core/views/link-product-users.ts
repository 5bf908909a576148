/**
 * Links many people at once, each with an outcome of its own. What is clear from one look - the person is there, nobody has that
 * product user - goes first, into few transactions. Everything else is then asked as a link by itself, in its order: a product
 * user may have become free meanwhile, and a link by itself says what is wrong.
 */
import { z } from "zod";
import { readHead } from "../connections/change.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import { blindIndex } from "../crypto/key-ring.ts";
import { AppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import { type EntryDraft, ids } from "../store/documents.ts";
import type { Write } from "../store/ports.ts";
import { type LinkNeeds, linkEntry, linkProductUser, ProductUserId, rowOf, withLink } from "./link-product-user.ts";
import { personIdPattern, productUserOf } from "./people.ts";
import { openReadable } from "./readable.ts";

const Link = z.strictObject({ person: z.string().max(100), productUserId: ProductUserId.nullable() });
type Link = z.infer<typeof Link>;

export const LinkProductUsers = z.strictObject({
  items: z
    .array(Link)
    .min(1)
    .max(200)
    .refine((items) => new Set(items.map(({ person }) => person)).size === items.length, "names a person twice"),
});
export type LinkProductUsers = z.infer<typeof LinkProductUsers>;

export const LinkOutcome = z.strictObject({
  person: z.string(),
  productUserId: ProductUserId.nullable(),
  /** `linked`, `unlinked`: it is as was asked for, whether it was before or not. */
  outcome: z.enum(["linked", "unlinked", "refused"]),
  /** Problem code of a refusal. */
  code: z.string().nullable(),
});
export type LinkOutcome = z.infer<typeof LinkOutcome>;

/** Three documents each at most, and a record may have some 50 KB: far from the limits of one transaction. */
const linksPerCommit = 20;

/** A request that broke off can be repeated: what was done stays, and is found done. */
export const linkProductUsers =
  (needs: LinkNeeds) =>
  async (caller: Caller, connectionId: string, { items }: LinkProductUsers): Promise<{ items: LinkOutcome[] }> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    const done = new Set<Link>();
    for (let at = 0; at < items.length; at += linksPerCommit)
      for (const link of await linkTogether(needs, caller, context, items.slice(at, at + linksPerCommit)))
        done.add(link);
    const outcomes: LinkOutcome[] = [];
    for (const link of items)
      outcomes.push(done.has(link) ? asAsked(link) : await linkAlone(needs, caller, connectionId, link));
    return { items: outcomes };
  };

/** The links that now stand; none when somebody else changed one of the documents. */
const linkTogether = async (
  needs: LinkNeeds,
  caller: Caller,
  context: ConnectionContext,
  links: readonly Link[],
): Promise<Set<Link>> => {
  const { ambient, store } = needs;
  const { connectionId, ring } = context;
  const indexOf = (productUserId: string): string => blindIndex(ring, "product-user", productUserId);
  const head = await readHead(store, connectionId);
  const wellFormed = links.filter(({ person }) => personIdPattern.test(person));
  const people = await store.load(
    connectionId,
    "person",
    wellFormed.map(({ person }) => ids.person(person)),
  );
  const before = [...people.values()].flatMap(({ productUser }) => (productUser ? [productUser.index] : []));
  const after = links.flatMap(({ productUserId }) => (productUserId === null ? [] : [indexOf(productUserId)]));
  const rows = await store.load(connectionId, "product-user", [...before, ...after].map(ids.productUser));

  const clear = new Set<Link>();
  const writes: Write[] = [];
  const entries: EntryDraft[] = [];
  for (const link of links) {
    const { person, productUserId } = link;
    const doc = people.get(ids.person(person));
    if (doc?.state !== "active") continue;
    const linked = productUserOf(context, doc);
    const old = doc.productUser ? rows.get(ids.productUser(doc.productUser.index)) : undefined;
    const isTaken = productUserId !== null && rows.has(ids.productUser(indexOf(productUserId)));
    if (linked !== productUserId && (isTaken || (doc.productUser && !old))) continue;
    clear.add(link);
    if (linked === productUserId) continue;
    const next = withLink(ambient, context, doc, productUserId);
    writes.push({ op: "replace", doc: next, etag: doc._etag });
    if (old) writes.push({ op: "delete", id: old.id, etag: old._etag });
    if (next.productUser) writes.push(rowOf(next, next.productUser.index));
    entries.push(linkEntry(ambient, context, caller, doc, { before: linked, after: productUserId }));
  }
  if (writes.length === 0) return clear;
  const { outcome } = await commit(needs, head, { writes, entries });
  return outcome === "committed" ? clear : new Set();
};

const refusals = new Set(["not-found", "conflict"]);

const linkAlone = async (needs: LinkNeeds, caller: Caller, connectionId: string, link: Link): Promise<LinkOutcome> => {
  const { person, productUserId } = link;
  try {
    await linkProductUser(needs)(caller, connectionId, person, undefined, { productUserId });
    return asAsked(link);
  } catch (error) {
    if (!(error instanceof AppError) || !refusals.has(error.kind)) throw error;
    return { person, productUserId, outcome: "refused", code: error.code };
  }
};

const asAsked = ({ person, productUserId }: Link): LinkOutcome => ({
  person,
  productUserId,
  outcome: productUserId === null ? "unlinked" : "linked",
  code: null,
});
