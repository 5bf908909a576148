/** Finds groups in the directory of the tenant, now, for whoever chooses them in the settings. Nothing is stored. */
import { z } from "zod";
import type { Caller } from "../context.ts";
import type { DirectorySearch } from "../directory/ports.ts";
import { groupKind } from "../directory/scope.ts";
import { ids } from "../store/documents.ts";
import { openLive, type SearchRequest } from "./live.ts";
import type { ViewNeeds } from "./readable.ts";

export const GroupHit = z.strictObject({
  /** Object id, as the settings name groups. */
  id: z.string(),
  displayName: z.string().nullable(),
  /** Null: of no kind that people could be chosen by. */
  kind: z.enum(["microsoft365", "security", "mailEnabledSecurity", "distribution"]).nullable(),
  description: z.string().nullable(),
  /** People are chosen by it. */
  selected: z.boolean(),
  /** The product sees it. */
  shown: z.boolean(),
});
export type GroupHit = z.infer<typeof GroupHit>;

export const GroupsFound = z.strictObject({ items: z.array(GroupHit), more: z.boolean() });
export type GroupsFound = z.infer<typeof GroupsFound>;

export const searchGroups =
  (needs: ViewNeeds & { search: Pick<DirectorySearch, "groups"> }) =>
  async (caller: Caller, connectionId: string, { text, limit }: SearchRequest): Promise<GroupsFound> => {
    const { context } = await openLive(needs)(caller, connectionId);
    const found = await needs.search.groups(context, { text, limit: limit + 1 });
    const groups = found.slice(0, limit);
    const stored =
      groups.length === 0
        ? null
        : await needs.store.load(
            connectionId,
            "group",
            groups.map(({ id }) => ids.group(id)),
          );
    const { people } = context.settings;
    const items = groups.map(({ id, properties }) => ({
      id,
      displayName: textOf(properties.displayName),
      kind: groupKind(properties),
      description: textOf(properties.description),
      selected: people.from === "groups" && people.groups.includes(id),
      shown: stored?.get(ids.group(id))?.shown ?? false,
    }));
    return { items, more: found.length > limit };
  };

const textOf = (value: unknown): string | null => (typeof value === "string" && value.trim() !== "" ? value : null);
