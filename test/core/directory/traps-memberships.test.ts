/** Traps in how memberships come, go, and fail to be told. */
import { describe, expect, it } from "vitest";
import type { Stage } from "../../support/sync-stage.ts";
import {
  appearances,
  end,
  group,
  guid,
  join,
  leave,
  memberReads,
  microsoft365,
  openScene,
  pagesOf,
  people,
  range,
  set,
  told,
  withStage,
} from "./trap-scene.ts";

let stage: Stage;
withStage(4, (started) => {
  stage = started;
});

describe("a large group", () => {
  for (const slices of ["in one slice", "with a slice for each page"])
    it(`in pieces on pages that are not neighbours is their union (${slices})`, async () => {
      const s = await openScene(stage, {
        before: [...people(60), ...range(500, 20).map((n) => group(n, n === 500 ? range(1, 40) : [n - 480]))],
        traits: { memberSlice: 7, pageSize: 3, repeats: 0.5 },
      });
      if (slices !== "in one slice") stage.needs = { ...stage.needs, sliceMilliseconds: 0 };
      const first = await s.sync("full");
      const pages = pagesOf(first, "groups", 500);
      expect(pages.length).toBeGreaterThan(5);
      expect(pages.some((page, at) => at > 0 && page - (pages[at - 1] ?? 0) > 1)).toBe(true);
      await s.agrees();
      s.change(...range(41, 20).map((n) => join(500, n)), ...range(1, 10).map((n) => leave(500, n)));
      s.change(...range(501, 19).map((n) => set(n, { description: "new" })));
      const second = await s.sync();
      expect(pagesOf(second, "groups", 500).length).toBeGreaterThan(2);
      expect(await s.members(500)).toEqual(range(11, 50));
      await s.agrees();
      const third = await s.sync("full");
      expect(memberReads(third)).toBe(0);
      expect(third.entries.filter(({ kind }) => kind !== "run")).toEqual([]);
    });
});

describe("removed members", () => {
  it("who never were any, in a first read, neither come nor go", async () => {
    const s = await openScene(stage, {
      before: [...people(6), ...range(500, 10).map((n) => group(n, [1, 2, 3]))],
      traits: { unknownMemberRemovals: 1 },
    });
    const first = await s.sync("full");
    expect(range(500, 10).flatMap((n) => told(first, n).filter((entry) => entry.startsWith("-"))).length).toBe(10);
    expect(first.run?.counts).toMatchObject({ membershipsAdded: 30, membershipsRemoved: 0 });
    await s.agrees();
    expect((await s.sync("full")).entries).toEqual([]);
  });

  it("told as both added and removed are decided by reading the members once", async () => {
    const s = await openScene(stage, {
      before: [...people(60), group(500, range(1, 30)), group(501)],
      traits: { contradictions: 1 },
    });
    await s.sync("full");
    s.change(...range(1, 30).flatMap((n) => [leave(500, n), join(500, n)]));
    s.change(...range(31, 30).flatMap((n) => [join(501, n), leave(501, n)]));
    s.change(leave(500, 1), join(501, 60));
    const second = await s.sync();
    for (const way of ["+2", "-2"]) expect(told(second, 500)).toContain(way);
    for (const way of ["+31", "-31"]) expect(told(second, 501)).toContain(way);
    expect(memberReads(second)).toBe(2);
    expect(second.run?.counts).toMatchObject({ membershipsAdded: 1, membershipsRemoved: 1 });
    await s.agrees();
  });

  it("told in both ways while the members cannot be read stay as they were, and are listed", async () => {
    const s = await openScene(stage, {
      before: [...people(4), group(500, [1, 2])],
      traits: { contradictions: 1 },
    });
    await s.sync("full");
    s.change(leave(500, 1), join(500, 1), join(500, 3), leave(500, 3), join(500, 4));
    s.fault({
      trouble: { kind: "status", status: 403, code: "Authorization_RequestDenied" },
      path: "/members",
      times: 2,
    });
    const second = await s.sync();
    expect(second.run?.warnings.map(({ code }) => code)).toContain("membership-not-readable");
    expect(await s.members(500)).toEqual([1, 2, 4]);
  });
});

