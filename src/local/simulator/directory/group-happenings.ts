/** What happens to groups and memberships. */
import { groupKind, isDynamic } from "./entra-rules.ts";
import { ruleText, satisfies } from "./membership-rule.ts";
import type { HappeningKind, Scene } from "./scene.ts";
import type { MemberType, SimGroup } from "./state.ts";

const toSomeGroup = (
  name: string,
  weight: number,
  fits: (group: SimGroup) => boolean,
  /** Answers false where it finds nothing to do; then nothing was emitted. */
  act: (group: SimGroup, scene: Scene) => boolean | void,
): HappeningKind => ({
  name,
  weight,
  happen(scene) {
    const group = scene.someGroup(fits);
    return group !== undefined && act(group, scene) !== false;
  },
});

const isTeam = ({ properties }: SimGroup): boolean => groupKind(properties) === "microsoft-365";
const isManual = ({ properties }: SimGroup): boolean => !isDynamic(properties);
const canNest = (group: SimGroup): boolean => isManual(group) && !isTeam(group);
const hasMembers = ({ members }: SimGroup): boolean => members.size > 0;

function newGroup({ newId, random, domain, draft }: Scene, team: boolean): Record<string, unknown> {
  const nickname = `grp-new-${newId().slice(0, 13)}`;
  const address = `${nickname}@${domain}`;
  return {
    displayName: `${random.pick(["Initiative", "Entwurf", "Atelier", "計画"])} ${String(draft().city)} ${nickname.slice(-4)}`,
    description: random.chance(0.5) ? `Angelegt für ${nickname}` : null,
    mailNickname: nickname,
    mail: team ? address : null,
    proxyAddresses: team ? [`SMTP:${address}`] : [],
    mailEnabled: team,
    securityEnabled: !team,
    groupTypes: team ? ["Unified"] : [],
    visibility: team ? "Private" : null,
  };
}

function strangersTo(group: SimGroup, scene: Scene, count: number): string[] {
  const found = new Set<string>();
  for (let attempt = 0; attempt < count; attempt++) {
    const person = scene.somePerson(({ id }) => !group.members.has(id) && !found.has(id));
    if (!person) break;
    found.add(person.id);
  }
  return [...found];
}

/** Live members only: a soft-deleted person cannot be taken out. */
const membersOf = ({ members }: SimGroup, { directory }: Scene, type: MemberType): string[] =>
  [...members].filter(([id, memberType]) => memberType === type && !directory.deletedUsers.has(id)).map(([id]) => id);

const createWithMembers = (name: string, team: boolean): HappeningKind => ({
  name,
  weight: 2,
  happen(scene) {
    const founders = new Set(Array.from({ length: 1 + scene.random.below(5) }, () => scene.somePerson()?.id));
    const members = [...founders].flatMap((id): [string, MemberType][] => (id === undefined ? [] : [[id, "user"]]));
    scene.createGroup(newGroup(scene, team), members);
    return true;
  },
});

