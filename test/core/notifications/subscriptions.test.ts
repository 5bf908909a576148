/** One subscription for each feed of a tenant: made, shared, renewed, made anew, taken back, whoever dies on the way. */
import { describe, expect, it } from "vitest";
import { consumerStore } from "../../../src/adapters/cosmos/consumer-store.ts";
import { changeSettings } from "../../../src/core/connections/change-settings.ts";
import { closeConnection } from "../../../src/core/connections/close.ts";
import { readConnection } from "../../../src/core/connections/read.ts";
import { AppError } from "../../../src/core/errors.ts";
import { feedOf, notificationKey } from "../../../src/core/notifications/client-state.ts";
import { people, type Scene } from "../directory/trap-scene.ts";
import { caller } from "../views-stage.ts";
import { day, hour, type Listening, minute, withNotifications } from "./stage.ts";

let n: Listening;
withNotifications(61, (started) => {
  n = started;
});

const before = people(3);
const apiOf = (s: Scene) => ({
  ...n.stage.needs,
  keys: { ring: () => Promise.resolve(s.context.ring) },
  access: { record: async () => undefined, list: async () => [] },
});
const pause = async (s: Scene, paused: boolean): Promise<void> => {
  const { settings, settingsVersion } = await s.connection();
  await changeSettings(apiOf(s))(caller(), s.connectionId, `"${settingsVersion}"`, { ...settings, paused });
};
const resources = (s: Scene): string[] =>
  n
    .held(s)
    .map(({ feed }) => feed)
    .toSorted();
const enlisted = async (s: Scene): Promise<number> => (await s.head()).enlisted?.length ?? 0;
const subscriptionsOf = async (s: Scene) => {
  const needs = { ...apiOf(s), ledger: n.needs.ledger, consumers: consumerStore(n.stage.handles.state) };
  return (await readConnection(needs)(caller(), s.connectionId)).subscriptions;
};

describe("the first turn of a connection with a schedule", () => {
  it("enlists it; a subscription is made for each feed, with a client state that proves itself, and a round follows", async () => {
    const s = await n.scene({ before });
    expect([await enlisted(s), n.held(s)]).toEqual([0, []]);
    expect(await s.step()).toBe("nothing-due");
    expect([await enlisted(s), (await n.row(s))?.state]).toEqual([2, "gone"]);
    expect(await subscriptionsOf(s)).toMatchObject([{ state: "waiting" }, { state: "waiting" }]);
    expect(await n.tick()).toEqual(["created", "created"]);
    expect(resources(s)).toEqual(["groups", "users"]);
    for (const { feed, clientState } of n.held(s))
      expect(feedOf(n.needs.keys, clientState ?? "")).toEqual({
        clientId: n.stage.clientId,
        tenantId: s.tid,
        resource: feed,
      });
    expect(await subscriptionsOf(s)).toEqual([
      { resource: "users", state: "live", reason: null },
      { resource: "groups", state: "live", reason: null },
    ]);
    expect(await s.nextStep()).toBe("done");
    expect((await s.head()).lastRound).toMatchObject({ cause: "notification", outcome: "nothing" });
    expect(await n.tick()).toEqual([]);
  });

  it("is not for a connection that is looked at by hand", async () => {
    const s = await n.scene({ before });
    await s.lay({ settings: { automatic: false } });
    await s.step();
    expect([await enlisted(s), await n.row(s)]).toEqual([0, null]);
  });

  it("does not wait for the schedule when settings begin to want it", async () => {
    const s = await n.scene({ before });
    await s.lay({ settings: { automatic: false } });
    n.stage.hints.length = 0;
    const { settings, settingsVersion } = await s.connection();
    await changeSettings(apiOf(s))(caller(), s.connectionId, `"${settingsVersion}"`, { ...settings, automatic: true });
    expect(n.stage.hints.map(({ hint }) => hint.connectionId)).toEqual([s.connectionId]);
    expect([await s.step(), await enlisted(s)]).toEqual(["nothing-due", 2]);
  });

  it("that dies before head tells is made good for by the next", async () => {
    const s = await n.scene({ before });
    await n.heard().enlist(await s.connection(), []);
    expect([await enlisted(s), (await n.row(s))?.connections]).toEqual([0, [s.connectionId]]);
    await s.step();
    expect([await enlisted(s), (await n.row(s))?.connections]).toEqual([2, [s.connectionId]]);
  });
});

