/**
 * How people stand whom somebody asks about outside a run: what was decided about them by hand, and whether they are in a selected
 * group. A stored membership is believed as long as it was read for the same selection; where there is none, Graph is asked now.
 */
import type { Settings } from "../connections/settings.ts";
import type { ConnectionContext } from "../context.ts";
import { open } from "../crypto/seal.ts";
import { ids } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { scopeId, scopeRoots } from "./group-roles.ts";
import type { DirectorySearch } from "./ports.ts";
import { linksPlace } from "./run/round.ts";
import type { Standing } from "./scope.ts";
import { byLeaf } from "./shards.ts";

export interface StandingNeeds {
  store: Pick<DirectoryStore, "read" | "load">;
  search: Pick<DirectorySearch, "groupsOf">;
}

export interface Identified {
  /** Person id. */
  id: string;
  oid: string;
}

/** By person id. Left out: people whom Graph had to be asked about and does not know. */
export const standingOf =
  (needs: StandingNeeds) =>
  async (context: ConnectionContext, people: readonly Identified[]): Promise<Map<string, Standing>> => {
    const documents = people.map(({ id }) => ids.marker(id));
    const markers =
      documents.length === 0 ? new Map() : await needs.store.load(context.connectionId, "marker", documents);
    const members = await membership(needs, context, people);
    return new Map(
      people.flatMap(({ id }): [string, Standing][] => {
        const isMember = members.get(id);
        return isMember === undefined ? [] : [[id, { marker: markers.get(ids.marker(id))?.marker ?? null, isMember }]];
      }),
    );
  };

const membership = async (
  needs: StandingNeeds,
  context: ConnectionContext,
  people: readonly Identified[],
): Promise<Map<string, boolean>> => {
  const roots = scopeRoots(context.settings);
  if (roots.length === 0) return new Map(people.map(({ id }) => [id, false]));
  const stored = await storedMembers(needs, context, people);
  const asked = people.filter(({ id }) => !stored.has(id));
  const live =
    asked.length === 0
      ? new Map<string, ReadonlySet<string>>()
      : await needs.search.groupsOf(
          context,
          asked.map(({ oid }) => oid),
          context.settings.people.membership,
        );
  return new Map(
    people.flatMap(({ id, oid }): [string, boolean][] => {
      if (stored.has(id)) return [[id, true]];
      const groups = live.get(oid);
      return groups ? [[id, roots.some((root) => groups.has(root))]] : [];
    }),
  );
};

/** Who of them was a member of the selected groups when these were last read; nobody, when other groups were selected then. */
const storedMembers = async (
  { store }: StandingNeeds,
  { connectionId, ring, settings }: ConnectionContext,
  people: readonly Identified[],
): Promise<ReadonlySet<string>> => {
  const [head, scope] = await Promise.all([
    store.read(connectionId, "head", ids.head),
    store.read(connectionId, "group", ids.group(scopeId(ring))),
  ]);
  const basis = head?.links ? open(ring.sealing, linksPlace(connectionId), head.links).basis : null;
  // A run that was broken off may have left half of another selection.
  if (!scope || !basis || head?.suspect || !sameSelection(basis, settings)) return new Set();
  const sought = byLeaf(
    scope.leaves,
    people.map(({ id }) => id),
  );
  const shards = await store.load(
    connectionId,
    "members",
    [...sought.keys()].map((leaf) => ids.shard(scopeId(ring), leaf)),
  );
  const members = new Set([...shards.values()].flatMap((shard) => shard.members));
  return new Set(people.flatMap(({ id }) => (members.has(id) ? [id] : [])));
};

type Selection = Pick<Settings, "people">;

const sameSelection = (one: Selection, other: Selection): boolean => selectionOf(one) === selectionOf(other);
const selectionOf = ({ people }: Selection): string =>
  JSON.stringify([people.from, people.membership, people.groups.toSorted()]);
