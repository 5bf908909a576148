/** What a random happening sees of a directory and can do to it. */
import { type MembershipRule, parseRule, satisfies } from "./membership-rule.ts";
import { createPersonMaker, type PersonKind } from "./person-maker.ts";
import { guidOf, type Random, randomOf } from "./random.ts";
import type { DirectoryState, MemberType, Mutation, SimGroup, SimUser } from "./state.ts";

/** What a happening works with. `some...` answer undefined where the directory has nothing of the kind. */
export interface Scene {
  directory: DirectoryState;
  random: Random;
  domain: string;
  emit: (mutation: Mutation) => void;
  somePerson: (fits?: (user: SimUser) => boolean) => SimUser | undefined;
  someGroup: (fits?: (group: SimGroup) => boolean) => SimGroup | undefined;
  newId: () => string;
  /** Properties nobody has yet. */
  draft: (kind?: PersonKind) => Record<string, unknown>;
  createPerson: (properties?: Record<string, unknown>) => SimUser;
  createGroup: (properties: Record<string, unknown>, members?: [string, MemberType][]) => SimGroup;
  updatePerson: (id: string, set: Record<string, unknown>) => void;
}

export interface HappeningKind {
  name: string;
  weight: number;
  /** False, and nothing emitted, where the directory holds nothing this could happen to. */
  happen: (scene: Scene) => boolean;
}

export interface SceneOptions {
  directory: DirectoryState;
  seed: number;
  /** People who are left alone, such as the accounts that sign in. */
  keep?: ReadonlySet<string>;
}

export function createScene({ directory, seed, keep }: SceneOptions, emit: (mutation: Mutation) => void): Scene {
  // the same seed means other things in another tenant, and later in the same one
  const anchor = directory.users.values().next().value;
  if (!anchor) throw new Error("Nothing can happen in a directory without people");
  const origin = [anchor.id, directory.sequence, seed];
  const domain = String(anchor.properties.userPrincipalName).split("@").at(-1) ?? "";
  const random = randomOf("change", ...origin);
  const maker = createPersonMaker(random, domain, seed);
  const people = [...directory.users.keys()];
  const groups = [...directory.groups.keys()];
  let ids = 0;
  const newId = (): string => guidOf("change", ...origin, ids++);

  const rules = new Map<string, MembershipRule>();
  for (const objects of [directory.groups, directory.deletedGroups]) {
    for (const [id, { properties }] of objects) noteRule(id, properties);
  }
  function noteRule(id: string, properties: Record<string, unknown>): void {
    const rule = parseRule(properties.membershipRule);
    if (rule) rules.set(id, rule);
  }

  /** Entra does this some minutes after a change; here it is part of it. */
  function applyRules(person: SimUser): void {
    for (const [groupId, rule] of rules) {
      const group = directory.groups.get(groupId);
      if (!group) continue;
      const belongs = satisfies(rule, person.properties);
      if (belongs === group.members.has(person.id)) continue;
      const edge = { groupId, memberId: person.id, byRule: true };
      emit(belongs ? { op: "add-member", ...edge, memberType: "user" } : { op: "remove-member", ...edge });
    }
  }

  function some<T>(known: string[], objects: ReadonlyMap<string, T>, fits: (object: T) => boolean): T | undefined {
    for (let attempt = 0; attempt < 60 && known.length > 0; attempt++) {
      const object = objects.get(random.pick(known));
      if (object !== undefined && fits(object)) return object;
    }
    return undefined;
  }

  function draft(kind: PersonKind = "employee"): Record<string, unknown> {
    return maker.make(kind, `new-${newId().slice(0, 13)}`);
  }

  const scene: Scene = {
    directory,
    random,
    domain,
    emit,
    newId,
    draft,
    somePerson: (fits = () => true) =>
      some(people, directory.users, (user) => keep?.has(user.id) !== true && fits(user)),
    someGroup: (fits = () => true) => some(groups, directory.groups, fits),
    createPerson(properties = draft()) {
      const user = { id: newId(), properties, managerId: null };
      emit({ op: "create-user", user });
      people.push(user.id);
      applyRules(user);
      return user;
    },
    createGroup(properties, members = []) {
      const id = newId();
      emit({ op: "create-group", group: { id, properties, members } });
      groups.push(id);
      noteRule(id, properties);
      return directory.groups.get(id) ?? { id, properties, members: new Map(members) };
    },
    updatePerson(id, set) {
      emit({ op: "update-user", id, set });
      const person = directory.users.get(id);
      if (person) applyRules(person);
    },
  };
  return scene;
}