describe("two workspaces on one tenant", () => {
  it("share the subscriptions; a pause of one leaves the other's, and the last one out takes them back", async () => {
    const one = await n.hearing({ before });
    const other = await n.hearing({ sameTenantAs: one });
    expect([resources(one), (await n.row(one))?.connections.length]).toEqual([["groups", "users"], 2]);
    const ids = n.held(one).map(({ id }) => id);

    await pause(one, true);
    expect(await one.step()).toBe("nothing-due");
    await n.tick();
    expect([n.held(one).map(({ id }) => id), (await n.row(one))?.connections]).toEqual([ids, [other.connectionId]]);

    await closeConnection(apiOf(other))(caller(), other.connectionId, { displayName: "Test" });
    // The timer finds it: whoever closes is not due before a week.
    expect(await n.stage.store.due(n.stage.ambient.now(), 100)).toContain(other.connectionId);
    await other.step();
    expect(await n.tick()).toEqual(["removed", "removed"]);
    expect([n.held(one), await n.row(one)]).toEqual([[], null]);

    await pause(one, false);
    await one.step();
    expect(await n.tick()).toEqual(["created", "created"]);
  });

  it("are asked, so one that went without a word is let go, and comes again when it wants to", async () => {
    const one = await n.hearing({ before });
    const other = await n.hearing({ sameTenantAs: one });
    await one.lay({ settings: { paused: true } });
    n.pass(day);
    expect(await n.tick()).toEqual(["nothing-due", "nothing-due"]);
    expect([(await n.row(one))?.connections, await enlisted(one)]).toEqual([[other.connectionId], 0]);
    await one.lay({ settings: { paused: false } });
    await one.step();
    expect((await n.row(one))?.connections).toEqual([other.connectionId, one.connectionId]);
  });
});

it("whoever comes back while he is let go joins again with his next turn", async () => {
  const one = await n.hearing({ before });
  const other = await n.hearing({ sameTenantAs: one });
  await one.lay({ settings: { paused: true } });
  n.pass(day);
  const { store } = n.needs;
  let isBack = false;
  n.needs.store = {
    ...store,
    read: async (...asked) => {
      if (asked[0] === other.connectionId && !isBack) {
        isBack = true;
        await one.lay({ settings: { paused: false } });
        await one.step();
      }
      return await store.read(...asked);
    },
  };
  await n.tend(one);
  n.needs.store = store;
  expect([isBack, (await n.row(one))?.connections]).toEqual([true, [other.connectionId]]);
  await one.step();
  expect([await enlisted(one), (await n.row(one))?.connections]).toEqual([2, [other.connectionId, one.connectionId]]);
});

describe("whoever dies", () => {
  it.each(["before", "after"] as const)(
    "%s Graph has made a subscription leaves one of it, not two",
    async (moment) => {
      const s = await n.scene({ before });
      await s.step();
      const { subscriptions } = n.needs;
      n.needs.subscriptions = {
        ...subscriptions,
        create: async (...asked) => {
          if (moment === "after") await subscriptions.create(...asked);
          throw new Error("the process ends here");
        },
      };
      await expect(n.tend(s)).rejects.toThrow("the process ends here");
      expect([(await n.row(s))?.state, n.held(s).length]).toEqual(["pending", moment === "after" ? 1 : 0]);
      n.needs.subscriptions = subscriptions;
      expect(await n.tend(s)).toBe("held");
      n.pass(5 * minute);
      expect(await n.tend(s)).toBe("created");
      const [held, ...more] = n.held(s);
      expect([more, (await n.row(s))?.subscriptionId]).toEqual([[], held?.id]);
    },
  );

  it("before everybody was told that there was a gap leaves that to the next look", async () => {
    const s = await n.scene({ before });
    await s.step();
    const { store } = n.needs;
    n.needs.store = {
      ...store,
      read: (...asked) => (asked[1] === "head" ? Promise.reject(new Error("over")) : store.read(...asked)),
    };
    await expect(n.tend(s)).rejects.toThrow("over");
    n.needs.store = store;
    expect([(await s.head()).notified ?? null, (await n.row(s))?.state]).toEqual([null, "live"]);
    n.pass(minute);
    await n.tick();
    expect((await s.head()).notified).toMatchObject({ first: null });
  });
});

