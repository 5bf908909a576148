/** Traps where people and memberships are told apart from each other: deleted members, and feeds that are not in step. */
import { describe, expect, it } from "vitest";
import type { Stage } from "../../support/sync-stage.ts";
import {
  appearances,
  end,
  group,
  guid,
  join,
  kinds,
  leave,
  manage,
  memberReads,
  microsoft365,
  openScene,
  people,
  person,
  range,
  type Scene,
  told,
  without,
  withStage,
} from "./trap-scene.ts";

let stage: Stage;
withStage(4, (started) => {
  stage = started;
});

/** The users feed brings a newcomer one round after the groups feed has named him. */
const lagging = async (s: Scene) => {
  await s.sync("full");
  s.change(person(9, {}, 1), join(500, 9), join(501, 9));
  s.alter = without(9);
  const second = await s.sync();
  expect(told(second, 500)).toEqual(["+9"]);
  expect([await s.stored(9), await s.members(500)]).toEqual([null, [1, 9]]);
  s.alter = null;
  s.traits({ replays: 1 });
  return s.sync();
};

describe("a person who is deleted", () => {
  it("loses the memberships nobody tells of, and has them again when restored, as the log says", async () => {
    const s = await openScene(stage, { before: [...people(3), group(500, [1, 2]), group(501, [1]), group(502)] });
    await s.sync("full");
    s.change(end("delete", 1));
    const second = await s.sync();
    expect(appearances(second, "groups", 500)).toEqual([]);
    expect((await s.held()).groups[guid(500)]?.members).toEqual([s.personId(2)]);
    await s.agrees();
    s.change(end("restore", 1));
    const third = await s.sync();
    expect(told(third, 500)).toEqual([]);
    expect(third.entries).toMatchObject([
      { kind: "person", op: "revived", object: s.personId(1), groups: [guid(500), guid(501)] },
      { kind: "run", op: "ended" },
    ]);
    await s.agrees();
  });

  it("for ever shows no membership any more, though the groups never tell, also after a full read", async () => {
    const s = await openScene(stage, { before: [...people(3), group(500, [1, 2]), group(501, [1], microsoft365)] });
    await s.sync("full");
    s.change(end("delete", 1), end("purge", 1));
    const second = await s.sync();
    expect(second.pages.flatMap(({ feed, objects }) => (feed === "groups" ? objects : []))).toEqual([]);
    expect([await s.members(500), (await s.stored(1))?.state]).toEqual([[1, 2], "deactivated"]);
    await s.agrees();
    const third = await s.sync("full");
    expect(third.entries.filter(({ kind }) => kind !== "run")).toEqual([]);
    await s.agrees();
  });

  it("for ever is recorded once, whether the groups tell at once, a round later, both or never", async () => {
    const s = await openScene(stage, {
      before: [...people(8), ...range(500, 12).map((n) => group(n, range(1, 8)))],
      traits: { purgeRemovals: 1 },
    });
    await s.sync("full");
    s.change(...range(1, 4).flatMap((n) => [end("delete", n), end("purge", n)]));
    const second = await s.sync();
    const third = await s.sync();
    const [atOnce, late] = [second, third].map(
      (round) => new Set(range(500, 12).flatMap((n) => told(round, n).map((entry) => `${n}${entry}`))),
    );
    const onlyLate = [...late!].filter((pair) => !atOnce!.has(pair));
    expect([atOnce!.size > 5, onlyLate.length > 5, onlyLate.length < late!.size]).toEqual([true, true, true]);
    expect(second.entries.flatMap(({ removed = [] }) => removed)).toHaveLength(atOnce!.size);
    expect(kinds(second.entries).filter((kind) => kind === "person deactivated")).toHaveLength(4);
    expect(third.entries.filter(({ kind }) => kind !== "run")).toEqual([]);
    expect(third.run?.counts.membershipsRemoved).toBe(onlyLate.length);
    await s.agrees();
  });

  it("stays a member although a list of the members, read meanwhile, leaves out who is deleted", async () => {
    const s = await openScene(stage, {
      before: [...people(4), group(500, [1, 2, 3, 4])],
      traits: { contradictions: 1 },
    });
    await s.sync("full");
    s.change(end("delete", 1));
    await s.sync();
    s.change(end("delete", 4), leave(500, 2), join(500, 2), leave(500, 3));
    const third = await s.sync();
    expect([memberReads(third), await s.members(500)]).toEqual([1, [1, 2, 4]]);
    await s.agrees();
    s.change(end("restore", 1), end("restore", 4));
    expect(told(await s.sync(), 500)).toEqual([]);
    expect((await s.held()).groups[guid(500)]?.members).toHaveLength(3);
    await s.agrees();
  });

  it("and comes back keeps a manager who is in the deleted items, and shows him when he is back too", async () => {
    const reports = range(10, 20);
    const s = await openScene(stage, { before: [person(1), ...reports.map((n) => person(n, {}, 1))] });
    await s.sync("full");
    s.change(end("delete", 1), ...reports.flatMap((n) => [end("delete", n), end("restore", n)]));
    s.alter = (_feed, objects) => objects.toReversed();
    const second = await s.sync();
    expect(reports.filter((n) => appearances(second, "users", n).length > 1).length).toBeGreaterThan(3);
    s.alter = null;
    s.change(end("restore", 1));
    await s.sync();
    const { people: shown } = await s.held();
    expect(new Set(reports.map((n) => shown[s.personId(n)]?.manager))).toEqual(new Set([s.personId(1)]));
    await s.agrees();
  });

  it("and comes back without a manager has none any more", async () => {
    const s = await openScene(stage, { before: [person(1), person(2, {}, 1)] });
    await s.sync("full");
    s.change(end("delete", 2));
    await s.sync();
    s.change(end("restore", 2), manage(2, null));
    s.alter = (_feed, objects) => objects.map(({ manager: _manager, ...rest }) => rest);
    const third = await s.sync();
    expect(appearances(third, "users", 2).map(({ removed }) => removed)).toContain(undefined);
    expect(await s.stored(2)).toMatchObject({ state: "active", record: { manager: null } });
  });
});

