/** What an initial round tells: what exists when a page is made, and tombstones of what does not exist any more. */
import type { DirectoryState } from "../directory/state.ts";
import { chance, strangerId } from "./chance.ts";
import type { EmissionSource } from "./emission.ts";
import type { FeedIndex } from "./feed-index.ts";
import type { DeltaQuery, Round } from "./link-state.ts";

export const initialRound = (
  directory: DirectoryState,
  index: FeedIndex,
  query: DeltaQuery,
  round: Round,
): EmissionSource => {
  const live = query.feed === "users" ? directory.users : directory.groups;
  const deleted = query.feed === "users" ? directory.deletedUsers : directory.deletedGroups;
  const all = index.ids(query.feed);
  return {
    *after(last) {
      const ids = query.ids
        ? query.ids.filter((id) => last === null || id > last)
        : all.aroundFrom(strangerId(round.seed, "start"), last);
      for (const id of ids) {
        if (live.has(id)) yield { key: id, kind: "whole", id, lateMembers: false };
        else if (all.has(id) && chance(round.seed, "tombstone", id) < 0.5) {
          yield { key: id, kind: "tombstone", id, reason: deleted.has(id) ? "changed" : "deleted" };
        }
      }
    },
  };
};