it("two instances at once make one subscription", async () => {
  const s = await n.scene({ before });
  await s.step();
  expect((await Promise.all([n.tend(s), n.tend(s), n.tend(s)])).toSorted()).toEqual(["created", "held", "held"]);
  expect(n.held(s)).toHaveLength(1);
});

describe("the life of a subscription", () => {
  it("is prolonged at half to seven tenths of it, and never twice in ten minutes", async () => {
    const s = await n.hearing({ before });
    const row = await n.row(s);
    const one = () => n.held(s).find(({ feed }) => feed === "users") ?? null;
    const made = { ...one() };
    if (!row?.renewAt || !row.expiresAt || !made.expiresAt) throw new Error("there is no subscription");
    const life = row.expiresAt - (row.touchedAt ?? 0);
    const share = (row.renewAt - (row.touchedAt ?? 0)) / life;
    expect([share >= 0.5 && share <= 0.7, made.expiresAt, life > 28 * day]).toEqual([true, row.expiresAt, true]);

    n.pass(row.renewAt - n.stage.ambient.now());
    // Two instances at once, and one of them does it.
    expect((await Promise.all([n.tend(s), n.tend(s)])).toSorted()).toEqual(["held", "renewed"]);
    expect([one()?.id, (one()?.expiresAt ?? 0) > made.expiresAt]).toEqual([made.id, true]);
    expect((await s.head()).notified ?? null).toBeNull();

    n.stage.simulator.commands.lifecycle.run({ tid: s.tid, event: "reauthorizationRequired" });
    const heldOff = (await n.passOn()).map(({ outcome }) => outcome).toSorted();
    // Of the two feeds the one that was just renewed has given its answer.
    expect(heldOff).toEqual(["nothing-due", "renewed"]);
    expect(n.held(s).map(({ inconsistent }) => inconsistent)).toEqual([false, false]);
  });

  it("that ended while nobody was there begins anew, and everybody looks", async () => {
    const s = await n.hearing({ before });
    n.pass(30 * day);
    expect(n.held(s).filter(({ expiresAt }) => expiresAt > n.stage.ambient.now())).toEqual([]);
    expect(await n.tick()).toEqual(["created", "created"]);
    expect((await s.head()).notified).toMatchObject({ first: null });
  });

  it("that Graph knows nothing of when it is to be prolonged begins anew", async () => {
    const s = await n.hearing({ before });
    const earlier = await n.row(s);
    n.stage.simulator.commands["forget-subscriptions"].run({ tid: s.tid });
    n.pass((earlier?.renewAt ?? 0) - n.stage.ambient.now());
    expect(await n.tend(s)).toBe("created");
    expect((await n.row(s))?.subscriptionId).not.toBe(earlier?.subscriptionId);
    expect((await s.head()).notified).toMatchObject({ first: null });
  });

  it("near its end is an alarm when it cannot be prolonged", async () => {
    const s = await n.hearing({ before });
    n.needs.subscriptions = {
      ...n.needs.subscriptions,
      renew: () => Promise.reject(new AppError("graph-unavailable")),
    };
    const { renewAt, alarmAt } = (await n.row(s)) ?? {};
    n.pass((renewAt ?? 0) - n.stage.ambient.now());
    expect(await n.tend(s)).toBe("retries");
    expect((await n.row(s))?.wakeAt).toBeGreaterThanOrEqual(n.stage.ambient.now() + 9 * minute);
    expect(await n.heard().isAnyOverdue()).toBe(false);
    n.pass((alarmAt ?? 0) - n.stage.ambient.now());
    expect([await n.tend(s), await n.heard().isAnyOverdue()]).toEqual(["overdue", true]);
  });

  it("ends with the key it was made with, and with the address", async () => {
    const s = await n.hearing({ before });
    const key = notificationKey(n.stage.ambient.randomBytes(32));
    n.needs.keys = [key, n.needs.keys[0]];
    n.pass(day);
    expect(await n.tend(s)).toBe("created");
    const states = n.held(s).map(({ feed, clientState }) => feedOf([key], clientState ?? "") && feed);
    expect(states.filter(Boolean)).toEqual(["users"]);
    expect(resources(s)).toEqual(["groups", "users"]);
  });
});

