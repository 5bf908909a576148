/** The details of a plan: what is shown of it is what the run then does, and what is kept of it names nobody. */
import { expect, it } from "vitest";
import { entriesOf } from "../../src/core/audit/change-log.ts";
import type { EntryDraft } from "../../src/core/audit/entries.ts";
import { defaultSettings, type Settings } from "../../src/core/connections/settings.ts";
import type { ConnectionContext } from "../../src/core/context.ts";
import { personId, runKey } from "../../src/core/crypto/key-ring.ts";
import { openPacked, type Packed } from "../../src/core/crypto/packed.ts";
import { open, SealBroken, type Sealed } from "../../src/core/crypto/seal.ts";
import { CursorExpired } from "../../src/core/directory/ports.ts";
import { waitingMilliseconds } from "../../src/core/directory/run/waiting.ts";
import { ids } from "../../src/core/store/documents.ts";
import { type PlanFilter, readPlan } from "../../src/core/views/plan.ts";
import type { PlanItem } from "../../src/core/views/plan-items.ts";
import { approveRun, cancelRun, requestImpact } from "../../src/core/views/runs.ts";
import { readLog } from "../support/held.ts";
import { type Stage, wideSettings } from "../support/sync-stage.ts";
import {
  end,
  group,
  guid,
  join,
  leave,
  openScene,
  people,
  person,
  type Scene,
  set,
  withStage,
} from "./directory/trap-scene.ts";
import { caller, codeOf } from "./views-stage.ts";

let stage: Stage;
withStage(61, (started) => {
  stage = started;
});

const needsOf = (context: ConnectionContext) => ({
  ...stage.needs,
  search: stage.search,
  keys: { ring: () => Promise.resolve(context.ring) },
});
const reader = caller("directory:read", "directory:read-all");

type Named = Pick<Scene, "connectionId" | "context">;

const read = (
  { connectionId, context }: Named,
  run: string,
  filter: PlanFilter & { limit?: number; after?: string } = {},
) => readPlan(needsOf(context))(reader, connectionId, run, { limit: 200, ...filter });

const allOf = async (
  { connectionId, context }: Named,
  run: string,
  { limit = 200, ...filter }: PlanFilter & { limit?: number } = {},
  who = reader,
): Promise<{ items: PlanItem[]; pages: number }> => {
  const items: PlanItem[] = [];
  let after: string | null = null;
  for (let pages = 1; ; pages++) {
    const page = await readPlan(needsOf(context))(who, connectionId, run, {
      limit,
      ...filter,
      ...(after === null ? {} : { after }),
    });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    items.push(...page.items);
    after = page.next;
    if (after === null) return { items, pages };
  }
};

const newest = async ({ connectionId }: Pick<Named, "connectionId">) => {
  const [run] = await stage.store.list(connectionId, "run", { limit: 1 });
  if (!run) throw new Error("there is no run");
  return { ...run, id: run.id.slice(2) };
};

const dryRun = async (scene: Pick<Named, "connectionId">): Promise<string> => {
  await stage.sync(scene.connectionId, "dry-run");
  return (await newest(scene)).id;
};

const done: Record<string, string> = {
  created: "create",
  updated: "update",
  revived: "revive",
  deactivated: "deactivate",
  kept: "keep",
  removed: "remove",
};

/** What a run has recorded, in the words of a plan. */
const recorded = (entries: readonly EntryDraft[]): string[] =>
  entries
    .flatMap((entry) => {
      if (entry.kind === "person") return [`people ${done[entry.op]} ${entry.object} ${entry.evidence ?? ""}`];
      if (entry.kind === "group") return [`groups ${done[entry.op]} ${entry.object}`];
      if (entry.kind !== "members") return [];
      const came = [...(entry.added ?? []), ...(entry.childrenAdded ?? [])];
      const went = [...(entry.removed ?? []), ...(entry.childrenRemoved ?? [])];
      return [
        ...came.map((id) => `members add ${entry.object} ${id}`),
        ...went.map((id) => `members remove ${entry.object} ${id}`),
      ];
    })
    .toSorted();

const planned = (items: readonly PlanItem[]): string[] =>
  items
    .map(({ kind, op, id, group: of, reason }) => {
      if (kind === "members") return `members ${op} ${of?.id} ${id}`;
      return kind === "people" ? `people ${op} ${id} ${reason ?? ""}` : `groups ${op} ${id}`;
    })
    .toSorted();

