/** What deliveries need of the outside world, and what is kept of them. */
import type { Stored } from "../store/documents.ts";

export type DeliveryFailure = "timeout" | "unreachable" | "address-refused";

/** What became of one request. Nothing of the answer but its status is ever read. */
export type Answer = { milliseconds: number } & (
  | { status: number; failure: null }
  | { status: null; failure: DeliveryFailure }
);

export interface WebhookSender {
  /** One POST; never throws, follows nothing, and reaches public addresses only. */
  send(url: string, headers: Readonly<Record<string, string>>, body: string): Promise<Answer>;
}

export interface DeliveryRecord {
  at: number;
  kind: "event" | "test";
  sequence: number;
  status: number | null;
  failure: DeliveryFailure | null;
  milliseconds: number;
}

/** How far one endpoint is with one connection. Times in ms. */
export interface DeliveryRow {
  endpoint: string;
  /** It has taken an event with this sequence. */
  delivered: number;
  /** What is being sent: under one id until it is taken, or something newer takes its place. */
  message: { id: string; sequence: number } | null;
  /** Failed in a row. */
  attempts: number;
  /** Nothing is sent before: end of a back-off, or of the turn of whoever sends right now. */
  nextAt: number | null;
  failingSince: number | null;
  /** Given up; only a replay begins again. */
  deadSince: number | null;
  testedAt: number | null;
  /** Newest first. */
  log: DeliveryRecord[];
}

/** Container `state`, one logical partition for the deliveries of a connection. */
export interface WebhookStore {
  list(connectionId: string): Promise<Stored<DeliveryRow>[]>;
  read(connectionId: string, endpoint: string): Promise<Stored<DeliveryRow> | null>;
  /** Without `etag` the row is new. The row as it is now stored, or null when somebody else was faster. */
  put(connectionId: string, row: DeliveryRow, etag: string | null): Promise<Stored<DeliveryRow> | null>;
  remove(connectionId: string, endpoint: string): Promise<void>;
}
