/**
 * Looks after one subscription: makes it, renews it, makes it anew when it is gone, takes it back when nobody wants it any more.
 * All that has to be remembered is in its row, so whoever dies on the way is made good for by the next who looks.
 *
 * - The row says `pending` before Graph is asked; what may have been made meanwhile is a stray to whoever comes next.
 * - One that is found is never adopted: Graph does not show its `clientState`, so nobody knows which key it was made with.
 * - Every subscription that is made leaves a gap behind, so everybody enlisted looks.
 */
import { type AppError, isAppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import { ids } from "../store/documents.ts";
import { clientStateFor, type NotificationKeys } from "./client-state.ts";
import { type Feed, parseFeed } from "./feed.ts";
import { type NotifyNeeds, notify } from "./notify.ts";
import type { Ledger, LedgerRow, Subscription, Subscriptions } from "./ports.ts";
import { changeRow } from "./row.ts";
import {
  caughtUp,
  claimed,
  gone,
  isOverdue,
  made,
  pending,
  postponed,
  refused,
  renewed,
  settled,
  stepFor,
} from "./upkeep.ts";
import { feedsOf } from "./wanted.ts";

export interface TendNeeds extends NotifyNeeds {
  ledger: Ledger;
  subscriptions: Subscriptions;
  keys: NotificationKeys;
  /** Of the registration that subscribes. */
  clientId: string;
  /** Where notifications are sent to. */
  notificationUrl: string;
}

/** What became of a look; for the log. */
export type Tended =
  | "unknown"
  | "held"
  | "nothing-due"
  | "created"
  | "renewed"
  | "removed"
  | "refused"
  | "retries"
  /** Retries as well, and the end of its life is near. */
  | "overdue";

export const tend =
  (needs: TendNeeds) =>
  async (key: string): Promise<Tended> => {
    const feed = parseFeed(key);
    const known = feed && (await needs.ledger.read(key));
    if (!known) return "unknown";
    const now = needs.ambient.now();
    if (known.busyUntil > now) return "held";
    if (known.wakeAt > now) return "nothing-due";
    const { _etag, ...row } = known;
    const step = stepFor(row, madeWith(needs), now);
    const held = claimed(row, step, now);
    if (!(await needs.ledger.put(held, _etag))) return "held";
    try {
      const leaving = await leavers(needs, held);
      const isLast = leaving.length === held.connections.length;
      const tended = isLast ? await release(needs, feed, held, leaving) : await goOn(needs, feed, held, step, leaving);
      // Whoever came back meanwhile has found himself in the row still: he has to join it again.
      for (const connectionId of leaving) await tellHead(needs, key, connectionId);
      return tended;
    } catch (error) {
      if (!isAppError(error)) throw error;
      return await later(needs, key, error);
    }
  };

/** One that was made for another address, or with another key, is of no use and cannot be told the new one. */
const madeWith = ({ keys: [newest], notificationUrl }: TendNeeds): string => `${newest.id} ${notificationUrl}`;

/** Of the enlisted those that do not want it any more. Their heads are told first, so that they come again when they do. */
const leavers = async (needs: TendNeeds, { feed, connections }: LedgerRow): Promise<string[]> => {
  const leaving: string[] = [];
  for (const connectionId of connections) {
    const doc = await needs.store.read(connectionId, "connection", ids.connection);
    if (doc && feedsOf(doc, needs.clientId).includes(feed)) continue;
    await tellHead(needs, feed, connectionId);
    leaving.push(connectionId);
  }
  return leaving;
};

/** That the connection is not enlisted for the feed. */
const tellHead = async ({ ambient, store }: TendNeeds, feed: string, connectionId: string): Promise<void> => {
  const head = await store.read(connectionId, "head", ids.head);
  if (!head?.enlisted?.includes(feed)) return;
  await commit({ ambient, store }, head, {
    advance: (fresh) => ({ ...fresh, enlisted: fresh.enlisted?.filter((other) => other !== feed) ?? [] }),
  });
};

const without = (row: LedgerRow, leaving: readonly string[]): LedgerRow => ({
  ...row,
  connections: row.connections.filter((id) => !leaving.includes(id)),
});

interface Taken {
  outcome: Tended;
  /** Of the row as it is when it is written: others may have come or gone meanwhile. */
  change: (row: LedgerRow) => LedgerRow;
}

const take = async (needs: TendNeeds, feed: Feed, row: LedgerRow, step: ReturnType<typeof stepFor>): Promise<Taken> => {
  const { ambient, ledger, subscriptions, keys } = needs;
  if (step === "look") return { outcome: "nothing-due", change: (fresh) => fresh };
  if (step === "renew" && row.subscriptionId !== null) {
    const expiresAt = await subscriptions.renew(feed, row.subscriptionId);
    if (expiresAt !== null) {
      const now = ambient.now();
      return { outcome: "renewed", change: (fresh) => renewed(fresh, expiresAt, now) };
    }
    await changeRow(ledger, row.feed, (fresh) => fresh && pending(fresh));
  }
  await removeOwn(needs, feed, row);
  const answer = await subscriptions.create(feed, clientStateFor(keys, feed));
  if (typeof answer === "string") return { outcome: "refused", change: (fresh) => refused(fresh, answer) };
  const now = ambient.now();
  return { outcome: "created", change: (fresh) => made(fresh, answer, madeWith(needs), now) };
};

/** What this installation has of the feed. Another one of the same registration has another address, and keeps its own. */
const removeOwn = async (needs: TendNeeds, feed: Feed, row: LedgerRow): Promise<void> => {
  const { subscriptions, notificationUrl } = needs;
  const isOwn = (each: Subscription): boolean =>
    each.id === row.subscriptionId || (each.resource === feed.resource && each.notificationUrl === notificationUrl);
  for (const { id } of (await subscriptions.list(feed)).filter(isOwn)) await subscriptions.remove(feed, id);
};

const goOn = async (
  needs: TendNeeds,
  feed: Feed,
  held: LedgerRow,
  step: ReturnType<typeof stepFor>,
  leaving: readonly string[],
): Promise<Tended> => {
  const { outcome, change } = await take(needs, feed, held, step);
  return await settle(needs, held.feed, outcome, (fresh) => change(without(fresh, leaving)));
};

const settle = async (needs: TendNeeds, key: string, outcome: Tended, change: Taken["change"]): Promise<Tended> => {
  const { ambient, ledger } = needs;
  const row = await changeRow(ledger, key, (fresh) => fresh && settled(change(fresh), ambient.now()));
  if (row?.state === "live" && row.catchUp) {
    await notify(needs)(row.connections, { at: ambient.now(), since: null });
    await changeRow(ledger, key, (fresh) =>
      fresh?.subscriptionId === row.subscriptionId ? caughtUp(fresh, ambient.now()) : fresh,
    );
  }
  return outcome;
};

/** Nobody wants it any more. Somebody who comes meanwhile finds the row, and has a new one made. */
const release = async (needs: TendNeeds, feed: Feed, held: LedgerRow, leaving: readonly string[]): Promise<Tended> => {
  await takeBack(needs, feed, held);
  await changeRow(needs.ledger, held.feed, (fresh) => {
    if (!fresh) return fresh;
    const rest = without(fresh, leaving);
    return rest.connections.length === 0 ? null : gone(rest, needs.ambient.now());
  });
  return "removed";
};

/** Where we may not ask, or are not who made it any more, it ends by itself, and what it sends until then is dropped. */
const takeBack = async (needs: TendNeeds, feed: Feed, row: LedgerRow): Promise<void> => {
  if (feed.clientId !== needs.clientId.toLowerCase()) return;
  try {
    await removeOwn(needs, feed, row);
  } catch (error) {
    if (!isAppError(error) || error.kind !== "not-consented") throw error;
  }
};

const later = async ({ ambient, ledger }: TendNeeds, key: string, { kind, details }: AppError): Promise<Tended> => {
  const now = ambient.now();
  const isForbidden = kind === "not-consented";
  const { retryAfterSeconds } = details;
  const row = await changeRow(
    ledger,
    key,
    (fresh) => fresh && postponed(fresh, now, { isForbidden, retryAfterSeconds }),
  );
  if (row && isOverdue(row, now)) return "overdue";
  return isForbidden ? "refused" : "retries";
};
