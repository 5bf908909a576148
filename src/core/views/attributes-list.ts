/** The published list of Graph properties that a field of the product can be filled from. */
import { z } from "zod";
import type { Caller } from "../context.ts";
import { attributeCatalogue, type CatalogueEntry, decisive } from "../directory/attributes.ts";
import { openReadable, type ViewNeeds } from "./readable.ts";

export const AttributeView = z.strictObject({
  name: z.string(),
  type: z.enum(["string", "strings", "boolean"]),
  /** Application permission that gives it. */
  permission: z.string(),
  freshness: z.enum(["follows-changes"]),
  /** In the settings of a new connection. */
  byDefault: z.boolean(),
  description: z.string(),
  /** The sync scope decides by it: it is read of everybody, mapped or not. */
  decisive: z.boolean(),
  /** Of the fields that it fills: they are never written back, and a change in the product is overwritten. */
  managedBy: z.literal("entra"),
  /** Fields of the product that the settings fill from it. */
  mappedTo: z.array(z.string()),
});
export type AttributeView = z.infer<typeof AttributeView>;

const deciding = new Set<string>(decisive);

/** Without a connection: nothing is mapped. Every property of the list is tracked by the feed of users. */
export const publishedAttributes: readonly Omit<AttributeView, "mappedTo">[] = Object.entries<CatalogueEntry>(
  attributeCatalogue,
).map(([name, { type, byDefault, description }]) => ({
  name,
  type,
  permission: "User.Read.All",
  freshness: "follows-changes",
  managedBy: "entra",
  byDefault,
  description,
  decisive: deciding.has(name),
}));

export const listAttributes =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string): Promise<{ items: AttributeView[] }> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    const fields = Object.entries(context.settings.attributes);
    return {
      items: publishedAttributes.map((attribute) => ({
        ...attribute,
        mappedTo: fields.flatMap(([field, { from }]) => (from === attribute.name ? [field] : [])),
      })),
    };
  };
