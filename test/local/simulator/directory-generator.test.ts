import { beforeAll, describe, expect, it } from "vitest";
import { groupKind, hidesMembership, isDynamic } from "../../../src/local/simulator/directory/entra-rules.ts";
import { type DirectorySpec, generateDirectory } from "../../../src/local/simulator/directory/generator.ts";
import { parseRule, satisfies } from "../../../src/local/simulator/directory/membership-rule.ts";
import { createDirectory } from "../../../src/local/simulator/directory/memory-directory.ts";
import type { SimGroup, SimUser } from "../../../src/local/simulator/directory/state.ts";

type Generated = ReturnType<typeof generateDirectory>;
const spec: DirectorySpec = { seed: 1, users: 2000, groups: 150, domain: "contoso.example" };

let generated: Generated;
let byId: Map<string, SimUser>;
let groupsById: Map<string, SimGroup>;
beforeAll(() => {
  generated = generateDirectory(spec);
  byId = new Map(generated.users.map((user) => [user.id, user]));
  groupsById = new Map(generated.groups.map((group) => [group.id, group]));
});

const writtenIn = (script: string) => {
  const letters = new RegExp(`\\p{Script=${script}}`, "u");
  return ({ properties }: SimUser): boolean => letters.test(String(properties.displayName));
};
const named =
  (pattern: RegExp) =>
  ({ properties }: SimUser): boolean =>
    pattern.test(String(properties.displayName));
const has =
  (name: string, value: unknown) =>
  ({ properties }: SimUser): boolean =>
    name in properties && properties[name] === value;
const neverSet =
  (name: string) =>
  ({ properties }: SimUser): boolean =>
    !(name in properties);

const userTraits: [string, (user: SimUser) => boolean][] = [
  ...["Arabic", "Hebrew", "Han", "Hiragana", "Thai", "Hangul", "Greek", "Cyrillic"].map(
    (script): [string, (user: SimUser) => boolean] => [`a name in ${script}`, writtenIn(script)],
  ),
  ["German umlauts", named(/[äöüß]/)],
  ["Danish letters", named(/[øæå]/)],
  ["French accents", named(/[éèçë]/)],
  ["Polish letters", named(/[łńśż]/)],
  ["Turkish letters", named(/[ığş]/)],
  ["an emoji of several code points", named(/\p{Extended_Pictographic}.*\u200d/u)],
  ["a character outside the basic plane", named(/𠮷/u)],
  ["combining marks", named(/\p{M}/u)],
  ["right-to-left marks", named(/\u202b/)],
  [
    "an apostrophe in name and address",
    ({ properties }) => /O'/.test(String(properties.surname)) && /o'/.test(String(properties.mail)),
  ],
  ["a display name at the limit of 256", ({ properties }) => String(properties.displayName).length === 256],
  ["a member", has("userType", "Member")],
  [
    "a guest with #EXT# and an external mail",
    ({ properties }) =>
      properties.userType === "Guest" &&
      String(properties.userPrincipalName).includes("#EXT#@contoso.example") &&
      properties.externalUserState === "Accepted" &&
      !String(properties.mail).endsWith("@contoso.example"),
  ],
  [
    "a guest without mail",
    ({ properties }) => properties.externalUserState === "PendingAcceptance" && properties.mail === null,
  ],
  ["userType null", has("userType", null)],
  ["a disabled employee", ({ properties }) => properties.accountEnabled === false && properties.surname !== undefined],
  [
    "a room or shared mailbox",
    ({ properties }) =>
      properties.accountEnabled === false && !("surname" in properties) && !("givenName" in properties),
  ],
  ["mail null", has("mail", null)],
  ["mail never set", neverSet("mail")],
  ["employeeId null", has("employeeId", null)],
  ["employeeId never set", neverSet("employeeId")],
  ["employeeId 0", has("employeeId", "0")],
  ["an empty string", has("jobTitle", "")],
  ["a white space string", ({ properties }) => /^\s+$/.test(String(properties.officeLocation))],
  ["a value with a trailing space", ({ properties }) => /\S $/.test(String(properties.jobTitle))],
  ["a department", ({ properties }) => typeof properties.department === "string"],
  ["department null", has("department", null)],
  ["other mails", ({ properties }) => Array.isArray(properties.otherMails) && properties.otherMails.length > 0],
  ["no phone", ({ properties }) => Array.isArray(properties.businessPhones) && properties.businessPhones.length === 0],
  [
    "a primary and a secondary address",
    ({ properties }) => /"SMTP:.*"smtp:/.test(JSON.stringify(properties.proxyAddresses)),
  ],
  ["synchronised from on-premises", has("onPremisesSyncEnabled", true)],
  ["once synchronised from on-premises", has("onPremisesSyncEnabled", false)],
  ["never synchronised", neverSet("onPremisesSyncEnabled")],
  ["an agent", has("@odata.type", "#microsoft.graph.agentUser")],
  ["hardly anything set", ({ properties }) => Object.keys(properties).length === 3],
  [
    "a sign-in name that differs from the mail in more than case",
    ({ properties }) =>
      typeof properties.mail === "string" &&
      properties.mail.toLowerCase() !== String(properties.userPrincipalName).toLowerCase(),
  ],
  ["a sign-in name with a capital", ({ properties }) => /^[A-Z]/.test(String(properties.userPrincipalName))],
  ["no manager", ({ managerId }) => managerId === null],
  ["a manager who manages back", ({ id, managerId }) => byId.get(managerId ?? "")?.managerId === id],
  ["a manager outside the directory's users", ({ managerId }) => managerId !== null && !byId.has(managerId)],
  ["a manager of a manager", ({ managerId }) => byId.has(byId.get(managerId ?? "")?.managerId ?? "")],
];

