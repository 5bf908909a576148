import { describe, expect, test } from "vitest";
import { type Grant, Grants, grantChanges, grantFault, permissionsUnder } from "../../../src/core/access/grants.ts";
import { type Caller, type Permission, permissions } from "../../../src/core/context.ts";

type Who = Pick<Caller, "subject" | "roles" | "machine" | "permissions">;
const who = (subject: string, held: readonly Permission[], more: Partial<Who> = {}): Who => ({
  subject,
  permissions: new Set(held),
  ...more,
});
const grant = (kind: Grant["subject"]["kind"], id: string, ...given: Permission[]): Grant => ({
  subject: { kind, id },
  permissions: given,
});

const list = [
  grant("role", "helpdesk", "directory:read", "audit:read"),
  grant("person", "ada", "integration:secure", "directory:read-all"),
  grant("machine", "crm", "directory:read"),
];
const all = who("eve", permissions);

describe("on a connection with a list somebody may do", () => {
  test.each<[string, Who, Permission[]]>([
    ["what a role of his has", { ...all, roles: new Set(["helpdesk"]) }, ["directory:read", "audit:read"]],
    ["what he has himself", { ...all, subject: "ada" }, ["integration:secure", "directory:read-all"]],
    [
      "both together",
      { ...all, subject: "ada", roles: new Set(["helpdesk"]) },
      ["integration:secure", "directory:read", "directory:read-all", "audit:read"],
    ],
    ["never more than his token says", who("ada", ["integration:secure"]), ["integration:secure"]],
    ["nothing, when the list does not know him", all, []],
    ["nothing, when only a role is called like him", { ...all, subject: "helpdesk" }, []],
    ["nothing, when only a person is called like his role", { ...all, roles: new Set(["ada"]) }, []],
    ["nothing as a person who is called like a program", { ...all, subject: "crm" }, []],
    ["as a program what the program has", { ...all, subject: "crm", machine: true }, ["directory:read"]],
    ["nothing as a program that is called like a person", { ...all, subject: "ada", machine: true }, []],
  ])("%s", (_, caller, expected) => {
    expect([...permissionsUnder(list, caller)]).toEqual(expected);
  });

  test("without a list, what his token says", () => {
    expect([...permissionsUnder([], who("eve", ["audit:read"]))]).toEqual(["audit:read"]);
  });
});

describe("a list is refused", () => {
  const editor = who("ada", ["integration:secure", "directory:read"]);
  const kept = grant("person", "ada", "integration:secure");
  test.each<[string, Grant[], Grant[], ReturnType<typeof grantFault>]>([
    ["never when everything given is held", [], [kept, grant("role", "r", "directory:read")], null],
    [
      "that gives what its editor lacks",
      [],
      [kept, grant("role", "r", "directory:read", "audit:read")],
      { fault: "not-held", index: 1, permission: "audit:read" },
    ],
    [
      "not for what somebody had before",
      [grant("role", "r", "audit:read")],
      [kept, grant("role", "r", "audit:read")],
      null,
    ],
    [
      "that hands on what another subject had",
      [grant("role", "r", "audit:read")],
      [kept, grant("role", "s", "audit:read")],
      { fault: "not-held", index: 1, permission: "audit:read" },
    ],
    ["that leaves its editor out", [kept], [grant("role", "r", "integration:secure")], { fault: "locked-out" }],
    [
      "that keeps him without the right to edit",
      [kept],
      [grant("person", "ada", "directory:read")],
      { fault: "locked-out" },
    ],
    [
      "that is gone, by whoever lacks something",
      [kept],
      [],
      { fault: "not-held", index: null, permission: "integration:setup" },
    ],
    ["not when there was none", [], [], null],
  ])("%s", (_, before, after, expected) => {
    expect(grantFault(before, after, editor)).toEqual(expected);
  });

  test("not when it is gone by somebody who holds everything", () => {
    expect(grantFault([kept], [], { ...all, subject: "ada" })).toBeNull();
  });

  test("not for an editor whom a role keeps in", () => {
    const member = { ...editor, roles: new Set(["administrator"]) };
    expect(grantFault([], [grant("role", "administrator", "integration:secure")], member)).toBeNull();
  });
});

test("a change is told subject by subject, and order is none", () => {
  const before = [grant("role", "a", "directory:read", "audit:read"), grant("person", "b", "audit:read")];
  const after = [grant("machine", "b", "audit:read"), grant("role", "a", "audit:read", "directory:read")];
  expect(grantChanges(before, after)).toEqual([
    { field: "grants.person:b", before: ["audit:read"], after: null },
    { field: "grants.machine:b", before: null, after: ["audit:read"] },
  ]);
});

describe("the form of a list", () => {
  const pathOf = (value: unknown): string => {
    const { error } = Grants.safeParse(value);
    const [issue] = error?.issues ?? [];
    if (!issue) return "";
    return [...issue.path, ...(issue.code === "unrecognized_keys" ? issue.keys : [])].map(String).join(".");
  };
  const fine = grant("role", "r", "audit:read");
  test.each<[string, unknown, string]>([
    ["may be empty", [], ""],
    ["takes what will be operations for nothing yet", [{ ...fine, operations: ["add-member"] }], "0.operations"],
    ["takes what will be groups for nothing yet", [{ ...fine, groups: [] }], "0.groups"],
    ["names a subject once", [fine, fine], "1.subject"],
    ["tells kinds of subjects apart", [fine, grant("person", "r", "audit:read")], ""],
    ["knows no other kinds", [{ ...fine, subject: { kind: "everybody", id: "r" } }], "0.subject.kind"],
    ["names a permission once", [grant("role", "r", "audit:read", "audit:read")], "0.permissions"],
    ["gives no permission to nobody", [grant("role", "r")], "0.permissions"],
    ["knows no right to act as others", [{ ...fine, permissions: ["workspace:act-as"] }], "0.permissions.0"],
    ["has no subject without a name", [grant("role", "", "audit:read")], "0.subject.id"],
    ["has no half characters", [grant("role", "\ud800", "audit:read")], "0.subject.id"],
  ])("%s", (_, value, path) => {
    expect(pathOf(value)).toBe(path);
  });
});
