/** Where a run is, sealed in head between two slices. */
import type { Feed } from "../ports.ts";

/** Delta links of a completed round. */
export interface Links {
  groups: string;
  users: string;
}

/** Passes of `applying`, in the order that leaves no dangling reference at any moment. */
export const passes = ["groups+", "people+", "members+", "members-", "people-", "groups-"] as const;
export type Pass = (typeof passes)[number];

export type Position =
  | { phase: "reading"; feed: Feed; link: string | null }
  | { phase: "weighing"; stage: "people" | "groups" | "edges"; after: string }
  | { phase: "applying"; pass: number; chunk: number };

/** How many parts of each kind are staged in `work`. */
export interface Staged {
  chunks: Record<Pass, number>;
  /** Parts of raw membership changes, before netting. */
  edgeParts: number;
  seenParts: Record<Feed, number>;
}

export interface Cursor extends Staged {
  at: Position;
  /** One feed may have to be read in full while the other continues from its link. */
  full: Record<Feed, boolean>;
  /** No link had been committed when the run began: nobody is removed. */
  first: boolean;
  /** A dead link inside the round was answered by starting the round again; the second time it is read in full. */
  restarted: boolean;
  newLinks: Partial<Links>;
  /** Who wrote which parts: each from these numbers on, until the next. */
  writers: (Staged & { owner: string })[];
  sum: string;
  /** Something was met that only a full read can settle; the next round is one. */
  suspect: boolean;
}

export const newCursor = (full: Record<Feed, boolean>, first: boolean, link: string | null): Cursor => ({
  at: { phase: "reading", feed: "groups", link },
  full,
  first,
  restarted: false,
  newLinks: {},
  chunks: { "groups+": 0, "people+": 0, "members+": 0, "members-": 0, "people-": 0, "groups-": 0 },
  edgeParts: 0,
  seenParts: { groups: 0, users: 0 },
  writers: [],
  sum: "0",
  suspect: false,
});
