import { describe, expect, test } from "vitest";
import type { Mutation } from "../../../src/local/simulator/directory/state.ts";
import { calm } from "../../../src/local/simulator/graph/switches.ts";
import { afterwards, memberIds, occurrences, pairs, people, usersStart } from "./graph-history.ts";
import { graphScene, group, guid, idOf, isRemoved, microsoft365, readRound, user } from "./graph-scene.ts";

const idFilter = (count: number): string =>
  Array.from({ length: count }, (_, at) => `id eq '${guid(at + 1)}'`).join(" or ");

describe("objects", () => {
  test("what was never set is absent, what was cleared is null, and everything ever set comes with a change", async () => {
    const clear: Mutation = { op: "update-user", id: guid(1), set: { mail: null } };
    const { initial, next } = await afterwards(
      "users",
      [user(1, { mail: "a@contoso.example", department: "Sales" })],
      [clear],
    );
    const always = {
      id: guid(1),
      displayName: "User 1",
      userPrincipalName: "user1@contoso.example",
      accountEnabled: true,
    };
    expect(initial.entries).toEqual([{ ...always, mail: "a@contoso.example", department: "Sales" }]);
    expect(next.entries).toEqual([{ ...always, mail: null, department: "Sales" }]);
  });

  test("a changed object may hold only what changed", async () => {
    const rename: Mutation = { op: "update-user", id: guid(1), set: { displayName: "New" } };
    const { next } = await afterwards("users", [user(1, { department: "Sales" })], [rename], { sparseChanges: 1 });
    expect(next.entries).toEqual([{ id: guid(1), displayName: "New" }]);
  });

  test("Prefer: return=minimal narrows the whole round", async () => {
    const { ask, apply, initial } = await afterwards("users", people(3), []);
    apply([{ op: "update-user", id: guid(2), set: { jobTitle: "Chief" } }]);
    const answer = await ask(initial.deltaLink, { headers: { prefer: "return=minimal" } });
    expect(answer.body["value"]).toEqual([{ id: guid(2), jobTitle: "Chief" }]);
    expect(answer.headers["Preference-Applied"]).toBe("return=minimal");
  });

  test("a change outside the selection does not surface", async () => {
    const elsewhere: Mutation = { op: "update-user", id: guid(1), set: { employeeId: "42" } };
    const { next } = await afterwards("users", people(1), [elsewhere]);
    expect(next.entries).toEqual([]);
  });

  test("accounts of agents carry their derived type", async () => {
    const { initial } = await afterwards("users", [user(1, { "@odata.type": "#microsoft.graph.agentUser" })], []);
    expect(initial.entries[0]?.["@odata.type"]).toBe("#microsoft.graph.agentUser");
  });

  test("the same object comes several times in one round", async () => {
    const { initial } = await afterwards("users", people(5), [], { repeats: 1 });
    expect(occurrences(initial.entries, guid(3)).length).toBeGreaterThan(1);
  });

  test("a delivered change comes again in a later round", async () => {
    const rename: Mutation = { op: "update-user", id: guid(1), set: { displayName: "New" } };
    const { ask, next } = await afterwards("users", people(1), [rename], { replays: 1 });
    const replay = await readRound(ask, next.deltaLink);
    const quiet = await readRound(ask, replay.deltaLink);
    expect([replay.entries.map(idOf), quiet.entries]).toEqual([[guid(1)], []]);
  });

  test("a new object comes again as a whole", async () => {
    const { ask, next } = await afterwards("users", [], people(2), { replays: 1 });
    const replay = await readRound(ask, next.deltaLink);
    expect(replay.entries.map(idOf).toSorted()).toEqual([guid(1), guid(2)]);
    expect(replay.entries.every((entry) => "userPrincipalName" in entry)).toBe(true);
  });

  test("ids may be printed in upper case", async () => {
    const letters = "abcdefab-cdef-4abc-8def-abcdefabcdef";
    const made = user(1);
    const before: Mutation[] = [{ ...made, user: { ...made.user, id: letters } }];
    const { initial } = await afterwards("users", before, [], { upperCaseIds: 1 });
    expect(initial.entries[0]?.["id"]).toBe(letters.toUpperCase());
  });
});

