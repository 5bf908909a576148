/** Memberships of one group, shard by shard: set operations, so repeating them changes nothing and writes nothing. */
import { iso } from "../../ambient.ts";
import { draftEntry } from "../../audit/change-log.ts";
import { type GroupDoc, ids, type ShardDoc, type Stored } from "../../store/documents.ts";
import { isShown } from "../group-roles.ts";
import type { Change, GroupChange, MembersChange } from "../plan.ts";
import { byLeaf, split } from "../shards.ts";
import type { Batch } from "./batch.ts";
import type { Loaded } from "./prepare.ts";
import type { Round } from "./round.ts";

/** Returns what did not fit into the batch, or null. */
export const prepareMembers = (round: Round, batch: Batch, loaded: Loaded, change: MembersChange): Change | null => {
  const { needs, connection } = round;
  const { connectionId, ring } = connection;
  const groupId = ids.group(change.group);
  const stored = loaded.groups.get(groupId) ?? null;
  const group = (batch.pending(groupId) ?? stored) as GroupDoc | null;
  if (!group || batch.pending(groupId) === null) {
    round.counts.moved++;
    return null;
  }

  const adding = change.op === "add";
  const leaves = new Set(group.leaves);
  const done: string[] = [];
  const left: string[] = [];
  const touched = byLeaf(group.leaves, change.people);
  for (const [bits, people] of touched) {
    const id = ids.shard(change.group, bits);
    const pending = batch.pending(id);
    const shard = loaded.shards.get(id) ?? null;
    const before = pending === null ? [] : (((pending as ShardDoc | undefined) ?? shard)?.members ?? []);
    const members = new Set(before);
    const moved = people.filter((person) => members.has(person) !== adding);
    if (moved.length === 0) continue;
    if (!batch.fits(4 + Math.ceil(moved.length / 250), (before.length + moved.length) * 40)) {
      left.push(...people);
      continue;
    }
    toggle(members, moved, adding);
    leaves.delete(bits);
    for (const [leaf, ofLeaf] of split(bits, [...members])) {
      leaves.add(leaf);
      writeShard(batch, connectionId, change.group, leaf, ofLeaf, leaf === bits ? shard : null);
    }
    if (!leaves.has(bits)) batch.delete(id, shard);
    done.push(...moved);
  }

  const children = new Set(group.children);
  const movedChildren = change.children.filter((child) => children.has(child) !== adding);
  toggle(children, movedChildren, adding);
  const nextLeaves = [...leaves].toSorted();
  if (movedChildren.length > 0 || JSON.stringify(nextLeaves) !== JSON.stringify([...group.leaves].toSorted()))
    batch.put(
      { ...group, leaves: nextLeaves, children: [...children].toSorted(), changedAt: iso(needs.ambient.now()) },
      stored,
    );

  // What only the sync itself needs is no part of the product's directory.
  if (group.shown) batch.delta.memberships += adding ? done.length : -done.length;
  const shown = group.shown ? activeOnly(round, batch, loaded, done).toSorted() : [];
  const shownChildren = movedChildren.filter((child) => isShownChild(batch, loaded, child)).toSorted();
  if (group.shown && shown.length + shownChildren.length > 0)
    batch.log(
      draftEntry(needs.ambient, ring, connectionId, {
        kind: "members",
        op: "changed",
        object: change.group,
        ...productGroupOf(group),
        cause: round.cause,
        run: round.id,
        ...(shown.length > 0 ? { [adding ? "added" : "removed"]: shown } : {}),
        ...(shownChildren.length > 0 ? { [adding ? "childrenAdded" : "childrenRemoved"]: shownChildren } : {}),
        ...(change.evidence ? { evidence: change.evidence } : {}),
      }),
    );
  return left.length > 0 ? { ...change, people: left, children: [] } : null;
};

/** For the entry: which group of the product this is. */
const productGroupOf = ({ role, of }: Pick<GroupDoc, "role" | "of">): { productGroup?: string } =>
  role === "product" && of !== null ? { productGroup: of } : {};

const toggle = (set: Set<string>, members: readonly string[], adding: boolean): void => {
  for (const id of members)
    if (adding) set.add(id);
    else set.delete(id);
};

const writeShard = (
  batch: Batch,
  connectionId: string,
  group: string,
  bits: string,
  members: readonly string[],
  stored: Stored<ShardDoc> | null,
): void => {
  const id = ids.shard(group, bits);
  if (members.length === 0) batch.delete(id, stored);
  else batch.put({ id, kind: "members", connectionId, v: 1, groupId: group, members: [...members] }, stored);
};

/** Views, feed and log show only the memberships of people who are synchronised. */
const activeOnly = ({ staging }: Round, batch: Batch, { states }: Loaded, people: readonly string[]): string[] =>
  people.filter((person) => {
    const pending = batch.pending(ids.person(person));
    if (pending?.kind === "person") return pending.state === "active";
    return staging.isWrittenActive(person) || states.get(ids.person(person)) === "active";
  });

/** Of groups that the product does not see it hears nothing; of one that it will see later, all it lies in is told then. */
const isShownChild = (batch: Batch, { children }: Loaded, child: string): boolean => {
  const pending = batch.pending(ids.group(child));
  const doc = pending === undefined ? children.get(ids.group(child)) : pending;
  return doc?.kind === "group" && doc.shown;
};

const shardsPerRemoval = 60;

/**
 * The group's document and entry go first, its shards with it or in the batches that follow. Until they are gone head remembers
 * the group: the next run may not speak of it any more.
 */
export const prepareRemoval = async (
  round: Round,
  batch: Batch,
  loaded: Loaded,
  change: GroupChange,
): Promise<Change | null> => {
  const { needs, connection } = round;
  const { connectionId, ring } = connection;
  const stored = loaded.groups.get(ids.group(change.id)) ?? null;
  if (!batch.fits(shardsPerRemoval + 1, 0)) return change;
  if (stored && batch.pending(stored.id) !== null) {
    batch.delete(stored.id, stored);
    if (stored.shown) {
      batch.delta.groups--;
      batch.log(
        draftEntry(needs.ambient, ring, connectionId, {
          kind: "group",
          op: "removed",
          object: change.id,
          ...productGroupOf(stored),
          cause: round.cause,
          run: round.id,
          ...(change.evidence ? { evidence: change.evidence } : {}),
        }),
      );
    }
  }
  const prefix = ids.shard(change.id, "");
  const shards = (
    await needs.store.list(connectionId, "members", { after: prefix.slice(0, -1), limit: shardsPerRemoval })
  ).filter((shard) => shard.id.startsWith(prefix) && batch.pending(shard.id) === undefined);
  for (const shard of shards) {
    batch.delete(shard.id, shard);
    if (isShown(change.role)) batch.delta.memberships -= shard.members.length;
  }
  const more = shards.length === shardsPerRemoval;
  batch.emptying.set(change.id, { shown: isShown(change.role), shardsLeft: more });
  return more ? change : null;
};
