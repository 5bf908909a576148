import { describe, expect, test } from "vitest";
import type { Mutation } from "../../../src/local/simulator/directory/state.ts";
import { calm } from "../../../src/local/simulator/graph/switches.ts";
import {
  type Answer,
  entriesOf,
  graphScene,
  group,
  guid,
  idOf,
  microsoft365,
  reader,
  tid,
  user,
} from "./graph-scene.ts";

const scene = (mutations: Mutation[]) => {
  const made = graphScene({ traits: calm });
  for (const mutation of mutations) made.directory.apply(mutation);
  return made;
};

const eventual = { headers: { consistencylevel: "eventual" } };

const errorOf = ({ status, body }: Answer): string => {
  const error = body["error"];
  return `${status} ${typeof error === "object" && error && "code" in error ? String(error.code) : ""}`;
};

const people = [
  user(1, { displayName: "Ana OneVideo42", mail: "ana.one@contoso.example" }),
  user(2, { displayName: "R&D Berta", mail: "berta@contoso.example" }),
  user(3, { displayName: String.raw`Carl "the \ saw" O'Neil` }),
];

const search = (text: string) => `/users?$select=id&$search=${encodeURIComponent(text)}`;

describe("$search", () => {
  test.each([
    ["displayName:ana", [1]],
    ["displayName:video one", [1]],
    ["displayName:42", [1]],
    ["displayName:vid", []],
    ["displayName:d", [2]],
    ["mail:ana.o", [1]],
    ["mail:one", []],
    ["USERPRINCIPALNAME:user", [1, 2, 3]],
    [String.raw`displayName:\"the \\ saw\"`, [3]],
    ["displayName:o'neil", [3]],
  ])("%s finds words of a name, and everything else from its beginning", async (clause, expected) => {
    const { body } = await scene(people).ask(search(`"${clause}"`), eventual);
    expect(entriesOf(body).map(idOf)).toEqual(expected.map(guid));
  });

  test("joins clauses; AND binds closer", async () => {
    const { ask } = scene(people);
    const found = async (text: string) => entriesOf((await ask(search(text), eventual)).body).map(idOf);
    expect(await found('"mail:ana" OR "mail:berta" AND "displayName:nobody"')).toEqual([guid(1)]);
    expect(await found('("mail:ana" OR "mail:berta") AND "displayName:r"')).toEqual([guid(2)]);
  });

  test("needs the header, and on every page", async () => {
    const { ask, graph } = scene(people);
    graph.switches.set(tid, { emptyPages: 0 });
    const path = `${search('"userPrincipalName:user"')}&$top=1`;
    expect(errorOf(await ask(path))).toBe("400 Request_UnsupportedQuery");
    const next = String((await ask(path, eventual)).body["@odata.nextLink"]);
    expect(errorOf(await ask(next))).toBe("400 Request_UnsupportedQuery");
    expect(entriesOf((await ask(next, eventual)).body).map(idOf)).toEqual([guid(2)]);
  });

  test.each([
    [search("displayName:ana"), "400 BadRequest"],
    [search('"displayName:ana'), "400 BadRequest"],
    [search(String.raw`"displayName:a\na"`), "400 BadRequest"],
    [search('"displayName:R&D"'), "400 BadRequest"],
    [search('"displayName:ana" or "mail:ana"'), "400 BadRequest"],
    [search('"displayName:"'), "400 BadRequest"],
    [search('"ana"'), "400 Request_UnsupportedQuery"],
    [search('"jobTitle:ana"'), "400 Request_UnsupportedQuery"],
    [`${search('"mail:ana"')}&$expand=manager`, "400 Request_UnsupportedQuery"],
    [`/users/delta?$select=id&$search=${encodeURIComponent('"mail:ana"')}`, "400 BadRequest"],
  ])("%s is answered with %s", async (path, expected) => {
    expect(errorOf(await scene(people).ask(path, eventual))).toBe(expected);
  });
});

describe("groups of a user", () => {
  const nested = [
    user(1),
    group(10, [[guid(1), "user"]]),
    group(11, [[guid(10), "group"]]),
    group(12, [[guid(11), "group"]]),
    { op: "add-member", groupId: guid(10), memberId: guid(12), memberType: "group" },
    group(13, [[guid(1), "user"]], { ...microsoft365, visibility: "HiddenMembership" }),
  ] satisfies Mutation[];

  test("are those around him at any depth, once each although they form a circle, and no hidden ones", async () => {
    const { ask } = scene(nested);
    const groups = async (relation: string, roles = reader) =>
      entriesOf((await ask(`/users/${guid(1)}/${relation}?$select=id`, { roles })).body).map(idOf);
    expect(await groups("memberOf")).toEqual([10].map(guid));
    expect(await groups("transitiveMemberOf")).toEqual([10, 11, 12].map(guid));
    expect(await groups("transitiveMemberOf", [...reader, "Member.Read.Hidden"])).toEqual([10, 11, 12, 13].map(guid));
  });
});
