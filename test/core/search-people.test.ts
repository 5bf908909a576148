import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blacklistDocs } from "../../src/core/connections/blacklist.ts";
import { openRef, refMilliseconds, sealRef } from "../../src/core/directory/ref.ts";
import { AppError } from "../../src/core/errors.ts";
import { ids } from "../../src/core/store/documents.ts";
import { linkProductUser } from "../../src/core/views/link-product-user.ts";
import { SearchRequest } from "../../src/core/views/live.ts";
import { searchPeople } from "../../src/core/views/search-people.ts";
import {
  chosen,
  guid,
  inner,
  member,
  openSearchScene,
  other,
  outer,
  people,
  type SearchScene,
  user,
} from "./search-stage.ts";
import { caller, codeOf } from "./views-stage.ts";

const ada = caller("directory:read-all");
let scene: SearchScene;
beforeAll(async () => {
  scene = await openSearchScene();
});
afterAll(() => scene.stage.close());

const find = (text: string, limit = 20) => scene.views.searchPeople(ada, scene.connectionId, { text, limit });
const names = async (text: string, limit?: number) =>
  (await find(text, limit)).items.map(({ displayName }) => displayName).toSorted();
const one = async (text: string) => {
  const { items } = await find(text);
  if (items.length !== 1 || !items[0]) throw new Error(`${items.length} hits for ${text}`);
  return items[0];
};

describe("a search of people", () => {
  test("shows who is synchronised and why, and stores nothing", async () => {
    const before = await scene.held();
    const { items, more } = await find("quill");
    expect(items.map(({ id, synchronised, state, decision }) => ({ id, synchronised, state, ...decision }))).toEqual(
      [
        { oid: people.nora, synchronised: true, state: "active", admitted: true, rule: "in-groups" },
        { oid: people.olaf, synchronised: false, state: null, admitted: false, rule: "not-in-groups" },
        { oid: people.gil, synchronised: false, state: null, admitted: false, rule: "guest" },
        { oid: people.dora, synchronised: false, state: null, admitted: false, rule: "disabled" },
        { oid: people.moe, synchronised: true, state: "active", admitted: true, rule: "in-groups" },
      ].map(({ oid, ...hit }) => ({ id: scene.id(oid), ...hit })),
    );
    expect(more).toBe(false);
    expect(await scene.held()).toBe(before);
  });

  test("shows name, mail, and the fields that the settings map", async () => {
    expect(await one("nora")).toMatchObject({
      displayName: "Nora Quill",
      mail: "nora.quill@t1.example",
      attributes: { name: "Nora Quill", title: "Captain" },
      productUserId: null,
    });
    expect(await one("moe")).toMatchObject({ mail: null, attributes: { name: "Moe Quill" } });
  });

  test("finds nobody but whom the text means, whatever signs are in it", async () => {
    scene.mutate(
      user(guid(0x20), `Pat "the \\ saw" O'Neil`, { mail: "pat+x@t1.example", userPrincipalName: "pat@t1.example" }),
      user(guid(0x21), "R&D Robot", { mail: "robot@t1.example", userPrincipalName: "robot@t1.example" }),
    );
    const pat = [`Pat "the \\ saw" O'Neil`];
    for (const text of [`"the \\`, 'saw"', "O'Neil", "pat+x", " pat "]) expect(await names(text)).toEqual(pat);
    for (const text of ["R&D", "robot@t1"]) expect(await names(text)).toEqual(["R&D Robot"]);
    expect(await names('nobody" OR "displayName:quill')).toEqual([]);
  });

  test("says when there are more, and goes on behind empty pages", async () => {
    scene.stage.simulator.commands.switches.run({ tid: scene.tid, traits: { emptyPages: 0.5 } });
    expect(await find("quill", 2)).toMatchObject({ items: { length: 2 }, more: true });
    expect(await find("quill", 5)).toMatchObject({ items: { length: 5 }, more: false });
    scene.stage.simulator.commands.switches.run({ tid: scene.tid, mode: "calm" });
  });

  test("tells of a stored person's product user", async () => {
    await linkProductUser(scene.needs)(
      caller("integration:sync"),
      scene.connectionId,
      scene.id(people.nora),
      undefined,
      {
        productUserId: "p-1",
      },
    );
    expect((await one("nora")).productUserId).toBe("p-1");
  });

  test("needs a connection that may read the directory, and asks Graph nothing otherwise", async () => {
    const { stage, connectionId } = scene;
    const doc = await stage.store.read(connectionId, "connection", ids.connection);
    await stage.handles.directory.items.upsert({ ...doc, state: "proven" });
    scene.asked();
    expect(await codeOf(find("quill"))).toBe("state-conflict");
    expect(await codeOf(scene.views.searchGroups(ada, connectionId, { text: "crew", limit: 5 }))).toBe(
      "state-conflict",
    );
    expect(scene.asked()).toEqual([]);
    await stage.handles.directory.items.upsert({ ...doc });
    expect(
      await codeOf(scene.views.searchPeople({ ...ada, workspaceId: "w2" }, connectionId, { text: "a", limit: 5 })),
    ).toBe("connection-not-found");
  });

  test.each(["", "  ", "&\"'", "a".repeat(101), "a\u0000b"])("takes no text %j", (text) => {
    expect(SearchRequest.safeParse({ text }).success).toBe(false);
  });
});

