/** What subscriptions need of the outside: a ledger of them, Microsoft Graph, and a way to have one looked at. Times in ms. */
import type { Stored } from "../store/documents.ts";
import type { Feed } from "./feed.ts";

/**
 * One subscription, shared by all connections of a registration and a tenant, and the connections that want to hear of it.
 * `pending`: being made, or somebody died over making it. `gone`: there is none, and one is wanted. `refused`: Microsoft says no.
 */
export interface LedgerRow {
  /** `feedKey` of what it watches. */
  feed: string;
  state: "pending" | "live" | "gone" | "refused";
  /** Ids of the connections that are enlisted. */
  connections: string[];
  subscriptionId: string | null;
  /** `madeWith` of the settings it was made under: a subscription cannot be told a new address or a new key. */
  madeWith: string | null;
  expiresAt: number | null;
  renewAt: number | null;
  /** After this time it is an alarm that it has not been renewed. */
  alarmAt: number | null;
  /** When its creation or a renewal was last begun: Graph wants ten minutes between two. */
  touchedAt: number | null;
  /** Something may have been missed: everybody enlisted is to look, once it is live. */
  catchUp: boolean;
  reason: Refusal | null;
  /** In a row. */
  failures: number;
  counters: { created: number; renewed: number; refused: number };
  /** Somebody is at it until then. */
  busyUntil: number;
  /** When it is to be looked at next. */
  wakeAt: number;
}

/** `taken`: another installation of the same registration watches this. `address`: Graph could not validate ours. */
export const refusals = ["permission", "quota", "taken", "address", "consent"] as const;
export type Refusal = (typeof refusals)[number];

/** Container `shared`, one document for each feed. */
export interface Ledger {
  read(feed: string): Promise<Stored<LedgerRow> | null>;
  /** Without `etag` the row is new. False when somebody else was faster. */
  put(row: LedgerRow, etag: string | null): Promise<boolean>;
  remove(feed: string, etag: string): Promise<boolean>;
  /** Feeds whose `wakeAt` has come, the longest overdue first. */
  due(now: number, limit: number): Promise<string[]>;
  /** Whether the `alarmAt` of any has come. */
  anyOverdue(now: number): Promise<boolean>;
}

export interface Subscription {
  id: string;
  resource: string;
  notificationUrl: string;
  expiresAt: number;
}

/** Subscriptions of the app in one tenant. What Graph does not answer usefully is thrown, and tried again. */
export interface Subscriptions {
  list(feed: Feed): Promise<Subscription[]>;
  /** For as long as Graph allows; how long that is says the answer. */
  create(feed: Feed, clientState: string): Promise<Subscription | Refusal>;
  /** Until when it lives now; null: there is none of this id any more. */
  renew(feed: Feed, id: string): Promise<number | null>;
  /** Also when there is none of this id. */
  remove(feed: Feed, id: string): Promise<void>;
}

/** Has the subscription of a feed looked at. Lost ones are found again by the timer. */
export interface TendingQueue {
  send(feed: string): Promise<void>;
}