describe("pages", () => {
  test("hold between 100 and 200 objects in no order, some are empty, and each has exactly one link", async () => {
    const { ask } = graphScene({ seed: 4, users: 1500, groups: 20, traits: { ...calm, emptyPages: 0.3 } });
    const { pages, entries } = await readRound(ask, "/users/delta?$select=id");
    const full = pages.filter((page) => page.length > 0).map((page) => page.length);
    expect(full.slice(0, -1).every((length) => length >= 100 && length <= 200)).toBe(true);
    expect(new Set(full).size).toBeGreaterThan(2);
    expect(pages.length).toBeGreaterThan(full.length);
    expect(entries.map(idOf)).not.toEqual(entries.map(idOf).toSorted());
  });

  test("$top is ignored", async () => {
    const { ask } = graphScene({ traits: calm });
    const { status } = await ask("/users/delta?$select=id&$top=1");
    expect(status).toBe(200);
    const { body } = await graphScene({ users: 60, groups: 1, traits: calm }).ask("/users/delta?$select=id&$top=1");
    expect(body["value"]).toHaveLength(60);
  });

  test("repeat for ever behind new links when the feed loops", async () => {
    const { ask } = graphScene({ users: 300, groups: 10, traits: { ...calm, loop: "users" } });
    const first = await ask("/users/delta?$select=id");
    const second = await ask(String(first.body["@odata.nextLink"]));
    const third = await ask(String(second.body["@odata.nextLink"]));
    expect(third.body["value"]).toEqual(second.body["value"]);
    expect(third.body["@odata.nextLink"]).not.toBe(second.body["@odata.nextLink"]);
    expect(third.body["@odata.deltaLink"]).toBeUndefined();
  });

  test("$deltatoken=latest begins from now", async () => {
    const { ask, directory } = graphScene({ traits: calm });
    directory.apply(user(1));
    const { body } = await ask(`${usersStart}&$deltatoken=latest`);
    expect([body["value"], body["@odata.nextLink"]]).toEqual([[], undefined]);
    directory.apply(user(2));
    const { entries } = await readRound(ask, String(body["@odata.deltaLink"]));
    expect(entries.map(idOf)).toEqual([guid(2)]);
  });

  test("a filter names up to 50 ids and scopes every round", async () => {
    const { ask, directory } = graphScene({ traits: calm });
    for (const mutation of people(60)) directory.apply(mutation);
    const initial = await readRound(ask, `/users/delta?$select=id,jobTitle&$filter=${idFilter(2)}`);
    for (const id of [guid(2), guid(3)]) directory.apply({ op: "update-user", id, set: { jobTitle: "Chief" } });
    const next = await readRound(ask, initial.deltaLink);
    expect([initial.entries.map(idOf), next.entries.map(idOf)]).toEqual([[guid(1), guid(2)], [guid(2)]]);
    expect((await ask(`/users/delta?$filter=${idFilter(50)}`)).status).toBe(200);
    expect((await ask(`/users/delta?$filter=${idFilter(51)}`)).body["error"]).toMatchObject({
      code: "Request_UnsupportedQuery",
    });
    const other = await ask("/users/delta?$filter=displayName eq 'A'");
    expect(other.body["error"]).toMatchObject({ code: "Request_UnsupportedQuery" });
  });
});

