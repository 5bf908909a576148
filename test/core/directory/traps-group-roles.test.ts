/** Traps of groups that come to be something else to the connection: the feed speaks of their parent, or of half of them. */
import { describe, expect, it } from "vitest";
import type { EntryDraft } from "../../../src/core/audit/entries.ts";
import type { Settings } from "../../../src/core/connections/settings.ts";
import { ids } from "../../../src/core/store/documents.ts";
import { everybody } from "../../../src/local/demo/everybody.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { group, guid, join, leave, microsoft365, openScene, people, type Scene, set, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(29, (started) => {
  stage = started;
});

const isShown = async (s: Scene, number: number): Promise<boolean> =>
  (await stage.store.read(s.connectionId, "group", ids.group(guid(number)))) !== null;
/** Whether the product sees the group, and what has become of the person. */
const seen = async (s: Scene, groupNumber: number, person: number) => [
  await isShown(s, groupNumber),
  (await s.stored(person))?.state ?? null,
];

const from = (...groups: number[]): Settings["people"] => ({
  ...everybody.people,
  from: "groups",
  groups: groups.map(guid),
});
const without = (kind: keyof Settings["groups"]["kinds"]): Settings["groups"] => ({
  ...everybody.groups,
  kinds: { ...everybody.groups.kinds, [kind]: false },
});
const distribution = { mailEnabled: true, securityEnabled: false };

describe("a group that was held only for another's sake", () => {
  /** 530 lies in 520, which stands for a group of the product, and in no selected one. */
  const begun = async (): Promise<Scene> => {
    const before = [...people(3), group(530, [3]), group(520, [2, 530]), group(510, [1])];
    const s = await openScene(stage, { before });
    const mapping = [{ group: guid(520), productGroup: "p1" }];
    await s.lay({ settings: { people: from(510), groups: { ...everybody.groups, mapping } } });
    await s.sync("full");
    expect([await isShown(s, 510), await seen(s, 530, 3)]).toEqual([true, [false, null]]);
    return s;
  };

  it("is shown when it is selected", async () => {
    const s = await begun();
    await s.lay({ settings: { people: from(510, 530) } });
    await s.sync();
    expect(await seen(s, 530, 3)).toEqual([true, "active"]);
    expect((await s.held()).groups[guid(530)]).toMatchObject({ fields: { displayName: "Group 530" } });
  });

  it("is shown when it comes to lie in a selected one", async () => {
    const s = await begun();
    s.change(join(510, 530));
    await s.sync();
    expect(await seen(s, 530, 3)).toEqual([true, "active"]);
  });
});

describe("a change of kind that the feed tells by half", () => {
  const changed = async (settings: Partial<Settings>, properties: object): Promise<Scene> => {
    const s = await openScene(stage, { before: [...people(2), group(600, [1], properties)] });
    await s.lay({ settings });
    await s.sync("full");
    expect(await seen(s, 600, 1)).toEqual([false, "active"]);
    s.traits({ sparseChanges: 1 });
    s.change(set(600, { securityEnabled: true }));
    const { pages } = await s.sync();
    expect(pages.flatMap(({ objects }) => objects.map((object) => object.properties))).toEqual([
      { securityEnabled: true },
    ]);
    return s;
  };

  it("is none where the whole group is still of a kind that is off", async () => {
    expect(await isShown(await changed({ groups: without("microsoft365") }, microsoft365), 600)).toBe(false);
  });

  it("shows the group in whole that nobody knew", async () => {
    const s = await changed({ groups: without("distribution") }, distribution);
    expect((await s.held()).groups[guid(600)]).toMatchObject({
      fields: { displayName: "Group 600", mailEnabled: true, securityEnabled: true },
    });
    expect(await s.members(600)).toEqual([1]);
  });

  it("shows the group in whole that was held as a filter", async () => {
    const s = await changed({ people: from(600), groups: without("distribution") }, distribution);
    expect((await s.held()).groups[guid(600)]).toMatchObject({
      fields: { displayName: "Group 600", mailEnabled: true, securityEnabled: true },
    });
    expect([await s.members(600), (await s.stored(1))?.state]).toEqual([[1], "active"]);
  });
});

describe("a group that lies in one that is shown", () => {
  const childrenTold = (entries: readonly EntryDraft[]): (string[] | undefined)[][] =>
    entries.flatMap(({ kind, childrenAdded, childrenRemoved }) =>
      kind === "members" && (childrenAdded ?? childrenRemoved) ? [[childrenAdded, childrenRemoved]] : [],
    );
  const lists = { ...everybody.groups, kinds: { ...everybody.groups.kinds, distribution: true } };

  it("is named when the product can see it, and when it cannot, nowhere", async () => {
    const before = [...people(2), group(610, [1], distribution), group(600, [2, 610])];
    const s = await openScene(stage, { before });
    await s.lay({ settings: { groups: without("distribution") } });
    expect(childrenTold((await s.sync("full")).entries)).toEqual([]);
    // Its parent is not spoken of: it was stored long ago what lies in it.
    await s.lay({ settings: { groups: lists } });
    expect(childrenTold((await s.sync()).entries)).toEqual([[[guid(610)], undefined]]);
    await s.agrees();
    await s.lay({ settings: { groups: without("distribution") } });
    expect(childrenTold((await s.sync()).entries)).toEqual([]);
    s.change(leave(600, 610));
    expect(childrenTold((await s.sync()).entries)).toEqual([]);
  });
});
