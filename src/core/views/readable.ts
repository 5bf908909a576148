/** Opens a connection for reading what it holds. While it is being deleted nothing of it is shown. */
import { requireOpen } from "../connections/change.ts";
import { type OpenedConnection, openConnection } from "../connections/open.ts";
import type { Keys } from "../crypto/keys.ts";
import type { DirectoryStore } from "../store/ports.ts";

export interface ViewNeeds {
  store: DirectoryStore;
  keys: Pick<Keys, "ring">;
}

export interface PageRequest {
  /** Where the page before ended, as its `next` said. */
  after?: string;
  limit: number;
}

export const openReadable =
  (needs: ViewNeeds) =>
  async (workspaceId: string, connectionId: string): Promise<OpenedConnection> => {
    const opened = await openConnection(needs)(workspaceId, connectionId);
    requireOpen(opened.doc);
    return opened;
  };

/** `found` was asked for with one more than `limit`, to learn whether there is more. */
export const pageOf = <T extends { id: string }>(
  found: readonly T[],
  limit: number,
): { shown: T[]; next: string | null } => {
  const shown = found.slice(0, limit);
  return { shown, next: found.length > limit ? (shown.at(-1)?.id ?? null) : null };
};

export const from = (after: string | undefined): { after?: string } => (after === undefined ? {} : { after });
