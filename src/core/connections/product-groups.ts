/** The groups that the product offers, for groups of the directory to be mapped onto. Their names are the customer's: sealed. */
import { z } from "zod";
import type { Caller } from "../context.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import type { Keys } from "../crypto/keys.ts";
import { open, type Place, seal } from "../crypto/seal.ts";
import { AppError } from "../errors.ts";
import { type ConnectionDoc, ids, type ProductGroup, type ProductGroupsDoc } from "../store/documents.ts";
import type { DirectoryStore, Page } from "../store/ports.ts";
import { listChanges, named, requireRoom } from "./blacklist.ts";
import { type ChangeNeeds, changeConnection, entryOf, requireMatch, requireOpen } from "./change.ts";
import { openConnection } from "./open.ts";

export const ProductGroupView = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9._:-]{1,128}$/, "1 to 128 letters, digits, `.`, `_`, `:` or `-`."),
  name: z.string().trim().min(1).max(256),
});

export const ChangeProductGroups = z.strictObject({
  items: z
    .array(ProductGroupView)
    .max(2000)
    .refine((items) => new Set(items.map(({ id }) => id)).size === items.length, "A group is named once."),
});
export type ChangeProductGroups = z.infer<typeof ChangeProductGroups>;

export const ProductGroupsAnswer = z.strictObject({ version: z.int(), count: z.int(), etag: z.string() });
export type ProductGroupsAnswer = z.infer<typeof ProductGroupsAnswer>;

/** Whoever has read the version before finishes with it. */
const supersededTtlSeconds = 86_400;

const place = (connectionId: string, document: string): Place => ({
  container: "directory",
  partition: connectionId,
  document,
  fields: "groups",
});

/** In the order of their ids. */
export const openProductGroups =
  ({ store }: { store: Pick<DirectoryStore, "read"> }) =>
  async (
    { connectionId, productGroups }: Pick<ConnectionDoc, "connectionId" | "productGroups">,
    ring: KeyRing,
  ): Promise<ProductGroup[]> => {
    if (productGroups.version === 0) return [];
    const doc = await store.read(connectionId, "product-groups", ids.productGroups(productGroups.version));
    if (!doc) throw new AppError("store-unavailable", { detail: "The product groups are missing." });
    return open(ring.sealing, place(connectionId, doc.id), doc.groups);
  };

export const listProductGroups =
  (needs: { store: Pick<DirectoryStore, "read">; keys: Pick<Keys, "ring"> }) =>
  async (
    caller: Caller,
    connectionId: string,
    page: { after?: string; limit: number },
  ): Promise<Page<ProductGroup> & ProductGroupsAnswer> => {
    const { doc, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const { after = "" } = page;
    const rest = (await openProductGroups(needs)(doc, context.ring)).filter(({ id }) => id > after);
    const items = rest.slice(0, page.limit);
    return { items, next: rest.length > page.limit ? (items.at(-1)?.id ?? null) : null, ...answerOf(doc) };
  };

export const changeProductGroups =
  (needs: ChangeNeeds & { keys: Pick<Keys, "ring"> }) =>
  async (
    caller: Caller,
    connectionId: string,
    ifMatch: string | undefined,
    { items }: ChangeProductGroups,
  ): Promise<ProductGroupsAnswer> => {
    const { ambient } = needs;
    const list = items.toSorted((one, other) => (one.id < other.id ? -1 : 1));
    requireRoom(list, "items");
    const { doc: opened, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const { doc } = await changeConnection(needs)(opened, async (current) => {
      if (ifMatch !== undefined) requireMatch(ifMatch, answerOf(current).etag);
      requireOpen(current);
      requireMapped(current, list);
      const before = await openProductGroups(needs)(current, context.ring);
      const changes = changesOf(before, list);
      if (changes.length === 0) return null;
      const { version } = current.productGroups;
      const productGroups = { version: version + 1, count: list.length };
      return {
        doc: { ...current, productGroups },
        writes: [
          { op: "create", doc: productGroupsDoc(needs, context.ring, connectionId, productGroups.version, list) },
          ...(version === 0
            ? []
            : [{ op: "expire" as const, id: ids.productGroups(version), ttlSeconds: supersededTtlSeconds }]),
        ],
        entries: [
          entryOf(ambient, context, caller, {
            kind: "settings",
            op: "updated",
            object: "connection",
            changes: [{ field: "productGroups", before: current.productGroups, after: productGroups }, ...changes],
          }),
        ],
      };
    });
    return answerOf(doc);
  };

const productGroupsDoc = (
  { ambient }: Pick<ChangeNeeds, "ambient">,
  ring: KeyRing,
  connectionId: string,
  version: number,
  list: ProductGroup[],
): ProductGroupsDoc => {
  const id = ids.productGroups(version);
  const groups = seal(ambient, ring.sealing, place(connectionId, id), list);
  return { id, kind: "product-groups", connectionId, v: 1, groups };
};

const answerOf = ({ productGroups }: Pick<ConnectionDoc, "productGroups">): ProductGroupsAnswer => ({
  ...productGroups,
  etag: `"p${productGroups.version}"`,
});

/** The settings would stand on something that is not there. */
const requireMapped = ({ settings }: ConnectionDoc, list: readonly ProductGroup[]): void => {
  const offered = new Set(list.map(({ id }) => id));
  const orphan = settings.groups.mapping.findIndex(({ productGroup }) => !offered.has(productGroup));
  if (orphan >= 0) throw new AppError("product-group-in-use", { field: `groups.mapping.${orphan}.productGroup` });
};

const changesOf = (before: readonly ProductGroup[], after: readonly ProductGroup[]) => {
  const names = new Map(before.map(({ id, name }) => [id, name]));
  const renamed = after.filter(({ id, name }) => (names.get(id) ?? name) !== name).map(({ id }) => id);
  return [
    ...listChanges(
      "productGroups",
      [...names.keys()],
      after.map(({ id }) => id),
    ),
    ...(renamed.length > 0 ? [{ field: "productGroups.renamed", before: null, after: named(renamed) }] : []),
  ];
};
