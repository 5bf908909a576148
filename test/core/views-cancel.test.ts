import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { commit } from "../../src/core/store/commit.ts";
import { ids } from "../../src/core/store/documents.ts";
import { held, replay } from "../support/held.ts";
import { caller, codeOf, openScene, type Scene } from "./views-stage.ts";

const ada = caller();
let scene: Scene;
const scenes: Scene[] = [];
beforeEach(async () => {
  scene = await openScene();
  scenes.push(scene);
});
afterAll(() => Promise.all(scenes.map(({ stage }) => stage.close())));

const ask = (mode: "full" | "delta" | "dry-run" = "delta") => scene.views.requestRun(ada, scene.connectionId, { mode });
const cancel = (run: string) => scene.views.cancelRun(ada, scene.connectionId, run);

describe("a run that is cancelled", () => {
  test("before it has begun never begins", async () => {
    const { stage, connectionId, people, id, mutate } = scene;
    const { id: run } = await ask();
    mutate({ op: "update-user", id: people.clerk, set: { jobTitle: "never seen" } });
    expect(await cancel(run)).toMatchObject({ id: run, phase: "ended", outcome: "cancelled" });
    await stage.settle(connectionId);
    const person = await scene.views.readPerson(ada, connectionId, id(people.clerk));
    expect(person.attributes?.jobTitle).toBeUndefined();
    expect(await scene.views.readRun(ada, connectionId, run)).toMatchObject({ outcome: "cancelled" });
    expect(await codeOf(cancel(run))).toBe("state-conflict");
  });

  test("while a worker reads commits nothing more, and the next run catches up", async () => {
    const { stage, connectionId, context, people, mutate } = scene;
    const healthy = stage.needs;
    mutate({ op: "update-user", id: people.clerk, set: { jobTitle: "Clerk" } });
    const { id: run } = await ask("full");
    let cancelled = false;
    stage.needs = {
      ...healthy,
      source: {
        ...healthy.source,
        page: async (...asked) => {
          const page = await healthy.source.page(...asked);
          if (asked[1] === "users" && !cancelled) {
            cancelled = true;
            expect(await cancel(run)).toMatchObject({ outcome: "cancelled" });
          }
          return page;
        },
      },
    };
    const before = await held(stage.store, context);
    await stage.settle(connectionId);
    stage.needs = healthy;
    expect(cancelled).toBe(true);
    expect(await held(stage.store, context)).toEqual(before);
    expect(await scene.views.readRun(ada, connectionId, run)).toMatchObject({ phase: "ended", outcome: "cancelled" });
    await stage.sync(connectionId);
    expect(
      Object.values((await held(stage.store, context)).people).some((one) => one.fields.jobTitle === "Clerk"),
    ).toBe(true);
    expect(await replay(stage.store, context)).toEqual(await held(stage.store, context));
  });

  test("by a dead worker is put away, and another can be asked for", async () => {
    const { stage, connectionId, views } = scene;
    const healthy = stage.needs;
    const { id: run } = await ask("full");
    stage.needs = { ...healthy, sliceMilliseconds: 0 };
    // One slice, then nobody: head says that a run is under way.
    await stage.settleOnce(connectionId);
    stage.needs = healthy;
    expect((await scene.head()).run?.id).toBe(run);
    const staged = async () => {
      const query = stage.handles.work.items.query("SELECT c.id FROM c", { partitionKey: run });
      return (await query.fetchAll()).resources;
    };
    expect(await staged()).not.toEqual([]);
    expect(await codeOf(ask())).toBe("run-in-progress");
    await cancel(run);
    await stage.settle(connectionId);
    expect((await scene.head()).run).toBeNull();
    expect(await staged()).toEqual([]);
    const { id: next } = await ask();
    await stage.settle(connectionId);
    expect(await views.readRun(ada, connectionId, next)).toMatchObject({ outcome: "nothing" });
  });

  test("is recorded with who did it; unknown and foreign runs are not found", async () => {
    const { connectionId, views } = scene;
    const { id: run } = await ask();
    const { sequence } = await scene.head();
    await cancel(run);
    const { items } = await views.readChanges(caller("audit:read"), connectionId, {
      after: sequence,
      limit: 10,
      waitSeconds: 0,
    });
    expect(items).toMatchObject([{ kind: "run", op: "cancelled", object: run, actor: { subject: "ada" } }]);
    expect(await codeOf(cancel("0".repeat(26)))).toBe("run-not-found");
    expect(await codeOf(cancel("../head"))).toBe("run-not-found");
    expect(await codeOf(views.cancelRun({ ...ada, workspaceId: "w2" }, connectionId, run))).toBe(
      "connection-not-found",
    );
  });

  test("leaves another that was asked for meanwhile alone", async () => {
    const { stage, connectionId, views } = scene;
    const { id: first } = await ask();
    // As after a run that ended without its document: an old run must not take the new one with it.
    const head = await scene.head();
    const later = {
      runId: stage.ambient.ulid(),
      mode: "delta" as const,
      cause: "manual" as const,
      at: stage.ambient.now(),
    };
    await commit(stage.needs, head, { advance: (fresh) => ({ ...fresh, requested: later }) });
    await cancel(first);
    expect((await stage.store.read(connectionId, "head", ids.head))?.requested).toEqual(later);
    expect(await views.readRun(ada, connectionId, first)).toMatchObject({ outcome: "cancelled" });
  });
});
