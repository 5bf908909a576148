import { describe, expect, it } from "vitest";
import { hidesMembership } from "../../../src/local/simulator/directory/entra-rules.ts";
import { generateDirectory } from "../../../src/local/simulator/directory/generator.ts";
import { createDirectory } from "../../../src/local/simulator/directory/memory-directory.ts";
import {
  createOracle,
  expectedView,
  groupAttributes,
  isEmpty,
  userAttributes,
} from "../../../src/local/simulator/directory/oracle.ts";
import { personalStrings } from "../../../src/local/simulator/directory/personal-strings.ts";
import { randomChanges } from "../../../src/local/simulator/directory/random-change.ts";
import type { DirectoryState, Mutation } from "../../../src/local/simulator/directory/state.ts";
import {
  after,
  ann,
  ben,
  found,
  hire,
  id,
  join,
  LOOK,
  leave,
  manage,
  other,
  purge,
  remove,
  restore,
  type Step,
  security,
  set,
  team,
} from "./oracle-steps.ts";

/** Of ann: the state, and one attribute. */
const attributeCases: [string, unknown, "active" | "deactivated" | undefined, Step[]][] = [
  ["a value that was seen", "x", "active", [hire(ann, { city: "x" }), LOOK]],
  ["the newer of two", "y", "active", [hire(ann, { city: "x" }), LOOK, set(ann, { city: "y" }), LOOK]],
  ["nothing where nothing was ever set", undefined, "active", [hire(ann), LOOK]],
  ["nothing for null from the start", undefined, "active", [hire(ann, { city: null }), LOOK]],
  ["the old value after null", "x", "active", [hire(ann, { city: "x" }), LOOK, set(ann, { city: null }), LOOK]],
  [
    "the old value after an empty string",
    "x",
    "active",
    [hire(ann, { city: "x" }), LOOK, set(ann, { city: "" }), LOOK],
  ],
  [
    "the old value after white space",
    "x",
    "active",
    [hire(ann, { city: "x" }), LOOK, set(ann, { city: " \t\u00a0" }), LOOK],
  ],
  [
    "the old value after an empty list",
    ["x"],
    "active",
    [hire(ann, { city: ["x"] }), LOOK, set(ann, { city: [] }), LOOK],
  ],
  ["a shorter list", ["x"], "active", [hire(ann, { city: ["x", "y"] }), LOOK, set(ann, { city: ["x"] }), LOOK]],
  ["false over true", false, "active", [hire(ann, { city: true }), LOOK, set(ann, { city: false }), LOOK]],
  ["zero over one", 0, "active", [hire(ann, { city: 1 }), LOOK, set(ann, { city: 0 }), LOOK]],
  ["a value with its spaces", " x ", "active", [hire(ann, { city: " x " }), LOOK]],
  [
    "the first value when the second came and went unseen",
    "x",
    "active",
    [hire(ann, { city: "x" }), LOOK, set(ann, { city: "y" }), set(ann, { city: null }), LOOK],
  ],
  [
    "a new value after null",
    "z",
    "active",
    [hire(ann, { city: "x" }), LOOK, set(ann, { city: null }), LOOK, set(ann, { city: "z" }), LOOK],
  ],
  [
    "what was last seen of a deleted person",
    "x",
    "deactivated",
    [hire(ann, { city: "x" }), LOOK, set(ann, { city: "y" }), remove(ann), LOOK],
  ],
  [
    "the same after the purge",
    "x",
    "deactivated",
    [hire(ann, { city: "x" }), LOOK, remove(ann), LOOK, purge(ann), LOOK],
  ],
  [
    "the same after deletion and purge in one round",
    "x",
    "deactivated",
    [hire(ann, { city: "x" }), LOOK, remove(ann), purge(ann), LOOK],
  ],
  [
    "merged data after a restore",
    "x",
    "active",
    [hire(ann, { city: "x" }), LOOK, set(ann, { city: null }), remove(ann), LOOK, restore(ann), LOOK],
  ],
  [
    "new data after a restore",
    "y",
    "active",
    [hire(ann, { city: "x" }), LOOK, remove(ann), LOOK, restore(ann), set(ann, { city: "y" }), LOOK],
  ],
  [
    "nobody who came and went between two looks",
    undefined,
    undefined,
    [LOOK, hire(ann, { city: "x" }), remove(ann), LOOK],
  ],
  ["nobody who was deleted before the first look", undefined, undefined, [hire(ann, { city: "x" }), remove(ann), LOOK]],
  [
    "somebody deleted before the first look and restored later",
    "x",
    "active",
    [hire(ann, { city: "x" }), remove(ann), LOOK, restore(ann), LOOK],
  ],
  ["nothing before the first look", undefined, undefined, [hire(ann, { city: "x" })]],
];

