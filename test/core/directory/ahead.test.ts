/** What a run does while it waits, and what it need not ask: a large import is fast by these, and right without them. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import type { WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { AppError } from "../../../src/core/errors.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { group, openScene, person, range, type Scene, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(12, (started) => {
  stage = started;
});

const before = [...range(1, 300).map((n) => person(n)), ...range(500, 4).map((n) => group(n, range(1, 200)))];

const step = async (s: Scene, needs: WorkerNeeds): Promise<string> =>
  work(needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() });

it("the next page is asked for while a page is worked on", async () => {
  const s = await openScene(stage, { before, traits: { pageSize: 60 } });
  await s.sync("full");
  await s.ask("full");
  const events: string[] = [];
  const { source, store } = stage.needs;
  await step(s, {
    ...stage.needs,
    source: {
      ...source,
      page: (connection, feed, link) => {
        if (feed === "users") events.push("page");
        return source.page(connection, feed, link);
      },
    },
    store: {
      ...store,
      load: async (connectionId, kind, ids) => {
        if (kind === "person") events.push("work");
        return store.load(connectionId, kind, ids);
      },
    },
  });
  expect(events.slice(0, 4)).toEqual(["page", "page", "work", "page"]);
  // 300 people and the five accounts, no page twice.
  expect(events.filter((event) => event === "page").length).toBe(6);
});

it("a page that fails ahead of its turn troubles nobody when the slice ends before", async () => {
  const s = await openScene(stage, { before, traits: { pageSize: 60 } });
  await s.sync("full");
  await s.ask("full");
  const { source, store } = stage.needs;
  let pages = 0;
  const outcome = await step(s, {
    ...stage.needs,
    source: {
      ...source,
      page: async (connection, feed, link) => {
        if (feed === "users" && ++pages === 2) throw new AppError("graph-unavailable");
        return source.page(connection, feed, link);
      },
    },
    store: {
      ...store,
      load: async (connectionId, kind, ids) => {
        await pause(5);
        if (kind === "person") throw new AppError("store-unavailable");
        return store.load(connectionId, kind, ids);
      },
    },
  });
  expect([outcome, pages]).toEqual(["retries", 2]);
  await stage.settle(s.connectionId);
  await s.sync();
  await s.agrees();
});

it("people are sealed while the commit before them is on its way", async () => {
  const s = await openScene(stage, { before });
  await s.ask("full");
  const { ambient, store } = stage.needs;
  let underWay = false;
  let sealedMeanwhile = 0;
  await step(s, {
    ...stage.needs,
    ambient: {
      ...ambient,
      randomBytes: (count) => {
        if (underWay) sealedMeanwhile++;
        return ambient.randomBytes(count);
      },
    },
    store: {
      ...store,
      write: async (connectionId, writes) => {
        underWay = writes.some((write) => write.op === "create" && write.doc.kind === "person");
        await pause(underWay ? 50 : 0);
        underWay = false;
        return store.write(connectionId, writes);
      },
    },
  });
  // A person's key alone takes three pieces of randomness.
  expect(sealedMeanwhile).toBeGreaterThan(100 * 3);
  await s.sync();
  await s.agrees();
});

it("nobody is looked up whom the same slice has written, and memberships are told all the same", async () => {
  const s = await openScene(stage, { before });
  await s.ask("full");
  const { store } = stage.needs;
  const asked: string[] = [];
  await step(s, {
    ...stage.needs,
    store: {
      ...store,
      personStates: async (connectionId, ids) => {
        asked.push(...ids);
        return store.personStates(connectionId, ids);
      },
    },
  });
  expect(asked).toEqual([]);
  const told = (await s.entriesSince(0)).flatMap(({ kind, added = [] }) => (kind === "members" ? added : []));
  expect(told.length).toBe(4 * 200);
  await s.sync();
  await s.agrees();
});

it("a first sync looks up nobody while it reads, unless one before it was broken off", async () => {
  const s = await openScene(stage, { before, traits: { pageSize: 60 } });
  const { source, store } = stage.needs;
  /** By kind, until the last page has come; the work on it is left out. */
  const lookedUpWhileReading = async (commitsOfTheDirectory: number): Promise<Record<string, number>> => {
    const lookedUp: Record<string, number> = { person: 0, group: 0 };
    let reading = true;
    let commits = 0;
    await s.ask("full");
    const needs: WorkerNeeds = {
      ...stage.needs,
      source: {
        ...source,
        page: async (connection, feed, link) => {
          const page = await source.page(connection, feed, link);
          if (feed === "users" && page.next === null) reading = false;
          return page;
        },
      },
      store: {
        ...store,
        load: async (connectionId, kind, ids) => {
          if (reading) lookedUp[kind] = (lookedUp[kind] ?? 0) + ids.length;
          return store.load(connectionId, kind, ids);
        },
        write: async (connectionId, writes) => {
          if (!reading && ++commits > commitsOfTheDirectory) throw new AppError("store-unavailable");
          return store.write(connectionId, writes);
        },
      },
    };
    await step(s, needs).catch(() => undefined);
    return lookedUp;
  };
  expect(await lookedUpWhileReading(2)).toEqual({ person: 0, group: 0 });
  expect(Object.keys((await s.held()).people).length).toBeGreaterThan(0);
  // The run is given up, and the next one is a first one again.
  await s.lay({ head: { run: null, owner: null, leaseUntil: 0 } });
  const { person: people, group: groups } = await lookedUpWhileReading(Number.POSITIVE_INFINITY);
  expect(people).toBeGreaterThan(200);
  expect(groups).toBeGreaterThanOrEqual(4);
  await stage.settle(s.connectionId);
  await s.sync();
  await s.agrees();
});

