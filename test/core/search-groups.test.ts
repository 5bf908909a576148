import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attributeCatalogue, decisive } from "../../src/core/directory/attributes.ts";
import { listAttributes, publishedAttributes } from "../../src/core/views/attributes-list.ts";
import { chosen, group, guid, inner, middle, openSearchScene, other, outer, type SearchScene } from "./search-stage.ts";
import { caller } from "./views-stage.ts";

const ada = caller("integration:setup");
let scene: SearchScene;
beforeAll(async () => {
  scene = await openSearchScene();
});
afterAll(() => scene.stage.close());

const find = (text: string, limit = 20) => scene.views.searchGroups(ada, scene.connectionId, { text, limit });

describe("a search of groups", () => {
  test("shows which are selected and which the product sees", async () => {
    const { items } = await find("crew");
    expect(items).toEqual([
      { id: outer, displayName: "Crew", kind: "security", description: null, selected: true, shown: true },
      { id: middle, displayName: "Deck crew", kind: "security", description: "On deck", selected: false, shown: true },
      { id: inner, displayName: "Engine crew", kind: "security", description: null, selected: false, shown: true },
    ]);
    expect((await find("passengers")).items).toMatchObject([{ id: other, selected: false, shown: false }]);
    expect(await find("crew", 2)).toMatchObject({ items: { length: 2 }, more: true });
    await scene.chooseNow({ people: { ...scene.context.settings.people, from: "everybody" } });
    expect((await find("crew", 1)).items).toMatchObject([{ id: outer, selected: false }]);
    await scene.chooseNow(chosen);
  });

  test("tells the kinds apart by Microsoft's rules", async () => {
    scene.mutate(
      group(guid(0x30), "Sort one", { groupTypes: ["Unified"], mailEnabled: true, securityEnabled: true }),
      group(guid(0x31), "Sort two", { mailEnabled: true }),
      group(guid(0x32), "Sort three", { mailEnabled: true, securityEnabled: false }),
    );
    expect((await find("sort")).items.map(({ kind }) => kind)).toEqual([
      "microsoft365",
      "mailEnabledSecurity",
      "distribution",
    ]);
  });
});

describe("the list of attributes", () => {
  test("says which fields of the product are filled from each", async () => {
    const { items } = await listAttributes(scene.needs)(caller("integration:read"), scene.connectionId);
    expect(items.map(({ name }) => name)).toEqual(Object.keys(attributeCatalogue));
    const mapped = items.filter(({ mappedTo }) => mappedTo.length > 0);
    expect(mapped.map(({ name, mappedTo }) => [name, mappedTo])).toEqual([
      ["displayName", ["name"]],
      ["jobTitle", ["title"]],
    ]);
    expect(
      items
        .filter((item) => item.decisive)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual([...decisive].toSorted());
  });

  test("is the table of docs/attributes.md", () => {
    const text = readFileSync(new URL("../../docs/attributes.md", import.meta.url), "utf8");
    const shown = text.split("\n").filter((line) => line.startsWith("| `"));
    const yes = (value: boolean): string => (value ? "yes" : "no");
    expect(shown).toEqual(
      publishedAttributes.map(
        ({ name, type, description, byDefault, decisive: decides, permission }) =>
          `| \`${name}\` | ${type} | ${description} | ${yes(byDefault)} | ${yes(decides)} | \`${permission}\` |`,
      ),
    );
  });
});