const both = [hire(ann), hire(ben)];
const managerCases: [string, string | null, Step[]][] = [
  ["a colleague", ben, [...both, manage(ann, ben), LOOK]],
  ["nobody after it was cleared", null, [...both, manage(ann, ben), LOOK, manage(ann, null), LOOK]],
  ["nobody while the manager is deleted", null, [...both, manage(ann, ben), LOOK, remove(ben), LOOK]],
  ["the manager again after a restore", ben, [...both, manage(ann, ben), LOOK, remove(ben), LOOK, restore(ben), LOOK]],
  ["nobody for a contact", null, [hire(ann), manage(ann, id(9)), LOOK]],
  [
    "the last seen one for a deleted person",
    ben,
    [...both, manage(ann, ben), LOOK, manage(ann, null), remove(ann), LOOK],
  ],
];

const groups = [found(team, true), found(security, false), found(other, false)];
const staged = [...both, ...groups];
const memberCases: [string, string, { members: string[]; childGroups: string[] } | undefined, Step[]][] = [
  [
    "people and groups, no devices",
    security,
    { members: [ann], childGroups: [other] },
    [...staged, join(security, ann), join(security, other, "group"), join(security, id(9), "device"), LOOK],
  ],
  [
    "nobody who is deleted",
    team,
    { members: [ben], childGroups: [] },
    [...staged, join(team, ann), join(team, ben), LOOK, remove(ann), LOOK],
  ],
  [
    "who was restored",
    team,
    { members: [ann], childGroups: [] },
    [...staged, join(team, ann), LOOK, remove(ann), LOOK, restore(ann), LOOK],
  ],
  [
    "nobody who left",
    team,
    { members: [], childGroups: [] },
    [...staged, join(team, ann), LOOK, leave(team, ann), LOOK],
  ],
  [
    "nobody who came and went",
    team,
    { members: [], childGroups: [] },
    [...staged, LOOK, join(team, ann), leave(team, ann), LOOK],
  ],
  [
    "who left and came back",
    team,
    { members: [ann], childGroups: [] },
    [...staged, join(team, ann), LOOK, leave(team, ann), join(team, ann), LOOK],
  ],
  [
    "no deleted group",
    security,
    { members: [], childGroups: [] },
    [...staged, join(security, other, "group"), LOOK, { op: "delete-group", id: other }, LOOK],
  ],
  [
    "nothing once it is deleted",
    team,
    undefined,
    [...staged, join(team, ann), LOOK, { op: "delete-group", id: team }, LOOK],
  ],
  [
    "its members after a restore",
    team,
    { members: [ann], childGroups: [] },
    [...staged, join(team, ann), LOOK, { op: "delete-group", id: team }, LOOK, { op: "restore-group", id: team }, LOOK],
  ],
];