const kind =
  (wanted: ReturnType<typeof groupKind>, more: (group: SimGroup) => boolean = () => true) =>
  (group: SimGroup): boolean =>
    groupKind(group.properties) === wanted && more(group);
const holds =
  (type: string) =>
  ({ members }: SimGroup): boolean =>
    [...members.values()].some((memberType) => memberType === type);

const groupTraits: [string, (group: SimGroup) => boolean][] = [
  ["Microsoft 365", kind("microsoft-365")],
  ["Microsoft 365 with security", kind("microsoft-365", ({ properties }) => properties.securityEnabled === true)],
  ["security", kind("security")],
  ["mail-enabled security", kind("mail-enabled-security")],
  ["distribution list", kind("distribution")],
  ["dynamic security", kind("security", ({ properties, members }) => isDynamic(properties) && members.size > 0)],
  ["dynamic Microsoft 365", kind("microsoft-365", ({ properties }) => isDynamic(properties))],
  ["hidden membership", ({ properties, members }) => hidesMembership(properties) && members.size > 0],
  ["role-assignable", ({ properties }) => properties.isAssignableToRole === true],
  ["synchronised from on-premises", ({ properties }) => properties.onPremisesSyncEnabled === true],
  ["empty security", kind("security", ({ members }) => members.size === 0)],
  ["empty Microsoft 365", kind("microsoft-365", ({ members }) => members.size === 0)],
  ["devices", holds("device")],
  ["service principals", holds("servicePrincipal")],
  ["contacts", holds("orgContact")],
  [
    "a pair holding each other",
    ({ id, members }) => [...members.keys()].some((member) => groupsById.get(member)?.members.has(id)),
  ],
  [
    "a triangle",
    ({ id, members }) =>
      [...members.keys()].some((second) =>
        [...(groupsById.get(second)?.members.keys() ?? [])].some(
          (third) => third !== id && groupsById.get(third)?.members.has(id),
        ),
      ),
  ],
  ["about 60 % of all people", ({ members }) => members.size > 0.55 * spec.users && members.size < 0.65 * spec.users],
  [
    "a name another group has",
    ({ id, properties }) =>
      generated.groups.some((other) => other.id !== id && other.properties.displayName === properties.displayName),
  ],
  ["description never set", ({ properties }) => !("description" in properties)],
  ["description empty", ({ properties }) => properties.description === ""],
];

