/** Traps of too much: writing when nothing changed, writing after "off", and expecting everything in the first round. */
import { describe, expect, it } from "vitest";
import { changeSettings } from "../../../src/core/connections/change-settings.ts";
import type { Caller } from "../../../src/core/context.ts";
import type { WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { ids } from "../../../src/core/store/documents.ts";
import type { Stage } from "../../support/sync-stage.ts";
import {
  appearances,
  end,
  group,
  join,
  kinds,
  manage,
  openScene,
  person,
  range,
  type Scene,
  set,
  withStage,
} from "./trap-scene.ts";

let stage: Stage;
let healthy: WorkerNeeds;
withStage(10, (started) => {
  stage = started;
  healthy = stage.needs;
});

const before = [
  ...range(1, 20).map((n) => person(n, { otherMails: [], city: n % 2 ? null : "Kiel" }, n === 1 ? null : 1)),
  ...range(500, 5).map((n) => group(n, range(1, 10))),
];
/** Everything stored about the directory with its ETag; head and the run are no part of it. */
const etags = async ({ connectionId }: Scene): Promise<string[]> => {
  const { store } = healthy;
  const lists = await Promise.all(
    (["person", "group", "members"] as const).map((kind) => store.list(connectionId, kind, { limit: 2000 })),
  );
  const docs = [...lists.flat(), ...(await store.log(connectionId, 0, 2000))];
  return docs.map(({ id, _etag }) => `${id} ${_etag}`).toSorted();
};

/** The schedule wants a round now. */
const due = (s: Scene): Promise<void> => s.lay({ head: { dueAt: stage.ambient.now(), wakeAt: stage.ambient.now() } });

describe("a change that shows up late", () => {
  it("comes with the round after, once, and nothing is lost", async () => {
    const s = await openScene(stage, { before, traits: { replicationDelay: true } });
    await s.sync("full");
    const held = await s.held();
    s.change(set(1, { jobTitle: "Lead" }), end("delete", 2), person(30), join(500, 30), manage(3, 30));
    const second = await s.sync();
    expect([second.entries, await s.held()]).toEqual([[], held]);
    const third = await s.sync();
    expect(third.run?.counts).toMatchObject({
      peopleCreated: 1,
      peopleUpdated: 2,
      peopleDeactivated: 1,
      membershipsAdded: 1,
    });
    await s.agrees();
    const fourth = await s.sync();
    expect([appearances(fourth, "users", 1), fourth.entries]).toEqual([[], []]);
  });
});

describe("a run that finds nothing", () => {
  it("costs three store operations and two requests, and writes no document of its own", async () => {
    const s = await openScene(stage, { before });
    await s.sync("full");
    await s.sync();
    const { sequence } = await s.head();
    const runs = await stage.store.list(s.connectionId, "run", { limit: 10 });
    const stored = await etags(s);
    await due(s);
    const mark = stage.simulator.graph.log.mark();
    const operations = stage.cosmos.requests();
    expect(await s.step()).toBe("done");
    expect(stage.cosmos.requests() - operations).toBe(3);
    expect(stage.simulator.graph.log.since(mark)).toHaveLength(2);
    expect(await stage.store.list(s.connectionId, "run", { limit: 10 })).toEqual(runs);
    expect([(await s.head()).sequence, await etags(s)]).toEqual([sequence, stored]);
    expect((await s.head()).lastRound).toMatchObject({ cause: "schedule", outcome: "nothing", requests: 2 });
  });

  it("in a full read writes nothing to anybody", async () => {
    const s = await openScene(stage, { before, traits: { repeats: 0.5, memberSlice: 4, pageSize: 7 } });
    await s.sync("full");
    const stored = await etags(s);
    expect(stored.length).toBeGreaterThan(30);
    const second = await s.sync("full");
    expect(appearances(second, "users", 1).length).toBeGreaterThan(0);
    expect([second.run, second.head.lastRound?.outcome]).toEqual([null, "nothing"]);
    expect(await etags(s)).toEqual(stored);
    await s.agrees();
  });
});

describe("a pause", () => {
  const caller: Caller = {
    workspaceId: "w1",
    subject: "somebody",
    permissions: new Set(["integration:sync"]),
    ip: "unknown",
    correlationId: "c1",
  };
  const setPaused = async (s: Scene, paused: boolean): Promise<void> => {
    const { settings, settingsVersion } = await s.connection();
    const { ambient, store, hints } = healthy;
    const change = changeSettings({ ambient, store, hints, keys: { ring: async () => s.context.ring } });
    await change(caller, s.connectionId, `"${settingsVersion}"`, { ...settings, paused });
  };

  /** Works until the pause has come in the middle; what is stored the moment the pause returned is all that ever is. */
  const pausedAt = async (
    s: Scene,
    interrupt: (pause: () => Promise<void>) => WorkerNeeds,
    ends: readonly string[] = [],
  ): Promise<void> => {
    let stored: string[] = [];
    const needs = interrupt(async () => {
      await setPaused(s, true);
      stored = await etags(s);
    });
    expect(await work(needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() })).toBe("continues");
    // That the run has ended is all that is told afterwards.
    const told = kinds(await s.entriesSince(0));
    expect(told.slice(told.lastIndexOf("settings updated"))).toEqual(["settings updated", ...ends]);
    const lastEntry = ends.length > 0 ? ids.log(told.length) : "none";
    expect((await etags(s)).filter((doc) => !doc.startsWith(lastEntry))).toEqual(stored);
    stored = await etags(s);
    expect(await s.head()).toMatchObject({ run: null, owner: null, links: null, wakeAt: null });
    await due(s);
    expect(await s.step()).toBe("nothing-due");
    expect(await etags(s)).toEqual(stored);
  };

  it("in the middle of reading: the run writes nothing more, and none starts until it ends", async () => {
    const s = await openScene(stage, { before, traits: { pageSize: 4 } });
    await due(s);
    let pages = 0;
    await pausedAt(s, (pause) => ({
      ...stage.needs,
      source: {
        ...stage.needs.source,
        page: async (connection, feed, link) => {
          if (++pages === 3) await pause();
          return stage.needs.source.page(connection, feed, link);
        },
      },
    }));
    expect(pages).toBeGreaterThan(3);
    expect((await s.held()).people).toEqual({});
    await setPaused(s, false);
    await s.sync("full");
    await s.agrees();
  });

  it("in the middle of applying: the run writes nothing more, and the next one makes the rest", async () => {
    const s = await openScene(stage, {
      before: [...range(1, 400).map((n) => person(n)), ...range(500, 4).map((n) => group(n, range(1, 300)))],
    });
    await due(s);
    let batches = 0;
    const interrupt = (pause: () => Promise<void>): WorkerNeeds => ({
      ...stage.needs,
      store: {
        ...stage.needs.store,
        write: async (connectionId, writes) => {
          if (writes.some((write) => write.op === "create" && write.doc.kind === "person") && ++batches === 3)
            await pause();
          return stage.needs.store.write(connectionId, writes);
        },
      },
    });
    await pausedAt(s, interrupt, ["run ended"]);
    const { people } = await s.held();
    expect([Object.keys(people).length > 50, Object.keys(people).length < 400]).toEqual([true, true]);
    const [run] = await stage.store.list(s.connectionId, "run", { limit: 1 });
    expect(run?.outcome).toBe("cancelled");
    await setPaused(s, false);
    await s.sync("full");
    await s.agrees();
  });
});