describe("the end of objects", () => {
  test.each<[string, "users" | "groups", Mutation[], Mutation[], string[]]>([
    ["a soft delete", "users", people(1), [{ op: "delete-user", id: guid(1) }], ["changed"]],
    [
      "a purge of a deleted user",
      "users",
      [...people(1), { op: "delete-user", id: guid(1) }],
      [{ op: "purge-user", id: guid(1) }],
      ["deleted"],
    ],
    ["a deleted security group", "groups", [group(9)], [{ op: "delete-group", id: guid(9) }], ["deleted"]],
    [
      "a deleted Microsoft 365 group",
      "groups",
      [group(9, [], microsoft365)],
      [{ op: "delete-group", id: guid(9) }],
      ["changed"],
    ],
  ])("%s is told by reason", async (_name, feed, before, changes, reasons) => {
    const { next } = await afterwards(feed, before, changes);
    expect(next.entries.map((entry) => entry["@removed"])).toEqual(reasons.map((reason) => ({ reason })));
  });

  test("a delete followed by a purge is two events in one round, in either order, or only the last", async () => {
    const before = people(40);
    const changes = before.flatMap((_, at): Mutation[] => [
      { op: "delete-user", id: guid(at + 1) },
      { op: "purge-user", id: guid(at + 1) },
    ]);
    const { next } = await afterwards("users", before, changes);
    const told = before.map((_, at) =>
      occurrences(next.entries, guid(at + 1)).map((entry) => JSON.stringify(entry["@removed"]).includes("deleted")),
    );
    expect(new Set(told.map(String))).toEqual(new Set(["true", "true,false", "false,true"]));
  });

  test("what was made and deleted between two rounds is a tombstone or nothing", async () => {
    const changes = Array.from({ length: 30 }, (_, at): Mutation[] => [
      user(at + 1),
      { op: "delete-user", id: guid(at + 1) },
    ]).flat();
    const { next } = await afterwards("users", [], changes);
    expect(next.entries.every(isRemoved)).toBe(true);
    expect(next.entries.length).toBeGreaterThan(0);
    expect(next.entries.length).toBeLessThan(30);
  });

  test("an initial round holds tombstones of ids nobody ever saw", async () => {
    const gone = people(20).flatMap((mutation, at): Mutation[] => [mutation, { op: "delete-user", id: guid(at + 1) }]);
    const { initial } = await afterwards("users", [...gone, { op: "purge-user", id: guid(1) }], [], {
      unknownTombstones: 1,
    });
    expect(initial.entries.length).toBeGreaterThan(1);
    expect(initial.entries.every(isRemoved)).toBe(true);
    expect(initial.entries.some((entry) => !idOf(entry).startsWith("00000000"))).toBe(true);
  });

  test("a restored user is a full object under the same id, sometimes behind its tombstone", async () => {
    const before = people(20);
    const changes = before.flatMap((_, at): Mutation[] => [
      { op: "delete-user", id: guid(at + 1) },
      { op: "restore-user", id: guid(at + 1) },
    ]);
    const { next } = await afterwards("users", before, changes);
    const told = before.map((_, at) => occurrences(next.entries, guid(at + 1)).map(isRemoved));
    expect(new Set(told.map(String))).toEqual(new Set(["false", "true,false"]));
  });

  test("a deleted user stays in its groups' feed, and a purge is told at once, a round late, or never", async () => {
    const count = 60;
    const before = [...people(count), ...people(count).map((_, at) => group(100 + at, pairs(at + 1, at + 1)))];
    const deletions = people(count).map((_, at): Mutation => ({ op: "delete-user", id: guid(at + 1) }));
    const { next, apply, ask } = await afterwards("groups", before, deletions, { purgeRemovals: 0.6 });
    expect(next.entries).toEqual([]);
    apply(people(count).map((_, at): Mutation => ({ op: "purge-user", id: guid(at + 1) })));
    const atOnce = await readRound(ask, next.deltaLink);
    const late = await readRound(ask, atOnce.deltaLink);
    expect(memberIds(atOnce.entries).length).toBeGreaterThan(0);
    expect(memberIds(late.entries).length).toBeGreaterThan(0);
    const told = new Set([...memberIds(atOnce.entries), ...memberIds(late.entries)]);
    expect(told.size).toBeLessThan(count);
  });
});
