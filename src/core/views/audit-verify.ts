/**
 * Whether the stored change log of a time is what was recorded then: followed from the last place that the vault has kept before
 * it to the first one after it, or to head. Needs no key of the connection and shows nothing of its content.
 */
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import { PublicKey } from "../audit/anchor-keys.ts";
import { type Anchor, daysBetween, findAnchors } from "../audit/anchors.ts";
import { chainStart } from "../audit/change-log.ts";
import { logSecondsOf } from "../audit/retention.ts";
import { beginWalk, type Checkpoint, type Finding, type WalkState, walkChain } from "../audit/walk.ts";
import { readHead } from "../connections/change.ts";
import type { Caller } from "../context.ts";
import { AppError } from "../errors.ts";
import type { SecretStore } from "../store/ports.ts";
import { type AuditFilter, rangeOf } from "./audit.ts";
import { openReadable, type PageRequest, type ViewNeeds } from "./readable.ts";

const Place = z.strictObject({ sequence: z.int(), chain: z.string() });

export const Verification = z.strictObject({
  /** Where it began. `beginning`: the connection's first entry. `log`: no anchor is older, so only that the rest follows from here. */
  from: Place.extend({ trust: z.enum(["beginning", "anchor", "log"]) }),
  /** How far the chain was followed. */
  to: Place,
  /** Places that the vault has kept, and head, that lie in between or at the end. */
  checkpoints: z.array(z.strictObject({ by: z.string(), sequence: z.int() })),
  /** Days whose anchor is in the vault and not signed by a key of this installation. */
  brokenAnchors: z.array(z.string()),
  /** The first bad entry is one of `first` to `last`; null: none so far. */
  finding: z
    .strictObject({
      fault: z.enum(["missing", "malformed", "altered", "rewritten", "cut"]),
      first: z.int(),
      last: z.int(),
      by: z.string().optional(),
    })
    .nullable(),
  /** What the statements of an export are verified with. */
  keys: z.array(PublicKey),
  /** Not null: there is more to follow. */
  next: z.string().nullable(),
});
export type Verification = z.infer<typeof Verification>;

export interface VerifyNeeds extends ViewNeeds {
  ambient: Pick<Ambient, "now" | "randomBytes" | "logDays">;
  secrets: SecretStore;
}

const dayMilliseconds = 86_400_000;
/** Days around the time that are looked at for the anchor before and the one after. */
const aroundDays = 7;
const documentsPerQuery = 4;
/** Beside the number of documents asked for. */
const maxBytes = 64_000_000;

export const verifyAudit =
  (needs: VerifyNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    filter: Pick<AuditFilter, "from" | "to">,
    page: PageRequest,
  ): Promise<Verification> => {
    const range = rangeOf(filter);
    await openReadable(needs)(caller.workspaceId, connectionId);
    return verifyStored(needs)(connectionId, range, page);
  };

/** Also for the command line, which has no caller. */
export const verifyStored =
  ({ ambient, secrets, store }: Pick<VerifyNeeds, "ambient" | "secrets" | "store">) =>
  async (
    connectionId: string,
    range: { from: number | null; to: number | null },
    { after, limit }: PageRequest,
  ): Promise<Verification> => {
    const now = ambient.now();
    const head = await readHead(store, connectionId);
    const asked = { from: range.from ?? 0, to: Math.min(range.to ?? now, now) };
    const oldest = Math.max(asked.from - aroundDays * dayMilliseconds, now - logSecondsOf(ambient) * 1000, 0);
    const newest = Math.max(oldest, Math.min(asked.to + aroundDays * dayMilliseconds, now));
    const days = daysBetween(oldest, newest);
    const { anchors: found, broken, keys } = await findAnchors({ ambient, secrets })(connectionId, days);
    // What was recorded after such an anchor has not expired: it has to be there.
    const anchors = found.filter(({ at, logDays }) => Date.parse(at) + (logDays - 2) * dayMilliseconds > now);

    const fromAnchor = anchors.findLast(({ at }) => Date.parse(at) <= asked.from);
    const begun = after === undefined ? await beginningOf(store, connectionId, anchors, fromAnchor) : stateIn(after);
    const end = checkpointOf(anchors.find(({ at }) => Date.parse(at) >= asked.to)) ?? { ...head, by: "head" };
    const checkpoints: Checkpoint[] = [
      ...anchors.filter(({ sequence }) => sequence < end.sequence).flatMap((anchor) => checkpointOf(anchor) ?? []),
      // A log that was put back to an earlier day ends before places that the vault still knows.
      ...anchors
        .filter(({ sequence }) => end.by === "head" && sequence >= end.sequence)
        .flatMap((anchor) => checkpointOf(anchor) ?? []),
      { by: end.by, sequence: end.sequence, chain: end.chain },
    ].filter(({ sequence }) => sequence >= begun.state.sequence);
    const through = Math.max(...checkpoints.map(({ sequence }) => sequence), begun.state.sequence);

    const walk = walkChain(begun.state, checkpoints);
    let finding: Finding | null = null;
    let isOver = false;
    let [documents, bytes] = [0, 0];
    while (!finding && !isOver && documents < limit && bytes < maxBytes) {
      const docs =
        walk.state.sequence >= through ? [] : await store.log(connectionId, walk.state.sequence, documentsPerQuery);
      if (docs.length === 0) {
        isOver = true;
        finding = walk.end();
      }
      for (const doc of docs) {
        if (finding || walk.state.sequence >= through) break;
        finding = walk.take(doc);
        documents++;
        bytes += doc.body.length;
      }
    }
    const { sequence, chain } = walk.state;
    return {
      from: begun.from,
      to: { sequence, chain },
      checkpoints: checkpoints.map(({ by, sequence: at }) => ({ by, sequence: at })),
      brokenAnchors: broken,
      finding,
      keys: keys.published,
      next: finding || isOver ? null : stateText(begun.from, walk.state),
    };
  };

const checkpointOf = (anchor: Anchor | undefined): Checkpoint | null =>
  anchor ? { by: `anchor ${anchor.day}`, sequence: anchor.sequence, chain: anchor.chain } : null;

type Begun = { from: Verification["from"]; state: WalkState };

const begunAt = (from: Verification["from"]): Begun => ({ from, state: beginWalk(from) });

const beginningOf = async (
  store: VerifyNeeds["store"],
  connectionId: string,
  anchors: readonly Anchor[],
  wanted: Anchor | undefined,
): Promise<Begun> => {
  const [first] = await store.log(connectionId, 0, 1);
  // Without the one that is wanted: one before the oldest entry shows that what came after it was taken away.
  const anchor = wanted ?? anchors.findLast(({ sequence }) => first && sequence < first.first - 1);
  if (anchor) return begunAt({ sequence: anchor.sequence, chain: anchor.chain, trust: "anchor" });
  if (!first || first.first === 1) return begunAt({ sequence: 0, chain: chainStart(connectionId), trust: "beginning" });
  return begunAt({ sequence: first.first - 1, chain: first.prev, trust: "log" });
};

const stateText = (from: Verification["from"], state: WalkState): string => JSON.stringify({ from, state });

/** Ours: cursors come back as they were given out. */
const stateIn = (text: string): Begun => {
  try {
    return JSON.parse(text) as Begun;
  } catch {
    throw new AppError("invalid-cursor", { field: "cursor" });
  }
};
