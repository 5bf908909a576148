import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { seal } from "../../src/core/crypto/seal.ts";
import { groupPlace } from "../../src/core/directory/places.ts";
import { sortByBits, split } from "../../src/core/directory/shards.ts";
import { type GroupDoc, ids } from "../../src/core/store/documents.ts";
import { groupDoc, personDoc, shardDoc } from "../adapters/cosmos-fixture.ts";
import { caller, codeOf, openScene, type Scene } from "./views-stage.ts";

const ada = caller("directory:read");
let scene: Scene;
const scenes: Scene[] = [];
beforeEach(async () => {
  scene = await openScene();
  scenes.push(scene);
});
afterAll(() => Promise.all(scenes.map(({ stage }) => stage.close())));

describe("people", () => {
  test("are shown with their manager and groups, and sealed fields opened", async () => {
    const { views, connectionId, people, groups, id } = scene;
    expect(await views.readPerson(ada, connectionId, id(people.clerk))).toMatchObject({
      id: id(people.clerk),
      state: "active",
      reason: null,
      attributes: { displayName: "clerk", accountEnabled: true },
      manager: id(people.chief),
      groups: [groups.outer],
      productUserId: null,
    });
  });

  test("who left are not listed unless asked for, and are nobody's manager or member", async () => {
    const { views, connectionId, people, groups, id, mutate, stage } = scene;
    mutate({ op: "delete-user", id: people.chief });
    await stage.sync(connectionId);
    const active = await views.listPeople(ada, connectionId, { limit: 200 });
    expect(active.items.map((person) => person.id)).not.toContain(id(people.chief));
    expect(active.items.find((person) => person.id === id(people.clerk))?.manager).toBeNull();
    const gone = await views.listPeople(ada, connectionId, { limit: 200, state: "deactivated" });
    expect(gone.items).toMatchObject([{ id: id(people.chief), state: "deactivated", reason: "soft-deleted" }]);
    expect((await views.readPerson(ada, connectionId, id(people.chief))).groups).toEqual([]);
    expect(await views.readGroup(ada, connectionId, groups.inner)).toMatchObject({ memberCount: 0 });
    expect((await views.listMembers(ada, connectionId, groups.inner, { limit: 10 })).items).toEqual([]);
  });

  test("of whom only a stub is left show no content, though there may be some", async () => {
    const { views, connectionId, people, id, put, stage } = scene;
    const doc = await stage.store.read(connectionId, "person", ids.person(id(people.clerk)));
    if (!doc) throw new Error("no clerk");
    for (const state of ["removed", "erased"] as const) {
      await put({ ...doc, state });
      expect(await views.readPerson(ada, connectionId, id(people.clerk))).toMatchObject({
        state,
        attributes: null,
        manager: null,
        productUserId: null,
      });
    }
  });
});

describe("groups", () => {
  test("show nested groups only while those are stored", async () => {
    const { views, connectionId, groups, mutate, stage } = scene;
    const outer = () => views.listGroups(ada, connectionId, { limit: 10 });
    expect((await outer()).items.find(({ id }) => id === groups.outer)?.children).toEqual([groups.inner]);
    mutate({ op: "delete-group", id: groups.inner });
    await stage.sync(connectionId);
    expect((await outer()).items).toMatchObject([{ id: groups.outer, children: [] }]);
    expect((await views.readGroup(ada, connectionId, groups.outer.toUpperCase())).children).toEqual([]);
  });

  test("are listed member by member over all shards, though one is split between two pages", async () => {
    const { views, connectionId, context, put, stage } = scene;
    const groupId = "99999999-2222-4333-8444-555555555555";
    const everyone = Array.from({ length: 2300 }, () => stage.ambient.randomBytes(16).toString("base64url"));
    const active = everyone.filter((_, index) => index % 3 !== 0);
    const stored = everyone.map((id, index) => personDoc(connectionId, id, index % 3 === 0 ? "deactivated" : "active"));
    for (let at = 0; at < stored.length; at += 100)
      await Promise.all(stored.slice(at, at + 100).map((doc) => put(doc)));
    const lay = async (shards: ReadonlyMap<string, string[]>) => {
      const group: GroupDoc = {
        ...groupDoc(connectionId, groupId, []),
        record: seal(stage.ambient, context.ring.sealing, groupPlace(connectionId, groupId), { fields: {} }),
        leaves: [...shards.keys()],
      };
      await put(group, ...[...shards].map(([bits, members]) => shardDoc(connectionId, groupId, bits, members)));
    };
    await lay(split("", everyone));
    expect((await views.readGroup(ada, connectionId, groupId)).memberCount).toBe(active.length);

    const found: string[] = [];
    for (let after: string | undefined, page = 0; ; page++) {
      const { items, next } = await views.listMembers(ada, connectionId, groupId, {
        limit: 150,
        ...(after === undefined ? {} : { after }),
      });
      found.push(...items.map(({ id }) => id));
      if (next === null) break;
      after = next;
      if (page === 2) {
        const halves = [...split("", everyone)].flatMap(([bits, members]) => {
          const [zeros, ones] = [`${bits}0`, `${bits}1`];
          const inOrder = sortByBits([...members]);
          const first = inOrder.findIndex((id) => bitAt(id, bits.length) === 1);
          const cut = first < 0 ? inOrder.length : first;
          return [[zeros, inOrder.slice(0, cut)] as const, [ones, inOrder.slice(cut)] as const];
        });
        await lay(new Map(halves));
      }
    }
    expect(found).toEqual(sortByBits([...active]));
  });
});

