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

const applyPerson = ({ people, groups }: Picture, change: ChangeView): void => {
  const known = people.get(change.object);
  if ((change.op === "created") === (known !== undefined))
    throw new Error(`Entry ${change.sequence}: ${change.op} of a person who is ${known?.state ?? "not there"}.`);
  const person = known ?? { state: "active", attributes: {}, manager: null };
  person.state = change.op === "deactivated" ? "deactivated" : "active";
  for (const { field, before, after } of change.changes) {
    const now = field === "manager" ? person.manager : (person.attributes[field] ?? null);
    if (canonicalJson(now) !== canonicalJson(before as Json))
      throw new Error(`Entry ${change.sequence}: ${field} was not what the entry says it was.`);
    if (field === "manager") person.manager = typeof after === "string" ? after : null;
    else person.attributes[field] = after as Json;
  }
  people.set(change.object, person);
  if (change.op === "deactivated") for (const { members } of groups.values()) members.delete(change.object);
  for (const group of change.groups ?? []) groups.get(group)?.members.add(change.object);
};

const applyGroup = ({ groups }: Picture, change: ChangeView): void => {
  if (change.op === "removed") {
    groups.delete(change.object);
    return;
  }
  const group = groups.get(change.object) ?? { attributes: {}, members: new Set(), children: new Set() };
  for (const { field, after } of change.changes) group.attributes[field] = after as Json;
  groups.set(change.object, group);
};

const applyMembers = ({ groups }: Picture, change: ChangeView): void => {
  const group = groups.get(change.object);
  if (!group) throw new Error(`Entry ${change.sequence}: members of a group that is not there.`);
  for (const id of change.added ?? []) group.members.add(id);
  for (const id of change.removed ?? []) group.members.delete(id);
  for (const id of change.childrenAdded ?? []) group.children.add(id);
  for (const id of change.childrenRemoved ?? []) group.children.delete(id);
};

/** Managers and nested groups count while the product holds them itself. */
const settled = (picture: Picture): Picture => {
  const { people, groups } = picture;
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
