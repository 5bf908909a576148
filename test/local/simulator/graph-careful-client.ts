/** A careful client of the delta feeds, and what it must hold. */
import { isDeepStrictEqual } from "node:util";
import type { DirectoryState } from "../../../src/local/simulator/directory/state.ts";
import {
  type Ask,
  entriesOf,
  groupSelect,
  idOf,
  isRemoved,
  type Json,
  type RoundRead,
  reader,
  readRound,
  related,
  userSelect,
} from "./graph-scene.ts";

export interface Held {
  people: Map<string, { active: boolean; properties: Json; manager: string | null }>;
  groups: Map<string, { properties: Json; members: Set<string> }>;
}

/**
 * The rules of the fact page in their shortest form: upsert by id, a person's tombstone ends that person's edges, what came
 * back or was reported both ways is read again.
 */
export const carefulClient = (ask: Ask, roles = [...reader, "Member.Read.Hidden"]) => {
  const held: Held = { people: new Map(), groups: new Map() };
  /** People whose edges were ended by a tombstone. */
  const ended = new Set<string>();
  let usersLink = `/users/delta?$select=${userSelect}`;
  let groupsLink = `/groups/delta?$select=${groupSelect}`;

  const readIds = async (path: string): Promise<Json[]> => {
    const found: Json[] = [];
    for (let link: unknown = path; typeof link === "string"; ) {
      const { body } = await ask(link, { roles });
      found.push(...entriesOf(body));
      link = body["@odata.nextLink"];
    }
    return found;
  };

  const takeGroups = async (entries: Json[], first: boolean): Promise<void> => {
    const readAgain = new Set<string>();
    const ways = new Map<string, boolean>();
    for (const entry of entries) {
      const id = idOf(entry);
      if (isRemoved(entry)) {
        held.groups.delete(id);
        continue;
      }
      // new or restored: a restored group may bring its members late
      if (!first && !held.groups.has(id)) readAgain.add(id);
      const known = held.groups.get(id) ?? { properties: {}, members: new Set<string>() };
      held.groups.set(id, known);
      for (const [name, value] of Object.entries(entry)) if (!name.includes("@")) known.properties[name] = value;
      for (const member of related(entry, "members@delta")) {
        const pair = `${id} ${idOf(member)}`;
        if (ways.has(pair) && ways.get(pair) !== isRemoved(member)) readAgain.add(id);
        ways.set(pair, isRemoved(member));
        if (isRemoved(member)) known.members.delete(idOf(member));
        else known.members.add(idOf(member));
      }
    }
    for (const id of readAgain) {
      const known = held.groups.get(id);
      if (known) known.members = new Set((await readIds(`/groups/${id}/members?$select=id`)).map(idOf));
    }
  };

  const takeUsers = async (entries: Json[], first: boolean): Promise<void> => {
    for (const entry of entries) {
      const id = idOf(entry);
      const known = held.people.get(id);
      if (isRemoved(entry)) {
        ended.add(id);
        // the person's own edge ends too: a restored person without a manager comes without a word about one
        if (known) Object.assign(known, { active: false, manager: null });
        for (const { members } of held.groups.values()) members.delete(id);
        continue;
      }
      const person = known ?? { active: true, properties: {}, manager: null };
      // who came back, or may have: groups tell nothing of it
      if (ended.delete(id) || (!known && !first)) {
        const containing = await readIds(`/users/${id}/memberOf?$select=id`);
        for (const each of containing) held.groups.get(idOf(each))?.members.add(id);
      }
      person.active = true;
      held.people.set(id, person);
      for (const [name, value] of Object.entries(entry)) if (!name.includes("@")) person.properties[name] = value;
      if ("manager@delta" in entry) {
        const live = related(entry, "manager@delta").findLast((each) => !isRemoved(each));
        person.manager = live ? idOf(live) : null;
      }
    }
  };

  return {
    held,
    sync: async (between?: (page: number) => void): Promise<{ groups: RoundRead; users: RoundRead }> => {
      const groups = await readRound(ask, groupsLink, between, roles);
      const users = await readRound(ask, usersLink, between, roles);
      const first = held.people.size === 0;
      await takeGroups(groups.entries, first);
      await takeUsers(users.entries, first);
      groupsLink = groups.deltaLink;
      usersLink = users.deltaLink;
      return { groups, users };
    },
  };
};

/** What the client must hold, straight from the directory: of memberships those of people and groups. */
const expectedOf = (directory: DirectoryState): { people: Map<string, unknown>; groups: Map<string, unknown> } => {
  const users = userSelect.split(",").filter((name) => name !== "manager");
  const groups = groupSelect.split(",").filter((name) => name !== "members");
  const live = (id: string | null): string | null => (id !== null && directory.users.has(id) ? id : null);
  return {
    people: new Map(
      [...directory.users.values()].map((each) => [
        each.id,
        { properties: pick(each.id, each.properties, users), manager: live(each.managerId) },
      ]),
    ),
    groups: new Map(
      [...directory.groups.values()].map((each) => [
        each.id,
        {
          properties: pick(each.id, each.properties, groups),
          members: [...each.members.keys()]
            .filter((id) => directory.users.has(id) || directory.groups.has(id))
            .toSorted(),
        },
      ]),
    ),
  };
};

/** Edges to somebody the client does not know (any more) are kept, but do not show. */
const heldLive = (held: Held): ReturnType<typeof expectedOf> => {
  const people = new Map([...held.people].filter(([, { active }]) => active));
  return {
    people: new Map(
      [...people].map(([id, { properties, manager }]) => [
        id,
        { properties: normal(properties), manager: manager !== null && people.has(manager) ? manager : null },
      ]),
    ),
    groups: new Map(
      [...held.groups].map(([id, { properties, members }]) => [
        id,
        {
          properties: normal(properties),
          members: [...members].filter((each) => people.has(each) || held.groups.has(each)).toSorted(),
        },
      ]),
    ),
  };
};

/** Objects on which client and directory do not agree, with both sides; [] when they agree. */
export const differences = (held: Held, directory: DirectoryState): object[] => {
  const found: object[] = [];
  const ours = heldLive(held);
  const theirs = expectedOf(directory);
  for (const kind of ["people", "groups"] as const) {
    for (const id of new Set([...ours[kind].keys(), ...theirs[kind].keys()])) {
      const [holds, expected] = [ours[kind].get(id), theirs[kind].get(id)];
      if (!isDeepStrictEqual(holds, expected)) found.push({ kind, id, holds, expected });
    }
  }
  return found;
};

const pick = (id: string, properties: Json, names: string[]): Json => {
  const all: Json = { ...properties, id };
  return Object.fromEntries(names.filter((name) => all[name] !== undefined).map((name) => [name, all[name]]));
};

const normal = (properties: Json): Json => ({ ...properties, id: idOf(properties) });