const bitAt = (id: string, index: number): number => {
  const byte = Buffer.from(id, "base64url")[index >> 3] ?? 0;
  return (byte >> (7 - (index & 7))) & 1;
};

describe("a connection that is being deleted, or is another workspace's", () => {
  test("shows nothing of what it holds", async () => {
    const { views, connectionId, people, id, put, stage } = scene;
    const reads = (who: typeof ada) => [
      views.listPeople(who, connectionId, { limit: 1 }),
      views.readPerson(who, connectionId, id(people.clerk)),
      views.listGroups(who, connectionId, { limit: 1 }),
      views.readGroup(who, connectionId, scene.groups.outer),
      views.listMembers(who, connectionId, scene.groups.outer, { limit: 1 }),
      views.listRuns(who, connectionId, { limit: 1 }),
      views.readRun(who, connectionId, "0".repeat(26)),
      views.readChanges(who, connectionId, { after: 0, limit: 1, waitSeconds: 0 }),
      views.readSnapshot(who, connectionId, { limit: 1 }),
      views.requestRun(who, connectionId, { mode: "full" }),
      views.linkProductUser(who, connectionId, id(people.clerk), undefined, { productUserId: "p" }),
      views.linkProductUsers(who, connectionId, { items: [{ person: id(people.clerk), productUserId: "p" }] }),
      views.matchProductUsers(who, connectionId, { candidates: [{ productUserId: "p", mail: "clerk@t1.example" }] }),
      views.acknowledgeChanges(who, connectionId, { consumer: "crm", sequence: 0 }),
      views.listConsumers(who, connectionId),
      views.removeConsumer(who, connectionId, "crm"),
    ];
    const codes = async (who: typeof ada) => new Set(await Promise.all(reads(who).map(codeOf)));
    expect(await codes({ ...ada, workspaceId: "w2" })).toEqual(new Set(["connection-not-found"]));
    const doc = await stage.store.read(connectionId, "connection", ids.connection);
    if (!doc) throw new Error("no connection");
    await put({ ...doc, state: "closing" });
    expect(await codes(ada)).toEqual(new Set(["state-conflict"]));
  });
});

describe("a snapshot", () => {
  test("together with the changes since it began is the directory of now", async () => {
    const { views, connectionId, people, groups, id, mutate, stage } = scene;
    const shown = { people: new Set<string>(), members: new Set<string>() };
    let page = await views.readSnapshot(ada, connectionId, { limit: 2 });
    const { sequence: begun } = await scene.head();
    mutate(
      { op: "delete-user", id: people.clerk },
      { op: "add-member", groupId: groups.outer, memberId: people.chief, memberType: "user" },
    );
    await stage.sync(connectionId);
    for (;;) {
      for (const item of page.items) {
        if (item.kind === "person") shown.people.add(item.person.id);
        if (item.kind === "members" && item.group === groups.outer)
          for (const member of item.members) shown.members.add(member);
      }
      if (page.next === null) break;
      expect(page.end).toBeNull();
      page = await views.readSnapshot(ada, connectionId, { limit: 2, after: page.next });
    }
    expect(page.end?.sequence).toBe(begun);
    const changes = await views.readChanges(ada, connectionId, { after: begun, limit: 200, waitSeconds: 0 });
    for (const change of changes.items) {
      if (change.kind === "person" && change.op === "deactivated") {
        shown.people.delete(change.object);
        shown.members.delete(change.object);
      }
      if (change.kind === "members" && change.object === groups.outer)
        for (const member of change.added ?? []) shown.members.add(member);
    }
    expect(shown.people.has(id(people.clerk))).toBe(false);
    expect([...shown.members]).toEqual([id(people.chief)]);
  });
});