describe("a full read", () => {
  it("that misses members asks the group, keeps those who are, and ends those who are not", async () => {
    const s = await openScene(stage, { before: [...people(6), group(500, [1, 2, 3, 4]), group(501, [500, 1])] });
    await s.sync("full");
    s.change(leave(500, 4));
    s.alter = (feed, objects) =>
      feed === "users"
        ? objects
        : objects.map(({ members, ...object }) => (members ? { ...object, members: [] } : object));
    const second = await s.sync("full");
    expect(memberReads(second)).toBe(2);
    expect(await s.members(500)).toEqual([1, 2, 3]);
    expect(second.entries.map(({ op, removed, evidence }) => [op, removed, evidence])).toContainEqual([
      "changed",
      [s.personId(4)],
      "membership-read",
    ]);
    await s.agrees();
  });

  it("that misses members of a group which may not be read keeps and lists them", async () => {
    const s = await openScene(stage, { before: [...people(3), group(500, [1, 2, 3])] });
    await s.sync("full");
    s.change(set(1, { jobTitle: "Lead" }));
    s.alter = (feed, objects) =>
      feed === "users" ? objects : objects.map(({ id, properties }) => ({ id, properties }));
    s.fault({
      trouble: { kind: "status", status: 403, code: "Authorization_RequestDenied" },
      path: "/members",
      times: 2,
    });
    const second = await s.sync("full");
    expect(second.run).toMatchObject({ outcome: "done", counts: { membershipsRemoved: 0, peopleUpdated: 1 } });
    expect(second.run?.warnings).toContainEqual({ code: "membership-not-readable", object: guid(500) });
    await s.agrees();
  });

  it("proves nothing about a group that hides its members", async () => {
    const hidden = { ...microsoft365, visibility: "Hiddenmembership" };
    const s = await openScene(stage, { before: [...people(3), group(500, [1, 2, 3], hidden)] });
    const { tid } = s;
    const seeing = ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All", "Member.Read.Hidden"];
    stage.simulator.commands.grant.run({ tid, clientId: stage.clientId, permissions: seeing });
    await s.sync("full");
    expect(await s.members(500)).toEqual([1, 2, 3]);
    stage.simulator.commands.revoke.run({ tid, clientId: stage.clientId, permissions: ["Member.Read.Hidden"] });
    s.fault({ trouble: { kind: "status", status: 401 } });
    const second = await s.sync("full");
    expect(told(second, 500)).toEqual([]);
    expect(second.run?.warnings).toEqual([{ code: "membership-not-readable", object: guid(500) }]);
    expect([await s.members(500), memberReads(second)]).toEqual([[1, 2, 3], 0]);
  });
});

describe("a group that is deleted and restored", () => {
  it("goes with its memberships, and comes back with all of them though half are told a round late", async () => {
    const s = await openScene(stage, {
      before: [...people(10), group(500, range(1, 10), microsoft365)],
      traits: { lateMembers: 1 },
    });
    await s.sync("full");
    s.change(end("delete", 500));
    const second = await s.sync();
    expect(second.run?.counts.groupsRemoved).toBe(1);
    expect(await s.members(500)).toEqual([]);
    await s.agrees();
    s.change(end("restore", 500));
    const third = await s.sync();
    expect(told(third, 500)).toHaveLength(5);
    expect(await s.members(500)).toEqual(range(1, 10));
    await s.agrees();
    const fourth = await s.sync();
    expect(told(fourth, 500)).toHaveLength(5);
    expect(fourth.entries).toEqual([]);
    await s.agrees();
  });

  it("within one round keeps its members though half are told a round late", async () => {
    const s = await openScene(stage, {
      before: [...people(10), group(500, range(1, 9), microsoft365)],
      traits: { lateMembers: 1 },
    });
    await s.sync("full");
    s.change(end("delete", 500), end("restore", 500), join(500, 10));
    const second = await s.sync();
    expect(appearances(second, "groups", 500).length).toBeGreaterThan(0);
    expect(await s.members(500)).toEqual(range(1, 10));
    await s.agrees();
  });
});

describe("nested groups", () => {
  it("in a ring are kept as they are, and the ring can be opened", async () => {
    const s = await openScene(stage, {
      before: [...people(3), group(500, [1]), group(501, [500, 2]), group(502, [501, 3]), join(500, 502)],
    });
    await s.sync("full");
    const children = async () => [500, 501, 502].map(async (n) => (await s.held()).groups[guid(n)]?.children);
    expect(await Promise.all(await children())).toEqual([[guid(502)], [guid(500)], [guid(501)]]);
    await s.agrees();
    s.change(leave(500, 502), end("delete", 501), group(503, [500, 502]));
    const second = await s.sync();
    expect(second.entries).toMatchObject([
      { kind: "group", op: "created" },
      { kind: "members", op: "changed", object: guid(503), childrenAdded: [guid(500), guid(502)] },
      { kind: "members", op: "changed", object: guid(500), childrenRemoved: [guid(502)] },
      { kind: "group", op: "removed", object: guid(501) },
      { kind: "run", op: "ended" },
    ]);
    await s.agrees();
  });
});
