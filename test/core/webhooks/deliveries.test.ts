import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deadAfterMilliseconds, pauseBetweenEvents, turnMilliseconds } from "../../../src/core/webhooks/rules.ts";
import { isSignedWith } from "../../support/webhook-receiver.ts";
import { caller, eventOf, openStage, type Stage, sequencesOf } from "./stage.ts";

const minute = 60_000;
const hour = 60 * minute;

let stage: Stage;
let connection: string;
beforeEach(async () => {
  stage = await openStage();
  connection = await stage.connect();
});
afterEach(() => stage.close());

const tell = () => stage.app.deliver(connection);
const viewOf = async (endpoint: string) =>
  (await stage.app.list(caller(), connection)).find((view) => view.endpoint === endpoint);
const failing = () => Promise.resolve(500);
/** As long as there is something to be done, with the timer's help, and time passing meanwhile. */
const pass = async (milliseconds: number, step = 10 * minute) => {
  for (let past = 0; past < milliseconds; past += step) {
    stage.ambient.advance(step);
    if ((await stage.app.wake()) > 0) await tell();
  }
};

describe("an event", () => {
  test("says that there are changes, and not which", async () => {
    await stage.change(connection);
    expect(await tell()).toEqual({ delivered: 2, failed: 0, waiting: 0, died: 0 });
    expect(stage.crm.received.map(({ body }) => JSON.parse(body))).toEqual([
      { type: "changes.available", workspace: "w1", connection, sequence: 2 },
    ]);
    expect(stage.crm.received[0]?.headers).toMatchObject({
      "content-type": "application/json",
      "webhook-id": expect.stringMatching(/^msg_[0-9a-z]{26}$/),
      "webhook-timestamp": String(Math.floor(stage.ambient.now() / 1000)),
    });
  });

  test("is signed with every secret of its endpoint and no other", async () => {
    await tell();
    const [event] = stage.crm.received;
    const [old = "", next = ""] = stage.secrets.crm;
    if (!event) throw new Error("nothing came");
    expect([old, next].map((secret) => isSignedWith(secret, event))).toEqual([true, true]);
    expect(isSignedWith(stage.secrets.billing[0] ?? "", event)).toBe(false);
    for (const altered of [
      { ...event, body: event.body.replace('"sequence":1', '"sequence":2') },
      { ...event, headers: { ...event.headers, "webhook-timestamp": "1" } },
      { ...event, headers: { ...event.headers, "webhook-id": "msg_other" } },
    ])
      expect(isSignedWith(old, altered)).toBe(false);
  });

  test("goes to an endpoint once, and to those of the workspace only", async () => {
    const foreign = await stage.connect("w2");
    await tell();
    await tell();
    expect(await stage.app.deliver(foreign)).toMatchObject({ delivered: 1 });
    expect(stage.crm.received.map((one) => eventOf(one).connection)).toEqual([connection, foreign]);
    expect(stage.billing.received.map((one) => eventOf(one).connection)).toEqual([connection]);
    expect((await stage.head(connection)).tellAt).toBeNull();
    expect(await stage.app.wake()).toBe(0);
  });

  test("is about the newest change; what happens close together is told together", async () => {
    await tell();
    await stage.change(connection);
    await stage.change(connection);
    expect(await tell()).toMatchObject({ delivered: 0, waiting: 2 });
    const { delaySeconds } = stage.hinted.at(-1) ?? { delaySeconds: 0 };
    expect(delaySeconds * 1000).toBe(pauseBetweenEvents);
    await stage.change(connection);
    stage.ambient.advance(delaySeconds * 1000);
    await tell();
    expect(sequencesOf(stage.crm)).toEqual([1, 4]);
  });

  test("follows when something happens while another one is on its way", async () => {
    stage.crm.answer = async () => {
      await stage.change(connection);
      stage.crm.answer = () => 204;
      return 204;
    };
    await tell();
    expect(await stage.app.wake()).toBe(1);
    stage.ambient.advance(pauseBetweenEvents);
    await tell();
    expect(sequencesOf(stage.crm)).toEqual([1, 2]);
  });

  test("is found by the timer when its hint is lost, also after a restart; a checkpoint makes none", async () => {
    await stage.touch(connection);
    const next = stage.start();
    expect(await next.wake()).toBe(1);
    expect(stage.hinted.map(({ hint }) => hint.connectionId)).toEqual([connection]);
    await next.deliver(connection);
    await stage.touch(connection);
    expect(await next.wake()).toBe(0);
    expect(await stage.start({ endpoints: [] }).wake()).toBe(0);
  });

  test("does not come from a connection that is being deleted", async () => {
    const closing = await stage.connect("w1", "closing");
    expect(await stage.app.deliver(closing)).toMatchObject({ delivered: 0 });
    expect(stage.crm.received).toEqual([]);
    expect((await stage.head(closing)).tellAt).toBeNull();
  });

  test("comes again, and is the same one, when the sender died over it", async () => {
    const dying = stage.start({ sender: { send: () => Promise.reject(new Error("killed")) } });
    await expect(dying.deliver(connection)).rejects.toThrow("killed");
    expect(await tell()).toMatchObject({ delivered: 0, waiting: 2 });
    const [row] = await stage.app.needs.webhooks.list(connection);
    stage.ambient.advance(turnMilliseconds);
    expect(await tell()).toMatchObject({ delivered: 2 });
    expect(stage.billing.received[0]?.headers["webhook-id"]).toBe(row?.message?.id);
  });
});

