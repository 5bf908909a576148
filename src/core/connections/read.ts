/** Lists and reads the connections of a workspace. */
import type { Caller } from "../context.ts";
import { isAppError } from "../errors.ts";
import type { ConnectionIndex, DirectoryStore, Page } from "../store/ports.ts";
import { readHead } from "./change.ts";
import { type OpenNeeds, openConnection } from "./open.ts";
import { type ConnectionView, connectionView } from "./views.ts";

export interface ReadNeeds extends OpenNeeds {
  store: Pick<DirectoryStore, "read">;
}

export const readConnection =
  (needs: ReadNeeds) =>
  async (caller: Caller, connectionId: string): Promise<ConnectionView> => {
    const { doc, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    return connectionView(doc, await readHead(needs.store, connectionId), context.ring);
  };

/** In the order they were made. `next` is the id to continue after. */
export const listConnections =
  (needs: ReadNeeds & { index: Pick<ConnectionIndex, "list"> }) =>
  async (caller: Caller, page: { after?: string; limit: number }): Promise<Page<ConnectionView>> => {
    const rows = await needs.index.list(caller.workspaceId, { ...page, limit: page.limit + 1 });
    const shown = rows.slice(0, page.limit);
    const views = await Promise.all(shown.map(({ id }) => readConnection(needs)(caller, id).catch(absent)));
    return {
      items: views.filter((view) => view !== null),
      next: rows.length > page.limit ? (shown.at(-1)?.id ?? null) : null,
    };
  };

/** The row is written before its connection and goes after it. */
const absent = (error: unknown): null => {
  if (isAppError(error, "connection-not-found")) return null;
  throw error;
};
