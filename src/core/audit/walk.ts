/**
 * Follows the chain over documents of the change log and holds it against places that are known from elsewhere: an anchor in the
 * vault, head, a witness that the product kept. Says which entries the first bad one is among; a document is the smallest part
 * that the chain can tell apart. Needs no key.
 */
import type { LogDoc } from "../store/documents.ts";
import { verifyChain } from "./change-log.ts";

export type LoggedPart = Pick<LogDoc, "first" | "last" | "prev" | "body">;

/** The chain over all entries up to `sequence`. */
export interface ChainPlace {
  sequence: number;
  chain: string;
}

export interface Checkpoint extends ChainPlace {
  /** `anchor 2026-11-22`, `head`, `witness`. */
  by: string;
}

export interface Finding {
  /**
   * `missing`: entries are not there. `malformed`: a document does not hold the entries that it says. `altered`: a document is not
   * what the next one follows. `rewritten`: the chain holds in itself and does not lead to a checkpoint. `cut`: the log ends before one.
   */
  fault: "missing" | "malformed" | "altered" | "rewritten" | "cut";
  /** The first bad entry is one of these. */
  first: number;
  last: number;
  /** The checkpoint that says so. */
  by?: string | undefined;
}

export interface WalkState extends ChainPlace {
  /** Up to here a checkpoint has agreed, or the walk began here. */
  good: number;
  /** First entry of the document before. */
  before: number | null;
}

export const beginWalk = (start: ChainPlace): WalkState => ({ ...start, good: start.sequence, before: null });

export interface Walk {
  /** The next document; null when it follows. After a finding the walk is over. */
  take(doc: LoggedPart): Finding | null;
  /** Nothing more follows: what a checkpoint still waits for has been cut off. */
  end(): Finding | null;
  readonly state: WalkState;
}

/** Checkpoints before the place where the walk begins are not looked at. */
export const walkChain = (from: WalkState, checkpoints: readonly Checkpoint[]): Walk => {
  let state = from;
  const ahead = checkpoints
    .filter(({ sequence }) => sequence >= from.sequence)
    .toSorted((one, other) => one.sequence - other.sequence);

  const passed = (): Finding | null => {
    for (let next = ahead[0]; next && next.sequence <= state.sequence; next = ahead[0]) {
      if (next.sequence !== state.sequence || next.chain !== state.chain)
        return {
          fault: "rewritten",
          first: state.good + 1,
          last: Math.max(next.sequence, state.good + 1),
          by: next.by,
        };
      state = { ...state, good: next.sequence };
      ahead.shift();
    }
    return null;
  };
  const begun = passed();

  return {
    take: (doc) => {
      if (begun) return begun;
      const { fault, sequence, chain } = verifyChain([doc], state);
      if (fault) return findingOf(doc, fault.fault, state);
      state = { ...state, sequence, chain, before: doc.first };
      return passed();
    },
    end: () => {
      if (begun) return begun;
      const [next] = ahead;
      return next ? { fault: "cut", first: state.sequence + 1, last: next.sequence, by: next.by } : null;
    },
    get state() {
      return state;
    },
  };
};

const findingOf = (doc: LoggedPart, fault: "gap" | "prev" | "order", { sequence, before }: WalkState): Finding => {
  if (fault === "gap" && doc.first > sequence + 1)
    return { fault: "missing", first: sequence + 1, last: doc.first - 1 };
  if (fault === "prev")
    return { fault: "altered", first: before ?? doc.first, last: before === null ? doc.last : sequence };
  return { fault: "malformed", first: Math.min(doc.first, sequence + 1), last: Math.max(doc.last, sequence + 1) };
};
