/**
 * What a directory looks like: as the product reads it, as its change log tells it, and as the oracle of the simulated tenant
 * expects it. The product names people by pseudonyms and Entra ID by object ids, so they are compared by what is known of them.
 */
import { z } from "zod";
import { canonicalJson, type Json } from "../../core/canonical-json.ts";
import { ChangesPage, type ChangeView } from "../../core/views/changes.ts";
import { PersonView } from "../../core/views/people.ts";
import { SnapshotPage } from "../../core/views/snapshot.ts";
import type { Commands } from "../simulator/commands.ts";
import type { Product } from "./product.ts";

type Attributes = Record<string, Json>;

export interface Picture {
  people: Map<string, { state: string; attributes: Attributes; manager: string | null }>;
  groups: Map<string, { attributes: Attributes; members: Set<string>; children: Set<string> }>;
}

/** Where in the sequence a picture was taken, and the chain over everything up to there. */
export interface Witness {
  sequence: number;
  chain: string;
}

export interface Replayed {
  picture: Picture;
  witness: Witness;
}

const emptyPicture = (): Picture => ({ people: new Map(), groups: new Map() });

/** The snapshot, and beside it the people who are no longer active. */
export const readPicture = async (product: Product, path: string): Promise<Replayed> => {
  const picture = emptyPicture();
  let witness: Witness | null = null;
  for (let cursor: string | null = ""; cursor !== null; ) {
    const query: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: z.output<typeof SnapshotPage> = await product.get(`${path}/snapshot?limit=200${query}`, SnapshotPage);
    for (const item of page.items) {
      if (item.kind === "person") addPerson(picture, item.person);
      else if (item.kind === "group") {
        const { id, attributes, children } = item.group;
        picture.groups.set(id, { attributes, members: new Set(), children: new Set(children) });
      } else for (const member of item.members) picture.groups.get(item.group)?.members.add(member);
    }
    witness = page.end;
    cursor = page.next;
  }
  if (!witness) throw new Error("The snapshot ends without a place in the change feed.");
  for (const person of await product.list(`${path}/people?state=deactivated&limit=200`, PersonView))
    addPerson(picture, person);
  return { picture, witness };
};

const addPerson = (picture: Picture, { id, state, attributes, manager }: z.output<typeof PersonView>): void => {
  picture.people.set(id, { state, attributes: attributes ?? {}, manager });
};

/** The change feed from its beginning. Throws when a number is missing, an entry comes twice, or a record contradicts an earlier one. */
export const replayChanges = async (product: Product, path: string): Promise<Replayed> => {
  const picture = emptyPicture();
  const seen = new Set<string>();
  let after = 0;
  for (;;) {
    const page = await product.get(`${path}/changes?after=${after}&limit=200`, ChangesPage);
    for (const change of page.items) {
      if (change.sequence !== after + 1) throw new Error(`The feed goes from ${after} to ${change.sequence}.`);
      if (seen.has(change.id)) throw new Error(`The feed repeats entry ${change.id}.`);
      seen.add(change.id);
      after = change.sequence;
      applyChange(picture, change);
    }
    if (after >= page.sequence) return { picture: settled(picture), witness: page };
    if (page.items.length === 0) throw new Error(`The feed ends at ${after} of ${page.sequence}.`);
  }
};

const applyChange = (picture: Picture, change: ChangeView): void => {
  if (change.kind === "person") applyPerson(picture, change);
  else if (change.kind === "group") applyGroup(picture, change);
  else if (change.kind === "members") applyMembers(picture, change);
};

const contradiction = ({ sequence, kind, op }: ChangeView, why: string): Error =>
  new Error(`Entry ${sequence} (${kind} ${op}): ${why}.`);

type Fields = { attributes: Attributes; manager?: string | null };

/** Lays the fields of an entry over those before it, which have to be what the entry says they were. */
const applyFields = (change: ChangeView, object: Fields): void => {
  if (change.op === "updated" && change.content === "open" && change.changes.length === 0)
    throw contradiction(change, "nothing has changed");
  for (const { field, before, after } of change.changes) {
    const isManager = field === "manager" && object.manager !== undefined;
    const now = isManager ? (object.manager ?? null) : (object.attributes[field] ?? null);
    if (canonicalJson(now) !== canonicalJson(before as Json))
      throw contradiction(change, `${field} was not what the entry says it was`);
    if (isManager) object.manager = typeof after === "string" ? after : null;
    else object.attributes[field] = after as Json;
  }
};

/** What was decided by hand; what follows from it has an entry of its own. */
const decisions: readonly string[] = ["enabled", "excluded"];
const departures: readonly string[] = ["deactivated", "removed", "erased"];

