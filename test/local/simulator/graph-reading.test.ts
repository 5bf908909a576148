import { describe, expect, test } from "vitest";
import type { Mutation } from "../../../src/local/simulator/directory/state.ts";
import { calm } from "../../../src/local/simulator/graph/switches.ts";
import {
  type Answer,
  type Ask,
  entriesOf,
  graphScene,
  group,
  guid,
  idOf,
  type Json,
  microsoft365,
  reader,
  tid,
  user,
} from "./graph-scene.ts";

const scene = (mutations: Mutation[] = []) => {
  const made = graphScene({ traits: calm });
  for (const mutation of mutations) made.directory.apply(mutation);
  return made;
};

const readAll = async (ask: Ask, start: string, extra: Parameters<Ask>[1] = {}): Promise<Json[][]> => {
  const pages: Json[][] = [];
  for (let link: unknown = start; typeof link === "string"; ) {
    const { body } = await ask(link, extra);
    pages.push(entriesOf(body));
    link = body["@odata.nextLink"];
  }
  return pages;
};

const errorOf = ({ status, body }: Answer): string => {
  const error = body["error"];
  return `${status} ${typeof error === "object" && error && "code" in error ? String(error.code) : ""}`;
};

const advanced = { headers: { consistencylevel: "eventual" } };