describe("the decision of a hit", () => {
  test("follows what was decided by hand and the blacklist", async () => {
    const { stage, connectionId, context } = scene;
    await scene.mark(people.nora, "excluded");
    expect((await one("nora")).decision).toEqual({ admitted: false, rule: "excluded" });
    await stage.handles.directory.item(ids.marker(scene.id(people.nora)), connectionId).delete();
    const list = ["nora.quill@t1.example"];
    const [part] = blacklistDocs(stage.ambient, context, 7, list);
    const doc = await stage.store.read(connectionId, "connection", ids.connection);
    await stage.handles.directory.items.upsert({ ...part });
    await stage.handles.directory.items.upsert({ ...doc, blacklist: { version: 7, entries: list.length } });
    expect((await one("nora")).decision).toEqual({ admitted: false, rule: "blacklisted" });
    await stage.handles.directory.items.upsert({ ...doc });
    expect((await one("nora")).decision).toEqual({ admitted: true, rule: "in-groups" });
  });

  test("asks Graph only for memberships that are not stored", async () => {
    scene.asked();
    await one("nora");
    expect(scene.asked()).toEqual(["/users"]);
    await one("olaf");
    expect(scene.asked().toSorted()).toEqual(["/$batch", "/users", "/users/{id}/transitiveMemberOf"]);
  });

  test("is that of now: for who has joined a group since the last run, and when other groups are selected", async () => {
    const isAdmitted = async (text: string) => (await one(text)).decision.admitted;
    scene.mutate(user(guid(0x22), "Nils Newcomer"), member(inner, guid(0x22)));
    expect([await isAdmitted("nils"), (await one("nils")).synchronised]).toEqual([true, false]);
    const { people: selection } = scene.context.settings;
    await scene.chooseNow({ people: { ...selection, groups: [other] } });
    expect([await isAdmitted("nora"), await isAdmitted("olaf")]).toEqual([false, true]);
    await scene.chooseNow({ people: { ...selection, membership: "direct" } });
    expect([await isAdmitted("nora"), await isAdmitted("moe")]).toEqual([true, false]);
    await scene.chooseNow({ people: { ...selection, from: "everybody" } });
    scene.asked();
    expect((await one("olaf")).decision).toEqual({ admitted: true, rule: "everybody" });
    expect(scene.asked()).toEqual(["/users"]);
    await scene.chooseNow(chosen);
  });

  test("leaves out whom the index still shows and Graph no longer knows", async () => {
    const ghost = { id: guid(0x99), properties: { displayName: "Ghost" } };
    const search = { ...scene.needs.search, people: () => Promise.resolve([ghost]) };
    const late = searchPeople({ ...scene.needs, search });
    expect((await late(ada, scene.connectionId, { text: "ghost", limit: 5 })).items).toEqual([]);
  });
});

describe("a ref", () => {
  const context = () => scene.context;

  test("of a hit opens to the object id, on its connection, for an hour", async () => {
    const { ref, id } = await one("olaf");
    const now = scene.stage.ambient.now();
    const at = (time: number) => ({ now: () => time });
    expect(openRef(at(now), context(), ref)).toBe(people.olaf);
    expect(openRef(at(now + refMilliseconds - 60_000), context(), ref, id)).toBe(people.olaf);
    expect(ref).not.toContain(people.olaf);
  });

  test("is refused in one way, whatever is wrong with it", () => {
    const { ambient } = scene.stage;
    const ref = sealRef(ambient, context(), people.olaf);
    const late = { now: () => ambient.now() + refMilliseconds };
    const attempts: (() => unknown)[] = [
      () => openRef(late, context(), ref),
      () => openRef(ambient, context(), ref, scene.id(people.nora)),
      () => openRef(ambient, { ...context(), connectionId: ambient.ulid() }, ref),
      () => openRef(ambient, context(), `${ref.slice(0, -1)}${ref.endsWith("A") ? "B" : "A"}`),
      () => openRef(ambient, context(), ""),
      () => openRef(ambient, context(), "1.a.b"),
    ];
    for (const attempt of attempts) {
      expect(attempt).toThrow(AppError);
      expect(attempt).toThrow(/^invalid-ref: [^"]*$/);
    }
  });
});

test("the scene chooses people by a group, or all of this would prove nothing", () => {
  expect(scene.context.settings.people).toMatchObject({ from: "groups", groups: [outer], membership: "nested" });
});
