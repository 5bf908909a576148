/** Whether people may sign in through a connection now. What cannot be used and what does not exist look alike. */
import { contextFor, type OpenedConnection, type OpenNeeds, tenantInUse } from "../connections/open.ts";
import { isAppError } from "../errors.ts";
import { ids } from "../store/documents.ts";
import { mayUse, type SsoClient } from "./clients.ts";

const connectionIdPattern = /^[0-9a-z]{26}$/;

export interface UsableConnection extends OpenedConnection {
  /** Of the approval that was redeemed on this very connection. */
  tid: string;
}

/** Only an active approval of `signIn` counts: one that was withdrawn, or another tier's, lets nobody in. */
export const usableConnection =
  (needs: OpenNeeds) =>
  async (client: SsoClient, connectionId: string): Promise<UsableConnection | null> => {
    if (!connectionIdPattern.test(connectionId)) return null;
    const doc = await needs.store.read(connectionId, "connection", ids.connection);
    if (!doc || !mayUse(client, doc.workspaceId) || doc.tiers.signIn.state !== "active") return null;
    const tid = tenantInUse(doc);
    if (tid === null) return null;
    try {
      return { doc, tid, context: await contextFor(needs)(doc) };
    } catch (error) {
      if (isAppError(error, "key-missing")) return null;
      throw error;
    }
  };
