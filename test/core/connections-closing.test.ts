import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { graceMilliseconds, marginMilliseconds } from "../../src/core/connections/close.ts";
import { finishClosing } from "../../src/core/connections/finish-closing.ts";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import { commit } from "../../src/core/store/commit.ts";
import type { Head, Stored } from "../../src/core/store/documents.ts";
import { newRow } from "../../src/core/webhooks/rules.ts";
import { claimIn, connectionIn, fillWith, headIn, storedAbout } from "./closing-stage.ts";
import {
  approve,
  caller,
  codeOf,
  connected,
  edit,
  FakeMicrosoft,
  openStage,
  readRoles,
  type Stage,
} from "./connections-stage.ts";

let stage: Stage;
let name = 0;
const newName = (): string => `Connection ${(name += 1)}`;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());
beforeEach(() => {
  Object.assign(stage.microsoft, new FakeMicrosoft(stage.ambient.now), { granted: [...readRoles] });
});

const connectionOf = (id: string) => connectionIn(stage, id);
const headOf = (id: string) => headIn(stage, id);
const claim = (id: string) => claimIn(stage, id);
const fill = (id: string) => fillWith(stage, id);
const closed = async (who = caller()) => {
  const { id, displayName } = await connected(stage, who, newName());
  return stage.cases.close(who, id, { displayName });
};
const stored = (id: string) => storedAbout(stage, id);
const layHead = async (id: string, changes: Partial<Head>) =>
  commit(stage.needs, await headOf(id), { advance: (head) => ({ ...head, ...changes }) });

describe("deleting a connection", () => {
  test("needs its name repeated", async () => {
    const { id } = await connected(stage, caller(), newName());
    expect(await codeOf(stage.cases.close(caller(), id, { displayName: "Another" }))).toBe("invalid-request");
    expect((await stage.cases.read(caller(), id)).state).toBe("active");
  });

  test("stops it at once and deletes it in seven days", async () => {
    const { id } = await connected(stage, caller(), newName());
    const { epoch } = await headOf(id);
    const now = stage.ambient.now();
    const view = await stage.cases.close(caller(), id, { displayName: `Connection ${name}` });
    expect(view).toMatchObject({ state: "closing", tid: null, nextSyncAt: null });
    const closesAt = Date.parse(view.closesAt ?? "");
    expect(closesAt - now).toBeGreaterThanOrEqual(graceMilliseconds);
    expect(closesAt - now).toBeLessThan(graceMilliseconds + 60_000);
    expect(await headOf(id)).toMatchObject({
      epoch: epoch + 1,
      wakeAt: closesAt + marginMilliseconds,
      requested: null,
    });
    expect((await stage.cases.open("acme", id)).context.tid).toBe("");
    const { etag } = await stage.cases.readSettings(caller(), id);
    expect(
      await codeOf(
        stage.cases.changeSettings(caller(), id, etag, {
          ...defaultSettings,
          automatic: true,
          intervalMinutes: 5,
          paused: false,
        }),
      ),
    ).toBe("state-conflict");
    expect(await codeOf(stage.cases.update(caller(), id, view.etag, { displayName: newName() }))).toBe(
      "state-conflict",
    );
  });

  test("twice keeps the first date", async () => {
    const first = await closed();
    stage.ambient.advance(60_000);
    const second = await stage.cases.close(caller(), first.id, { displayName: first.displayName });
    expect(second.closesAt).toBe(first.closesAt);
  });

  test("can be undone until then, and the connection is as it was", async () => {
    const { id } = await closed();
    expect(await stage.cases.restore(caller(), id)).toMatchObject({ state: "active", closesAt: null });
    expect((await headOf(id)).wakeAt).toBeLessThanOrEqual(stage.ambient.now());
    expect(await codeOf(stage.cases.restore(caller(), id))).toBe("state-conflict");

    const draft = await stage.draft(caller(), newName());
    await stage.cases.close(caller(), draft.id, { displayName: draft.displayName });
    expect(await stage.cases.restore(caller(), draft.id)).toMatchObject({ state: "draft", nextSyncAt: null });
    await stage.cases.close(caller(), draft.id, { displayName: draft.displayName });
    await stage.cases.restore(caller(), draft.id);

    await approve(stage, draft.id);
    await stage.cases.close(caller(), draft.id, { displayName: draft.displayName });
    expect(await stage.cases.restore(caller(), draft.id)).toMatchObject({ state: "proven", tid: null });
    expect((await headOf(draft.id)).wakeAt).toBeNull();

    await edit(stage, id, (doc) => ({
      ...doc,
      state: "needs-attention",
      attention: { code: "tenant-gone", since: "2026-01-01T00:00:00.000Z" },
    }));
    await stage.cases.close(caller(), id, { displayName: (await stage.cases.read(caller(), id)).displayName });
    expect((await stage.cases.restore(caller(), id)).state).toBe("needs-attention");
  });

  test("keeps removals of people who have left waiting, and they are caught up on when it is undone", async () => {
    const { id, displayName } = await connected(stage, caller(), newName());
    await layHead(id, { retireAt: 1 });
    await stage.cases.close(caller(), id, { displayName });
    expect((await headOf(id)).retireAt).toBeNull();
    await stage.cases.restore(caller(), id);
    expect(await stage.store.dueToRetire(stage.ambient.now(), 1000)).toContain(id);
  });

  test("cannot be undone when its time has come", async () => {
    const { id } = await closed();
    stage.ambient.advance(graceMilliseconds);
    expect(await codeOf(stage.cases.restore(caller(), id))).toBe("state-conflict");
  });
});