it("the next part of the plan is asked for before the one at hand is written, and again when it did not come", async () => {
  const s = await openScene(stage, { before: range(1, 490).map((n) => person(n)) });
  await s.ask("full");
  const { store, work: parts } = stage.needs;
  // Somebody else has read and planned, so that nothing of it is in memory.
  for (let slice = 0; (await s.head()).run?.phase !== "applying"; slice++) {
    expect(slice).toBeLessThan(50);
    await step(s, { ...stage.needs, sliceMilliseconds: 0 });
  }
  const events: string[] = [];
  const outcome = await step(s, {
    ...stage.needs,
    work: {
      ...parts,
      get: async (runId, id) => {
        const part = id.split(":").slice(0, 2).join(" ");
        const isFirst = !events.includes(part);
        if (part.startsWith("people+")) events.push(part);
        if (part === "people+ 1" && isFirst) throw new AppError("store-unavailable");
        return parts.get(runId, id);
      },
    },
    store: {
      ...store,
      write: async (connectionId, writes) => {
        if (writes.some((write) => "doc" in write && write.doc.kind === "person")) events.push("write");
        return store.write(connectionId, writes);
      },
    },
  });
  expect(outcome).toBe("done");
  expect(events.slice(0, 2)).toEqual(["people+ 0", "people+ 1"]);
  expect(events.filter((event) => event === "people+ 1").length).toBe(2);
  await s.sync();
  await s.agrees();
});

it("a commit takes as many people as the database takes documents, with head, log, run and connection", async () => {
  const s = await openScene(stage, { before: range(1, 400).map((n) => person(n)) });
  await s.ask("full");
  const { store } = stage.needs;
  const commits: number[] = [];
  await step(s, {
    ...stage.needs,
    store: {
      ...store,
      write: async (connectionId, writes) => {
        expect(writes.length).toBeLessThanOrEqual(100);
        const created = writes.filter((write) => write.op === "create" && write.doc.kind === "person").length;
        if (created > 0) commits.push(created);
        return store.write(connectionId, writes);
      },
    },
  });
  // The rest goes out with the end of the run.
  expect(commits.slice(0, -1)).toEqual(commits.slice(0, -1).map(() => 96));
  expect(commits.length).toBe(5);
  await s.sync();
  await s.agrees();
});

it("groups that are stored are looked up by the hundred, not one by one", async () => {
  const groups = range(500, 150).map((n) => group(n, [1, 2]));
  const s = await openScene(stage, { before: [...range(1, 5).map((n) => person(n)), ...groups] });
  await s.sync("full");
  await s.ask("full");
  const { store } = stage.needs;
  const asked = { read: 0, load: 0 };
  await step(s, {
    ...stage.needs,
    store: {
      ...store,
      read: async (connectionId, kind, id) => {
        if (kind === "group") asked.read++;
        return store.read(connectionId, kind, id);
      },
      load: async (connectionId, kind, ids) => {
        if (kind === "group" && ids.length > 0) asked.load++;
        return store.load(connectionId, kind, ids);
      },
    },
  });
  expect(asked.read).toBe(0);
  // A page of the feed at a time, and then again when their members are netted.
  expect(asked.load).toBeLessThan(30);
  await s.sync();
  await s.agrees();
});

it("while a page is worked on the event loop goes round: what was asked for leaves, and what comes is read", async () => {
  const s = await openScene(stage, { before, traits: { pageSize: 100 } });
  await s.ask("full");
  const { source } = stage.needs;
  let turns = 0;
  let counting = true;
  const count = (): void => {
    turns++;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  /** Rounds of the event loop from one page to the next, when neither has to be waited for. */
  const between: number[] = [];
  const pages = new Map<string | null, Awaited<ReturnType<typeof source.page>>>();
  for (let link: string | null = null; !pages.has(link); ) {
    const page = await source.page(s.context, "users", link);
    pages.set(link, page);
    if (page.next !== null) link = page.next;
  }
  let atLastPage = 0;
  await step(s, {
    ...stage.needs,
    source: {
      ...source,
      page: async (connection, feed, link) => {
        if (feed !== "users") return source.page(connection, feed, link);
        between.push(turns - atLastPage);
        atLastPage = turns;
        return pages.get(link) ?? source.page(connection, feed, link);
      },
    },
  });
  counting = false;
  // One for the request, and one for 25 people.
  for (const rounds of between.slice(2)) expect(rounds).toBeGreaterThanOrEqual(4);
  expect(between.length).toBeGreaterThanOrEqual(4);
});