const applyPerson = ({ people, groups }: Picture, change: ChangeView): void => {
  if (decisions.includes(change.op)) return;
  const known = people.get(change.object);
  if ((change.op === "created") === (known !== undefined) || (known && change.op === known.state))
    throw contradiction(change, `the person is ${known?.state ?? "not there"}`);
  const person = known ?? { state: "active", attributes: {}, manager: null };
  const departs = departures.includes(change.op);
  person.state = departs ? change.op : "active";
  applyFields(change, person);
  people.set(change.object, person);
  if (departs) for (const { members } of groups.values()) members.delete(change.object);
  for (const id of change.groups ?? []) add(change, groups.get(id)?.members, change.object);
};

const applyGroup = ({ groups }: Picture, change: ChangeView): void => {
  const known = groups.get(change.object);
  if ((change.op === "created") === (known !== undefined))
    throw contradiction(change, `the group is ${known ? "there" : "not there"}`);
  if (change.op === "removed") {
    groups.delete(change.object);
    return;
  }
  const group = known ?? { attributes: {}, members: new Set(), children: new Set() };
  applyFields(change, group);
  groups.set(change.object, group);
};

const applyMembers = ({ groups }: Picture, change: ChangeView): void => {
  const group = groups.get(change.object);
  for (const id of change.added ?? []) add(change, group?.members, id);
  for (const id of change.removed ?? []) remove(change, group?.members, id);
  for (const id of change.childrenAdded ?? []) add(change, group?.children, id);
  for (const id of change.childrenRemoved ?? []) remove(change, group?.children, id);
};

const add = (change: ChangeView, ids: Set<string> | undefined, id: string): void => {
  if (!ids || ids.has(id)) throw contradiction(change, ids ? "the member is there already" : "the group is not there");
  ids.add(id);
};

const remove = (change: ChangeView, ids: Set<string> | undefined, id: string): void => {
  if (!ids?.delete(id)) throw contradiction(change, ids ? "the member is not there" : "the group is not there");
};

/** Managers and nested groups count while the product holds them itself; of people who are removed nothing is left to show. */
const settled = (picture: Picture): Picture => {
  const { people, groups } = picture;
  for (const [id, { state }] of people) if (state === "removed" || state === "erased") people.delete(id);
  for (const person of people.values())
    if (person.manager !== null && people.get(person.manager)?.state !== "active") person.manager = null;
  for (const group of groups.values()) group.children = new Set([...group.children].filter((id) => groups.has(id)));
  return picture;
};

export const expectedPicture = (oracle: ReturnType<Commands["oracle"]["run"]>): Picture => ({
  people: new Map(
    Object.entries(oracle.people).map(([id, { state, attributes, manager }]) => [
      id,
      { state, attributes: attributes as Attributes, manager },
    ]),
  ),
  groups: new Map(
    Object.entries(oracle.groups).map(([id, { attributes, members, childGroups }]) => [
      id,
      { attributes: attributes as Attributes, members: new Set(members), children: new Set(childGroups) },
    ]),
  ),
});

export interface Difference {
  /** Descriptions of what only the one picture has. */
  missing: string[];
  unexpected: string[];
}

/** Empty lists: the pictures show the same directory. */
export const difference = (expected: Picture, actual: Picture): Difference => {
  const left = new Map<string, number>();
  for (const line of portrait(expected)) left.set(line, (left.get(line) ?? 0) + 1);
  const unexpected: string[] = [];
  for (const line of portrait(actual)) {
    const count = left.get(line) ?? 0;
    if (count > 0) left.set(line, count - 1);
    else unexpected.push(line);
  }
  const missing = [...left].flatMap(([line, count]) => Array<string>(count).fill(line));
  return { missing, unexpected };
};

/** One line for each object, in which people go by their user principal name: among active people it is unique. */
const portrait = ({ people, groups }: Picture): string[] => {
  const nameOf = (id: string): string => {
    const name = people.get(id)?.attributes.userPrincipalName;
    return typeof name === "string" ? name.toLowerCase() : id;
  };
  return [
    ...[...people].map(([id, { state, attributes, manager }]) => {
      const name = state === "active" ? nameOf(id) : "";
      return `person ${canonicalJson([name, state, manager === null ? null : nameOf(manager), attributes])}`;
    }),
    ...[...groups].map(([id, { attributes, members, children }]) => {
      const names = [...members].map(nameOf).toSorted();
      return `group ${canonicalJson([id, attributes, names, [...children].toSorted()])}`;
    }),
  ];
};

export const membershipsOf = ({ groups }: Picture): number =>
  [...groups.values()].reduce((sum, { members }) => sum + members.size, 0);

export const activePeopleOf = ({ people }: Picture): number =>
  [...people.values()].filter(({ state }) => state === "active").length;