describe("$select", () => {
  test("gives what was selected and nothing else, null for what was never set", async () => {
    const { ask } = scene([user(1, { department: "Sales" })]);
    const { body } = await ask(`/users/${guid(1)}?$select=DEPARTMENT,mail,proxyAddresses`);
    const { "@odata.context": context, ...entry } = body;
    expect(entry).toEqual({ department: "Sales", mail: null, proxyAddresses: [] });
    expect(context).toMatch(/\$metadata#users\(department,mail,proxyAddresses\)\/\$entity$/);
  });

  test("is replaced by the default set when absent", async () => {
    const { ask } = scene([user(1, { department: "Sales" })]);
    const { body } = await ask(`/users/${guid(1)}`);
    const names = Object.keys(body).filter((name) => !name.startsWith("@"));
    expect(names.toSorted()).toEqual(
      "businessPhones,displayName,givenName,id,jobTitle,mail,mobilePhone,officeLocation,preferredLanguage,surname,userPrincipalName".split(
        ",",
      ),
    );
  });

  test.each([
    ["/users?$select=nickname", "400 BadRequest"],
    ["/users/delta?$select=nickname", "400 BadRequest"],
    ["/users?$select=onPremisesExtensionAttributes/extensionAttribute1", "400 BadRequest"],
    ["/users?$select=aboutMe", "501 NotImplemented"],
    ["/users/delta?$select=skills", "501 NotImplemented"],
    ["/users/delta?$select=signInActivity", "400 BadRequest"],
    ["/users?$select=signInActivity", "403 Authorization_RequestDenied"],
    ["/groups?$select=unseenCount", "400 BadRequest"],
    ["/users/delta?$expand=manager", "400 BadRequest"],
    ["/groups/delta?$orderby=displayName", "400 BadRequest"],
    ["/users?$top=1000", "400 Request_UnsupportedQuery"],
    ["/users?$skip=10", "400 BadRequest"],
    ["/users?$filter=displayName gt 'A'", "400 Request_UnsupportedQuery"],
    ["/users/$weird@contoso.example", "400 BadRequest"],
    ["/users/nobody@contoso.example", "404 Request_ResourceNotFound"],
    ["/groups/00000000-0000-4000-8000-00000000ffff", "404 Request_ResourceNotFound"],
    ["/nonsense", "400 BadRequest"],
  ])("%s is answered with %s", async (path, expected) => {
    expect(errorOf(await scene([user(1)]).ask(path))).toBe(expected);
  });

  test("properties kept elsewhere can be read for a single object", async () => {
    const { ask } = scene([user(1)]);
    expect((await ask(`/users/${guid(1)}?$select=aboutMe`)).status).toBe(200);
  });
});

describe("lists", () => {
  test("come in pages of $top whose links repeat the query and are refused when it was changed", async () => {
    const { ask } = scene(Array.from({ length: 7 }, (_, at) => user(at + 1)));
    const pages = await readAll(ask, "/users?$select=id&$top=3");
    expect(pages.map((page) => page.length)).toEqual([3, 3, 1]);
    expect(new Set(pages.flat().map(idOf)).size).toBe(7);
    const { body } = await ask("/users?$select=id&$top=3");
    const link = String(body["@odata.nextLink"]);
    expect(errorOf(await ask(link.replace("$top=3", "$top=2")))).toBe("400 BadRequest");
    expect(errorOf(await ask("/users?$select=id&$top=3&$skiptoken=abc"))).toBe("400 Directory_ExpiredPageToken");
  });

  test("may hold empty pages", async () => {
    const { ask, graph } = scene(Array.from({ length: 40 }, (_, at) => user(at + 1)));
    graph.switches.set(tid, { emptyPages: 0.5 });
    const pages = await readAll(ask, "/users?$top=2");
    expect(pages.flat()).toHaveLength(40);
    expect(pages.some((page) => page.length === 0)).toBe(true);
  });

  test.each([
    ["mail eq 'ANA@contoso.example'", [1]],
    ["userPrincipalName eq 'user2@contoso.example'", [2]],
    ["displayName eq 'O''Neil'", [3]],
    ["startsWith(displayName,'user')", [1, 2]],
    [`id eq '${guid(2)}' or id eq '${guid(3)}'`, [2, 3]],
    [`id in ('${guid(1)}')`, [1]],
    ["accountEnabled eq true and startswith(mail,'ana')", [1]],
    ["proxyAddresses/any(p:p eq 'smtp:two@contoso.example')", [2]],
    ["(mail eq null) and (displayName eq 'User 2')", [2]],
  ])("$filter=%s", async (filter, expected) => {
    const { ask } = scene([
      user(1, { mail: "ana@contoso.example" }),
      user(2, { proxyAddresses: ["smtp:two@contoso.example"] }),
      user(3, { displayName: "O'Neil" }),
    ]);
    const { body } = await ask(`/users?$select=id&$filter=${encodeURIComponent(filter)}`);
    expect(entriesOf(body).map(idOf)).toEqual(expected.map(guid));
  });

  test("advanced filters need the header and $count, on every page", async () => {
    const { ask } = scene([user(1), user(2), user(3)]);
    const path = "/users?$select=id&$top=1&$filter=endsWith(userPrincipalName,'example')";
    expect(errorOf(await ask(path))).toBe("400 Request_UnsupportedQuery");
    expect(errorOf(await ask(`${path}&$count=true`))).toBe("400 Request_UnsupportedQuery");
    const { body } = await ask(`${path}&$count=true`, advanced);
    expect(body["@odata.count"]).toBe(3);
    const next = String(body["@odata.nextLink"]);
    expect(errorOf(await ask(next))).toBe("400 Request_UnsupportedQuery");
    expect((await ask(next, advanced)).body["@odata.count"]).toBeUndefined();
  });
});

describe("one object", () => {
  test("is found by id in any case, by sign-in name, and in key form", async () => {
    const guest = "ana_fabrikam.example#EXT#@contoso.example";
    const { ask } = scene([user(10, { userPrincipalName: guest })]);
    for (const key of [
      `/${guid(10).toUpperCase()}`,
      `/${encodeURIComponent(guest)}`,
      `('${encodeURIComponent(guest)}')`,
    ]) {
      expect((await ask(`/users${key}?$select=id`)).body["id"]).toBe(guid(10));
    }
    expect(errorOf(await ask(`/users/${guest}`))).toBe("404 Request_ResourceNotFound");
  });

  test("brings its manager on request, and no deleted one", async () => {
    const { ask, directory } = scene([user(1), user(2, {}, guid(1))]);
    const path = `/users/${guid(2)}?$select=id&$expand=manager($select=id)`;
    expect((await ask(path)).body["manager"]).toEqual({ "@odata.type": "#microsoft.graph.user", id: guid(1) });
    expect((await ask(`/users/${guid(2)}/manager?$select=id`)).body["id"]).toBe(guid(1));
    directory.apply({ op: "delete-user", id: guid(1) });
    expect((await ask(path)).body["manager"]).toBeUndefined();
    expect(errorOf(await ask(`/users/${guid(2)}/manager`))).toBe("404 Request_ResourceNotFound");
    expect(errorOf(await ask(`/users/${guid(1)}`))).toBe("404 Request_ResourceNotFound");
  });
});

describe("members", () => {
  const mixed: Mutation[] = [
    user(1),
    user(2),
    group(11),
    group(10, [
      [guid(1), "user"],
      [guid(2), "user"],
      [guid(11), "group"],
    ]),
    { op: "add-member", groupId: guid(10), memberId: guid(30), memberType: "device" },
  ];

  test("of every type say which they are", async () => {
    const { ask } = scene(mixed);
    const { body } = await ask(`/groups/${guid(10)}/members?$select=id,displayName,userPrincipalName`);
    expect(entriesOf(body)).toEqual([
      {
        "@odata.type": "#microsoft.graph.user",
        id: guid(1),
        displayName: "User 1",
        userPrincipalName: "user1@contoso.example",
      },
      {
        "@odata.type": "#microsoft.graph.user",
        id: guid(2),
        displayName: "User 2",
        userPrincipalName: "user2@contoso.example",
      },
      { "@odata.type": "#microsoft.graph.group", id: guid(11), displayName: "Group 11" },
      { "@odata.type": "#microsoft.graph.device", id: guid(30), displayName: null, userPrincipalName: null },
    ]);
  });

  test("without the right to their type are an id and nulls", async () => {
    const { ask } = scene(mixed);
    const roles = ["GroupMember.Read.All"];
    const { body } = await ask(`/groups/${guid(10)}/members?$select=id,displayName`, { roles });
    expect(entriesOf(body)[0]).toEqual({ "@odata.type": "#microsoft.graph.user", id: guid(1), displayName: null });
  });

  test("can be cast as an advanced query only", async () => {
    const { ask } = scene(mixed);
    const path = `/groups/${guid(10)}/members/microsoft.graph.user?$select=id`;
    expect(errorOf(await ask(path))).toBe("400 Request_UnsupportedQuery");
    const { body } = await ask(`${path}&$count=true`, advanced);
    expect([entriesOf(body).map(idOf), body["@odata.count"]]).toEqual([[guid(1), guid(2)], 2]);
    const odd = path.replace("graph.user", "graph.printer");
    expect(errorOf(await ask(`${odd}&$count=true`, advanced))).toBe("400 Request_UnsupportedQuery");
  });

  test("leave out deleted users, who are still in the group when they come back", async () => {
    const { ask, directory } = scene(mixed);
    const path = `/groups/${guid(10)}/members?$select=id`;
    directory.apply({ op: "delete-user", id: guid(1) });
    expect(entriesOf((await ask(path)).body).map(idOf)).not.toContain(guid(1));
    directory.apply({ op: "restore-user", id: guid(1) });
    expect(entriesOf((await ask(path)).body).map(idOf)).toContain(guid(1));
  });

  test("of a hidden group are an empty 200 without Member.Read.Hidden, from both ends", async () => {
    const hidden = group(10, [[guid(1), "user"]], { ...microsoft365, visibility: "Hiddenmembership" });
    const { ask } = scene([user(1), hidden]);
    const roles = [...reader, "Member.Read.Hidden"];
    for (const path of [`/groups/${guid(10)}/members`, `/users/${guid(1)}/memberOf`]) {
      expect([(await ask(path)).status, entriesOf((await ask(path)).body)]).toEqual([200, []]);
      expect(entriesOf((await ask(path, { roles })).body)).toHaveLength(1);
    }
  });

  test("of a large group are paged to 999", async () => {
    const many = Array.from({ length: 1200 }, (_, at) => user(at + 1));
    const { ask } = scene([
      ...many,
      group(
        5000,
        many.map(({ user: { id } }) => [id, "user"]),
      ),
    ]);
    const pages = await readAll(ask, `/groups/${guid(5000)}/members?$select=id&$top=999`);
    expect(pages.map((page) => page.length)).toEqual([999, 201]);
  });
});

test("deleted items are a collection of their own; a deleted user's sign-in name has its id in front", async () => {
  const { ask } = scene([
    user(1),
    group(2, [], microsoft365),
    { op: "delete-user", id: guid(1) },
    { op: "delete-group", id: guid(2) },
  ]);
  const users = await ask("/directory/deletedItems/microsoft.graph.user?$select=id,userPrincipalName,deletedDateTime");
  const [entry] = entriesOf(users.body);
  expect(entry?.["userPrincipalName"]).toBe(`${guid(1).replaceAll("-", "")}user1@contoso.example`);
  expect(entry?.["deletedDateTime"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const groups = await ask("/directory/deletedItems/microsoft.graph.group?$select=id");
  expect(entriesOf(groups.body).map(idOf)).toEqual([guid(2)]);
  expect((await ask(`/directory/deletedItems/${guid(2)}`)).body["@odata.type"]).toBe("#microsoft.graph.group");
  expect(errorOf(await ask(`/directory/deletedItems/${guid(9)}`))).toBe("404 Request_ResourceNotFound");
});

describe("permissions", () => {
  test.each([
    ["/organization", "Organization.Read.All"],
    ["/users", "User.Read.All"],
    ["/users/delta", "User.Read.All"],
    [`/users/${guid(1)}`, "User.Read.All"],
    [`/users/${guid(1)}/memberOf`, "User.Read.All"],
    ["/groups", "GroupMember.Read.All"],
    ["/groups/delta", "GroupMember.Read.All"],
    [`/groups/${guid(2)}/members`, "GroupMember.Read.All"],
    ["/directory/deletedItems/microsoft.graph.user", "User.Read.All"],
    ["/directory/deletedItems/microsoft.graph.group", "GroupMember.Read.All"],
  ])("%s needs %s", async (path, right) => {
    const { ask } = scene([user(1), group(2)]);
    const others = [...reader, "User.ReadBasic.All"].filter((role) => role !== right);
    expect(errorOf(await ask(path, { roles: others }))).toBe("403 Authorization_RequestDenied");
    expect((await ask(path, { roles: [right] })).status).toBe(200);
  });

  test("writing implies reading", async () => {
    const { ask } = scene([user(1)]);
    expect((await ask("/users", { roles: ["User.ReadWrite.All"] })).status).toBe(200);
    expect((await ask("/groups", { roles: ["Group.ReadWrite.All"] })).status).toBe(200);
    expect((await ask("/groups", { roles: ["GroupMember.ReadWrite.All"] })).status).toBe(200);
    expect((await ask("/users", { roles: ["Group.ReadWrite.All"] })).status).toBe(403);
  });

  test("no token, a token for no tenant, or one of a deleted tenant is 401 with a challenge", async () => {
    const { ask, world } = scene();
    const answers = [
      await ask("/users", { headers: { authorization: "" } }),
      await ask("/users", { tenant: "elsewhere" }),
    ];
    for (const tenant of world.tenants.values()) tenant.gone = true;
    answers.push(await ask("/users"));
    for (const answer of answers) {
      expect(errorOf(answer)).toBe("401 InvalidAuthenticationToken");
      expect(answer.headers["WWW-Authenticate"]).toMatch(/^Bearer/);
    }
  });
});

test("every answer is traceable and says what it cost", async () => {
  const { ask } = scene([user(1)]);
  const mine = { headers: { "client-request-id": "my-own" } };
  const fine = await ask("/users?$select=id", mine);
  expect(fine.headers).toMatchObject({ "client-request-id": "my-own", "x-ms-resource-unit": "1" });
  expect((await ask("/users")).headers["x-ms-resource-unit"]).toBe("2");
  expect((await ask(`/users/${guid(1)}?$expand=manager`)).headers["x-ms-resource-unit"]).toBe("2");
  const refused = await ask("/users?$select=nickname", mine);
  expect(refused.body["error"]).toMatchObject({
    innerError: {
      "client-request-id": "my-own",
      "request-id": refused.headers["request-id"],
      date: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
    },
  });
});

test("both spellings of delta are one route", async () => {
  const { ask } = scene([user(1)]);
  for (const path of [
    "/users/delta",
    "/users/microsoft.graph.delta",
    "/users/delta()",
    "/users/microsoft.graph.delta()",
  ]) {
    expect((await ask(path)).status).toBe(200);
  }
});