it("lists what the run then does, on pages of any size, in the order in which it is done", async () => {
  const tid = stage.tenant({ users: 120, groups: 20, seed: 611 });
  const scene = await stage.connect(tid);
  for (const limit of [200, 7]) {
    const run = await dryRun(scene);
    const { items } = await allOf(scene, run, { limit });
    expect(items.every(({ moved }) => !moved)).toBe(true);
    const order = ["groups", "people", "members", "people", "groups"];
    const blocks = items.map(({ kind }) => kind).filter((kind, at, all) => kind !== all[at - 1]);
    expect(order.join()).toContain(blocks.join());
    const { sequence } = (await stage.store.read(scene.connectionId, "head", ids.head))!;
    await stage.sync(scene.connectionId);
    const log = (await readLog(stage.store, scene.connectionId)).flatMap(entriesOf);
    const did = recorded(log.filter((entry) => entry.sequence > sequence));
    expect(did.length).toBeGreaterThan(20);
    expect(planned(items)).toEqual(did);
    expect((await allOf(scene, run)).items.filter(({ moved }) => !moved)).toEqual([]);
    stage.simulator.commands["random-changes"].run({ tid, seed: 70 + limit, count: 80 });
  }
});

it("shows people who are stored with their attributes, and each kind and operation by itself", async () => {
  const s = await openScene(stage, { before: [...people(4), group(500, [1, 2]), group(501, [500, 3])] });
  const kinds = { ...wideSettings.people.kinds, guests: false };
  await s.lay({ settings: { people: { ...wideSettings.people, kinds } } });
  await s.sync("full");
  const guest = person(10, { userType: "Guest" });
  s.change(set(1, { jobTitle: "Captain" }), end("delete", 2), person(9), guest, end("delete", 501));
  // The guest is planned for the group's shards, and is nobody's business.
  s.change(group(502, [9, 10, 500]));
  const run = await dryRun(s);
  const page = await read(s, run);
  const { planHash, settingsVersion, endedAt } = await newest(s);
  expect(page).toMatchObject({ planHash, settingsVersion, endedAt, next: null });
  const only = async (filter: PlanFilter) => (await read(s, run, filter)).items;
  expect(await only({ kind: "people", op: "update" })).toEqual([
    {
      kind: "people",
      op: "update",
      id: s.personId(1),
      reason: null,
      group: null,
      memberGroup: null,
      person: {
        state: "active",
        displayName: "Person 1",
        mail: "person1@scene.example",
        attributes: expect.objectContaining({ jobTitle: "Engineer" }),
      },
      asPlanned: null,
      moved: false,
    },
  ]);
  expect(await only({ op: "deactivate" })).toMatchObject([{ id: s.personId(2), person: { state: "active" } }]);
  expect(await only({ kind: "groups" })).toMatchObject([
    { op: "create", group: { id: guid(502), displayName: "Group 502", productGroup: null } },
    { op: "remove", id: guid(501), group: { displayName: "Group 501" } },
  ]);
  expect(await only({ kind: "members", op: "add" })).toMatchObject([
    { id: s.personId(9), group: { displayName: "Group 502" }, person: null },
    { id: guid(500), group: { displayName: "Group 502" }, memberGroup: { displayName: "Group 500" } },
  ]);
});

it("shows people who are not stored only to those who may see everybody", async () => {
  const s = await openScene(stage, { before: [person(1), group(500, [1])] });
  await s.sync("full");
  s.change(person(9), set(1, { jobTitle: "Captain" }), group(501, [1, 9]));
  const run = await dryRun(s);
  const who = caller("directory:read");
  const { items } = await allOf(s, run, {}, who);
  expect(items.map(({ kind, op, id }) => `${kind} ${op} ${id}`)).toEqual([
    `groups create ${guid(501)}`,
    `people update ${s.personId(1)}`,
    `members add ${s.personId(1)}`,
  ]);
  const create = { limit: 10, kind: "people", op: "create" } as const;
  const asked = readPlan(needsOf(s.context))(who, s.connectionId, run, create);
  expect(await codeOf(asked)).toBe("permission-missing");
  // Without a kind it is what there is besides them.
  expect((await allOf(s, run, { op: "create" }, who)).items.map(({ id }) => id)).toEqual([guid(501)]);
});

