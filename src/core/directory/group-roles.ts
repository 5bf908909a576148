/**
 * Which groups a connection holds, and as what. Pure.
 *
 *   shown    a group of the tenant as the product sees it
 *   filter   a group that people are chosen by, or that stands for a product group: an id and members, never shown
 *   product  a group of the product: its members are those of the groups that stand for it
 *   scope    the members of all selected groups together: whom `people.from: "groups"` means
 *
 * A group that changes its role becomes another document: the product is told of its end or its beginning like of any other's.
 */
import type { Settings } from "../connections/settings.ts";
import { type KeyRing, mac } from "../crypto/key-ring.ts";
import { groupKind } from "./scope.ts";

export type GroupRole = "shown" | "filter" | "product" | "scope";

/** Ids of groups that are members, for one group. */
export type Closure = ReadonlySet<string>;

/** Groups that people are chosen by, and groups that stand for product groups, with those nested in them. */
export interface Closures {
  scope: Closure;
  sources: Closure;
}

/** A group whose members are those of others. */
export interface Derived {
  /** Of its document. */
  id: string;
  role: "product" | "scope";
  /** Of the product group. */
  of: string | null;
  /** Object ids of the groups it is made from. */
  roots: readonly string[];
}

const asGuid = (bytes: Buffer): string => {
  const hex = bytes.subarray(0, 16).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
};

const keyedId = (ring: Pick<KeyRing, "index">, text: string): string => asGuid(mac(ring, "group", text));

export const filterId = (ring: Pick<KeyRing, "index">, group: string): string => keyedId(ring, `filter ${group}`);
export const scopeId = (ring: Pick<KeyRing, "index">): string => keyedId(ring, "scope");
export const productGroupDocumentId = (ring: Pick<KeyRing, "index">, productGroup: string): string =>
  keyedId(ring, `product ${productGroup}`);

export const documentId = (ring: Pick<KeyRing, "index">, role: "shown" | "filter", group: string): string =>
  role === "shown" ? group : filterId(ring, group);

export const isShown = (role: GroupRole): boolean => role === "shown" || role === "product";

/** What a group of the tenant is to this connection; null = nothing. */
export const roleOf = (
  settings: Pick<Settings, "people" | "groups">,
  closures: Closures,
  group: string,
  fields: Readonly<Record<string, unknown>>,
): "shown" | "filter" | null => {
  const kind = groupKind(fields);
  if (kind !== null && settings.groups.kinds[kind] && mayBeShown(settings, closures, group)) return "shown";
  return closures.scope.has(group) || closures.sources.has(group) ? "filter" : null;
};

/** If it is of a kind that is wanted. */
export const mayBeShown = (
  settings: Pick<Settings, "people" | "groups">,
  closures: Closures,
  group: string,
): boolean => {
  const { groups, people } = settings;
  const isChosen = people.from === "everybody" || closures.scope.has(group);
  return groups.include && groups.unmapped === "import" && isChosen && !sourcesOf(settings).has(group);
};

const sourcesOf = ({ groups }: Pick<Settings, "groups">): Map<string, string> =>
  new Map(groups.include ? groups.mapping.map(({ group, productGroup }) => [group, productGroup]) : []);

/** Groups whose members matter beyond their own membership. */
export const scopeRoots = ({ people }: Pick<Settings, "people">): readonly string[] =>
  people.from === "groups" ? people.groups : [];
export const sourceRoots = (settings: Pick<Settings, "groups">): readonly string[] => [...sourcesOf(settings).keys()];

/** In the order in which they are planned. */
export const derivedGroups = (
  ring: Pick<KeyRing, "index">,
  settings: Pick<Settings, "people" | "groups">,
): Derived[] => {
  const products = Map.groupBy(sourcesOf(settings), ([, productGroup]) => productGroup);
  const derived: Derived[] = [...products].map(([productGroup, sources]) => ({
    id: productGroupDocumentId(ring, productGroup),
    role: "product",
    of: productGroup,
    roots: sources.map(([group]) => group).toSorted(),
  }));
  const roots = scopeRoots(settings);
  if (roots.length > 0) derived.push({ id: scopeId(ring), role: "scope", of: null, roots: roots.toSorted() });
  return derived.toSorted((a, b) => (a.id < b.id ? -1 : 1));
};
