/**
 * Everything a connection holds, page by page: people, then groups, then memberships. It is read while the directory goes on
 * changing; the last page names the sequence at which it began, and whoever replays the changes from there holds the directory
 * of now.
 */
import { z } from "zod";
import { readHead } from "../connections/change.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import { AppError } from "../errors.ts";
import { ids } from "../store/documents.ts";
import { activeOf, GroupView, groupViews } from "./groups.ts";
import { PersonView, personViews } from "./people.ts";
import { openReadable, type PageRequest, type ViewNeeds } from "./readable.ts";

export const SnapshotItem = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("person"), person: PersonView }),
  z.strictObject({ kind: z.literal("group"), group: GroupView }),
  /** A part of a group's members; a large group has many parts, and an id may appear in two of them. */
  z.strictObject({ kind: z.literal("members"), group: z.string(), members: z.array(z.string()) }),
]);
export type SnapshotItem = z.infer<typeof SnapshotItem>;

export const SnapshotPage = z.strictObject({
  items: z.array(SnapshotItem),
  next: z.string().nullable(),
  /** On the last page: where to continue in the change feed. */
  end: z.strictObject({ sequence: z.int(), chain: z.string() }).nullable(),
});
export type SnapshotPage = z.infer<typeof SnapshotPage>;

const Place = z.strictObject({
  stage: z.enum(["people", "groups", "members"]),
  after: z.string(),
  sequence: z.int(),
  chain: z.string(),
});
type Place = z.infer<typeof Place>;

/** Of up to a thousand members each. */
const shardsPerPage = 4;

export const readSnapshot =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, { after, limit }: PageRequest): Promise<SnapshotPage> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    const place = after === undefined ? await beginning(needs, connectionId) : placeOf(after);
    const { items, last } = await readers[place.stage](needs, context, place.after, limit);
    const next = last === null ? nextStage(place) : { ...place, after: last };
    return {
      items,
      next: next ? JSON.stringify(next) : null,
      end: next ? null : { sequence: place.sequence, chain: place.chain },
    };
  };

const beginning = async ({ store }: ViewNeeds, connectionId: string): Promise<Place> => {
  const { sequence, chain } = await readHead(store, connectionId);
  return { stage: "people", after: "", sequence, chain };
};

const placeOf = (text: string): Place => {
  const place = Place.safeParse(JSON.parse(text));
  if (!place.success) throw new AppError("invalid-cursor");
  return place.data;
};

const nextStage = (place: Place): Place | null => {
  if (place.stage === "people") return { ...place, stage: "groups", after: "" };
  return place.stage === "groups" ? { ...place, stage: "members", after: "" } : null;
};

/** `last` is the id to continue after, null when the stage has ended. */
type Reader = (
  needs: ViewNeeds,
  context: ConnectionContext,
  after: string,
  limit: number,
) => Promise<{ items: SnapshotItem[]; last: string | null }>;

const lastOf = (docs: readonly { id: string }[], limit: number): string | null =>
  docs.length < limit ? null : (docs.at(-1)?.id ?? null);

const readers: Record<Place["stage"], Reader> = {
  people: async ({ store }, context, after, limit) => {
    const docs = await store.list(context.connectionId, "person", { after, limit, state: "active" });
    const views = await personViews(store, context, docs);
    return { items: views.map((person) => ({ kind: "person", person })), last: lastOf(docs, limit) };
  },
  groups: async ({ store }, context, after, limit) => {
    const docs = await store.list(context.connectionId, "group", { after, limit, shown: true });
    const views = await groupViews(store, context, docs);
    return { items: views.map((group) => ({ kind: "group", group })), last: lastOf(docs, limit) };
  },
  members: async ({ store }, { connectionId }, after, limit) => {
    const count = Math.min(limit, shardsPerPage);
    const shards = await store.list(connectionId, "members", { after, limit: count });
    // A group that only people are chosen by is not shown; what is left of a group that is being removed is nobody's membership any more.
    const groups = await store.load(connectionId, "group", [
      ...new Set(shards.map(({ groupId }) => ids.group(groupId))),
    ]);
    const items: SnapshotItem[] = [];
    for (const { groupId, members } of shards) {
      const active = groups.get(ids.group(groupId))?.shown ? await activeOf(store, connectionId, members) : [];
      if (active.length > 0) items.push({ kind: "members", group: groupId, members: active });
    }
    return { items, last: lastOf(shards, count) };
  },
};