export const groupHappenings: HappeningKind[] = [
  createWithMembers("team created", true),
  createWithMembers("security group created", false),
  {
    name: "dynamic group created",
    weight: 1,
    happen(scene) {
      const { department, city } = scene.draft();
      const rule = [
        { property: "department", value: String(department) },
        { property: "city", value: String(city) },
      ];
      const holders = [...scene.directory.users.values()].filter(({ properties }) => satisfies(rule, properties));
      const { id: groupId } = scene.createGroup({
        ...newGroup(scene, false),
        groupTypes: ["DynamicMembership"],
        membershipRule: ruleText(rule),
        membershipRuleProcessingState: "On",
      });
      for (const { id } of holders) {
        scene.emit({ op: "add-member", groupId, memberId: id, memberType: "user", byRule: true });
      }
      return true;
    },
  },
  toSomeGroup(
    "group renamed",
    4,
    () => true,
    ({ id }, scene) => scene.emit({ op: "update-group", id, set: { displayName: newGroup(scene, false).displayName } }),
  ),
  toSomeGroup(
    "group description changed",
    3,
    () => true,
    ({ id }, { emit, random, newId }) =>
      emit({
        op: "update-group",
        id,
        set: { description: random.pick([`Neu gefasst ${newId().slice(0, 8)}`, null, "", "  "]) },
      }),
  ),
  toSomeGroup(
    "group visibility switched",
    1,
    ({ properties }) =>
      properties.visibility === "Public" || (properties.visibility === "Private" && !properties.isAssignableToRole),
    ({ id, properties }, { emit }) =>
      emit({ op: "update-group", id, set: { visibility: properties.visibility === "Public" ? "Private" : "Public" } }),
  ),
  toSomeGroup(
    "group with members deleted",
    2,
    (group) => hasMembers(group) && group.members.size < 200,
    ({ id }, { emit }) => emit({ op: "delete-group", id }),
  ),
  toSomeGroup("team deleted and restored at once", 1, isTeam, ({ id }, { emit }) => {
    emit({ op: "delete-group", id });
    emit({ op: "restore-group", id });
  }),
  ...(["restore-group", "purge-group"] as const).map(
    (op): HappeningKind => ({
      name: op === "restore-group" ? "deleted team restored" : "deleted team purged",
      weight: op === "restore-group" ? 2 : 1,
      happen({ directory, random, emit }) {
        const deleted = [...directory.deletedGroups.keys()];
        if (deleted.length === 0) return false;
        emit({ op, id: random.pick(deleted) });
        return true;
      },
    }),
  ),
  toSomeGroup("member added", 8, isManual, (group, scene) => {
    const [memberId] = strangersTo(group, scene, 1);
    if (memberId === undefined) return false;
    scene.emit({ op: "add-member", groupId: group.id, memberId, memberType: "user" });
    return true;
  }),
  toSomeGroup(
    "member removed",
    6,
    (group) => isManual(group) && hasMembers(group),
    (group, scene) => {
      const people = membersOf(group, scene, "user");
      if (people.length === 0) return false;
      scene.emit({ op: "remove-member", groupId: group.id, memberId: scene.random.pick(people) });
      return true;
    },
  ),
  toSomeGroup("member added and removed at once", 2, isManual, (group, scene) => {
    const [memberId] = strangersTo(group, scene, 1);
    if (memberId === undefined) return false;
    scene.emit({ op: "add-member", groupId: group.id, memberId, memberType: "user" });
    scene.emit({ op: "remove-member", groupId: group.id, memberId });
    return true;
  }),
  toSomeGroup(
    "member removed and added again at once",
    2,
    (group) => isManual(group) && hasMembers(group),
    (group, scene) => {
      const people = membersOf(group, scene, "user");
      if (people.length === 0) return false;
      const memberId = scene.random.pick(people);
      scene.emit({ op: "remove-member", groupId: group.id, memberId });
      scene.emit({ op: "add-member", groupId: group.id, memberId, memberType: "user" });
      return true;
    },
  ),
  toSomeGroup("new person joins at once", 3, isManual, (group, scene) => {
    const { id } = scene.createPerson();
    scene.emit({ op: "add-member", groupId: group.id, memberId: id, memberType: "user" });
  }),
  toSomeGroup("many members added", 1, isManual, (group, scene) => {
    const many = strangersTo(group, scene, 20 + scene.random.below(60));
    for (const memberId of many) scene.emit({ op: "add-member", groupId: group.id, memberId, memberType: "user" });
    return many.length > 0;
  }),
  toSomeGroup("group nested", 3, canNest, (parent, scene) => {
    const child = scene.someGroup((group) => canNest(group) && group !== parent && !parent.members.has(group.id));
    if (!child) return false;
    scene.emit({ op: "add-member", groupId: parent.id, memberId: child.id, memberType: "group" });
    return true;
  }),
  toSomeGroup("cycle of groups closed", 1, canNest, (child, scene) => {
    const parent = [...scene.directory.groupsOf(child.id)].find((id) => !child.members.has(id));
    if (parent === undefined) return false;
    scene.emit({ op: "add-member", groupId: child.id, memberId: parent, memberType: "group" });
    return true;
  }),
  toSomeGroup("nested group taken out", 2, canNest, (parent, scene) => {
    const [child] = membersOf(parent, scene, "group");
    if (child === undefined) return false;
    scene.emit({ op: "remove-member", groupId: parent.id, memberId: child });
    return true;
  }),
  toSomeGroup(
    "device added",
    1,
    (group) => canNest(group) && group.properties.mailEnabled === false,
    ({ id }, { emit, newId }) => emit({ op: "add-member", groupId: id, memberId: newId(), memberType: "device" }),
  ),
];
