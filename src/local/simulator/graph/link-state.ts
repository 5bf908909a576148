/** What a delta link remembers: the query it began with and how far the client came. */
import { z } from "zod";

const Piece = z.object({
  id: z.string(),
  /** Members with `after < id <= until` are still owed; null: from the first, to the last. */
  after: z.string().nullable(),
  until: z.string().nullable(),
  /** The same piece again: nothing follows it. */
  again: z.boolean(),
  /** Page before which it is not given. */
  due: z.number(),
});

const Query = z.object({
  feed: z.enum(["users", "groups"]),
  /** Property names, relationships included. */
  select: z.array(z.string()),
  /** The request had a `$select` of its own. */
  explicit: z.boolean(),
  /** `$filter=id eq ...`; null: all objects. */
  ids: z.array(z.string()).nullable(),
});

/** `from` and `upTo` are sequence numbers of the directory: a round tells what happened after `from`. */
const Round = z.object({
  number: z.number(),
  initial: z.boolean(),
  seed: z.string(),
  previousFrom: z.number(),
  from: z.number(),
  upTo: z.number(),
  /** The newest change when the round began. */
  known: z.number(),
  /** Asked with `Prefer: return=minimal`. */
  minimal: z.boolean(),
});

const Cursor = z.object({
  page: z.number(),
  /** Key of the last object given; null: none yet. */
  last: z.string().nullable(),
  /** Pieces of groups and repeated objects that come on later pages of this round. */
  pending: z.array(Piece),
  /** Pieces that come in the next round only. */
  carried: z.array(Piece),
});

export const LinkState = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("next"),
    tid: z.string(),
    issuedAt: z.number(),
    query: Query,
    round: Round,
    cursor: Cursor,
  }),
  z.object({
    kind: z.literal("delta"),
    tid: z.string(),
    issuedAt: z.number(),
    query: Query,
    /** The round that ended with this link. */
    round: Round,
    carried: z.array(Piece),
  }),
]);

export type LinkState = z.infer<typeof LinkState>;
export type NextState = Extract<LinkState, { kind: "next" }>;
export type Piece = z.infer<typeof Piece>;
export type DeltaQuery = z.infer<typeof Query>;
export type Round = z.infer<typeof Round>;
export type Cursor = z.infer<typeof Cursor>;
