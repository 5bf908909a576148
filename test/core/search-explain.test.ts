import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blacklistDocs } from "../../src/core/connections/blacklist.ts";
import type { Permission } from "../../src/core/context.ts";
import { sealRef } from "../../src/core/directory/ref.ts";
import { ids } from "../../src/core/store/documents.ts";
import { ExplainPerson } from "../../src/core/views/explain-person.ts";
import { searchPeople } from "../../src/core/views/search-people.ts";
import {
  chosen,
  guid,
  inner,
  member,
  middle,
  openSearchScene,
  outer,
  people,
  type SearchScene,
  user,
} from "./search-stage.ts";
import { caller, codeOf } from "./views-stage.ts";

let scene: SearchScene;
beforeAll(async () => {
  scene = await openSearchScene();
});
afterAll(() => scene.stage.close());

const reader: Permission[] = ["directory:read"];
const all: Permission[] = ["directory:read", "directory:read-all"];

const explain = (named: ExplainPerson, permissions = all) =>
  scene.views.explainPerson(caller(...permissions), scene.connectionId, named);
const one = async (named: ExplainPerson, permissions = all) => {
  const { items } = await explain(named, permissions);
  if (items.length !== 1 || !items[0]) throw new Error(`${items.length} explanations`);
  return items[0];
};
const refTo = (oid: string) => sealRef(scene.stage.ambient, scene.context, oid);

describe("an explanation", () => {
  test("of somebody who is synchronised names rule, way, settings and last run, from what is stored", async () => {
    scene.asked();
    expect(await one({ person: scene.id(people.nora) }, reader)).toEqual({
      id: scene.id(people.nora),
      state: "active",
      reason: null,
      synchronised: true,
      basis: "stored",
      decision: { admitted: true, rule: "in-groups" },
      path: [outer],
      blacklistEntry: null,
      settingsVersion: 1,
      lastRun: {
        startedAt: expect.stringMatching(/^20/),
        endedAt: expect.stringMatching(/^20/),
        cause: "manual",
        outcome: "done",
      },
      change: expect.stringMatching(/^To be left out: .*excluded/),
    });
    expect(scene.asked()).toEqual([]);
  });

  test("names the way with the smaller ids when several are as short", async () => {
    expect((await one({ userPrincipalName: "MOE.quill@t1.example" })).path).toEqual([outer, middle]);
    scene.mutate(user(guid(0x40), "Nina New"), member(inner, guid(0x40)));
    expect(await one({ mail: "nina.new@t1.example" })).toMatchObject({
      basis: "live",
      state: null,
      synchronised: false,
      decision: { admitted: true, rule: "in-groups" },
      path: [outer, inner],
      change: expect.stringMatching(/^The next run admits the person\./),
    });
  });

  test.each([
    [people.olaf, "not-in-groups", null],
    [people.gil, "guest", [outer]],
    [people.dora, "disabled", [outer]],
  ])("of %s, who is not stored, is asked for live and says what would have to change", async (oid, rule, path) => {
    const before = await scene.held();
    const told = await one({ ref: refTo(oid) });
    expect(told).toMatchObject({ basis: "live", state: null, decision: { admitted: false, rule }, path });
    expect(told.change).toMatch(/^To be admitted: ./);
    expect(await scene.held()).toBe(before);
  });

  test("of people who are not stored takes a right of its own, and shows nobody without", async () => {
    scene.asked();
    const nobody = "nobody@t1.example";
    for (const named of [{ ref: refTo(people.olaf) }, { mail: "olaf.quill@t1.example" }, { userPrincipalName: nobody }])
      expect(await codeOf(explain(named, reader))).toBe("permission-missing");
    expect(scene.asked()).toEqual([]);
    expect(await codeOf(explain({ mail: nobody }))).toBe("person-not-found");
    expect(await codeOf(explain({ ref: refTo(guid(0x99)) }))).toBe("person-not-found");
    expect(await codeOf(explain({ ref: "1.a.b" }))).toBe("invalid-ref");
    expect(await codeOf(explain({ person: "a".repeat(22) }))).toBe("person-not-found");
    expect(await codeOf(explain({ person: "../connection" }))).toBe("person-not-found");
  });

  test("shows the entry of the blacklist to those only who may see the list", async () => {
    const { stage, connectionId, context } = scene;
    const doc = await stage.store.read(connectionId, "connection", ids.connection);
    const [part] = blacklistDocs(stage.ambient, context, 9, ["*@t1.example"]);
    await stage.handles.directory.items.upsert({ ...part });
    await stage.handles.directory.items.upsert({ ...doc, blacklist: { version: 9, entries: 1 } });
    const nora = { person: scene.id(people.nora) };
    expect(await one(nora, reader)).toMatchObject({
      decision: { rule: "blacklisted" },
      synchronised: true,
      blacklistEntry: null,
      change: expect.stringMatching(/^The next run lets the person go\./),
    });
    expect((await one(nora, [...reader, "integration:setup"])).blacklistEntry).toBe("*@t1.example");
    await stage.handles.directory.items.upsert({ ...doc });
  });

  test("names everybody who has the address", async () => {
    scene.mutate(
      user(guid(0x41), "Pia Pool", { mail: "pool@t1.example" }),
      user(guid(0x42), "Per Pool", { mail: "pool@t1.example" }),
    );
    const { items } = await explain({ mail: "pool@t1.example" });
    expect(items.map(({ id }) => id)).toEqual([0x41, 0x42].map((n) => scene.id(guid(n))));
  });

  test("of somebody whose account is gone does not promise a return", async () => {
    scene.mutate({ op: "delete-user", id: people.moe });
    await scene.stage.sync(scene.connectionId);
    expect(await one({ person: scene.id(people.moe) }, reader)).toMatchObject({
      state: "deactivated",
      synchronised: false,
      decision: { admitted: false, rule: "not-in-directory" },
      path: null,
    });
  });

  test("of a stub is refused: nothing that could decide is left", async () => {
    const doc = await scene.stage.store.read(scene.connectionId, "person", ids.person(scene.id(people.nora)));
    await scene.stage.handles.directory.items.upsert({ ...doc, state: "erased", record: null });
    expect(await codeOf(explain({ person: scene.id(people.nora) }))).toBe("person-not-found");
    await scene.stage.handles.directory.items.upsert({ ...doc });
  });

  test("and live search agree about everybody", async () => {
    await scene.chooseNow({ people: { ...scene.context.settings.people, membership: "direct" } });
    const { items } = await searchPeople(scene.needs)(caller(...all), scene.connectionId, { text: "quill", limit: 50 });
    expect(items.length).toBe(4);
    for (const { ref, decision, synchronised } of items)
      expect(await one({ ref })).toMatchObject({ decision, synchronised });
    await scene.chooseNow(chosen);
  });
});

test.each([{}, { mail: "a@b.example", ref: "r" }, { mail: " " }, { name: "Nora" }])("%j names nobody", (named) => {
  expect(ExplainPerson.safeParse(named).success).toBe(false);
});
