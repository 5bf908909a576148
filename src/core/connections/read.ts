/** Lists and reads the connections of a workspace. */
import type { Caller } from "../context.ts";
import { isAppError } from "../errors.ts";
import { countDead, type WatchNeeds } from "../feed/consumers.ts";
import type { Ledger } from "../notifications/ports.ts";
import { type SubscriptionView, viewSubscriptions } from "../notifications/view.ts";
import { ids } from "../store/documents.ts";
import type { ConnectionIndex, ConnectionRow, DirectoryStore, Page } from "../store/ports.ts";
import { readHead } from "./change.ts";
import { type OpenNeeds, openConnection } from "./open.ts";
import { callerOn } from "./security.ts";
import { type ConnectionView, connectionView } from "./views.ts";

export interface ReadNeeds extends OpenNeeds, WatchNeeds {
  ledger: Pick<Ledger, "read">;
  store: Pick<DirectoryStore, "read" | "loggedAt">;
}

export interface ConnectionDetails extends ConnectionView {
  /** Consumers of the change feed that have stopped to acknowledge, while changes wait for them. */
  deadConsumers: number;
  /** What tells of changes at once; none: the connection is looked at by schedule, or by hand. */
  subscriptions: SubscriptionView[];
}

export const readConnection =
  (needs: ReadNeeds) =>
  async (caller: Caller, connectionId: string): Promise<ConnectionDetails> => {
    const { doc, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const head = await readHead(needs.store, connectionId);
    const [deadConsumers, subscriptions] = await Promise.all([
      countDead(needs, head),
      viewSubscriptions(needs.ledger, head),
    ]);
    return { ...connectionView(doc, head, context.ring), deadConsumers, subscriptions };
  };

/** In the order they were made. `next` is the id to continue after. */
export const listConnections =
  (needs: ReadNeeds & { index: Pick<ConnectionIndex, "list" | "remove"> }) =>
  async (caller: Caller, page: { after?: string; limit: number }): Promise<Page<ConnectionDetails>> => {
    const rows = await needs.index.list(caller.workspaceId, { ...page, limit: page.limit + 1 });
    const shown = rows.slice(0, page.limit);
    const views = await Promise.all(shown.map(({ id }) => readAllowed(needs, caller, id).catch(absent)));
    for (const [at, row] of shown.entries()) if (views[at] === "absent") await sweep(needs, row);
    return {
      items: views.filter((view) => typeof view === "object"),
      next: rows.length > page.limit ? (shown.at(-1)?.id ?? null) : null,
    };
  };

/** The route of one connection is not asked for here, so what it would check is checked. */
const readAllowed = async (
  needs: ReadNeeds,
  caller: Caller,
  connectionId: string,
): Promise<ConnectionDetails | "hidden"> => {
  const allowed = await callerOn(needs)(caller, connectionId);
  return allowed.permissions.has("integration:read") ? readConnection(needs)(allowed, connectionId) : "hidden";
};

/** A row older than this whose connection is not there belongs to a creation that broke off or a deletion that has ended. */
export const orphanMilliseconds = 600_000;

const sweep = async (
  needs: ReadNeeds & { index: Pick<ConnectionIndex, "remove"> },
  { id, workspaceId, createdAt }: ConnectionRow,
): Promise<void> => {
  if (Date.parse(createdAt) > needs.ambient.now() - orphanMilliseconds) return;
  // Not merely closing: really not there.
  if ((await needs.store.read(id, "connection", ids.connection)) === null) await needs.index.remove(workspaceId, id);
};

/** The row is written before its connection and goes after it. */
const absent = (error: unknown): "absent" => {
  if (isAppError(error, "connection-not-found")) return "absent";
  throw error;
};