describe("feeds that are not in step", () => {
  it("name a member before the person is known: the membership shows, and is logged, when the person comes", async () => {
    const s = await openScene(stage, { before: [person(1), group(500, [1]), group(501)] });
    const third = await lagging(s);
    expect(third.entries).toMatchObject([
      { kind: "person", op: "created", object: s.personId(9), groups: [guid(500), guid(501)] },
      { kind: "run", op: "ended" },
    ]);
    await s.agrees();
  });

  it("bring the person first and the membership a round later", async () => {
    const s = await openScene(stage, { before: [person(1), group(500, [1]), group(501)] });
    await s.sync("full");
    let told500 = false;
    s.alter = (feed, objects) => {
      if (feed === "groups" && !told500) {
        told500 = true;
        s.change(person(9, {}, 1), join(500, 9));
      }
      return objects;
    };
    const second = await s.sync();
    expect(told(second, 500)).toEqual([]);
    expect((await s.stored(9))?.state).toBe("active");
    const third = await s.sync();
    expect(third.entries).toMatchObject([{ kind: "members", added: [s.personId(9)] }, { kind: "run" }]);
    await s.agrees();
  });

  it("name a manager before the person is known", async () => {
    const s = await openScene(stage, { before: [person(1), person(2)] });
    await s.sync("full");
    s.change(person(9), manage(1, 9));
    s.alter = without(9);
    await s.sync();
    expect((await s.held()).people[s.personId(1)]?.manager).toBeNull();
    s.alter = null;
    s.traits({ replays: 1 });
    await s.sync();
    expect((await s.held()).people[s.personId(1)]?.manager).toBe(s.personId(9));
    await s.agrees();
  });
});
