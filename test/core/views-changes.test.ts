import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { chainStart, verifyChain } from "../../src/core/audit/change-log.ts";
import { newPersonKey } from "../../src/core/crypto/key-ring.ts";
import { ids } from "../../src/core/store/documents.ts";
import { readLog } from "../support/held.ts";
import { caller, codeOf, openScene, type Scene } from "./views-stage.ts";

const ada = caller("directory:read");
let scene: Scene;
const scenes: Scene[] = [];
beforeEach(async () => {
  scene = await openScene();
  scenes.push(scene);
});
afterAll(() => Promise.all(scenes.map(({ stage }) => stage.close())));

const read = (after: number, options: { limit?: number; waitSeconds?: number; who?: typeof ada } = {}) =>
  scene.views.readChanges(options.who ?? ada, scene.connectionId, {
    after,
    limit: options.limit ?? 200,
    waitSeconds: options.waitSeconds ?? 0,
  });

describe("the feed", () => {
  test("opens what was sealed, and names the chain that the log itself leads to", async () => {
    const { people, groups, id, connectionId, stage } = scene;
    const { items, next, sequence, chain } = await read(0);
    expect(items.find(({ kind, object }) => kind === "person" && object === id(people.clerk))).toMatchObject({
      op: "created",
      content: "open",
      changes: expect.arrayContaining([{ field: "displayName", before: null, after: "clerk" }]),
    });
    expect(items.find(({ kind, object }) => kind === "members" && object === groups.outer)).toMatchObject({
      added: [id(people.clerk)],
      childrenAdded: [groups.inner],
    });
    const log = verifyChain(await readLog(stage.store, connectionId), { sequence: 0, chain: chainStart(connectionId) });
    expect([next, sequence, chain]).toEqual([log.sequence, log.sequence, log.chain]);
  });

  test("goes on where it ended, whatever the length of a page", async () => {
    const all = (await read(0)).items.map(({ sequence }) => sequence);
    for (const limit of [1, 3, 7]) {
      const found: number[] = [];
      for (let after = 0; ; ) {
        const page = await read(after, { limit });
        if (page.items.length === 0) break;
        expect(page.items.length).toBeLessThanOrEqual(limit);
        found.push(...page.items.map(({ sequence }) => sequence));
        after = page.next;
      }
      expect(found).toEqual(all);
    }
  });

  test("says `erased` where the key is gone, also when the person has a new one", async () => {
    const { people, id, connectionId, context, put, stage } = scene;
    const clerk = id(people.clerk);
    const doc = await stage.store.read(connectionId, "person", ids.person(clerk));
    if (!doc) throw new Error("no clerk");
    const ofClerk = async () => (await read(0)).items.find(({ object }) => object === clerk);
    const { matchHints: _, ...before } = (await ofClerk()) ?? {};
    const erased = { ...before, content: "erased", changes: [] };
    await put({ ...doc, state: "erased" });
    expect(await ofClerk()).toEqual(erased);
    await put({ ...doc, key: newPersonKey(stage.ambient, context.ring, connectionId, clerk).wrapped });
    expect(await ofClerk()).toEqual(erased);
    await stage.handles.directory.item(doc.id, connectionId).delete();
    expect(await ofClerk()).toEqual(erased);
  });

  test("shows actors to those with audit:read only, and null for what the system did", async () => {
    const { views, connectionId } = scene;
    const run = await views.requestRun(ada, connectionId, { mode: "delta" });
    const auditor = caller("directory:read", "audit:read");
    const ofRun = async (who: typeof ada) => (await read(0, { who })).items.find(({ object }) => object === run.id);
    expect((await ofRun(auditor))?.actor).toEqual({ subject: "ada", ip: "203.0.113.7" });
    expect(await ofRun(ada)).not.toHaveProperty("actor");
    expect((await read(0, { who: auditor })).items[0]?.actor).toBeNull();
  });

  test("that has lost its beginning, or its place, sends the reader to a snapshot", async () => {
    const { views, connectionId, stage } = scene;
    await views.requestRun(ada, connectionId, { mode: "delta" });
    const [first, ...others] = await readLog(stage.store, connectionId);
    if (!first || others.length === 0) throw new Error("the log is too short for this test");
    await stage.handles.directory.item(first.id, connectionId).delete();
    expect(await codeOf(read(0))).toBe("feed-too-old");
    expect(await codeOf(read(first.last - 1))).toBe("feed-too-old");
    expect((await read(first.last)).items[0]?.sequence).toBe(first.last + 1);
    const { sequence } = await scene.head();
    expect(await codeOf(read(sequence + 1))).toBe("feed-too-old");
    for (const { id } of others) await stage.handles.directory.item(id, connectionId).delete();
    expect(await codeOf(read(sequence - 1))).toBe("feed-too-old");
    expect((await read(sequence)).items).toEqual([]);
  });
});

describe("waiting for changes", () => {
  test("ends with the first change", async () => {
    const { views, connectionId, needs } = scene;
    const { sequence } = await scene.head();
    let waited = 0;
    needs.wait = async () => {
      waited += 1;
      if (waited === 2) await views.requestRun(ada, connectionId, { mode: "delta" });
    };
    const page = await read(sequence, { waitSeconds: 20 });
    expect(waited).toBe(2);
    expect(page.items).toMatchObject([{ kind: "run", op: "requested", sequence: sequence + 1 }]);
    expect(page.next).toBe(sequence + 1);
  });

  test("ends with its time, and has then nothing to tell", async () => {
    const { sequence } = await scene.head();
    const began = scene.stage.ambient.now();
    expect(await read(sequence, { waitSeconds: 20 })).toMatchObject({ items: [], next: sequence, sequence });
    const waited = scene.stage.ambient.now() - began;
    expect(waited).toBeGreaterThanOrEqual(20_000);
    expect(waited).toBeLessThan(30_000);
  });
});
