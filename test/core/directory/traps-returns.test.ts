/** Traps of people who come out of the recycle bin: lists of members that were read meanwhile left them out, and nobody says so later. */
import { describe, expect, it } from "vitest";
import type { Settings } from "../../../src/core/connections/settings.ts";
import type { WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { everybody } from "../../../src/local/demo/everybody.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { end, group, guid, openScene, people, type Scene, set, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(31, (started) => {
  stage = started;
});

const from = (...groups: number[]): Settings["people"] => ({
  ...everybody.people,
  from: "groups",
  groups: groups.map(guid),
});
const standingFor = (...groups: number[]): Settings["groups"] => ({
  ...everybody.groups,
  unmapped: "leave-out",
  mapping: groups.map((number) => ({ group: guid(number), productGroup: "p1" })),
});

const stateOf = async (s: Scene, number: number): Promise<string | null> => (await s.stored(number))?.state ?? null;
const productMembers = async (s: Scene): Promise<string[]> => (await s.held()).groups["product p1"]?.members ?? [];
const counted = (needs: WorkerNeeds, asked: string[][]): WorkerNeeds => ({
  ...needs,
  source: {
    ...needs.source,
    memberOf: (connection, ids) => {
      asked.push([...ids]);
      return needs.source.memberOf(connection, ids);
    },
  },
});

describe("somebody who was in the recycle bin while his group was read by itself", () => {
  /** Only then is 510 selected, and 530 with it, which lies in it. */
  const selectedMeanwhile = async (groups: Settings["groups"], before: readonly number[]): Promise<Scene> => {
    const s = await openScene(stage, {
      before: [...people(4), group(530, [3]), group(510, [1, 2, 530]), group(520, before)],
    });
    await s.lay({ settings: { people: from(520), groups } });
    await s.sync("full");
    s.change(end("delete", 2), end("delete", 3));
    await s.lay({ settings: { people: from(520, 510) } });
    await s.sync();
    expect(await s.members(510)).toEqual(groups.include ? [1] : []);
    return s;
  };

  it("is a member of it again, and of the one around it, as he was never synchronised before", async () => {
    const s = await selectedMeanwhile(everybody.groups, [4]);
    s.change(end("restore", 2), end("restore", 3));
    await s.sync();
    expect([await stateOf(s, 2), await stateOf(s, 3)]).toEqual(["active", "active"]);
    expect([await s.members(510), await s.members(530)]).toEqual([[1, 2], [3]]);
    expect((await s.head()).counters).toMatchObject({ people: 4, memberships: 4 });
    // Nothing is left for a full read to find.
    const { run } = await s.sync("full");
    expect(run).toBeNull();
  });

  it("comes back as the same person who was synchronised until then, by a filter that is never shown", async () => {
    const s = await selectedMeanwhile({ ...everybody.groups, include: false }, [2, 4]);
    expect(await stateOf(s, 2)).toBe("deactivated");
    s.change(end("restore", 2));
    await s.sync();
    expect([await stateOf(s, 2), await stateOf(s, 3)]).toEqual(["active", null]);
    s.change(end("restore", 3));
    await s.sync();
    expect(await stateOf(s, 3)).toBe("active");
  });

  it("is in the product's group again that his group came to stand for", async () => {
    const before = [...people(4), group(530, [3]), group(510, [1, 2, 530]), group(520, [4])];
    const s = await openScene(stage, { before });
    await s.lay({ settings: { groups: standingFor(520) } });
    await s.sync("full");
    s.change(end("delete", 2), end("delete", 3));
    await s.lay({ settings: { groups: standingFor(520, 510) } });
    await s.sync();
    expect(await productMembers(s)).toEqual([1, 4].map(s.personId).toSorted());
    s.change(end("restore", 2), end("restore", 3));
    await s.sync();
    expect(await productMembers(s)).toEqual([1, 2, 3, 4].map(s.personId).toSorted());
  });

  it("is asked for again by a full read when Graph does not say", async () => {
    const s = await selectedMeanwhile(everybody.groups, [4]);
    s.change(end("restore", 2));
    const { needs } = stage;
    stage.needs = { ...needs, source: { ...needs.source, memberOf: async () => new Map() } };
    const { run, head } = await s.sync();
    expect([run?.warnings, head.suspect]).toEqual([[{ code: "membership-not-readable", object: s.personId(2) }], true]);
    stage.needs = needs;
    await s.sync();
    expect([await stateOf(s, 2), await s.members(510)]).toEqual(["active", [1, 2]]);
  });
});

it("nobody is asked for whose memberships nobody can have missed", async () => {
  const s = await openScene(stage, { before: [...people(3), group(510, [1, 2])] });
  const asked: string[][] = [];
  stage.needs = counted(stage.needs, asked);
  await s.sync("full");
  s.change(set(1, { city: "Kiel" }), end("delete", 2));
  await s.sync();
  s.change(end("restore", 2));
  await s.sync();
  await s.agrees();
  await s.lay({ settings: { people: from(510) } });
  await s.sync();
  s.change(set(1, { city: "Bonn" }));
  await s.sync();
  expect(asked).toEqual([]);
});