describe("an endpoint that fails", () => {
  test("is asked again after 30 seconds, then later and later, with the same event, until it takes it", async () => {
    stage.crm.answer = failing;
    expect(await tell()).toMatchObject({ delivered: 1, failed: 1 });
    const waits: number[] = [];
    for (let attempt = 1; attempt < 14; attempt++) {
      const now = stage.ambient.now();
      const { tellAt } = await stage.head(connection);
      waits.push(((tellAt ?? 0) - now) / 1000);
      stage.ambient.advance((tellAt ?? 0) - now - 1);
      expect(await tell()).toMatchObject({ failed: 0, waiting: 1 });
      stage.ambient.advance(1);
      expect(await stage.app.wake()).toBe(1);
      await tell();
    }
    for (const [index, wait] of waits.entries()) {
      const least = Math.min(30 * 2 ** index, 6 * 3600);
      expect(wait).toBeGreaterThanOrEqual(least);
      expect(wait).toBeLessThanOrEqual(least * 1.25);
    }
    expect(waits.at(-1)).toBeGreaterThanOrEqual(6 * 3600);
    expect(new Set(stage.crm.received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    const stamps = stage.crm.received.map(({ headers }) => headers["webhook-timestamp"]);
    expect(new Set(stamps).size).toBe(stamps.length);

    expect(await viewOf("crm")).toMatchObject({ state: "failing", sequence: 0, lag: 1, failedAttempts: 14 });
    stage.crm.answer = () => 200;
    await pass(8 * hour);
    expect(await viewOf("crm")).toMatchObject({ state: "live", sequence: 1, lag: 0, failedAttempts: 0 });
  });

  test("hears of everything that happened meanwhile in one event, and not sooner because more happens", async () => {
    stage.crm.answer = failing;
    await tell();
    for (let index = 0; index < 3; index++) {
      await stage.change(connection);
      // The other endpoint is not to wait for the end of this one's back-off.
      expect(await stage.app.wake()).toBe(1);
      stage.ambient.advance(pauseBetweenEvents);
      await tell();
    }
    expect(sequencesOf(stage.crm)).toEqual([1]);
    expect(sequencesOf(stage.billing)).toEqual([1, 2, 3, 4]);
    stage.crm.answer = () => 204;
    stage.ambient.advance(minute);
    await tell();
    expect(sequencesOf(stage.crm)).toEqual([1, 4]);
    const [first, last] = stage.crm.received;
    expect(first?.headers["webhook-id"]).not.toBe(last?.headers["webhook-id"]);
  });

  test("goes on where it was after a restart", async () => {
    stage.crm.answer = failing;
    await tell();
    const next = stage.start();
    expect(await next.deliver(connection)).toMatchObject({ delivered: 0, failed: 0, waiting: 1 });
    stage.ambient.advance(minute);
    await next.deliver(connection);
    expect(stage.billing.received).toHaveLength(1);
    expect(await viewOf("crm")).toMatchObject({ failedAttempts: 2 });
    const [first, second] = stage.crm.received;
    expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
  });

  test("is dead after five days, hears no more, and begins again with a replay", async () => {
    stage.crm.answer = failing;
    await tell();
    await pass(deadAfterMilliseconds - hour, hour);
    expect(await viewOf("crm")).toMatchObject({ state: "failing" });
    // Beyond the longest back-off, six hours and a quarter of them.
    stage.ambient.advance(8 * hour);
    expect(await tell()).toMatchObject({ died: 1 });
    const attempts = stage.crm.received.length;
    expect((await stage.head(connection)).tellAt).toBeNull();

    await stage.change(connection);
    await pass(hour);
    expect(stage.crm.received).toHaveLength(attempts);
    expect(sequencesOf(stage.billing)).toEqual([1, 2]);
    expect(await viewOf("crm")).toMatchObject({ state: "dead", lag: 2, deadSince: expect.any(String) });

    stage.crm.answer = () => 204;
    const replayed = await stage.app.replay(caller(), connection, "crm", { after: 0 });
    expect(replayed).toMatchObject({ state: "pending", deadSince: null });
    expect(stage.hinted.at(-1)?.hint.connectionId).toBe(connection);
    await tell();
    expect(sequencesOf(stage.crm).slice(attempts)).toEqual([2]);
  });

  test("is dead at once when it says that it is gone; a redirect is a failure as any other", async () => {
    stage.crm.answer = () => 410;
    stage.billing.answer = () => ({ status: 302, location: stage.crm.url });
    expect(await tell()).toMatchObject({ died: 1, failed: 1 });
    expect(stage.crm.received).toHaveLength(1);
    expect((await viewOf("billing"))?.deliveries).toMatchObject([{ outcome: "refused", status: 302 }]);
  });
});

describe("an endpoint that does not answer", () => {
  test("delays no other, and while it hangs the others hear of what comes next", async () => {
    const { promise: hangs, resolve: goOn } = Promise.withResolvers<number>();
    stage.crm.answer = () => hangs;
    const first = tell();
    await expect.poll(() => stage.crm.received.length + stage.billing.received.length, { timeout: 30_000 }).toBe(2);
    // The turn with the endpoint that hangs stays with the first; the other endpoint's row is written when its answer is there.
    await expect.poll(async () => (await viewOf("billing"))?.sequence, { timeout: 30_000 }).toBe(1);
    await stage.change(connection);
    stage.ambient.advance(pauseBetweenEvents);
    expect(await tell()).toMatchObject({ delivered: 1, waiting: 1 });
    expect(sequencesOf(stage.billing)).toEqual([1, 2]);
    expect(sequencesOf(stage.crm)).toEqual([1]);
    goOn(204);
    expect(await first).toMatchObject({ delivered: 2 });
    stage.crm.answer = () => 204;
    stage.ambient.advance(turnMilliseconds);
    expect(await stage.app.wake()).toBe(1);
    await tell();
    expect(sequencesOf(stage.crm)).toEqual([1, 2]);
  });

  test("rests, so that deliveries of other connections do not wait behind it", async () => {
    const asked: string[] = [];
    const sender = {
      send: async (url: string) => {
        asked.push(url);
        return url === stage.crm.url
          ? ({ status: null, failure: "timeout", milliseconds: 10_000 } as const)
          : ({ status: 204, failure: null, milliseconds: 20 } as const);
      },
    };
    const app = stage.start({ sender });
    const other = await stage.connect();
    expect(await app.deliver(connection)).toMatchObject({ delivered: 1, failed: 1 });
    expect(await app.deliver(other)).toMatchObject({ delivered: 1, failed: 0, waiting: 1 });
    expect(asked.filter((url) => url === stage.crm.url)).toHaveLength(1);
    stage.ambient.advance(30_000);
    expect(await app.wake()).toBeGreaterThan(0);
    expect(await app.deliver(other)).toMatchObject({ failed: 1 });
  });
});
