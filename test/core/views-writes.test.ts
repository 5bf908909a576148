import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { changeSettings } from "../../src/core/connections/change-settings.ts";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import { work } from "../../src/core/directory/run/worker.ts";
import { AppError } from "../../src/core/errors.ts";
import { ids } from "../../src/core/store/documents.ts";
import { linkProductUser } from "../../src/core/views/link-product-user.ts";
import { requestRun } from "../../src/core/views/runs.ts";
import { held, replay } from "../support/held.ts";
import { caller, codeOf, openScene, overtaken, type Scene } from "./views-stage.ts";

const ada = caller();
let scene: Scene;
const scenes: Scene[] = [];
beforeEach(async () => {
  scene = await openScene();
  scenes.push(scene);
});
afterAll(() => Promise.all(scenes.map(({ stage }) => stage.close())));

const link = (oid: string, productUserId: string | null, ifMatch?: string) =>
  scene.views.linkProductUser(ada, scene.connectionId, scene.id(oid), ifMatch, { productUserId });

describe("a person link", () => {
  test("belongs to one person, also when two ask at once", async () => {
    const { people } = scene;
    const outcomes = await Promise.all([codeOf(link(people.chief, "p-1")), codeOf(link(people.clerk, "p-1"))]);
    expect(outcomes.toSorted()).toEqual(["none", "product-user-taken"]);
  });

  test("moves on, ends, and leaves nothing behind that would keep the next one out", async () => {
    const { people, connectionId, stage } = scene;
    expect((await link(people.chief, "p-1")).productUserId).toBe("p-1");
    expect((await link(people.chief, "p-2")).productUserId).toBe("p-2");
    expect((await link(people.clerk, "p-1")).productUserId).toBe("p-1");
    expect((await link(people.chief, null)).productUserId).toBeNull();
    const { resources } = await stage.handles.directory.items
      .query<{ id: string }>("SELECT c.id FROM c WHERE c.kind = 'product-user'", { partitionKey: connectionId })
      .fetchAll();
    expect(resources).toHaveLength(1);
    expect(resources[0]?.id).toMatch(/^p:[\w-]{22}$/);
  });

  test("is recorded with both values and who did it, and only when something changes", async () => {
    const { people, id, views, connectionId } = scene;
    await link(people.chief, "p-1");
    const { sequence } = await scene.head();
    await link(people.chief, "p-1");
    expect((await scene.head()).sequence).toBe(sequence);
    await link(people.chief, "p-2");
    const { items } = await views.readChanges(caller("audit:read"), connectionId, {
      after: sequence,
      limit: 10,
      waitSeconds: 0,
    });
    expect(items).toMatchObject([
      {
        kind: "product-user",
        object: id(people.chief),
        cause: "api",
        correlationId: "c-1",
        changes: [{ field: "productUserId", before: "p-1", after: "p-2" }],
        actor: { subject: "ada", ip: "203.0.113.7" },
      },
    ]);
  });

  test("needs the state that was read when that was given, and an active person to begin", async () => {
    const { people, mutate, stage, connectionId } = scene;
    const { etag } = await link(people.chief, "p-1");
    await link(people.chief, "p-2");
    expect(await codeOf(link(people.chief, null, etag))).toBe("etag-mismatch");
    mutate({ op: "delete-user", id: people.chief });
    await stage.sync(connectionId);
    expect(await codeOf(link(people.chief, "p-3"))).toBe("state-conflict");
    expect((await link(people.chief, null)).productUserId).toBeNull();
  });

  test("survives a sync of the person, and is planned again when the sync was faster", async () => {
    const { people, id, mutate, stage, connectionId, context, needs } = scene;
    await link(people.chief, "p-1");
    mutate({ op: "update-user", id: people.chief, set: { jobTitle: "Chief" } });
    const racing = linkProductUser(overtaken(needs, () => stage.sync(connectionId)));
    await racing(ada, connectionId, id(people.chief), undefined, { productUserId: "p-2" });
    const linked = await scene.views.readPerson(ada, connectionId, id(people.chief));
    expect(linked).toMatchObject({ productUserId: "p-2", attributes: { jobTitle: "Chief" } });
    expect(await replay(stage.store, context)).toEqual(await held(stage.store, context));
  });
});

describe("a run that is asked for", () => {
  test("is one, also when two ask at once, and the queue may fail", async () => {
    const { connectionId, needs, views } = scene;
    const failing = {
      ...needs,
      hints: { send: () => Promise.reject(new AppError("queue-unavailable")) },
    };
    const ask = () => requestRun(failing)(ada, connectionId, { mode: "full" });
    const outcomes = await Promise.all([codeOf(ask()), codeOf(ask())]);
    expect(outcomes.toSorted()).toEqual(["none", "run-in-progress"]);
    const head = await scene.head();
    expect(head.wakeAt).toBeLessThanOrEqual(needs.ambient.now());
    expect((await views.listRuns(ada, connectionId, { limit: 1 })).items).toMatchObject([
      { id: head.requested?.runId, phase: "queued", mode: "full", cause: "manual" },
    ]);
  });

  test("does not slip past a pause that comes in between", async () => {
    const { connectionId, needs, stage } = scene;
    const doc = await stage.store.read(connectionId, "connection", ids.connection);
    const settings = { ...defaultSettings, automatic: false, intervalMinutes: 60, paused: true };
    const pause = () => changeSettings(needs)(ada, connectionId, `"${doc?.settingsVersion}"`, settings);
    const racing = requestRun(overtaken(needs, pause));
    expect(await codeOf(racing(ada, connectionId, { mode: "full" }))).toBe("state-conflict");
    const head = await scene.head();
    expect([head.requested, head.wakeAt]).toEqual([null, null]);
  });

  test("shows what it is doing while it is at it", async () => {
    const { connectionId, stage, views } = scene;
    const { id } = await views.requestRun(ada, connectionId, { mode: "full" });
    // A slice without time ends at its first checkpoint.
    stage.needs.sliceMilliseconds = 0;
    // The first pages may be empty.
    for (let slice = 0; slice < 10 && (await views.readRun(ada, connectionId, id)).counts.groupsRead === 0; slice++)
      expect(await work(stage.needs)({ connectionId, receivedAt: stage.ambient.now() })).toBe("continues");
    const shown = await views.readRun(ada, connectionId, id);
    expect(shown).toMatchObject({ phase: "reading", mode: "full", outcome: null });
    // A feed may bring a group on a later page, or twice.
    expect(shown.counts.groupsRead).toBeGreaterThan(0);
    expect(await codeOf(views.requestRun(ada, connectionId, { mode: "full" }))).toBe("run-in-progress");
    stage.needs.sliceMilliseconds = 240_000;
    await stage.settle(connectionId);
    expect(await views.readRun(ada, connectionId, id)).toMatchObject({ phase: "ended", outcome: "nothing" });
  });
});
