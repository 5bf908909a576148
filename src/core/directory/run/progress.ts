/** How far a run is and how fast it goes, from what head says of it at its checkpoints. Costs no request and no read. */
import type { Head, RunCounts, RunState } from "../../store/documents.ts";
import { passes } from "./cursor.ts";
import type { Round } from "./round.ts";

/** A run at its last checkpoint. Times in ms; `from` and `done` count objects of the phase. */
export interface Pace {
  phase: "reading" | "weighing" | "applying";
  /** Since when, and from which count on, the phase is watched. */
  since: number;
  from: number;
  at: number;
  done: number;
}

export const paceOf = (round: Pick<Round, "needs" | "head" | "id" | "cursor" | "counts" | "startedAt">): Pace => {
  const { phase } = round.cursor.at;
  const at = round.needs.ambient.now();
  const done = doneIn(round);
  const before = round.head.run?.id === round.id ? round.head.run.pace : null;
  // Fewer than before: the round has started again.
  if (before?.phase === phase && done >= before.done) return { ...before, at, done };
  if (phase === "reading" && !before) return { phase, since: round.startedAt, from: 0, at, done };
  return { phase, since: at, from: done, at, done };
};

const doneIn = ({ cursor, counts }: Pick<Round, "cursor" | "counts">): number => {
  const { at, staged } = cursor;
  if (at.phase === "reading") return counts.peopleRead + counts.groupsRead;
  if (at.phase === "weighing") return 0;
  // Staged parts are of about one size, but for the last of each pass: this is an estimate.
  const parts = passes.reduce((sum, pass) => sum + staged[pass], 0);
  const applied = passes.slice(0, at.pass).reduce((sum, pass) => sum + staged[pass], at.chunk);
  return parts === 0 ? 0 : Math.round((planned(counts) * applied) / parts);
};

/** Changes of the plan; final once it was weighed. */
export const planned = (counts: RunCounts): number =>
  counts.peopleCreated +
  counts.peopleUpdated +
  counts.peopleRevived +
  counts.peopleDeactivated +
  counts.peopleKept +
  counts.groupsCreated +
  counts.groupsUpdated +
  counts.groupsRemoved +
  counts.membershipsAdded +
  counts.membershipsRemoved;

export interface Progress {
  /** Reading: objects that came; applying: changes, to the size of a staged part. */
  done: number;
  /** Null where nobody knows: what a delta will bring, and a first full read. A later full read is measured by what is stored. */
  total: number | null;
}

export const progressOf = (run: RunState, { counters }: Pick<Head, "counters">): Progress | null => {
  const { phase, pace } = run;
  const done = pace.phase === phase ? pace.done : 0;
  if (phase === "applying") return { done, total: planned(run.counts) };
  if (phase !== "reading") return null;
  const stored = counters.people + counters.groups;
  // Graph sends everybody, also whom the settings leave out, and some twice: the estimate never falls behind what has come.
  return { done, total: run.mode === "full" && stored > 0 ? Math.max(done, stored) : null };
};

/** Objects a second in the present phase, as of its last checkpoint; null where it cannot be told. */
export const rateOf = ({ phase, pace }: RunState): number | null => {
  const seconds = (pace.at - pace.since) / 1000;
  return pace.phase === phase && phase !== "weighing" && seconds > 0
    ? Math.round(((pace.done - pace.from) / seconds) * 10) / 10
    : null;
};