it("reads live who would be new, says who is no longer as planned, and keeps nothing of it", async () => {
  const s = await openScene(stage, { before: people(2) });
  s.traits({ pageSize: 3 });
  await s.sync("full");
  s.change(...[10, 11, 12, 13].map((number) => person(number, { jobTitle: `Canary ${number}` }, 1)));
  const run = await dryRun(s);
  const shown = async () => {
    const { items } = await allOf(s, run, { kind: "people", op: "create", limit: 2 });
    return new Map(items.map((item) => [item.id, item]));
  };
  const held = async (): Promise<string> => JSON.stringify([await s.held(), await workOf(run)]);
  const before = await held();
  const first = await shown();
  expect([...first.keys()].toSorted()).toEqual([10, 11, 12, 13].map(s.personId).toSorted());
  expect(first.get(s.personId(10))).toMatchObject({
    person: {
      state: null,
      displayName: "Person 10",
      mail: "person10@scene.example",
      attributes: { jobTitle: "Canary 10" },
    },
    asPlanned: true,
    moved: false,
  });
  s.change(set(10, { jobTitle: "Promoted" }), set(11, { accountEnabled: null, mail: null }), end("delete", 12));
  const second = await shown();
  expect(second.get(s.personId(10))).toMatchObject({
    person: { attributes: { jobTitle: "Promoted" } },
    asPlanned: false,
  });
  expect(second.get(s.personId(11))).toMatchObject({ asPlanned: false });
  expect(second.get(s.personId(12))).toBeUndefined();
  expect(second.get(s.personId(13))).toMatchObject({ asPlanned: true, moved: false });
  expect(await held()).toBe(before);
  await stage.sync(s.connectionId);
  expect((await shown()).get(s.personId(13))).toMatchObject({ asPlanned: true, moved: true });
});

interface Part {
  id: string;
  kind: string;
  content: string;
}
const workOf = async (run: string): Promise<Part[]> => {
  const query = stage.handles.work.items.query<Part>("SELECT c.id, c.kind, c.content FROM c", { partitionKey: run });
  return (await query.fetchAll()).resources.toSorted((a, b) => (a.id < b.id ? -1 : 1));
};

it("keeps no name, address, object id or attribute of anybody, be the plan small or staged in many slices", async () => {
  for (const sliceMilliseconds of [240_000, 0]) {
    const s = await openScene(stage, { before: [...people(3), group(500, [1, 2])], label: `${sliceMilliseconds}` });
    await s.sync("full");
    const canary = { jobTitle: "Canarytitle", mail: "canarymail@scene.example", displayName: "Canaryname" };
    s.change(person(9, canary, 1), set(1, { jobTitle: "Canarytitle" }), end("delete", 2), group(501, [9]));
    stage.needs = { ...stage.needs, sliceMilliseconds };
    const run = await dryRun(s);
    const parts = await workOf(run);
    const opened = await Promise.all(
      parts.map(async (part) => (part.kind === "seen" ? part : openedPart(s.context, run, parts, part))),
    );
    const text = JSON.stringify(opened);
    // The plan is there, and what is looked for could be found.
    expect(text).toContain(s.personId(9));
    expect(text).toContain("Group 501");
    for (const trace of ["Canary", "canary", "Person ", "person1@", guid(1), guid(2), guid(9)])
      expect(text).not.toContain(trace);
    expect((await allOf(s, run)).items).toHaveLength(5);
  }
});

/** With the keys that the plan is opened with. */
const openedPart = async (
  { ring }: ConnectionContext,
  run: string,
  parts: readonly Part[],
  { id, content }: Part,
): Promise<unknown> => {
  const place = (document: string) => ({ container: "work" as const, partition: run, document, fields: "content" });
  const opener = parts.find((part) => part.id.startsWith("plan:"));
  if (!opener) throw new Error("nothing opens the plan");
  const { key } = open(ring.sealing, place(opener.id), opener.content as Sealed<{ key: Parameters<typeof runKey>[0] }>);
  try {
    return await openPacked(runKey(key), place(id), content as Packed<unknown>);
  } catch (error) {
    if (!(error instanceof SealBroken)) throw error;
    return open(ring.sealing, place(id), content as Sealed<unknown>);
  }
};

