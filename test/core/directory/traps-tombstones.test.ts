/** Traps in how the feeds tell that an object is gone, was gone, or never was. */
import { describe, expect, it } from "vitest";
import type { Stage } from "../../support/sync-stage.ts";
import {
  appearances,
  end,
  group,
  guid,
  kinds,
  microsoft365,
  openScene,
  person,
  range,
  set,
  without,
  withStage,
} from "./trap-scene.ts";

let stage: Stage;
withStage(3, (started) => {
  stage = started;
});

describe("tombstones", () => {
  it("of ids nobody knows, in a first read and later, store nothing", async () => {
    const s = await openScene(stage, {
      before: [...range(1, 8).map((n) => person(n)), group(500), end("delete", 8)],
      traits: { unknownTombstones: 1, pageSize: 3 },
    });
    const first = await s.sync("full");
    const strange = first.pages.flatMap(({ objects }) => objects.filter(({ removed }) => removed));
    expect(strange.length).toBeGreaterThan(3);
    expect(first.run?.counts).toMatchObject({ peopleDeactivated: 0, groupsRemoved: 0 });
    await s.agrees();
  });

  it("of people and groups that came and went between two rounds store nothing", async () => {
    const s = await openScene(stage);
    await s.sync("full");
    for (const n of range(1, 30))
      s.change(person(n), group(500 + n, [n], microsoft365), end("delete", n), end("delete", 500 + n));
    for (const n of range(1, 15)) s.change(end("purge", n), end("purge", 500 + n));
    const second = await s.sync();
    expect(range(1, 30).flatMap((n) => appearances(second, "users", n)).length).toBeGreaterThan(5);
    expect(range(501, 30).flatMap((n) => appearances(second, "groups", n)).length).toBeGreaterThan(5);
    expect([second.run, second.entries]).toEqual([null, []]);
    await s.agrees();
  });

  it("of the deletion and of the purge in one round are one deactivation", async () => {
    const gone = range(1, 30);
    const s = await openScene(stage, { before: gone.map((n) => person(n)) });
    await s.sync("full");
    s.change(...gone.flatMap((n) => [end("delete", n), end("purge", n)]));
    const second = await s.sync();
    const shapes = gone.map((n) => String(appearances(second, "users", n).map(({ removed }) => removed)));
    expect(new Set(shapes)).toEqual(new Set(["deleted", "changed,deleted", "deleted,changed"]));
    expect(second.run?.counts.peopleDeactivated).toBe(30);
    expect(kinds(second.entries).filter((kind) => kind === "person deactivated")).toHaveLength(30);
    await s.agrees();
  });

  for (const order of ["as they happened", "the other way round"])
    it(`and the restoration in one round, told ${order}, leave everybody in place`, async () => {
      const back = range(1, 20);
      const s = await openScene(stage, {
        before: [...back.map((n) => person(n)), ...back.map((n) => group(500 + n, [n], microsoft365))],
        traits: { pageSize: 200 },
      });
      await s.sync("full");
      for (const n of back)
        s.change(end("delete", n), end("restore", n), end("delete", 500 + n), end("restore", 500 + n));
      s.change(set(1, { jobTitle: "Lead" }), set(501, { description: "new" }));
      s.alter = (_feed, objects) => (order === "as they happened" ? objects : objects.toReversed());
      const second = await s.sync();
      const both = back.filter((n) => appearances(second, "users", n).length > 1);
      const bothGroups = back.filter((n) => appearances(second, "groups", 500 + n).length > 1);
      expect([both.length > 3, bothGroups.length > 3]).toEqual([true, true]);
      expect(kinds(second.entries)).toEqual(["group updated", "person updated", "run ended"]);
      await s.agrees();
    });

  it("stand against an old picture of the same object that comes after them", async () => {
    const s = await openScene(stage, { before: [person(1), group(500, [1])] });
    const first = await s.sync("full");
    const old = { users: appearances(first, "users", 1), groups: appearances(first, "groups", 500) };
    s.change(end("delete", 1), end("delete", 500));
    s.alter = (feed, objects) => [...objects, ...old[feed]];
    const second = await s.sync();
    expect([appearances(second, "users", 1).length, appearances(second, "groups", 500).length]).toEqual([2, 2]);
    expect((await s.stored(1))?.state).toBe("deactivated");
    await s.agrees();
  });

  for (const [number, feed] of [
    [1, "users"],
    [500, "groups"],
  ] as const)
    it(`that contradict one of the ${feed} which cannot be asked for now change nothing; the next round settles it`, async () => {
      const s = await openScene(stage, { before: [person(1), group(500, [1])] });
      const old = appearances(await s.sync("full"), feed, number);
      s.change(end("delete", number));
      s.alter = (told, objects) => (told === feed ? [...old, ...objects] : objects);
      s.fault({ trouble: { kind: "status", status: 503 }, inBatch: true });
      const second = await s.sync();
      expect(second.run?.warnings).toEqual([
        feed === "users"
          ? { code: "person-not-readable", object: s.personId(1) }
          : { code: "group-not-readable", object: guid(500) },
      ]);
      expect(second.entries.filter(({ kind }) => kind !== "run")).toEqual([]);
      s.alter = without(number);
      const third = await s.sync();
      expect(third.run).toMatchObject({
        mode: "full",
        counts: { peopleDeactivated: feed === "users" ? 1 : 0, groupsRemoved: feed === "groups" ? 1 : 0 },
      });
      await s.agrees();
    });
});