describe("when its time has come", () => {
  test("nothing happens before, and the lease is given back", async () => {
    const { id } = await closed();
    stage.ambient.advance(graceMilliseconds);
    expect(await stage.cases.finishClosing(await connectionOf(id), await claim(id))).toBe("not-due");
    expect(await headOf(id)).toMatchObject({ owner: null });
    expect(stage.secrets.values.has(`c-${id}-k1`)).toBe(true);
  });

  test("the key, every document, the name and the row are gone; a receipt stays; others are untouched", async () => {
    const who = caller("leaving");
    const view = await closed(who);
    const neighbour = await connected(stage, caller("staying"), newName());
    await fill(view.id);
    await fill(neighbour.id);
    const { consumers, webhooks } = stage.needs;
    for (const { id } of [view, neighbour]) await webhooks.put(id, newRow("crm"), null);
    for (const { id } of [view, neighbour]) await consumers.put(id, { name: "crm", sequence: 1, seenAt: 1 }, null);
    const before = (await stored(neighbour.id)).length;
    stage.ambient.advance(graceMilliseconds + marginMilliseconds);
    expect(await stage.cases.finishClosing(await connectionOf(view.id), await claim(view.id))).toBe("closed");

    expect(stage.secrets.values.has(`c-${view.id}-k1`)).toBe(false);
    expect(
      (await stored(view.id)).map(
        (line) =>
          (JSON.parse(line) as { id?: string; document?: { id: string } }).document?.id ??
          (JSON.parse(line) as { id: string }).id,
      ),
    ).toEqual(["head"]);
    expect(await headOf(view.id)).toMatchObject({ wakeAt: null, run: null, links: null, ttl: 86_400 });
    expect(await codeOf(stage.cases.read(who, view.id))).toBe("connection-not-found");
    expect((await stage.cases.list(who, { limit: 10 })).items).toEqual([]);
    expect(await codeOf(stage.draft(who, view.displayName))).toBe("none");
    const month = new Date(stage.ambient.now()).toISOString().slice(0, 7);
    const receipts = await stage.access.list("leaving", month, { limit: 100 });
    expect(receipts).toContainEqual(
      expect.objectContaining({ what: "connection-deleted", route: "connections.closed", connectionId: view.id }),
    );
    expect(await consumers.list(view.id)).toEqual([]);
    expect(await webhooks.list(view.id)).toEqual([]);
    expect(await webhooks.list(neighbour.id)).toHaveLength(1);
    expect(await consumers.list(neighbour.id)).toHaveLength(1);
    expect((await stored(neighbour.id)).length).toBe(before);
    expect((await stage.cases.read(caller("staying"), neighbour.id)).state).toBe("active");
  });

  test("the head that is left is due for nothing, or every turn in vain would put off its end", async () => {
    const { id } = await closed();
    await layHead(id, { retireAt: 1, reviewAt: 1 });
    stage.ambient.advance(graceMilliseconds + marginMilliseconds);
    expect(await stage.cases.finishClosing(await connectionOf(id), await claim(id))).toBe("closed");
    const now = stage.ambient.now();
    const { due, dueToRetire, dueToReview, dueToTell } = stage.store;
    const lists = await Promise.all([due, dueToRetire, dueToReview, dueToTell].map((list) => list(now, 1000)));
    expect(lists.flat()).not.toContain(id);
  });

  test("the work goes on where it stopped, and nothing can be read meanwhile", async () => {
    const { id } = await closed();
    await fill(id);
    stage.ambient.advance(graceMilliseconds + marginMilliseconds);
    const slices = finishClosing({ ...stage.needs, sliceMilliseconds: 0 });
    expect(await slices(await connectionOf(id), await claim(id))).toBe("more");
    expect(await codeOf(stage.cases.read(caller(), id))).toBe("connection-not-found");
    expect((await headOf(id)).wakeAt).toBeLessThanOrEqual(stage.ambient.now());
    const outcomes: string[] = [];
    while (outcomes.at(-1) !== "closed" && outcomes.length < 20)
      outcomes.push(await slices(await connectionOf(id), await claim(id)));
    expect(outcomes.length).toBeGreaterThan(3);
    expect(outcomes.at(-1)).toBe("closed");
  });

  test("a crash before the first commit repeats what was done", async () => {
    const { id } = await closed();
    stage.ambient.advance(graceMilliseconds + marginMilliseconds);
    const crashing = finishClosing({
      ...stage.needs,
      store: { ...stage.store, list: () => Promise.reject(new Error("killed")) },
    });
    await expect(crashing(await connectionOf(id), await claim(id))).rejects.toThrow("killed");
    stage.ambient.advance(60_001);
    expect(await stage.cases.finishClosing(await connectionOf(id), await claim(id))).toBe("closed");
  });

  test("a worker that lost its lease stops", async () => {
    const { id } = await closed();
    await fill(id);
    stage.ambient.advance(graceMilliseconds + marginMilliseconds);
    const late = await claim(id);
    stage.ambient.advance(60_001);
    await claim(id);
    const doc: Stored<Awaited<ReturnType<typeof connectionOf>>> = await connectionOf(id);
    expect(await stage.cases.finishClosing(doc, late)).toBe("lost-turn");
  });
});