it("is gone after three days, when its parts are, and of a run that has applied; others never had it", async () => {
  const s = await openScene(stage, { before: people(2) });
  await s.ask();
  const { requested } = await s.head();
  await s.sync("full");
  const applied = (await newest(s)).id;
  expect(requested).not.toBeNull();
  expect(await codeOf(read(s, applied))).toBe("plan-gone");
  s.change(person(9));
  const run = await dryRun(s);
  const other = { ...reader, workspaceId: "w2" };
  const { connectionId, context } = s;
  expect(await codeOf(readPlan(needsOf(context))(other, connectionId, run, { limit: 1 }))).toBe("connection-not-found");
  const stranger = await openScene(stage, { label: "stranger" });
  expect(await codeOf(read(stranger, run))).toBe("run-not-found");
  expect(await codeOf(read(s, "r".repeat(26)))).toBe("run-not-found");
  stage.ambient.advance(waitingMilliseconds - 60_000);
  expect((await read(s, run)).items).toHaveLength(1);
  stage.ambient.advance(60_001);
  expect(await codeOf(read(s, run))).toBe("plan-gone");
  const again = await dryRun(s);
  await stage.needs.work.drop(again);
  expect(await codeOf(read(s, again))).toBe("plan-gone");
});

it("is not there yet while the run reads", async () => {
  const s = await openScene(stage, { before: people(3) });
  const { connectionId, context } = s;
  const asked = await requestImpact(needsOf(context))(caller("integration:setup"), connectionId, wideSettings);
  expect(await codeOf(read(s, asked.id))).toBe("plan-not-ready");
  stage.needs = { ...stage.needs, sliceMilliseconds: 0 };
  await s.step();
  expect((await s.head()).run?.phase).toBe("reading");
  expect(await codeOf(read(s, asked.id))).toBe("plan-not-ready");
});

const waiting = async (label: string): Promise<{ s: Scene; run: string; planHash: string }> => {
  const s = await openScene(stage, { before: people(4), label });
  await s.sync("full");
  await s.lay({ settings: { guard: { ...defaultSettings.guard, share: 1, floor: 0, offUntil: null } } });
  s.change(end("delete", 1), end("delete", 2), person(9, { jobTitle: "Cook" }));
  await s.ask();
  expect(await s.step()).toBe("waiting");
  const { run } = await s.head();
  return { s, run: run?.id ?? "", planHash: run?.planHash ?? "" };
};

it("of a plan that waits for approval is read until somebody decides", async () => {
  const { s, run, planHash } = await waiting("approved");
  const page = await read(s, run);
  expect(page).toMatchObject({ planHash, endedAt: null, next: null });
  expect(Object.fromEntries(page.items.map(({ op, id }) => [id, op]))).toEqual({
    [s.personId(9)]: "create",
    [s.personId(1)]: "deactivate",
    [s.personId(2)]: "deactivate",
  });
  // Whom a run that will apply has planned is admitted: the plan itself holds the record, and Graph is not asked.
  const { log } = stage.simulator.graph;
  const mark = log.mark();
  const { items } = await read(s, run, { op: "create" });
  expect(items).toMatchObject([
    { person: { displayName: "Person 9", attributes: { jobTitle: "Cook" } }, asPlanned: null },
  ]);
  expect(log.since(mark)).toEqual([]);
  await approveRun(needsOf(s.context))(caller("integration:approve"), s.connectionId, run, { planHash });
  expect(await codeOf(read(s, run))).toBe("plan-gone");
});

it("of a plan that was rejected or has expired is gone", async () => {
  const rejected = await waiting("rejected");
  await cancelRun(needsOf(rejected.s.context))(caller("integration:setup"), rejected.s.connectionId, rejected.run);
  expect(await codeOf(read(rejected.s, rejected.run))).toBe("plan-gone");
  const expired = await waiting("expired");
  stage.ambient.advance(waitingMilliseconds + 1);
  expect(await codeOf(read(expired.s, expired.run))).toBe("plan-gone");
});

it("tells of proposed settings who would come and who would leave, held against those settings", async () => {
  const s = await openScene(stage, { before: [...people(3), person(4, { userType: "Guest" }), group(500, [1])] });
  const kinds = { members: true, guests: false, disabled: true, withoutMail: true };
  const narrow: Settings = { ...wideSettings, people: { ...wideSettings.people, kinds } };
  await s.lay({ settings: narrow });
  await s.sync("full");
  const guests = { ...kinds, members: false, guests: true };
  const proposed: Settings = { ...wideSettings, people: { ...wideSettings.people, kinds: guests } };
  const { id } = await requestImpact(needsOf(s.context))(caller("integration:setup"), s.connectionId, proposed);
  await stage.settle(s.connectionId);
  const left = await allOf(s, id, { op: "deactivate" });
  expect(left.items.map((item) => item.reason)).toEqual(left.items.map(() => "scope: member"));
  expect(left.items.map((item) => item.id)).toEqual(expect.arrayContaining([1, 2, 3].map(s.personId)));
  // The settings in force would admit none of them.
  const { items } = await read(s, id, { kind: "people", op: "create" });
  expect(items.find((item) => item.id === s.personId(4))?.person?.displayName).toBe("Person 4");
  expect(items.filter(({ asPlanned }) => !asPlanned)).toEqual([]);
});