describe("oracle", () => {
  it.each(attributeCases)("expects %s", (_, value, state, steps) => {
    const person = after(steps).view.people.get(ann);
    expect(person?.state).toBe(state);
    expect(person?.attributes.city).toEqual(value);
    if (value === undefined && person) expect(person.attributes).not.toHaveProperty("city");
  });

  it.each(managerCases)("expects as manager %s", (_, manager, steps) => {
    expect(after(steps).view.people.get(ann)?.manager).toBe(manager);
  });

  it.each(memberCases)("expects in a group %s", (_, groupId, edges, steps) => {
    const group = after(steps).view.groups.get(groupId);
    expect(group && { members: [...group.members], childGroups: [...group.childGroups] }).toEqual(edges);
  });

  it("merges the attributes of a group, and starts again when it was gone", () => {
    const update = (description: string | null): Mutation => ({ op: "update-group", id: team, set: { description } });
    const kept = after([found(team, true, { description: "x" }), LOOK, update(null), LOOK]);
    expect(kept.view.groups.get(team)?.attributes.description).toBe("x");
    const gone: Step[] = [{ op: "delete-group", id: team }, LOOK, { op: "restore-group", id: team }, LOOK];
    const returned = after([found(team, true, { description: "x" }), LOOK, update(null), LOOK, ...gone]);
    expect(returned.view.groups.get(team)?.attributes).not.toHaveProperty("description");
  });

  it("expects no members where they are hidden, unless the sync may read them", () => {
    const steps: Step[] = [hire(ann), found(team, true, { visibility: "HiddenMembership" }), join(team, ann), LOOK];
    expect(after(steps).view.groups.get(team)).toMatchObject({ members: new Set(), membersHidden: true });
    const reading = after(steps, { readsHiddenMembership: true });
    expect(reading.view.groups.get(team)).toMatchObject({ members: new Set([ann]), membersHidden: false });
  });

  it("leaves out the accounts of AI agents", () => {
    const { view } = after([hire(ann), hire(ben, { "@odata.type": "#microsoft.graph.agentUser" }), LOOK]);
    expect([...view.people.keys()]).toEqual([ann]);
  });

  it("leaves out whom the scope does not admit, as people, members and managers", () => {
    const { view } = after([...staged, manage(ben, ann), join(team, ann), LOOK], { admits: (user) => user.id !== ann });
    expect([...view.people.keys()]).toEqual([ben]);
    expect(view.people.get(ben)?.manager).toBeNull();
    expect(view.groups.get(team)?.members.size).toBe(0);
  });

  it("agrees with a restatement from snapshots over rounds of random change", () => {
    for (const seed of [1, 2, 3]) {
      const directory = createDirectory();
      directory.load(generateDirectory({ seed, users: 60, groups: 25, domain: "contoso.example" }));
      const oracle = createOracle({ admits: () => true });
      const snapshots: Snapshot[] = [];
      for (let round = 0; round < 6; round++) {
        snapshots.push(snapshot(directory));
        oracle.observe(directory);
        randomChanges({ directory, seed: seed * 100 + round, count: 60 });
      }
      const plain = restate(snapshots);
      expect(plain.people.size).toBeGreaterThan(60);
      expect([...plain.people.values()].some(({ state }) => state === "deactivated")).toBe(true);
      expect(expectedView(oracle.history)).toEqual(plain);
    }
  });

  it("names every personal string: present, overwritten, of deleted people, of groups, and unseen ones", () => {
    const { directory, oracle } = after([
      hire(ann, { displayName: "first name", otherMails: ["private@mail.example"], city: "not personal" }),
      found(team, true, { displayName: "group name" }),
      found(security, false, { displayName: "gone group" }),
      LOOK,
      set(ann, { displayName: "second name", mobilePhone: "+33 123", surname: "four" }),
      { op: "delete-group", id: security },
      LOOK,
      remove(ann),
      purge(ann),
      hire(ben, { displayName: "never observed" }),
      remove(ben),
      purge(ben),
    ]);
    const strings = personalStrings(directory, oracle.history);
    for (const text of [
      "first name",
      "second name",
      "private@mail.example",
      "+33 123",
      "group name",
      "gone group",
      "never observed",
      ann,
      ben,
    ]) {
      expect(strings).toContain(text);
    }
    for (const text of ["four", "not personal", team, security]) expect(strings).not.toContain(text);
    expect(personalStrings(directory, oracle.history, 4)).toContain("four");
  });

  it("remembers a name that was laid down, observed and overwritten", () => {
    const directory = createDirectory();
    directory.load({
      users: [{ id: ann, properties: { displayName: "laid down", userPrincipalName: "a@b.c" }, managerId: null }],
      groups: [],
    });
    const oracle = createOracle();
    oracle.observe(directory);
    directory.apply(set(ann, { displayName: "later" }));
    oracle.observe(directory);
    expect(personalStrings(directory, oracle.history)).toContain("laid down");
  });
});

type Snapshot = Pick<DirectoryState, "users" | "groups">;
const snapshot = ({ users, groups: all }: DirectoryState): Snapshot => structuredClone({ users, groups: all });

const lastFilled = (
  states: (Record<string, unknown> | undefined)[],
  names: readonly string[],
): Record<string, unknown> => {
  const filled = names.flatMap((name): [string, unknown][] => {
    const value = states.findLast((state) => !isEmpty(state?.[name]))?.[name];
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(filled);
};

/** The same demands said the other way round: each attribute is the last filled value in the row of snapshots. */
function restate(snapshots: Snapshot[]): ReturnType<typeof expectedView> {
  const last = snapshots.at(-1);
  const view: ReturnType<typeof expectedView> = {
    people: new Map(),
    groups: new Map(),
    productGroups: new Map(),
    filters: new Set(),
    departed: new Set(),
  };
  for (const userId of new Set(snapshots.flatMap(({ users }) => [...users.keys()]))) {
    const states = snapshots.map(({ users }) => users.get(userId));
    const managerId = states.findLast((state) => state !== undefined)?.managerId ?? "";
    view.people.set(userId, {
      state: last?.users.has(userId) ? "active" : "deactivated",
      attributes: lastFilled(
        states.map((state) => state?.properties),
        userAttributes,
      ),
      manager: last?.users.has(managerId) ? managerId : null,
    });
  }
  for (const [groupId, group] of last?.groups ?? []) {
    const gone = snapshots.findLastIndex(({ groups: present }) => !present.has(groupId));
    const states = snapshots.slice(gone + 1).map(({ groups: present }) => present.get(groupId)?.properties);
    const membersHidden = hidesMembership(group.properties);
    const members = membersHidden ? [] : [...group.members.keys()];
    view.groups.set(groupId, {
      attributes: lastFilled(states, groupAttributes),
      members: new Set(members.filter((member) => last?.users.has(member))),
      childGroups: new Set(members.filter((member) => last?.groups.has(member))),
      membersHidden,
    });
  }
  return view;
}
