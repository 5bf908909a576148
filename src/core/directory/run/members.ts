/** Who is in a group as this round leaves it: what is stored, and the changes that are planned. */
import { type GroupDoc, ids, type Stored } from "../../store/documents.ts";
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
  for (let at = 0; at < shards.length; at += shardsPerQuery) {
    const wanted = shards.slice(at, at + shardsPerQuery);
    const docs = await round.needs.store.load(round.connection.connectionId, "members", wanted);
    for (const doc of docs.values()) yield doc.members;
  }
}

/** Null: the connection holds no such group after this round. */
const documentOf = async (
  round: Needs,
  group: string,
): Promise<{ id: string; doc: Stored<GroupDoc> | null } | null> => {
  const { needs, connection, staging } = round;
  const candidates = [group, filterId(connection.ring, group)];
  const docs = await needs.store.load(connection.connectionId, "group", candidates.map(ids.group));
  const id =
    candidates.find((each) => staging.said("groups", each) === "there") ??
    candidates.find((each) => docs.has(ids.group(each)) && staging.said("groups", each) !== "gone");
  return id === undefined ? null : { id, doc: docs.get(ids.group(id)) ?? null };
};

export const isHeld = async (round: Needs, group: string): Promise<boolean> =>
  (await documentOf(round, group)) !== null;

/** Adds the members of a group of the tenant to `found`; of `among` only, where that is given. */
export const addMembers = async (
  round: Needs,
  group: string,
  found: IdSet,
  among: readonly string[] | null,
): Promise<void> => {
  const held = await documentOf(round, group);
  if (held) await addMembersOfDocument(round, held.id, held.doc, found, among);
};

export const addMembersOfDocument = async (
  round: Needs,
  id: string,
  doc: GroupDoc | null,
  found: IdSet,
  among: readonly string[] | null,
): Promise<void> => {
  const planned = await round.staging.plannedMembers(id);
  const wanted = among && new Set(among);
  const counts = (person: string): boolean => wanted === null || wanted.has(person);
  const leaves = among && doc ? [...byLeaf(doc.leaves, among).keys()] : (doc?.leaves ?? []);
  for await (const members of storedMembers(round, id, leaves))
    for (const person of members) if (counts(person) && !planned.remove.has(person)) found.add(person);
  for (const person of planned.add) if (counts(person)) found.add(person);
};

/** Asks who is in the selected groups. A round that reads everybody asks for everybody, so then all are loaded at once. */
export class ScopeMembers {
  readonly #round: Asked;
  #all: IdSet | null = null;

  constructor(round: Asked) {
    this.#round = round;
  }

  async among(people: readonly string[]): Promise<Pick<IdSet, "has">> {
    const { cursor, connection, needs } = this.#round;
    const found = new IdSet();
    if (connection.settings.people.from === "everybody") return found;
    if (this.#all) return this.#all;
    const id = scopeId(connection.ring);
    const doc = await needs.store.read(connection.connectionId, "group", ids.group(id));
    const everybody = cursor.full.users || cursor.again.users;
    await addMembersOfDocument(this.#round, id, doc, found, everybody ? null : people);
    if (everybody) this.#all = found;
    return found;
  }
}
