import { describe, expect, it } from "vitest";
import { DirectoryRefusal } from "../../../src/local/simulator/directory/entra-rules.ts";
import { createDirectory, type MemoryDirectory } from "../../../src/local/simulator/directory/memory-directory.ts";
import type { MemberType, Mutation } from "../../../src/local/simulator/directory/state.ts";
import { foundGroup, microsoft365 } from "../../support/group-mutations.ts";

const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const [ann, ben, cem, contact, device] = [id(1), id(2), id(3), id(8), id(9)];
const [security, otherSecurity, team, list, dynamic, hidden] = [id(11), id(12), id(13), id(14), id(15), id(16)];

const user = (userId: string, name: string): Mutation => ({
  op: "create-user",
  user: { id: userId, properties: { displayName: name, userPrincipalName: `${name}@contoso.example`, mail: null } },
});

const group = (groupId: string, properties: Record<string, unknown>, members: [string, MemberType][] = []): Mutation =>
  foundGroup(groupId, { displayName: "g", mailNickname: "g", ...properties }, members);

const rule = { membershipRule: 'user.city -eq "Lyon"' };

function staged(now?: () => number): MemoryDirectory {
  const directory = createDirectory(now ? { now } : {});
  for (const mutation of [
    user(ann, "ann"),
    user(ben, "ben"),
    user(cem, "cem"),
    group(security, {}),
    group(otherSecurity, {}),
    group(team, microsoft365),
    group(list, { mailEnabled: true, securityEnabled: false }),
    group(dynamic, { groupTypes: ["DynamicMembership"], ...rule }),
    group(hidden, { ...microsoft365, visibility: "HiddenMembership" }),
  ]) {
    directory.apply(mutation);
  }
  return directory;
}

const add = (groupId: string, memberId: string, memberType: MemberType = "user", byRule?: boolean): Mutation => ({
  op: "add-member",
  groupId,
  memberId,
  memberType,
  ...(byRule === undefined ? {} : { byRule }),
});

/** Everything an outsider can see, so that "nothing happened" can be checked whole. */
const seen = (directory: MemoryDirectory): unknown =>
  structuredClone([
    directory.users,
    directory.groups,
    directory.deletedUsers,
    directory.deletedGroups,
    directory.sequence,
    [...directory.users.keys()].map((key) => directory.groupsOf(key)),
  ]);

const userRefusals: [string, Mutation[], DirectoryRefusal["reason"]][] = [
  [
    "a sign-in name that differs in case only",
    [
      {
        op: "create-user",
        user: { id: id(50), properties: { displayName: "x", userPrincipalName: "ANN@contoso.example" } },
      },
    ],
    "bad-request",
  ],
  [
    "renaming to a taken sign-in name",
    [{ op: "update-user", id: ben, set: { userPrincipalName: "Ann@Contoso.example" } }],
    "bad-request",
  ],
  ["an id that is in use", [user(ann, "new")], "bad-request"],
  [
    "an id of a purged person",
    [{ op: "delete-user", id: ann }, { op: "purge-user", id: ann }, user(ann, "new")],
    "bad-request",
  ],
  ["an id that is no lower-case GUID", [user("ABC", "new")], "bad-request"],
  [
    "a user without a sign-in name",
    [{ op: "create-user", user: { id: id(50), properties: { displayName: "x" } } }],
    "bad-request",
  ],
  ["clearing the display name", [{ op: "update-user", id: ann, set: { displayName: null } }], "bad-request"],
  ["clearing the sign-in name", [{ op: "update-user", id: ann, set: { userPrincipalName: null } }], "bad-request"],
  ["null for a list", [{ op: "update-user", id: ann, set: { otherMails: null } }], "bad-request"],
  ["changing the id", [{ op: "update-user", id: ann, set: { id: id(50) } }], "bad-request"],
  ["updating nobody", [{ op: "update-user", id: id(50), set: {} }], "not-found"],
  [
    "updating a deleted person",
    [
      { op: "delete-user", id: ann },
      { op: "update-user", id: ann, set: {} },
    ],
    "not-found",
  ],
  ["restoring a live person", [{ op: "restore-user", id: ann }], "not-found"],
  [
    "restoring a purged person",
    [
      { op: "delete-user", id: ann },
      { op: "purge-user", id: ann },
      { op: "restore-user", id: ann },
    ],
    "not-found",
  ],
  ["purging a live person", [{ op: "purge-user", id: ann }], "not-found"],
  [
    "restoring somebody whose sign-in name was taken",
    [{ op: "delete-user", id: ann }, user(id(50), "ann"), { op: "restore-user", id: ann }],
    "bad-request",
  ],
  [
    "a deleted manager",
    [
      { op: "delete-user", id: ann },
      { op: "set-manager", id: ben, managerId: ann },
    ],
    "not-found",
  ],
  ["a group as manager", [{ op: "set-manager", id: ben, managerId: team }], "bad-request"],
];

