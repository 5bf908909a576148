/** Traps of a full read: what it does not mention is gone only when that is proven. */
import { describe, expect, it } from "vitest";
import type { Stage } from "../../support/sync-stage.ts";
import {
  appearances,
  end,
  group,
  guid,
  join,
  leave,
  openScene,
  person,
  range,
  set,
  without,
  withStage,
} from "./trap-scene.ts";

let stage: Stage;
withStage(5, (started) => {
  stage = started;
});

const before = [...range(1, 30).map((n) => person(n)), ...range(500, 8).map((n) => group(n, [n - 499]))];

describe("a full read that misses somebody", () => {
  it("who still exists keeps him, and the group that still exists", async () => {
    const s = await openScene(stage, { before });
    await s.sync("full");
    s.change(set(4, { city: "Kiel" }));
    s.alter = without(1, 2, 3, 500, 501);
    const second = await s.sync("full");
    expect([appearances(second, "users", 1), appearances(second, "groups", 500)]).toEqual([[], []]);
    expect(second.run).toMatchObject({ warnings: [], counts: { peopleDeactivated: 0, groupsRemoved: 0 } });
    await s.agrees();
  });

  it("who is gone deactivates him with the evidence, and removes the group that is gone", async () => {
    const s = await openScene(stage, { before });
    await s.sync("full");
    s.change(end("delete", 1), end("delete", 2), end("purge", 2), end("delete", 500));
    s.alter = without(1, 2, 3, 500, 501);
    const second = await s.sync("full");
    expect(second.entries.map(({ kind, op, object, evidence }) => [kind, op, object, evidence])).toEqual(
      expect.arrayContaining([
        ["person", "deactivated", s.personId(1), "confirmed-absent"],
        ["person", "deactivated", s.personId(2), "confirmed-absent"],
        ["group", "removed", guid(500), "confirmed-absent"],
      ]),
    );
    expect(second.run?.counts).toMatchObject({ peopleDeactivated: 2, groupsRemoved: 1 });
    await s.agrees();
  });

  for (const status of [403, 503, 404])
    it(`keeps and lists him when the question is answered ${status} by something else than absence, and asks again`, async () => {
      const s = await openScene(stage, { before });
      await s.sync("full");
      s.change(end("delete", 1), end("delete", 500));
      s.alter = without(1, 2, 500);
      const trouble = {
        kind: "status",
        status,
        code: status === 403 ? "Authorization_RequestDenied" : "UnknownError",
      } as const;
      s.fault({ trouble, inBatch: true, path: `^/users/${guid(1)}` });
      s.fault({ trouble, inBatch: true, path: `^/groups/${guid(500)}` });
      const second = await s.sync("full");
      expect(second.run).toMatchObject({ outcome: "nothing", counts: { skipped: 2, peopleDeactivated: 0 } });
      expect(second.run?.warnings).toEqual([
        { code: "absence-not-confirmed", object: guid(500) },
        { code: "absence-not-confirmed", object: s.personId(1) },
      ]);
      expect((await s.stored(1))?.state).toBe("active");
      const third = await s.sync();
      expect(third.run).toMatchObject({ mode: "full", counts: { peopleDeactivated: 1, groupsRemoved: 1 } });
      await s.agrees();
    });
});

it("shows no value of a property that the field no longer comes from, also of somebody whom the read left out", async () => {
  const s = await openScene(stage, { before: [person(1, { department: "Deck" }), person(2)] });
  const { settings } = await s.connection();
  const role = (from: "jobTitle" | "department") => ({
    settings: { attributes: { ...settings.attributes, role: { from, clear: false } } },
  });
  await s.lay(role("jobTitle"));
  await s.sync("full");
  expect((await s.stored(1))?.record.fields.role).toBe("Engineer");
  await s.lay(role("department"));
  s.alter = without(1);
  await s.sync();
  expect((await s.stored(1))?.record.fields).not.toHaveProperty("role");
  expect((await s.stored(1))?.record.fields).toMatchObject({ jobTitle: "Engineer", department: "Deck" });
  s.alter = null;
  await s.sync();
  expect((await s.stored(1))?.record.fields.role).toBe("Deck");
});

describe("a first sync", () => {
  it("removes nobody even when people are stored already, and the round after it finds out who is gone", async () => {
    const s = await openScene(stage, { before });
    await s.sync("full");
    await s.lay({ head: { links: null } });
    s.change(end("delete", 1), end("delete", 500), leave(501, 2), join(502, 4), set(5, { city: "Kiel" }));
    s.alter = without(1, 3, 500);
    const second = await s.sync();
    expect(second.run).toMatchObject({
      mode: "full",
      counts: { peopleUpdated: 1, peopleDeactivated: 0, groupsRemoved: 0, membershipsAdded: 1, membershipsRemoved: 1 },
    });
    expect([(await s.stored(1))?.state, await s.members(501)]).toEqual(["active", []]);
    s.alter = without(3);
    const third = await s.sync();
    expect(third.run).toMatchObject({
      mode: "full",
      counts: { peopleDeactivated: 1, groupsRemoved: 1, membershipsRemoved: 0 },
    });
    await s.agrees();
  });
});
