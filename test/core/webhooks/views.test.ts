import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { maxRecords, newRow, pauseBetweenTests } from "../../../src/core/webhooks/rules.ts";
import { codeOf } from "../../support/code-of.ts";
import { isSignedWith } from "../../support/webhook-receiver.ts";
import { caller, eventOf, openStage, type Stage, sequencesOf } from "./stage.ts";

let stage: Stage;
let connection: string;
beforeEach(async () => {
  stage = await openStage();
  connection = await stage.connect();
});
afterEach(() => stage.close());

const list = () => stage.app.list(caller(), connection);

describe("the endpoints of a connection", () => {
  test("are shown before they have heard anything, and without address or secret", async () => {
    const views = await list();
    expect(views).toMatchObject([
      { endpoint: "crm", state: "pending", sequence: 0, lag: 1, deliveries: [] },
      { endpoint: "billing", state: "pending", sequence: 0, lag: 1, deliveries: [] },
    ]);
    await stage.app.deliver(connection);
    const text = JSON.stringify(await list());
    for (const secret of ["localhost", "whsec", ...stage.secrets.crm.map((each) => each.slice(6))])
      expect(text).not.toContain(secret);
  });

  test("are shown with their last twenty deliveries", async () => {
    stage.crm.answer = () => 503;
    for (let attempt = 0; attempt < maxRecords + 2; attempt++) {
      await stage.app.deliver(connection);
      stage.ambient.advance(((await stage.head(connection)).tellAt ?? 0) - stage.ambient.now());
    }
    const [crm] = await list();
    expect(crm?.deliveries).toHaveLength(maxRecords);
    expect(crm?.deliveries[0]).toEqual({
      at: expect.any(String),
      kind: "event",
      sequence: 1,
      outcome: "refused",
      status: 503,
      milliseconds: expect.any(Number),
    });
    const times = crm?.deliveries.map(({ at }) => at) ?? [];
    expect(times).toEqual(times.toSorted().toReversed());
  });

  test("of another workspace, or that are not there, are not found", async () => {
    const foreign = await stage.connect("w2");
    expect((await stage.app.list(caller("w2"), foreign)).map(({ endpoint }) => endpoint)).toEqual(["crm"]);
    expect(await codeOf(stage.app.test(caller("w2"), foreign, "billing"))).toBe("webhook-not-found");
    expect(await codeOf(stage.app.replay(caller("w2"), foreign, "billing", { after: 0 }))).toBe("webhook-not-found");
    expect(await codeOf(stage.app.test(caller(), connection, "../x"))).toBe("webhook-not-found");
    expect(await codeOf(stage.app.list(caller("w2"), connection))).toBe("connection-not-found");
    expect(await codeOf(stage.app.test(caller("w2"), connection, "crm"))).toBe("connection-not-found");
    expect(stage.billing.received).toEqual([]);
  });
});

describe("a test", () => {
  test("is an event of its own kind, signed, and says what was answered", async () => {
    stage.crm.answer = () => 403;
    expect(await stage.app.test(caller(), connection, "crm")).toMatchObject({
      kind: "test",
      outcome: "refused",
      status: 403,
    });
    const [event] = stage.crm.received;
    if (!event) throw new Error("nothing came");
    expect(eventOf(event)).toEqual({ type: "webhook.test", workspace: "w1", connection, sequence: 1 });
    expect(isSignedWith(stage.secrets.crm[1] ?? "", event)).toBe(true);
    expect(stage.billing.received).toEqual([]);
  });

  test("goes into the log and changes nothing else", async () => {
    const before = await list();
    await stage.app.test(caller(), connection, "crm");
    const after = await list();
    expect(after).toEqual(
      before.map((view) => ({ ...view, deliveries: after.find((v) => v.endpoint === view.endpoint)?.deliveries })),
    );
    expect(after[0]?.deliveries).toMatchObject([{ kind: "test", outcome: "taken" }]);
    await stage.app.deliver(connection);
    expect(stage.crm.received.map((one) => eventOf(one).type)).toEqual(["webhook.test", "changes.available"]);
  });

  test("can be asked for every few seconds only, also by two at once", async () => {
    const codes = await Promise.all([1, 2].map(() => codeOf(stage.app.test(caller(), connection, "crm"))));
    expect(codes.toSorted()).toEqual(["none", "rate-limited"]);
    stage.ambient.advance(pauseBetweenTests);
    expect(await codeOf(stage.app.test(caller(), connection, "crm"))).toBe("none");
    expect(stage.crm.received).toHaveLength(2);
  });
});

describe("a replay", () => {
  test("tells what was told already, as a new event about the newest change", async () => {
    await stage.change(connection);
    await stage.app.deliver(connection);
    const asked = await stage.app.replay(caller(), connection, "crm", { after: 1 });
    expect(asked).toMatchObject({ state: "pending", sequence: 1, lag: 1 });
    expect(await stage.app.wake()).toBe(1);
    await stage.app.deliver(connection);
    expect(sequencesOf(stage.crm)).toEqual([2, 2]);
    expect(sequencesOf(stage.billing)).toEqual([2]);
    const [first, second] = stage.crm.received;
    expect(first?.headers["webhook-id"]).not.toBe(second?.headers["webhook-id"]);
  });

  test("of what is not there yet is refused, and never puts a place forward", async () => {
    expect(await codeOf(stage.app.replay(caller(), connection, "crm", { after: 2 }))).toBe("invalid-request");
    await stage.app.replay(caller(), connection, "crm", { after: 1 });
    await stage.app.deliver(connection);
    expect(sequencesOf(stage.crm)).toEqual([1]);
  });

  test("is not lost when it comes while an event is on its way", async () => {
    stage.crm.answer = async () => {
      stage.crm.answer = () => 204;
      await stage.app.replay(caller(), connection, "crm", { after: 0 });
      return 204;
    };
    await stage.app.deliver(connection);
    await stage.app.deliver(connection);
    expect(sequencesOf(stage.crm)).toEqual([1, 1]);
    expect(await list()).toMatchObject([{ state: "live" }, { state: "live" }]);
  });

  test("of a log that is lost with a restored backup starts anew by itself", async () => {
    await stage.app.needs.webhooks.put(connection, { ...newRow("crm"), delivered: 50 }, null);
    expect((await list())[0]).toMatchObject({ sequence: 0, lag: 1, state: "pending" });
    await stage.app.deliver(connection);
    expect((await list())[0]).toMatchObject({ sequence: 1, lag: 0, state: "live" });
  });
});