const groupRefusals: [string, Mutation[], DirectoryRefusal["reason"]][] = [
  ["a group in a Microsoft 365 group", [add(team, security, "group")], "bad-request"],
  ["a Microsoft 365 group in a security group", [add(security, team, "group")], "bad-request"],
  ["a device in a Microsoft 365 group", [add(team, device, "device")], "bad-request"],
  ["a contact in a Microsoft 365 group", [add(team, contact, "orgContact")], "bad-request"],
  ["a device in a distribution list", [add(list, device, "device")], "bad-request"],
  ["a group in itself", [add(security, security, "group")], "bad-request"],
  ["a member twice", [add(team, ann), add(team, ann)], "bad-request"],
  [
    "a member twice at creation",
    [
      group(id(50), {}, [
        [ann, "user"],
        [ann, "user"],
      ]),
    ],
    "bad-request",
  ],
  ["a user called a device", [add(security, ann, "device")], "bad-request"],
  ["an unknown user", [add(security, id(50))], "not-found"],
  ["a deleted user", [{ op: "delete-user", id: ann }, add(security, ann)], "not-found"],
  ["a hand in a dynamic group", [add(dynamic, ann)], "forbidden"],
  [
    "members given to a new dynamic group",
    [group(id(50), { groupTypes: ["DynamicMembership"], ...rule }, [[ann, "user"]])],
    "forbidden",
  ],
  ["a rule in an assigned group", [add(security, ann, "user", true)], "forbidden"],
  ["taking out who is not in", [{ op: "remove-member", groupId: team, memberId: ann }], "not-found"],
  [
    "taking out a deleted user",
    [add(team, ann), { op: "delete-user", id: ann }, { op: "remove-member", groupId: team, memberId: ann }],
    "not-found",
  ],
  [
    "restoring a deleted security group",
    [
      { op: "delete-group", id: security },
      { op: "restore-group", id: security },
    ],
    "not-found",
  ],
  [
    "a security group that becomes a team",
    [{ op: "update-group", id: security, set: { groupTypes: ["Unified"], mailEnabled: true } }],
    "bad-request",
  ],
  ["showing a hidden membership", [{ op: "update-group", id: hidden, set: { visibility: "Public" } }], "bad-request"],
  [
    "making a group role-assignable later",
    [{ op: "update-group", id: security, set: { isAssignableToRole: true } }],
    "bad-request",
  ],
  [
    "a dynamic role-assignable group",
    [group(id(50), { isAssignableToRole: true, groupTypes: ["DynamicMembership"], ...rule })],
    "bad-request",
  ],
  [
    "hidden membership outside Microsoft 365 groups",
    [group(id(50), { visibility: "Hiddenmembership" })],
    "bad-request",
  ],
  ["a group for neither mail nor security", [group(id(50), { securityEnabled: false })], "bad-request"],
];

