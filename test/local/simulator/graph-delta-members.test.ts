import { describe, expect, test } from "vitest";
import type { Mutation } from "../../../src/local/simulator/directory/state.ts";
import { afterwards, groupsStart, memberIds, occurrences, pairs, people } from "./graph-history.ts";
import {
  entriesOf,
  graphScene,
  group,
  guid,
  idOf,
  isRemoved,
  microsoft365,
  reader,
  readRound,
  related,
  user,
} from "./graph-scene.ts";

describe("relationships", () => {
  test("a large group comes in pieces with different members on several pages, scalars with each", async () => {
    const before = [...people(90), group(200, pairs(1, 90)), group(201)];
    const { initial } = await afterwards("groups", before, [], { memberSlice: 20 });
    const pieces = occurrences(initial.entries, guid(200));
    expect(pieces).toHaveLength(5);
    expect(new Set(memberIds(pieces)).size).toBe(90);
    expect(memberIds(pieces)).toHaveLength(90);
    expect(new Set(pieces.map((piece) => piece["displayName"]))).toEqual(new Set(["Group 200"]));
    expect(initial.pages.filter((page) => occurrences(page, guid(200)).length > 0).length).toBeGreaterThan(2);
    expect("members@delta" in (occurrences(initial.entries, guid(201))[0] ?? {})).toBe(false);
  });

  test("the pieces of a group lie between other groups, not side by side", async () => {
    const before = [
      ...people(60),
      ...Array.from({ length: 30 }, (_, at) => group(200 + at, at === 0 ? pairs(1, 60) : [])),
    ];
    const { initial } = await afterwards("groups", before, [], { memberSlice: 15, pageSize: 3 });
    const pagesWithPieces = initial.pages.flatMap((page, at) => (occurrences(page, guid(200)).length > 0 ? [at] : []));
    const gaps = pagesWithPieces.slice(1).map((page, at) => page - (pagesWithPieces[at] ?? 0));
    expect(gaps.some((gap) => gap > 1)).toBe(true);
  });

  test("many new members come in pieces too", async () => {
    const additions = people(50).map(
      (_, at): Mutation => ({
        op: "add-member",
        groupId: guid(200),
        memberId: guid(at + 1),
        memberType: "user",
      }),
    );
    const { next } = await afterwards("groups", [...people(50), group(200)], additions, { memberSlice: 20 });
    expect(occurrences(next.entries, guid(200))).toHaveLength(3);
    expect(new Set(memberIds(next.entries)).size).toBe(50);
  });

  test("without $select groups bring their members, with it only when asked", async () => {
    const before = [...people(1), group(200, pairs(1, 1))];
    const { ask } = await afterwards("groups", before, []);
    const plain = await readRound(ask, "/groups/delta");
    const narrow = await readRound(ask, "/groups/delta?$select=displayName");
    expect(memberIds(plain.entries)).toEqual([guid(1)]);
    expect(narrow.entries).toEqual([{ id: guid(200), displayName: "Group 200" }]);
  });

  test("users bring a manager only when it is selected", async () => {
    const { ask } = await afterwards("users", [user(1), user(2, {}, guid(1))], []);
    const plain = await readRound(ask, "/users/delta");
    const asked = await readRound(ask, "/users/delta?$select=manager");
    expect(plain.entries.some((entry) => "manager@delta" in entry)).toBe(false);
    expect(related(occurrences(asked.entries, guid(2))[0] ?? {}, "manager@delta")).toEqual([
      { "@odata.type": "#microsoft.graph.user", id: guid(1) },
    ]);
  });

  test("a new manager comes with or without the former one, in either order", async () => {
    const count = 60;
    const reports = Array.from({ length: count }, (_, at) => user(10 + at, {}, guid(1)));
    const moves = reports.map(({ user: { id } }): Mutation => ({ op: "set-manager", id, managerId: guid(2) }));
    const { next } = await afterwards("users", [user(1), user(2), ...reports], moves);
    const shapes = next.entries.map((entry) =>
      related(entry, "manager@delta").map((each) =>
        isRemoved(each) ? `-${idOf(each).slice(-1)}` : idOf(each).slice(-1),
      ),
    );
    expect(new Set(shapes.map(String))).toEqual(new Set(["2", "2,-1", "-1,2"]));
  });

  test("a manager who is taken away is an entry with @removed", async () => {
    const away: Mutation = { op: "set-manager", id: guid(2), managerId: null };
    const { next } = await afterwards("users", [user(1), user(2, {}, guid(1))], [away]);
    expect(related(next.entries[0] ?? {}, "manager@delta")).toEqual([
      { "@odata.type": "#microsoft.graph.user", id: guid(1), "@removed": { reason: "deleted" } },
    ]);
  });

  test("a membership that was undone within a round may be told in both ways", async () => {
    const count = 30;
    const undone = people(count).flatMap((_, at): Mutation[] => [
      { op: "add-member", groupId: guid(200), memberId: guid(at + 1), memberType: "user" },
      { op: "remove-member", groupId: guid(200), memberId: guid(at + 1) },
    ]);
    const { next } = await afterwards("groups", [...people(count), group(200)], undone, { contradictions: 0.5 });
    const ways = new Map<string, number>();
    for (const id of memberIds(next.entries)) ways.set(id, (ways.get(id) ?? 0) + 1);
    expect(new Set(ways.values())).toEqual(new Set([1, 2]));
  });

  test("an initial round names removed members who never were any", async () => {
    const { initial } = await afterwards("groups", [...people(2), group(200, pairs(1, 2))], [], {
      unknownMemberRemovals: 1,
    });
    const removed = related(initial.entries[0] ?? {}, "members@delta").filter(isRemoved);
    expect(removed).toHaveLength(1);
    expect([guid(1), guid(2)]).not.toContain(idOf(removed[0] ?? {}));
  });

  test("a restored group may bring half of its members only with the next round", async () => {
    const before = [...people(10), group(200, pairs(1, 10), microsoft365)];
    const changes: Mutation[] = [
      { op: "delete-group", id: guid(200) },
      { op: "restore-group", id: guid(200) },
    ];
    const { next, ask } = await afterwards("groups", before, changes, { lateMembers: 1 });
    const rest = await readRound(ask, next.deltaLink);
    expect([memberIds(next.entries).length, memberIds(rest.entries).length]).toEqual([5, 5]);
    expect(new Set([...memberIds(next.entries), ...memberIds(rest.entries)]).size).toBe(10);
  });

  test("hidden members are left out without Member.Read.Hidden, and nothing says so", async () => {
    const hidden = group(200, pairs(1, 1), { ...microsoft365, visibility: "HiddenMembership" });
    const { initial, ask } = await afterwards("groups", [...people(1), hidden], []);
    const seeing = await readRound(ask, groupsStart, undefined, [...reader, "Member.Read.Hidden"]);
    expect([memberIds(initial.entries), memberIds(seeing.entries)]).toEqual([[], [guid(1)]]);
  });

  test("nested groups and other objects are members with their types", async () => {
    const before: Mutation[] = [
      group(201),
      group(200, [[guid(201), "group"]]),
      { op: "add-member", groupId: guid(200), memberId: guid(300), memberType: "device" },
    ];
    const { initial } = await afterwards("groups", before, []);
    const types = occurrences(initial.entries, guid(200)).flatMap((entry) => related(entry, "members@delta"));
    expect(types.map((each) => each["@odata.type"])).toEqual(["#microsoft.graph.group", "#microsoft.graph.device"]);
  });

  test("what ended after a restoration is told behind the full object", async () => {
    const team = await afterwards(
      "groups",
      [...people(2), group(200, pairs(1, 2), microsoft365)],
      [
        { op: "delete-group", id: guid(200) },
        { op: "restore-group", id: guid(200) },
        { op: "remove-member", groupId: guid(200), memberId: guid(2) },
      ],
    );
    const told = team.next.entries
      .flatMap((entry) => related(entry, "members@delta"))
      .map((each) => [idOf(each), isRemoved(each)]);
    expect(told).toEqual([
      [guid(1), false],
      [guid(2), true],
    ]);
    const person = await afterwards(
      "users",
      [user(1), user(2, {}, guid(1))],
      [
        { op: "delete-user", id: guid(2) },
        { op: "restore-user", id: guid(2) },
        { op: "set-manager", id: guid(2), managerId: null },
      ],
    );
    const managers = person.next.entries.flatMap((entry) => related(entry, "manager@delta"));
    expect(managers.map((each) => [idOf(each), isRemoved(each)])).toEqual([[guid(1), true]]);
  });

  test("a replay tells nothing that has ended since", async () => {
    const groups = Array.from({ length: 6 }, (_, at) => guid(200 + at));
    const change = (op: "add-member" | "remove-member") =>
      groups.map((groupId): Mutation => ({ op, groupId, memberId: guid(1), memberType: "user" }));
    const before = [...people(1), ...groups.map((_, at) => group(200 + at))];
    const traits = { replays: 1, pageSize: 1 };
    const { apply, ask, next } = await afterwards("groups", before, change("add-member"), traits);
    const { body } = await ask(next.deltaLink);
    expect(memberIds(entriesOf(body))).toEqual([guid(1)]);
    apply(change("remove-member"));
    const rest = await readRound(ask, String(body["@odata.nextLink"]));
    expect(memberIds(rest.entries)).toEqual([]);
  });

  test("links stay short enough for a URL however many groups are open and however much repeats", async () => {
    const { ask } = graphScene({ users: 500, groups: 120, traits: { memberSlice: 5, repeats: 1 } });
    const lengths: number[] = [];
    for (const start of [groupsStart, "/users/delta"]) {
      for (let link: unknown = start; typeof link === "string"; ) {
        const { body } = await ask(link);
        lengths.push(link.length);
        link = body["@odata.nextLink"];
      }
    }
    expect(lengths.length).toBeGreaterThan(20);
    expect(Math.max(...lengths)).toBeLessThan(2500);
  });
});
