/** What a run has staged is what it applies: no late worker and no crash changes it. */
import { expect, it } from "vitest";
import type { RawObject } from "../../../src/core/directory/ports.ts";
import type { WorkerNeeds } from "../../../src/core/directory/run/round.ts";
import { work } from "../../../src/core/directory/run/worker.ts";
import { AppError } from "../../../src/core/errors.ts";
import type { Stage } from "../../support/sync-stage.ts";
import { guid, openScene, people, range, type Scene, set, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(22, (started) => {
  stage = started;
});

const oneHint = (s: Scene, needs: WorkerNeeds) =>
  work(needs)({ connectionId: s.connectionId, receivedAt: stage.ambient.now() });

type Page = WorkerNeeds["source"]["page"];
/** `change` sees each page of the users feed, with its number from 1. */
const withUserPages = (
  needs: WorkerNeeds,
  change: (number: number, page: Awaited<ReturnType<Page>>) => unknown,
): WorkerNeeds => {
  let number = 0;
  const page: Page = async (connection, feed, link) => {
    const read = await needs.source.page(connection, feed, link);
    if (feed === "users") await change(++number, read);
    return read;
  };
  return { ...needs, source: { ...needs.source, page } };
};

it("a worker that comes back after its lease leaves what the one after it has staged", async () => {
  const s = await openScene(stage, { before: people(80), traits: { pageSize: 10 } });
  const { needs } = stage;
  await s.ask("full");
  stage.needs = { ...needs, sliceMilliseconds: 0 };
  expect([await s.step(), await s.step()]).toEqual(["continues", "continues"]);

  let wakeUp = (): void => undefined;
  const asleep = new Promise<void>((resolve) => (wakeUp = resolve));
  let fellAsleep = (): void => undefined;
  const sleeping = new Promise<void>((resolve) => (fellAsleep = resolve));
  const late = oneHint(
    s,
    withUserPages(needs, async () => {
      fellAsleep();
      await asleep;
    }),
  );
  await sleeping;
  stage.ambient.advance(needs.leaseMilliseconds + 1);
  // The next one reads further than the page the late one has in its hands, and ends its slice.
  const next = withUserPages(needs, (number) => {
    if (number === 4) stage.ambient.advance(needs.sliceMilliseconds);
  });
  expect(await oneHint(s, next)).toBe("continues");
  wakeUp();
  expect(await late).toBe("lost-turn");

  stage.needs = needs;
  await s.sync("full");
  expect(Object.keys((await s.held()).people)).toHaveLength(85);
  const runs = await stage.store.list(s.connectionId, "run", { limit: 10 });
  // The second run found nothing to do: the first had done all it said.
  expect(runs.map(({ outcome, counts }) => [outcome, counts.peopleCreated])).toEqual([["done", 85]]);
  await s.agrees();
});

it("a change that a later page takes back stays taken back when the worker dies while it applies", async () => {
  const s = await openScene(stage, { before: people(120), traits: { pageSize: 500 } });
  await s.sync("full");
  s.change(...range(1, 120).map((n) => set(n, { jobTitle: "Chief" })));
  const { needs } = stage;
  const asBefore: RawObject = { id: guid(1), properties: { jobTitle: "Engineer" } };
  let last = "";
  let dead = false;
  await s.ask();
  const dying: WorkerNeeds = {
    ...needs,
    source: {
      ...needs.source,
      page: async (connection, feed, link) => {
        if (link === "second") return { objects: [asBefore], next: null, delta: last };
        const page = await needs.source.page(connection, feed, link);
        if (feed === "groups") return page;
        last = page.delta as string;
        // So long that everything up to here is staged.
        stage.ambient.advance(60_000);
        return { ...page, next: "second", delta: null };
      },
    },
    store: {
      ...needs.store,
      write: async (connectionId, writes) => {
        if (dead) throw new Error("killed");
        const outcome = await needs.store.write(connectionId, writes);
        dead = writes.length > 50;
        return outcome;
      },
    },
  };
  await oneHint(s, dying).catch(() => undefined);
  expect((await s.head()).run?.phase).toBe("applying");
  await stage.settle(s.connectionId);
  expect((await s.stored(2))?.record.fields.jobTitle).toBe("Chief");
  expect((await s.stored(1))?.record.fields.jobTitle).toBe("Engineer");
});

it("counts once what a page says that is read again after a pause", async () => {
  const s = await openScene(stage, { before: people(31), traits: { pageSize: 10 } });
  await s.sync("full");
  s.change(...range(1, 30).map((n) => set(n, { jobTitle: null })), set(31, { jobTitle: "Chief" }));
  const { needs } = stage;
  let throttled = false;
  stage.needs = withUserPages(needs, (number) => {
    if (number === 1) stage.ambient.advance(60_000);
    if (number !== 3 || throttled) return;
    throttled = true;
    throw new AppError("graph-throttled", { retryAfterSeconds: 1 });
  });
  const { run } = await s.sync("full");
  expect(throttled).toBe(true);
  expect(run?.counts).toMatchObject({ keptThoughCleared: 30, peopleUpdated: 1 });
});
