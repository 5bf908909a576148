/**
 * Links a person to a user of the product, or ends the link. A create-only row named by the keyed hash of the product's user id
 * makes the link unique in its connection, also between two requests at the same instant. E-mail never links by itself.
 */
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import { draftEntry } from "../audit/change-log.ts";
import { actorOf, type EntryDraft } from "../audit/entries.ts";
import { readHead } from "../connections/change.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import { blindIndex, openPersonKey } from "../crypto/key-ring.ts";
import { seal } from "../crypto/seal.ts";
import { productUserPlace } from "../directory/places.ts";
import { AppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import { ids, type PersonDoc, personOf, type Stored } from "../store/documents.ts";
import type { Write } from "../store/ports.ts";
import { personDoc, productUserOf } from "./people.ts";
import { openReadable, type ViewNeeds } from "./readable.ts";

export const ProductUserId = z
  .string()
  .min(1)
  .max(200)
  .refine((text) => !/[\p{Cc}\p{Cs}]/u.test(text), "contains control characters or half a character");

export const LinkProductUser = z.strictObject({ productUserId: ProductUserId.nullable() });
export type LinkProductUser = z.infer<typeof LinkProductUser>;

/** The link and no attribute of the person: who may link need not have the right to read the directory. */
export const PersonLink = z.strictObject({ id: z.string(), productUserId: z.string().nullable(), etag: z.string() });
export type PersonLink = z.infer<typeof PersonLink>;

export interface LinkNeeds extends ViewNeeds {
  ambient: Ambient;
}

const maxAttempts = 5;

export const linkProductUser =
  (needs: LinkNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    personId: string,
    ifMatch: string | undefined,
    { productUserId }: LinkProductUser,
  ): Promise<PersonLink> => {
    const { ambient, store } = needs;
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const doc = await personDoc(store, connectionId, personId);
      if (ifMatch !== undefined && ifMatch !== doc._etag) throw new AppError("etag-mismatch");
      const before = linkable(doc, productUserId) ? productUserOf(context, doc) : null;
      if (before === productUserId) return linkOf(context, doc);
      const next = withLink(ambient, context, doc, productUserId);
      const rows = await rowWrites(needs, doc, next);
      if (!rows) continue;
      const result = await commit(needs, await readHead(store, connectionId), {
        writes: [{ op: "replace", doc: next, etag: doc._etag }, ...rows],
        entries: [linkEntry(ambient, context, caller, doc, { before, after: productUserId })],
      });
      if (result.outcome === "committed") return linkOf(context, await personDoc(store, connectionId, personId));
      if (result.outcome === "moved" && next.productUser && result.id === ids.productUser(next.productUser.index))
        throw new AppError("product-user-taken", { field: "productUserId" });
    }
    throw new AppError("changed-meanwhile");
  };

const linkOf = (context: ConnectionContext, doc: Stored<PersonDoc>): PersonLink => ({
  id: personOf(doc.id),
  productUserId: productUserOf(context, doc),
  etag: doc._etag,
});

export const linkEntry = (
  ambient: Ambient,
  { ring, connectionId }: ConnectionContext,
  caller: Caller,
  doc: PersonDoc,
  link: { before: string | null; after: string | null },
): EntryDraft => {
  const personId = personOf(doc.id);
  return draftEntry(ambient, ring, connectionId, {
    kind: "product-user",
    op: "changed",
    object: personId,
    cause: "api",
    correlationId: caller.correlationId,
    changes: [{ field: "productUserId", ...link }],
    key: openPersonKey(ring, connectionId, personId, doc.key),
    actor: actorOf(caller),
  });
};

/** A link begins only with somebody who is synchronised; it can always be ended while the person is kept. */
const linkable = (doc: PersonDoc, productUserId: string | null): boolean => {
  if (doc.state === "removed" || doc.state === "erased") throw new AppError("person-not-found");
  if (productUserId !== null && doc.state !== "active")
    throw new AppError("state-conflict", { detail: "The person is not active." });
  return true;
};

export const withLink = (
  ambient: Ambient,
  { connectionId, ring }: ConnectionContext,
  { _etag, ...doc }: Stored<PersonDoc>,
  productUserId: string | null,
): PersonDoc => {
  if (productUserId === null) return { ...doc, productUser: null };
  const personId = personOf(doc.id);
  const key = openPersonKey(ring, connectionId, personId, doc.key);
  const value = seal(ambient, key, productUserPlace(connectionId, personId), productUserId);
  return { ...doc, productUser: { value, index: blindIndex(ring, "product-user", productUserId) } };
};

/** Null when the row of the old link is not there: the person was read while somebody else changed it. */
const rowWrites = async ({ store }: LinkNeeds, before: PersonDoc, after: PersonDoc): Promise<Write[] | null> => {
  const { connectionId } = after;
  const writes: Write[] = [];
  if (before.productUser) {
    const row = await store.read(connectionId, "product-user", ids.productUser(before.productUser.index));
    if (!row) return null;
    writes.push({ op: "delete", id: row.id, etag: row._etag });
  }
  if (after.productUser) writes.push(rowOf(after, after.productUser.index));
  return writes;
};

export const rowOf = ({ connectionId, id }: PersonDoc, index: string): Write => ({
  op: "create",
  doc: { id: ids.productUser(index), kind: "product-user", connectionId, v: 1, personId: personOf(id) },
});
