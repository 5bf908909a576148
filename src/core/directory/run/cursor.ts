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

/**
 * Series of parts in `work`: changes by pass, raw membership changes before netting, objects met by feed, and what is noted of
 * groups that are read by themselves.
 */
export const series = [...passes, "edges", "seen:groups", "seen:users", "notes"] as const;
export type Series = (typeof series)[number];

/** How many parts of each series are staged. */
export type Staged = Record<Series, number>;

/** Who writes which parts: each from these numbers on, in the order of `series`, until the next. A long run has many writers. */
export interface Writer {
  /** The end of the lease's owner: random enough for the few writers of one run. */
  tag: string;
  from: number[];
}

export const nothingStaged = (): Staged => Object.fromEntries(series.map((name) => [name, 0])) as Staged;

/** All that finds the staged parts again. However much is staged, this stays small: it is written with every commit. */
export interface StagedPlan {
  staged: Staged;
  writers: Writer[];
  /** Of the terms of the plan's hash. */
  sum: string;
}

/** What has to be looked at again, because the settings or the links are not those of the last round. */
export interface Reads {
  /** Read from the beginning instead of from the last link. */
  full: Record<Feed, boolean>;
  /** What is stored is held against the settings, without asking Graph. */
  again: Record<Feed, boolean>;
}

export interface Cursor extends StagedPlan, Reads {
  at: Position;
  /** No link had been committed when the run began: nobody is removed. */
  first: boolean;
  /** A dead link inside the round was answered by starting the round again; the second time it is read in full. */
  restarted: boolean;
  newLinks: Partial<Record<Feed, string>>;
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
  staged: nothingStaged(),
  writers: [],
  sum: "0",
  suspect: false,
});