describe("what Graph refuses", () => {
  it("for want of a permission is shown, left to the schedule, and tried again later", async () => {
    const s = await n.scene({ before, traits: { groupSubscriptionRight: "Group.Read.All" } });
    await s.step();
    expect([await n.tend(s), await n.tend(s, "groups")]).toEqual(["created", "refused"]);
    expect((await subscriptionsOf(s))[1]).toEqual({ resource: "groups", state: "refused", reason: "permission" });
    expect(await n.tend(s, "groups")).toBe("nothing-due");
    s.traits({ groupSubscriptionRight: "GroupMember.Read.All" });
    n.pass(6 * hour);
    expect(await n.tend(s, "groups")).toBe("created");
  });

  it("for there are too many of them is a quota", async () => {
    const s = await n.scene({ before, traits: { mostSubscriptions: 1 } });
    await s.step();
    expect([await n.tend(s), await n.tend(s, "groups")]).toEqual(["created", "refused"]);
    expect(await n.row(s, "groups")).toMatchObject({ state: "refused", reason: "quota" });
  });

  it("because it has one already: our own stray goes, another installation's stays", async () => {
    const s = await n.scene({ before });
    await s.step();
    const feed = { clientId: n.stage.clientId, tenantId: s.tid, resource: "users" } as const;
    await n.needs.subscriptions.create(feed, "a stray");
    expect(await n.tend(s)).toBe("created");
    expect(n.held(s)).toHaveLength(1);

    const foreign = n.held(s).find(({ feed: name }) => name === "users");
    if (!foreign) throw new Error("there is no subscription");
    foreign.notificationUrl = foreign.notificationUrl.replace("/graph", "/elsewhere");
    const { ledger } = n.needs;
    const key = `${feed.clientId}:${feed.tenantId}:users`;
    const row = await ledger.read(key);
    if (!row) throw new Error("there is no row");
    await ledger.put({ ...row, state: "gone", subscriptionId: null, wakeAt: 0 }, row._etag);
    expect(await n.tend(s)).toBe("refused");
    expect([await n.row(s), n.held(s).map(({ id }) => id)]).toMatchObject([{ reason: "taken" }, [foreign.id]]);
  });

  it("for a while waits as long as Graph says, for lost consent some hours", async () => {
    const s = await n.scene({ before });
    await s.step();
    const { subscriptions } = n.needs;
    n.needs.subscriptions = {
      ...subscriptions,
      list: () => Promise.reject(new AppError("graph-throttled", { retryAfterSeconds: 700 })),
    };
    expect(await n.tend(s)).toBe("retries");
    expect(((await n.row(s))?.wakeAt ?? 0) - n.stage.ambient.now()).toBeGreaterThan(690_000);
    n.needs.subscriptions = { ...subscriptions, list: () => Promise.reject(new AppError("permission-revoked")) };
    expect(await n.tend(s, "groups")).toBe("refused");
    expect(await n.row(s, "groups")).toMatchObject({ state: "refused", reason: "consent" });
  });
});
