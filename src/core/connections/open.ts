/** The one place that decides whether a workspace has a connection. What another workspace has does not exist for it. */
import type { ConnectionContext } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { scheduleOf } from "../directory/schedule.ts";
import { AppError, isAppError } from "../errors.ts";
import { type ConnectionDoc, ids, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { isRedeemed } from "./tiers.ts";

export interface OpenNeeds {
  store: Pick<DirectoryStore, "read">;
  keys: Pick<Keys, "ring">;
}

export interface OpenedConnection {
  doc: Stored<ConnectionDoc>;
  context: ConnectionContext;
}

export const connectionIdPattern = /^[0-9a-z]{26}$/;

/** Throws `connection-not-found`, the same for an id that is malformed, unknown, or another workspace's. */
export const openConnection =
  (needs: OpenNeeds) =>
  async (workspaceId: string, connectionId: string): Promise<OpenedConnection> => {
    const doc = connectionIdPattern.test(connectionId)
      ? await needs.store.read(connectionId, "connection", ids.connection)
      : null;
    if (doc?.workspaceId !== workspaceId) throw new AppError("connection-not-found");
    try {
      return { doc, context: await contextFor(needs)(doc) };
    } catch (error) {
      // Its deletion has begun: what is left of it can no longer be opened.
      if (doc.state === "closing" && isAppError(error, "key-missing")) throw new AppError("connection-not-found");
      throw error;
    }
  };

/** For the worker, which has its connection from head and not from a caller. */
export const contextFor =
  ({ keys }: Pick<OpenNeeds, "keys">) =>
  async (doc: ConnectionDoc): Promise<ConnectionContext> => ({
    connectionId: doc.connectionId,
    workspaceId: doc.workspaceId,
    // Without a tenant id nothing can be asked of Microsoft: a directory that may not be read cannot be read by mistake.
    tid: directoryTenant(doc) ?? "",
    ring: await keys.ring(doc.connectionId),
    // The end of a run says when the next one is due.
    settings: scheduleOf(doc),
  });

/** The tenant once the product has redeemed the approval, until the connection closes; else null. */
export const tenantInUse = (doc: Pick<ConnectionDoc, "state" | "tid">): string | null =>
  doc.state === "active" || doc.state === "needs-attention" ? doc.tid : null;

/**
 * The tenant whose directory this connection may read; else null. The grant lies with the tenant, where another workspace may
 * have obtained it, and another tier takes less of an administrator: only the connection's own approval of `read` counts.
 */
export const directoryTenant = (doc: Pick<ConnectionDoc, "state" | "tid" | "tiers">): string | null =>
  isRedeemed(doc.tiers.read) ? tenantInUse(doc) : null;
