/** Memberships of runs that are broken off, of large groups, and of lists that cannot be read to their end. */
import { describe, expect, it } from "vitest";
import { filterId } from "../../../src/core/directory/group-roles.ts";
import { CursorExpired, type MembersPage } from "../../../src/core/directory/ports.ts";
import type { WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { ids, type ShardDoc } from "../../../src/core/store/documents.ts";
import { everybody } from "../../../src/local/demo/everybody.ts";
import type { Stage } from "../../support/sync-stage.ts";
import {
  end,
  group,
  guid,
  microsoft365,
  openScene,
  people,
  person,
  range,
  type Scene,
  without,
  withStage,
} from "./trap-scene.ts";

let stage: Stage;
withStage(23, (started) => {
  stage = started;
});

/** The run is void as soon as a batch of which this is true has been written. */
const voidAfter = (
  s: Scene,
  is: (writes: Parameters<WorkerNeeds["store"]["write"]>[1]) => boolean,
): { done: () => boolean } => {
  const { needs } = stage;
  let done = false;
  const write: WorkerNeeds["store"]["write"] = async (connectionId, writes) => {
    const outcome = await needs.store.write(connectionId, writes);
    if (!done && outcome.ok && is(writes)) {
      done = true;
      await s.lay({ head: { epoch: (await s.head()).epoch + 1 } });
    }
    return outcome;
  };
  stage.needs = { ...needs, store: { ...needs.store, write } };
  return { done: () => done };
};

const shardsOf = async (s: Scene, number: number): Promise<string[]> =>
  (await stage.store.list(s.connectionId, "members", { limit: 500 }))
    .filter(({ groupId }) => groupId === guid(number))
    .map(({ id }) => id);

/** As if the group had grown until its shards were split that often. */
const splitInto = async (s: Scene, id: string, depth: number): Promise<void> => {
  const { directory } = stage.handles;
  const leaves = range(0, 2 ** depth).map((leaf) => leaf.toString(2).padStart(depth, "0"));
  await directory.item(ids.shard(id, ""), s.connectionId).delete();
  await directory.item(ids.group(id), s.connectionId).patch([{ op: "set", path: "/leaves", value: leaves }]);
  for (const bits of leaves) {
    const members = [
      Buffer.from(bits.padEnd(128, "0").replace(/.{8}/g, (byte) => byte))
        .toString("base64url")
        .slice(0, 22),
    ];
    const shard: ShardDoc = {
      id: ids.shard(id, bits),
      kind: "members",
      connectionId: s.connectionId,
      v: 1,
      groupId: id,
      members,
    };
    await directory.items.create({ ...shard });
  }
};

describe("a large group whose removal is broken off", () => {
  it("leaves nothing behind: the next run ends what was begun", async () => {
    const s = await openScene(stage, { before: [...people(2), group(600, [1, 2])] });
    await s.sync("full");
    await splitInto(s, guid(600), 7);
    s.change(end("delete", 600));
    const broken = voidAfter(s, (writes) => writes.some((write) => write.op === "delete" && write.id.startsWith("g:")));
    await s.sync();
    expect(broken.done()).toBe(true);
    expect((await shardsOf(s, 600)).length).toBeGreaterThan(0);
    const next = await s.sync();
    expect(await shardsOf(s, 600)).toEqual([]);
    expect(next.head.emptying).toEqual([]);
  });

  it("counts no memberships of a group that the product never saw", async () => {
    const s = await openScene(stage, { before: [...people(2), group(600, [1, 2]), group(601, [1])] });
    const chosen = { from: "groups" as const, groups: [guid(600), guid(601)] };
    await s.lay({
      settings: { people: { ...everybody.people, ...chosen }, groups: { ...everybody.groups, include: false } },
    });
    await s.sync("full");
    await splitInto(s, filterId(s.context.ring, guid(600)), 7);
    s.change(end("delete", 600));
    const broken = voidAfter(s, (writes) => writes.some((write) => write.op === "delete" && write.id.startsWith("g:")));
    await s.sync();
    expect([broken.done(), (await s.head()).emptying.length]).toEqual([true, 1]);
    expect((await s.sync()).head).toMatchObject({ emptying: [], counters: { memberships: 0 } });
  });

  it("does not stand in the way of the group when it is restored", async () => {
    const s = await openScene(stage, { before: [...people(2), group(600, [1, 2], microsoft365)] });
    await s.sync("full");
    await splitInto(s, guid(600), 7);
    s.change(end("delete", 600));
    voidAfter(s, (writes) => writes.some((write) => write.op === "delete" && write.id.startsWith("g:")));
    await s.sync();
    s.change(end("restore", 600));
    await s.sync();
    await s.sync();
    expect(await shardsOf(s, 600)).toEqual([ids.shard(guid(600), "")]);
    expect(await s.members(600)).toEqual([1, 2]);
  });
});

it("the log tells of every membership when a first sync was broken off and somebody in its groups came late", async () => {
  const groups = range(600, 120).map((number) => group(number, [1, 2]));
  const s = await openScene(stage, { before: [person(1), person(2), ...groups] });
  s.alter = without(2);
  const broken = voidAfter(s, (writes) => writes.some((write) => "doc" in write && write.doc.kind === "members"));
  await s.sync("full");
  expect([broken.done(), await s.stored(2)]).toEqual([true, null]);
  s.alter = null;
  await s.sync("full");
  await s.agrees();
});

it("looking for the groups of those who come keeps the lease, however slow the store is", async () => {
  const s = await openScene(stage, { before: [...people(1), group(600, [1])] });
  await s.sync("full");
  s.change(...range(2, 20).map((number) => person(number)));
  const { needs } = stage;
  const leases: number[] = [];
  const groupsOf: WorkerNeeds["store"]["groupsOf"] = async (connectionId, id) => {
    stage.ambient.advance(needs.leaseMilliseconds / 4);
    leases.push((await s.head()).leaseUntil - stage.ambient.now());
    return needs.store.groupsOf(connectionId, id);
  };
  stage.needs = { ...needs, store: { ...needs.store, groupsOf } };
  await s.sync();
  expect([leases.length, leases.filter((left) => left <= 0)]).toEqual([20, []]);
});

it("somebody who was erased is in no group, though Microsoft still lists the account", async () => {
  const s = await openScene(stage, { before: [...people(3), group(600, [1, 2])] });
  await s.lay({ settings: { people: { ...everybody.people, from: "groups", groups: [guid(600)] } } });
  const id = ids.marker(s.personId(2));
  const changedAt = new Date(stage.ambient.now()).toISOString();
  await stage.handles.directory.items.create({
    id,
    kind: "marker",
    connectionId: s.connectionId,
    v: 1,
    marker: "erased",
    changedAt,
  });
  await s.lay({ head: { marked: true } });
  await s.sync("full");
  s.change(end("delete", 2));
  await s.sync();
  s.change(end("restore", 2));
  await s.sync();
  const shards = await stage.store.list(s.connectionId, "members", { limit: 10 });
  expect(shards.map(({ members }) => members)).toEqual([[s.personId(1)], [s.personId(1)]]);
});

describe("a list of members", () => {
  const withMembers = (change: (page: MembersPage, link: string | null) => Promise<MembersPage>): WorkerNeeds => {
    const { needs } = stage;
    const members: WorkerNeeds["source"]["members"] = async (connection, id, link) =>
      change(await needs.source.members(connection, id, link === null || link.startsWith("more") ? null : link), link);
    return { ...needs, source: { ...needs.source, members } };
  };
  const newGroup = async (): Promise<Scene> => {
    const s = await openScene(stage, { before: people(3) });
    await s.sync("full");
    s.change(group(600, [1, 2, 3]));
    return s;
  };

  it("that takes longer than a lease to read is read by one worker", async () => {
    const s = await newGroup();
    await s.ask();
    const others: string[] = [];
    stage.needs = { ...stage.needs, sliceMilliseconds: 1e9 };
    const slow = withMembers(async (page, link) => {
      const number = link === null ? 1 : Number(link.slice(4));
      stage.ambient.advance(stage.needs.leaseMilliseconds / 2);
      others.push(await work(stage.needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() }));
      return { ...page, next: number === 6 ? null : `more${number + 1}` };
    });
    expect(await work(slow)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() })).toBe("done");
    expect(others).toEqual(Array(6).fill("held"));
    expect(await s.members(600)).toEqual([1, 2, 3]);
  });

  it("whose next page is refused stops nobody else, and the next round reads everything", async () => {
    const s = await newGroup();
    s.change(person(4));
    stage.needs = withMembers(async (page, link) => {
      if (link !== null) throw new CursorExpired("410");
      return { members: page.members.slice(0, 1), next: "more" };
    });
    const second = await s.sync();
    expect(second.run).toMatchObject({
      mode: "delta",
      outcome: "done",
      warnings: [{ code: "membership-not-readable", object: guid(600) }],
    });
    expect(second.head.suspect).toBe(true);
    expect((await s.stored(4))?.state).toBe("active");
    expect((await s.sync()).requests.some(({ path }) => path === "/groups/delta")).toBe(true);
    expect((await s.head()).suspect).toBe(false);
    expect(await s.members(600)).toEqual([1, 2, 3]);
  });
});
