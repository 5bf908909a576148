import { describe, expect, it } from "vitest";
import { isDynamic } from "../../../src/local/simulator/directory/entra-rules.ts";
import { generateDirectory } from "../../../src/local/simulator/directory/generator.ts";
import { parseRule, satisfies } from "../../../src/local/simulator/directory/membership-rule.ts";
import { createDirectory, type MemoryDirectory } from "../../../src/local/simulator/directory/memory-directory.ts";
import {
  happeningKinds,
  randomChanges,
  randomHappenings,
} from "../../../src/local/simulator/directory/random-change.ts";

function tenant(domain = "contoso.example", users = 120): MemoryDirectory {
  const directory = createDirectory({ now: () => 0 });
  directory.load(generateDirectory({ seed: 1, users, groups: 40, domain }));
  return directory;
}

const content = ({ users, groups, deletedUsers, deletedGroups, sequence }: MemoryDirectory): unknown => ({
  users,
  groups,
  deletedUsers,
  deletedGroups,
  sequence,
});

/** What each kind of happening consists of, `rule` standing for what dynamic groups do by themselves meanwhile. */
const shapes: Record<string, RegExp> = {
  "person hired": /^create-user set-manager$/,
  "guest invited": /^create-user$/,
  "text changed": /^update-user$/,
  "several texts changed": /^update-user$/,
  "same value written again": /^update-user$/,
  "text set to null": /^update-user=null$/,
  "text emptied": /^update-user=""$/,
  "text set to white space": /^update-user=" "$/,
  "mail set to null": /^update-user$/,
  "list changed": /^update-user$/,
  "list emptied": /^update-user=\[\]$/,
  "account switched": /^update-user$/,
  "guest accepted": /^update-user$/,
  "sign-in name renamed": /^update-user$/,
  "mail swapped": /^update-user(=null)? update-user(=null)?$/,
  "sign-in names swapped": /^update-user update-user update-user$/,
  "address of a deleted person given to a new one": /^delete-user create-user$/,
  "manager set": /^set-manager$/,
  "two people manage each other": /^set-manager set-manager$/,
  "manager is a contact": /^set-manager$/,
  "manager cleared": /^set-manager=null$/,
  "person deleted": /^delete-user$/,
  "person deleted and restored at once": /^delete-user restore-user$/,
  "person deleted and purged at once": /^delete-user purge-user$/,
  "person created and deleted at once": /^create-user delete-user( purge-user)?$/,
  "deleted person restored": /^restore-user$/,
  "deleted person purged": /^purge-user$/,
  "team created": /^create-group$/,
  "security group created": /^create-group$/,
  "dynamic group created": /^create-group$/,
  "group renamed": /^update-group$/,
  "group description changed": /^update-group(=.*)?$/,
  "group visibility switched": /^update-group$/,
  "group with members deleted": /^delete-group$/,
  "team deleted and restored at once": /^delete-group restore-group$/,
  "deleted team restored": /^restore-group$/,
  "deleted team purged": /^purge-group$/,
  "member added": /^add-member$/,
  "member removed": /^remove-member$/,
  "member added and removed at once": /^add-member remove-member$/,
  "member removed and added again at once": /^remove-member add-member$/,
  "new person joins at once": /^create-user add-member$/,
  "many members added": /^(add-member ?){10,}$/,
  "group nested": /^add-member group$/,
  "cycle of groups closed": /^add-member group$/,
  "nested group taken out": /^remove-member$/,
  "device added": /^add-member device$/,
};

function shape(mutations: ReturnType<typeof randomChanges>): string {
  const parts = mutations.flatMap((mutation): string[] => {
    if ("byRule" in mutation) return [];
    if (mutation.op === "set-manager") return [mutation.managerId === null ? "set-manager=null" : mutation.op];
    if (mutation.op === "add-member")
      return [mutation.memberType === "user" ? mutation.op : `add-member ${mutation.memberType}`];
    if (!("set" in mutation)) return [mutation.op];
    const values = Object.values(mutation.set);
    const [value] = values;
    if (values.length > 1) return [mutation.op];
    if (value === null || value === "" || (Array.isArray(value) && value.length === 0))
      return [`${mutation.op}=${JSON.stringify(value)}`];
    return [typeof value === "string" && value.trim() === "" ? `${mutation.op}=" "` : mutation.op];
  });
  return parts.join(" ");
}

describe("random change", () => {
  it("brings every kind of happening within some seeds, each with the mutations its name promises", () => {
    const counts = new Map<string, number>();
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      for (const { name, mutations } of randomHappenings({ directory: tenant(), seed, count: 250 })) {
        expect(shape(mutations), name).toMatch(shapes[name] ?? /^never$/);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
    }
    expect([...counts.keys()].toSorted()).toEqual(happeningKinds.map(({ name }) => name).toSorted());
    expect(Object.keys(shapes).toSorted()).toEqual([...counts.keys()].toSorted());
  });

  it("returns what it applied: the same mutations give an untouched copy the same content", () => {
    const [changed, copy] = [tenant(), tenant()];
    const mutations = randomChanges({ directory: changed, seed: 5, count: 200 });
    expect(mutations.length).toBeGreaterThanOrEqual(200);
    for (const mutation of mutations) copy.apply(mutation);
    expect(content(copy)).toEqual(content(changed));
  });

  it("follows from seed and directory alone", () => {
    const once = randomChanges({ directory: tenant(), seed: 5, count: 60 });
    expect(randomChanges({ directory: tenant(), seed: 5, count: 60 })).toEqual(once);
    expect(randomChanges({ directory: tenant(), seed: 6, count: 60 })).not.toEqual(once);
  });

  it("never gives one id or address to two new people, in later rounds or other tenants with the same seed", () => {
    const directory = tenant();
    const created = [directory, directory, tenant("wingtip.example")].flatMap((each) =>
      randomChanges({ directory: each, seed: 5, count: 150 }).flatMap((mutation) =>
        mutation.op === "create-user" || mutation.op === "create-group"
          ? [mutation.op === "create-user" ? mutation.user.id : mutation.group.id]
          : [],
      ),
    );
    expect(created.length).toBeGreaterThan(30);
    expect(new Set(created).size).toBe(created.length);
  });

  it("keeps dynamic groups level with their rules", () => {
    const directory = tenant();
    const byRule = randomChanges({ directory, seed: 5, count: 600 }).filter((mutation) => "byRule" in mutation);
    expect(byRule.length).toBeGreaterThan(0);
    for (const { properties, members } of directory.groups.values()) {
      if (!isDynamic(properties)) continue;
      const rule = parseRule(properties.membershipRule) ?? [];
      for (const [id, user] of directory.users) expect(members.has(id)).toBe(satisfies(rule, user.properties));
    }
  });

  it("leaves the people alone whom it is told to keep", () => {
    const directory = tenant("contoso.example", 30);
    const keep = new Set([...directory.users.keys()].slice(0, 5));
    const before = [...keep].map((id) => structuredClone(directory.users.get(id)));
    randomChanges({ directory, seed: 5, count: 400, keep });
    expect([...keep].map((id) => directory.users.get(id))).toEqual(before);
  });
});
