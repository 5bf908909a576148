/** Fills one page of a delta round. */
import { chance, chanceBetween } from "./chance.ts";
import { type DeltaScene, type Shown, show, showOwed, unknownTombstone } from "./delta-entries.ts";
import type { EmissionSource } from "./emission.ts";
import type { Cursor, Piece } from "./link-state.ts";

export interface DeltaPage {
  value: Record<string, unknown>[];
  /** Null: the round is complete. */
  next: Cursor | null;
  carried: Piece[];
}

/** What is owed travels in the link, so it is bounded: begun groups are finished before more begin, surplus repeats dropped. */
const mostOpenGroups = 8;
const mostRepeats = 8;
/** Related objects on a page, about; a single piece may exceed it. */
const relatedOnPage = 3000;

export const fillPage = (scene: DeltaScene, source: EmissionSource, cursor: Cursor): DeltaPage => {
  const { page } = cursor;
  const { seed } = scene.round;
  if (chance(seed, "empty", page) < scene.traits.emptyPages) {
    return { value: [], next: { ...cursor, page: page + 1 }, carried: cursor.carried };
  }
  const size = scene.traits.pageSize ?? chanceBetween(100, 200, seed, "size", page);
  const value: Record<string, unknown>[] = [];
  const carried = [...cursor.carried];
  const pending = cursor.pending.filter((piece) => piece.due > page);
  let openGroups = pending.filter((piece) => !piece.again).length;
  let relatedCount = 0;
  const take = (shown: Shown): void => {
    for (const entry of shown.entries) {
      value.push(entry);
      const related = entry["members@delta"];
      relatedCount += Array.isArray(related) ? related.length : 0;
    }
    carried.push(...shown.carried);
    for (const piece of shown.pending) {
      if (!piece.again) openGroups++;
      if (!piece.again || pending.length - openGroups < mostRepeats) pending.push(piece);
    }
  };

  for (const piece of cursor.pending) if (piece.due <= page) take(showOwed(scene, piece, page));
  let { last } = cursor;
  let more = false;
  for (const emission of source.after(last)) {
    more = value.length >= size || relatedCount >= relatedOnPage || openGroups >= mostOpenGroups;
    if (more) break;
    take(show(scene, emission, page));
    last = emission.key;
  }
  if (scene.round.initial && chance(seed, "stranger", page) < scene.traits.unknownTombstones) {
    value.push(unknownTombstone(scene, page));
  }
  if (!more && pending.length === 0) return { value, next: null, carried };
  return {
    value,
    next: { page: page + 1, last, pending: more ? pending : broughtForward(pending, page + 1), carried },
    carried,
  };
};

/** When nothing but owed pieces is left, there is no reason to wait for the page they were meant for. */
const broughtForward = (pending: Piece[], page: number): Piece[] => {
  const early = Math.min(...pending.map((piece) => piece.due)) - page;
  return pending.map((piece) => ({ ...piece, due: piece.due - early }));
};