/** Ids and everything with an "@", as Microsoft compares them. */
function namesOf({ users, groups }: Generated): string[] {
  const text = JSON.stringify([...users, ...groups].map(({ properties }) => properties));
  const addresses = text.toLowerCase().match(/[^"\s:]+@[^"\s]+/g) ?? [];
  const memberIds = groups.flatMap(({ members }) => [...members.keys()]);
  const managers = users.flatMap(({ managerId }) => (managerId === null ? [] : [managerId]));
  return [...users.map(({ id }) => id), ...groups.map(({ id }) => id), ...memberIds, ...managers, ...addresses];
}

describe("generated directory", () => {
  it.each(userTraits)("has people with: %s", (_, trait) => {
    expect(generated.users.filter(trait).length).toBeGreaterThan(0);
  });

  it.each(groupTraits)("has groups with: %s", (_, trait) => {
    expect(generated.groups.filter(trait).length).toBeGreaterThan(0);
  });

  it("is what the directory's own rules accept", () => {
    const directory = createDirectory();
    directory.load(generated);
    expect([directory.users.size, directory.groups.size]).toEqual([2000, 150]);
  });

  it("puts into dynamic groups exactly those who satisfy the rule", () => {
    const dynamic = generated.groups.filter(({ properties }) => isDynamic(properties));
    for (const { properties, members } of dynamic) {
      const rule = parseRule(properties.membershipRule) ?? [];
      expect(rule.length).toBeGreaterThan(0);
      const expected = generated.users.filter((user) => satisfies(rule, user.properties)).map(({ id }) => id);
      expect(new Set(members.keys())).toEqual(new Set(expected));
    }
  });

  it("gives no address and no id to two people", () => {
    const mails = generated.users.flatMap(({ properties }) =>
      typeof properties.mail === "string" ? [properties.mail.toLowerCase()] : [],
    );
    expect(new Set(mails).size).toBe(mails.length);
    expect(byId.size).toBe(2000);
  });

  it("is the same for the same arguments, whatever was generated before", () => {
    generateDirectory({ ...spec, seed: 9, users: 30 });
    const again = generateDirectory(spec);
    expect(again).toEqual(generated);
  });

  it.each([
    ["another seed", { ...spec, seed: 2 }],
    ["another tenant", { ...spec, domain: "wingtip.example" }],
  ])("shares no id and no address with %s", (_, otherSpec) => {
    const mine = new Set(namesOf(generated));
    const theirs = namesOf(generateDirectory(otherSpec));
    expect(theirs.length).toBeGreaterThan(6000);
    expect(theirs.filter((name) => mine.has(name))).toEqual([]);
  });

  it("lists the accounts in their order: administrator, guest administrator, application administrator, plain, eligible", () => {
    const roles = generated.accounts.map(({ directoryRoles }) => directoryRoles);
    const globalAdministrator = "62e90394-69f5-4237-9190-012177145e10";
    expect(roles).toEqual([
      [globalAdministrator],
      [globalAdministrator],
      ["9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3"],
      [],
      [],
    ]);
    for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const { users, accounts } = generateDirectory({ seed, users: 5, groups: 2, domain: "small.example" });
      const types = accounts.map(({ objectId }) => users.find(({ id }) => id === objectId)?.properties);
      expect(types.map((properties) => properties?.userType)).toEqual([
        "Member",
        "Guest",
        "Member",
        "Member",
        "Member",
      ]);
      expect(types[1]?.externalUserState).toBe("Accepted");
      expect(
        types.every((properties) => properties?.accountEnabled === true && typeof properties.mail === "string"),
      ).toBe(true);
    }
  });

  it("shows the awkward traits in a directory of a few dozen people already", () => {
    const small = generateDirectory({ seed: 3, users: 40, groups: 20, domain: "small.example" });
    const { users, groups } = small;
    const some = (trait: (user: SimUser) => boolean): boolean => users.some(trait);
    expect(
      some(has("mail", null)) &&
        some(neverSet("employeeId")) &&
        some(has("jobTitle", "")) &&
        some(has("userType", null)),
    ).toBe(true);
    expect(new Set(groups.map(({ properties }) => groupKind(properties))).size).toBe(4);
    createDirectory().load(small);
  });
});
