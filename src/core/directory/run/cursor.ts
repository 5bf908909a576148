/** Where a run is, sealed in head between two slices. */
import type { Feed } from "../ports.ts";
import type { Basis } from "./basis.ts";

/** Delta links of a completed round, and what they were made for. */
export interface Links {
  groups: string;
  users: string;
  basis: Basis;
}

/** Passes of `applying`, in the order that leaves no dangling reference at any moment. */
export const passes = ["groups+", "people+", "members+", "members-", "people-", "groups-"] as const;
export type Pass = (typeof passes)[number];

/** What reading does beside the feeds, between the groups and the people and after these. */
export type Step = "absent-groups" | "admitting" | "memberships" | "unwanted-groups" | "derived-groups" | "candidates";

export type Position =
  | { phase: "reading"; feed: Feed; link: string | null }
  | { phase: "reading"; step: Step; after: string }
  | { phase: "weighing"; after: string }
  | { phase: "applying"; pass: number; chunk: number };

/** How many parts of each kind are staged in `work`. */
export interface Staged {
  chunks: Record<Pass, number>;
  /** Parts of raw membership changes, before netting. */
  edgeParts: number;
  seenParts: Record<Feed, number>;
}

/** What has to be looked at again, because the settings or the links are not those of the last round. */
export interface Reads {
  /** Read from the beginning instead of from the last link. */
  full: Record<Feed, boolean>;
  /** What is stored is held against the settings, without asking Graph. */
  again: Record<Feed, boolean>;
}

export interface Cursor extends Staged, Reads {
  at: Position;
  /** No link had been committed when the run began: nobody is removed. */
  first: boolean;
  /** A dead link inside the round was answered by starting the round again; the second time it is read in full. */
  restarted: boolean;
  newLinks: Partial<Record<Feed, string>>;
  /** Groups that a delta has told of and that are not held: to be read one by one. */
  unknown: string[];
  /** Groups that were read one by one, because the feed did not bring them. */
  admitted: string[];
  /** Groups nested in a group whose members matter beyond itself, once netted and where they differ from what is stored. */
  children: Record<string, string[]>;
  /** Who wrote which parts: each from these numbers on, until the next. */
  writers: (Staged & { owner: string })[];
  sum: string;
  /** Something was met that only a full read can settle; the next round is one. */
  suspect: boolean;
}

export const newCursor = ({ full, again }: Reads, first: boolean, link: string | null): Cursor => ({
  at: { phase: "reading", feed: "groups", link },
  full: { ...full },
  again: { ...again },
  first,
  restarted: false,
  newLinks: {},
  unknown: [],
  admitted: [],
  children: {},
  chunks: { "groups+": 0, "people+": 0, "members+": 0, "members-": 0, "people-": 0, "groups-": 0 },
  edgeParts: 0,
  seenParts: { groups: 0, users: 0 },
  writers: [],
  sum: "0",
  suspect: false,
});