describe("simulated directory", () => {
  it.each([...userRefusals, ...groupRefusals])("refuses %s and stays as it was", (_, mutations, reason) => {
    const directory = staged();
    const last = mutations.at(-1);
    for (const mutation of mutations.slice(0, -1)) directory.apply(mutation);
    const before = seen(directory);
    let refusal: unknown;
    try {
      if (last) directory.apply(last);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(DirectoryRefusal);
    expect(refusal).toMatchObject({ reason });
    expect(seen(directory)).toEqual(before);
  });

  it("keeps the memberships of a soft-deleted person and drops them at the purge", () => {
    const directory = staged(() => 42);
    directory.apply(add(team, ann));
    directory.apply({ op: "delete-user", id: ann });
    expect(directory.users.has(ann)).toBe(false);
    expect(directory.deletedUsers.get(ann)).toMatchObject({ deletedAt: 42, properties: { displayName: "ann" } });
    expect([...directory.groupsOf(ann)]).toEqual([team]);
    directory.apply({ op: "restore-user", id: ann });
    expect(directory.users.get(ann)).toEqual({
      id: ann,
      managerId: null,
      properties: { displayName: "ann", userPrincipalName: "ann@contoso.example", mail: null },
    });
    expect(directory.groups.get(team)?.members.get(ann)).toBe("user");
    directory.apply({ op: "delete-user", id: ann });
    directory.apply({ op: "purge-user", id: ann });
    expect(directory.groups.get(team)?.members.size).toBe(0);
    expect(directory.groupsOf(ann).size).toBe(0);
  });

  it("frees a sign-in name when its holder is deleted or renamed", () => {
    const directory = staged();
    directory.apply({ op: "delete-user", id: ann });
    directory.apply({ op: "update-user", id: ben, set: { userPrincipalName: "ann@contoso.example" } });
    directory.apply({ op: "update-user", id: cem, set: { userPrincipalName: "ben@contoso.example" } });
    directory.apply({ op: "update-user", id: cem, set: { userPrincipalName: "Ben@contoso.example" } });
    expect(directory.users.get(cem)?.properties.userPrincipalName).toBe("Ben@contoso.example");
  });

  it("soft-deletes Microsoft 365 groups and restores them without people purged meanwhile", () => {
    const directory = staged(() => 7);
    for (const person of [ann, ben]) directory.apply(add(team, person));
    directory.apply({ op: "delete-group", id: team });
    expect(directory.groupsOf(ann).size).toBe(0);
    expect(directory.deletedGroups.get(team)).toMatchObject({ deletedAt: 7 });
    directory.apply({ op: "delete-user", id: ann });
    directory.apply({ op: "purge-user", id: ann });
    directory.apply({ op: "delete-user", id: ben });
    directory.apply({ op: "restore-group", id: team });
    expect([...(directory.groups.get(team)?.members.keys() ?? [])]).toEqual([ben]);
    expect([...directory.groupsOf(ben)]).toEqual([team]);
  });

  it("deletes security groups at once, out of the groups that held them too", () => {
    const directory = staged();
    directory.apply(add(security, otherSecurity, "group"));
    directory.apply({ op: "delete-group", id: otherSecurity });
    expect(directory.deletedGroups.size).toBe(0);
    expect(directory.groups.get(security)?.members.size).toBe(0);
  });

  it("lets security groups hold each other, and other kinds of objects", () => {
    const directory = staged();
    for (const mutation of [
      add(security, otherSecurity, "group"),
      add(otherSecurity, security, "group"),
      add(security, device, "device"),
      add(security, contact, "orgContact"),
      add(list, contact, "orgContact"),
      add(dynamic, ann, "user", true),
    ]) {
      directory.apply(mutation);
    }
    expect([...directory.groupsOf(security)]).toEqual([otherSecurity]);
    directory.apply({ op: "remove-member", groupId: dynamic, memberId: ann, byRule: true });
    expect(directory.groupsOf(ann).size).toBe(0);
  });

  it("forgets a manager at the purge, not before", () => {
    const directory = staged();
    directory.apply({ op: "set-manager", id: ben, managerId: ann });
    directory.apply({ op: "set-manager", id: cem, managerId: contact });
    directory.apply({ op: "delete-user", id: ann });
    expect(directory.users.get(ben)?.managerId).toBe(ann);
    directory.apply({ op: "purge-user", id: ann });
    expect(directory.users.get(ben)?.managerId).toBeNull();
    expect(directory.users.get(cem)?.managerId).toBe(contact);
  });

  it("numbers accepted changes without gaps and hands them out by range, safe from later edits of the argument", () => {
    const directory = staged();
    const start = directory.sequence;
    const set: Record<string, unknown> = { city: "Lyon" };
    expect(directory.apply({ op: "update-user", id: ann, set })).toBe(start + 1);
    set.city = "Oslo";
    expect(() => directory.apply(add(team, id(50)))).toThrow(DirectoryRefusal);
    expect(directory.apply(add(team, ann))).toBe(start + 2);
    expect([...directory.changesBetween(start, start + 9)]).toEqual([
      { sequence: start + 1, mutation: { op: "update-user", id: ann, set: { city: "Lyon" } } },
      { sequence: start + 2, mutation: add(team, ann) },
    ]);
    expect([...directory.changesBetween(start, start + 1)]).toHaveLength(1);
    expect(directory.users.get(ann)?.properties).toMatchObject({ city: "Lyon", displayName: "ann", mail: null });
  });

  it("lays generated objects down before the first change and leaves the arguments alone", () => {
    const people = [
      { id: ann, properties: { displayName: "ann", userPrincipalName: "ann@contoso.example" }, managerId: ben },
    ];
    const members = new Map<string, MemberType>([[ann, "user"]]);
    const properties = {
      displayName: "g",
      mailNickname: "g",
      mailEnabled: false,
      securityEnabled: true,
      groupTypes: [],
    };
    const generated = { users: people, groups: [{ id: security, properties, members }] };
    const [one, other] = [createDirectory(), createDirectory()];
    one.load(generated);
    other.load(generated);
    expect(one.sequence).toBe(0);
    one.apply({ op: "update-user", id: ann, set: { city: "Lyon" } });
    one.apply({ op: "remove-member", groupId: security, memberId: ann });
    expect(other.users.get(ann)?.properties).not.toHaveProperty("city");
    expect([...other.groupsOf(ann)]).toEqual([security]);
    expect(() => one.load(generated)).toThrow("empty");
  });
});
