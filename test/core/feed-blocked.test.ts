/** The kill signal: whoever may no longer sign in is told of in the feed, by the mark `blocked`. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Settings } from "../../src/core/connections/settings.ts";
import { switchPerson } from "../../src/core/directory/switch-person.ts";
import { isBlocked } from "../../src/core/feed/blocked.ts";
import { eventSchemas } from "../../src/core/feed/events.ts";
import { ids } from "../../src/core/store/documents.ts";
import { caller, openScene, type Scene } from "./views-stage.ts";

const ada = caller("directory:read", "integration:sync");
let scene: Scene;
beforeEach(async () => {
  scene = await openScene();
});
afterEach(() => scene.stage.close());

const choose = async (to: (settings: Settings) => Partial<Settings>): Promise<void> => {
  const doc = (await scene.stage.store.read(scene.connectionId, "connection", ids.connection))!;
  await scene.stage.handles.directory.items.upsert({ ...doc, settings: { ...doc.settings, ...to(doc.settings) } });
  await scene.stage.sync(scene.connectionId, "full");
};
const set = (properties: Record<string, unknown>): void =>
  scene.mutate({ op: "update-user", id: scene.people.clerk, set: properties });

/** What the feed tells of the clerk, and whether it is the signal, after what is done; `true` is a mark. */
const told = async (act: () => Promise<void>) => {
  const { sequence } = await scene.head();
  await act();
  const page = await scene.views.readChanges(ada, scene.connectionId, { after: sequence, limit: 500, waitSeconds: 0 });
  for (const change of page.items) expect(eventSchemas.get(change.type)?.parse(change)).toEqual(change);
  return page.items
    .filter(({ kind, object }) => kind === "person" && object === scene.id(scene.people.clerk))
    .map(({ type, blocked, changes }) => [type, blocked ?? false, changes.length]);
};
const sync = () => scene.stage.sync(scene.connectionId);
const kinds = (more: Partial<Settings["people"]["kinds"]>) =>
  choose(({ people }) => ({ people: { ...people, kinds: { ...people.kinds, ...more } } }));

describe("somebody is blocked", () => {
  test("whose account was switched off and who stays synchronised, also where no field of the product tells of it", async () => {
    const off = async () => {
      set({ accountEnabled: false });
      await sync();
    };
    expect(await told(off)).toEqual([["person.updated", true, 1]]);
    set({ accountEnabled: true });
    await choose(({ attributes: { accountEnabled: _mapped, ...attributes } }) => ({ attributes }));
    expect(await told(off)).toEqual([["person.updated", true, 0]]);
    const other = async () => {
      set({ jobTitle: "Clerk" });
      await sync();
    };
    expect(await told(other)).toEqual([["person.updated", false, 1]]);
    const on = async () => {
      set({ accountEnabled: true });
      await sync();
    };
    expect(await told(on)).toEqual([]);
  });

  test.each<[string, () => Promise<void>, string[]]>([
    [
      "who was deleted in Microsoft 365",
      async () => {
        scene.mutate({ op: "delete-user", id: scene.people.clerk });
        await sync();
      },
      ["person.deactivated"],
    ],
    ["who has left the scope", () => kinds({ members: false }), ["person.deactivated"]],
    [
      "who has left the scope and is kept",
      async () => {
        await choose(() => ({ leaving: { rule: "keep", afterDays: 1 } }));
        await kinds({ members: false });
      },
      ["person.kept"],
    ],
    [
      "whom somebody has switched off",
      async () => {
        const off = switchPerson({
          ...scene.needs,
          source: scene.stage.needs.source,
          search: scene.stage.search,
        });
        await off(ada, scene.connectionId, scene.id(scene.people.clerk), { enabled: false });
      },
      ["person.excluded", "person.deactivated"],
    ],
    [
      "who has left and is removed",
      async () => {
        await choose(() => ({ leaving: { rule: "remove", afterDays: 1 } }));
        await kinds({ members: false });
        scene.stage.ambient.advance(2 * 86_400_000);
        await sync();
      },
      ["person.deactivated", "person.removed"],
    ],
  ])("%s", async (_, act, types) => {
    expect((await told(act)).map(([type, blocked]) => [type, blocked])).toEqual(types.map((type) => [type, true]));
  });
});

test("of all events of a person, those are no signal that begin or change something", () => {
  const types = [...eventSchemas.keys()].filter((type) => type.startsWith("person."));
  const blocking = types.filter((type) => {
    const [, op] = type.split(".");
    return isBlocked({ kind: "person", op: op as Parameters<typeof isBlocked>[0]["op"] });
  });
  expect(types.filter((type) => !blocking.includes(type)).toSorted()).toEqual([
    "person.created",
    "person.enabled",
    "person.revived",
    "person.updated",
  ]);
});
