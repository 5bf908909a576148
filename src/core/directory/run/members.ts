/** Who is in a group as this round leaves it: what is stored, and the changes that are planned. */
import { type GroupDoc, ids, type ShardDoc } from "../../store/documents.ts";
import { filterId, scopeId } from "../group-roles.ts";
import { IdSet } from "../id-set.ts";
import { byLeaf } from "../shards.ts";
import type { Round } from "./round.ts";

const shardsPerQuery = 50;

type Needs = Pick<Round, "needs" | "connection" | "staging">;
type Asked = Needs & Pick<Round, "cursor">;

/** Members in these leaves, a few thousand at a time. */
export async function* storedMembers(
  round: Needs,
  documentId: string,
  leaves: readonly string[],
): AsyncIterable<readonly string[]> {
  const shards = leaves.map((bits) => ids.shard(documentId, bits));
  for await (const { members } of loadShards(round, shards)) yield members;
}

async function* loadShards(round: Needs, shards: readonly string[]): AsyncIterable<ShardDoc> {
  for (let at = 0; at < shards.length; at += shardsPerQuery) {
    const wanted = shards.slice(at, at + shardsPerQuery);
    yield* (await round.needs.store.load(round.connection.connectionId, "members", wanted)).values();
  }
}

/** Null: the connection holds no such group after this round. */
export const heldDocument = async (
  { connection, staging, nesting }: Pick<Round, "connection" | "staging" | "nesting">,
  group: string,
): Promise<Held | null> => {
  const candidates = [group, filterId(connection.ring, group)];
  const docs = new Map((await nesting.documentsOf(group)).map((doc) => [doc.id, doc]));
  const id =
    candidates.find((each) => staging.said("groups", each) === "there") ??
    candidates.find((each) => docs.has(ids.group(each)) && staging.said("groups", each) !== "gone");
  return id === undefined ? null : { id, doc: docs.get(ids.group(id)) ?? null };
};

interface Held {
  id: string;
  doc: GroupDoc | null;
}

export const isHeld = async (round: Round, group: string): Promise<boolean> =>
  (await heldDocument(round, group)) !== null;

/** Adds the members of groups of the tenant to `found`; of `among` only, where that is given. */
export const addMembers = async (
  round: Round,
  groups: readonly string[],
  found: IdSet,
  among: readonly string[] | null,
): Promise<void> => {
  const held: Held[] = [];
  for (const group of groups) {
    const document = await heldDocument(round, group);
    if (document) held.push(document);
  }
  await addMembersOf(round, held, found, among);
};

/** The shards of all of them are asked for together. */
export const addMembersOf = async (
  round: Needs,
  groups: readonly Held[],
  found: IdSet,
  among: readonly string[] | null,
): Promise<void> => {
  const wanted = among && new Set(among);
  const counts = (person: string): boolean => wanted === null || wanted.has(person);
  const removed = new Map<string, IdSet>();
  const shards: string[] = [];
  // In the order in which they were planned: groups whose changes lie in one part come one after the other.
  for (const { id, doc } of groups.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const planned = await round.staging.plannedMembers(id);
    for (const person of planned.add) if (counts(person)) found.add(person);
    if (planned.remove.size > 0) removed.set(id, planned.remove);
    const leaves = among && doc ? [...byLeaf(doc.leaves, among).keys()] : (doc?.leaves ?? []);
    for (const bits of leaves) shards.push(ids.shard(id, bits));
  }
  for await (const { groupId, members } of loadShards(round, shards))
    for (const person of members) if (counts(person) && !removed.get(groupId)?.has(person)) found.add(person);
};

/** Asks who is in the selected groups. A round that reads everybody asks for everybody, so then all are loaded at once. */
export class ScopeMembers {
  readonly #round: Asked;
  #all: IdSet | null = null;

  constructor(round: Asked) {
    this.#round = round;
  }

  get #scope(): string {
    return scopeId(this.#round.connection.ring);
  }

  /** Planned since all were loaded. */
  joined(group: string, people: readonly string[]): void {
    if (group === this.#scope) for (const person of people) this.#all?.add(person);
  }

  async among(people: readonly string[]): Promise<Pick<IdSet, "has">> {
    const { cursor, connection, needs } = this.#round;
    const found = new IdSet();
    if (connection.settings.people.from === "everybody") return found;
    if (this.#all) return this.#all;
    const id = this.#scope;
    const doc = await needs.store.read(connection.connectionId, "group", ids.group(id));
    const everybody = cursor.full.users || cursor.again.users;
    await addMembersOf(this.#round, [{ id, doc }], found, everybody ? null : people);
    if (everybody) this.#all = found;
    return found;
  }
}