it("holds who would be new against the groups that choose people, and names them whatever the settings map", async () => {
  const s = await openScene(stage, { before: [...people(2), group(500, [1])] });
  await s.lay({
    settings: {
      people: { ...wideSettings.people, from: "groups", groups: [guid(500)], membership: "direct" },
      attributes: { title: { from: "jobTitle", clear: false } },
    },
  });
  await s.sync("full");
  // Of another address the product sees nothing.
  s.change(person(8), person(9), join(500, 8), join(500, 9), set(1, { mail: "other@scene.example" }));
  const run = await dryRun(s);
  expect((await read(s, run, { kind: "people" })).items.map(({ op }) => op)).toEqual(["create", "create"]);
  const shown = async () => (await allOf(s, run, { kind: "people", op: "create" })).items.toSorted(byName);
  const byName = (one: PlanItem, other: PlanItem) =>
    (one.person?.displayName ?? "") < (other.person?.displayName ?? "") ? -1 : 1;
  expect(await shown()).toMatchObject([
    { person: { displayName: "Person 8", attributes: { title: "Engineer" } }, asPlanned: true },
    { person: { displayName: "Person 9", attributes: { title: "Engineer" } }, asPlanned: true },
  ]);
  s.change(leave(500, 9));
  expect(await shown()).toMatchObject([{ asPlanned: true }, { asPlanned: false }]);
});

it("asks for those by themselves of whom a page has a part only, and says when they have gone meanwhile", async () => {
  const s = await openScene(stage, { before: people(2) });
  await s.sync("full");
  s.change(person(8, {}, 1), person(9));
  const run = await dryRun(s);
  s.change(end("delete", 9));
  const gone = { id: guid(9), properties: {} };
  s.alter = (_feed, objects) => [...objects.map(({ manager: _manager, ...object }) => object), gone];
  const { items } = await read(s, run, { kind: "people", op: "create" });
  const found = new Map(items.map((item) => [item.id, item]));
  expect(found.get(s.personId(8))).toMatchObject({ person: { displayName: "Person 8" }, asPlanned: true });
  expect(found.get(s.personId(9))).toMatchObject({ person: null, asPlanned: false });
});

it("wants to begin again when Graph no longer honours where it was", async () => {
  const s = await openScene(stage, { before: people(6) });
  s.traits({ pageSize: 2 });
  const run = await dryRun(s);
  const create = { kind: "people", op: "create", limit: 2 } as const;
  const { next } = await read(s, run, create);
  const { source } = stage.needs;
  const page: typeof source.page = () => Promise.reject(new CursorExpired("too old"));
  stage.needs = { ...stage.needs, source: { ...source, page } };
  expect(await codeOf(read(s, run, { ...create, after: next ?? "" }))).toBe("invalid-cursor");
});

it("goes through five thousand changes page by page, staged and live", async () => {
  const tid = stage.tenant({ users: 5000, groups: 0, seed: 612 });
  const scene = await stage.connect(tid);
  const run = await dryRun(scene);
  const { counts } = await newest(scene);
  expect(counts.peopleCreated).toBeGreaterThan(4500);
  const { items, pages } = await allOf(scene, run, { kind: "people" });
  expect(new Set(items.map(({ id }) => id)).size).toBe(counts.peopleCreated);
  expect(items).toHaveLength(counts.peopleCreated);
  expect(pages).toBe(Math.ceil(counts.peopleCreated / 200));
  const live = await allOf(scene, run, { kind: "people", op: "create" });
  const { directory } = stage.simulator.world.tenants.get(tid)!;
  const created = new Set(items.map(({ id }) => id));
  const there = [...directory.users.keys()]
    .map((oid) => personId(scene.context.ring, oid))
    .filter((id) => created.has(id));
  expect(new Set(live.items.map(({ id }) => id))).toEqual(new Set(there));
  expect(live.items.filter(({ asPlanned }) => !asPlanned)).toEqual([]);
}, 120_000);
