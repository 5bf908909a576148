/** What the API shows of groups. Only people who are synchronised count and appear as members. */
import { z } from "zod";
import type { Caller, ConnectionContext } from "../context.ts";
import { knownGroup } from "../directory/run/known.ts";
import { byLeaf, sortByBits } from "../directory/shards.ts";
import { AppError } from "../errors.ts";
import { type GroupDoc, ids, personOf, type Stored } from "../store/documents.ts";
import type { DirectoryStore, Page } from "../store/ports.ts";
import { Attributes } from "./people.ts";
import { from, openReadable, type PageRequest, pageOf, type ViewNeeds } from "./readable.ts";

export const GroupView = z.strictObject({
  id: z.string(),
  /** The group of the product whose members these are, from all groups that stand for it; null: a group of the tenant. */
  productGroup: z.string().nullable(),
  attributes: Attributes,
  /** Object ids of groups that are direct members and stored. */
  children: z.array(z.string()),
  changedAt: z.iso.datetime(),
  etag: z.string(),
});
export type GroupView = z.infer<typeof GroupView>;

/** `memberCount` is null for groups that are too large to be counted while somebody waits. */
export const GroupDetails = GroupView.extend({ memberCount: z.int().nullable() });
export type GroupDetails = z.infer<typeof GroupDetails>;

export const MemberView = z.strictObject({ id: z.string() });
export type MemberView = z.infer<typeof MemberView>;

export const listGroups =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, { after, limit }: PageRequest): Promise<Page<GroupView>> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    const found = await needs.store.list(connectionId, "group", { ...from(after), limit: limit + 1, shown: true });
    const { shown, next } = pageOf(found, limit);
    return { items: await groupViews(needs.store, context, shown), next };
  };

export const readGroup =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, groupId: string): Promise<GroupDetails> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    const doc = await groupDoc(needs.store, connectionId, groupId);
    const [view] = await groupViews(needs.store, context, [doc]);
    if (!view) throw new AppError("group-not-found");
    return { ...view, memberCount: await memberCount(needs.store, doc) };
  };

/** In the order of the ids' bits, which is the order of the shards: a page goes on where the one before ended, whatever was split meanwhile. */
export const listMembers =
  (needs: ViewNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    groupId: string,
    { after, limit }: PageRequest,
  ): Promise<Page<MemberView>> => {
    await openReadable(needs)(caller.workspaceId, connectionId);
    const doc = await groupDoc(needs.store, connectionId, groupId);
    const found: { id: string }[] = [];
    for (const leaf of leavesFrom(doc, after)) {
      const members = sortByBits([...(await shardMembers(needs.store, doc, leaf))]);
      const rest = after === undefined ? members : members.filter((id) => isAfter(id, after));
      // A hundred at a time: one query, and seldom more than the page needs.
      for (let start = 0; start < rest.length && found.length <= limit; start += 100) {
        const active = await activeOf(needs.store, connectionId, rest.slice(start, start + 100));
        found.push(...active.map((id) => ({ id })));
      }
      if (found.length > limit) break;
    }
    const { shown, next } = pageOf(found, limit);
    return { items: shown, next };
  };

const groupIdPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const groupDoc = async (store: DirectoryStore, connectionId: string, groupId: string): Promise<Stored<GroupDoc>> => {
  const id = groupId.toLowerCase();
  const doc = groupIdPattern.test(id) ? await store.read(connectionId, "group", ids.group(id)) : null;
  if (!doc?.shown) throw new AppError("group-not-found");
  return doc;
};

const groupIdOf = (doc: GroupDoc): string => doc.id.slice(2);

export const groupViews = async (
  store: DirectoryStore,
  { connectionId, ring }: ConnectionContext,
  docs: readonly Stored<GroupDoc>[],
): Promise<GroupView[]> => {
  const here = new Set(docs.map((doc) => doc.id));
  const elsewhere = docs.flatMap(({ children }) => children.map(ids.group)).filter((id) => !here.has(id));
  const stored =
    elsewhere.length > 0 ? await store.load(connectionId, "group", elsewhere) : new Map<string, Stored<GroupDoc>>();
  const isStored = (child: string): boolean =>
    here.has(ids.group(child)) || stored.get(ids.group(child))?.shown === true;
  return docs.map((doc) => ({
    id: groupIdOf(doc),
    productGroup: doc.role === "product" ? doc.of : null,
    attributes: knownGroup(ring, doc).record.fields,
    children: doc.children.filter(isStored),
    changedAt: doc.changedAt,
    etag: doc._etag,
  }));
};

/** Leaves in order, beginning with the one that holds (or held) `after`. */
const leavesFrom = (doc: GroupDoc, after: string | undefined): string[] => {
  const leaves = doc.leaves.toSorted();
  if (after === undefined || leaves.length === 0) return leaves;
  const [start = ""] = byLeaf(leaves, [after]).keys();
  return leaves.slice(Math.max(0, leaves.indexOf(start)));
};

const isAfter = (id: string, after: string): boolean =>
  Buffer.compare(Buffer.from(id, "base64url"), Buffer.from(after, "base64url")) > 0;

const shardMembers = async (store: DirectoryStore, doc: GroupDoc, leaf: string): Promise<string[]> =>
  (await store.read(doc.connectionId, "members", ids.shard(groupIdOf(doc), leaf)))?.members ?? [];

export const activeOf = async (
  store: DirectoryStore,
  connectionId: string,
  personIds: readonly string[],
): Promise<string[]> => {
  const states = await store.personStates(connectionId, personIds.map(ids.person));
  const active = new Set([...states].flatMap(([id, state]) => (state === "active" ? [personOf(id)] : [])));
  return personIds.filter((id) => active.has(id));
};

/** Shards of a thousand members each, that are still counted one by one. */
const maxCountedShards = 25;

const memberCount = async (store: DirectoryStore, doc: GroupDoc): Promise<number | null> => {
  if (doc.leaves.length > maxCountedShards) return null;
  let count = 0;
  for (const leaf of doc.leaves)
    count += (await activeOf(store, doc.connectionId, await shardMembers(store, doc, leaf))).length;
  return count;
};
