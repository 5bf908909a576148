/** What a notification sets off: a round that begins later, for those who want it, however often and in whatever order it comes. */
import { describe, expect, it } from "vitest";
import { connectionView } from "../../../src/core/connections/views.ts";
import { feedKey } from "../../../src/core/notifications/feed.ts";
import type { ConnectionDoc, Stored } from "../../../src/core/store/documents.ts";
import { end, group, join, people, person, range, type Scene, set } from "../directory/trap-scene.ts";
import { day, hour, type Listening, minute, withNotifications } from "./stage.ts";

let n: Listening;
withNotifications(62, (started) => {
  n = started;
});

const before = [...people(5), group(500, [1, 2])];
const told = { outcome: "notified", marked: 1, answered: 0 };
const lastRound = async (s: Scene) => (await s.head()).lastRound;
const begun = async (s: Scene): Promise<number> => (await lastRound(s))?.startedAt ?? 0;
/** Seconds from the end of the last round to what is due next; of the round's own clock, so a slow machine changes nothing. */
const pauseAfter = async (s: Scene): Promise<number> => {
  const { dueAt, lastRound: round } = await s.head();
  return ((dueAt ?? 0) - (round?.endedAt ?? 0)) / 1000;
};
const view = async (s: Scene) => connectionView(await s.connection(), await s.head(), s.context.ring);
/** As the receiver would write it. */
const message = (s: Scene, receivedAt: number, resource: "users" | "groups" = "users") => ({
  feed: feedKey({ clientId: n.stage.clientId, tenantId: s.tid, resource }),
  receivedAt,
});
const quarantined = ({ _etag: etag, ...doc }: Stored<ConnectionDoc>) => ({
  doc: { ...doc, quarantine: { code: "graph-unavailable", since: "2026-01-01T00:00:00.000Z", failures: 8 } },
  etag,
});
/** All rounds that begin within a time, as hints and the timer would let them. */
const roundsWithin = async (s: Scene, milliseconds: number): Promise<number> => {
  const until = n.stage.ambient.now() + milliseconds;
  let rounds = 0;
  for (;;) {
    const { wakeAt } = await s.head();
    if (wakeAt === null || wakeAt > until) return rounds;
    if ((await s.nextStep()) === "done") rounds++;
  }
};

describe("a change in the tenant", () => {
  it("is brought by a round that the notification starts, and it is known how late", async () => {
    const s = await n.hearing({ before });
    s.change(set(1, { city: "Kiel" }));
    expect(await n.passOn()).toEqual([told]);
    expect(n.stage.hints.at(-1)).toMatchObject({ hint: { connectionId: s.connectionId }, delaySeconds: 0 });
    n.pass(4000);
    expect(await s.step()).toBe("done");
    expect(await lastRound(s)).toMatchObject({ cause: "notification", outcome: "done" });
    expect((await s.stored(1))?.record.fields).toMatchObject({ city: "Kiel" });
    const [run] = await n.stage.store.list(s.connectionId, "run", { limit: 1 });
    expect(run).toMatchObject({ cause: "notification", lateness: { from: "notification" } });
    // Received a second of the stage's before it was passed on.
    expect(run?.lateness?.seconds).toBeGreaterThanOrEqual(4);
    expect(run?.lateness?.seconds).toBeLessThan(60);
    expect((await view(s)).arrivals).toMatchObject({
      notification: { rounds: 1, p50Seconds: run?.lateness?.seconds, p95Seconds: run?.lateness?.seconds },
      schedule: { rounds: 0, p50Seconds: null },
    });
    expect((await s.head()).notified).toBeNull();
  });

  it("of a membership is told by the feed of groups", async () => {
    const s = await n.hearing({ before });
    s.change(join(500, 3));
    expect(await n.passOn()).toEqual([told]);
    expect(await s.step()).toBe("done");
    expect(await s.members(500)).toEqual([1, 2, 3]);
  });

  it("comes by the schedule when every notification is lost, and that is the longest it can take", async () => {
    const s = await n.hearing({ before, traits: { lostNotifications: 1 } });
    const since = await begun(s);
    s.change(set(1, { city: "Kiel" }));
    expect(await n.passOn()).toEqual([]);
    expect(await s.nextStep()).toBe("done");
    expect(await lastRound(s)).toMatchObject({ cause: "schedule", outcome: "done" });
    const [run] = await n.stage.store.list(s.connectionId, "run", { limit: 1 });
    expect(run?.lateness).toEqual({
      seconds: Math.round(((await lastRound(s))!.endedAt - since) / 1000),
      from: "round-before",
    });
    expect((await view(s)).arrivals.schedule).toMatchObject({ rounds: 1, p95Seconds: run?.lateness?.seconds });
  });

  it("that a full read brings says nothing of lateness", async () => {
    const s = await n.hearing({ before, traits: { lostNotifications: 1 } });
    s.change(person(20));
    await s.ask("full");
    expect(await s.step()).toBe("done");
    const [run] = await n.stage.store.list(s.connectionId, "run", { limit: 1 });
    expect([run?.mode, run?.counts.peopleCreated, run?.lateness]).toEqual(["full", 1, null]);
  });
});

describe("notifications", () => {
  it("that come twice, late, and in no order cost no round more", async () => {
    const s = await n.hearing({ before, traits: { repeatedNotifications: 1, shuffledNotifications: true } });
    s.change(set(1, { city: "Kiel" }), set(2, { city: "Bonn" }), join(500, 4));
    const passed = await n.passOn();
    expect(passed.length).toBeGreaterThan(0);
    expect(await s.step()).toBe("done");
    const mark = n.stage.ambient.now();
    const old = [mark - 5 * minute, mark - 2 * minute, mark - hour];
    for (const receivedAt of old)
      expect(await n.heard().passOn(message(s, Math.min(receivedAt, await begun(s))))).toMatchObject({ marked: 0 });
    expect(await s.step()).toBe("nothing-due");
    expect(await roundsWithin(s, 10 * minute)).toBe(0);
  });

  it("in a storm cost a round in ten seconds at most, and the last of them is answered", async () => {
    const s = await n.hearing({ before });
    const start = n.stage.ambient.now();
    let rounds = 0;
    let last = start;
    for (let second = 0; second < 60; second++) {
      n.pass(1000);
      const now = n.stage.ambient.now();
      last = now;
      // From several instances, of both feeds.
      for (const resource of ["users", "groups", "users"] as const) await n.heard().passOn(message(s, now, resource));
      if ((await s.head()).wakeAt! <= now && (await s.step()) === "done") rounds++;
    }
    expect(rounds).toBeLessThanOrEqual(Math.ceil((n.stage.ambient.now() - start) / 10_000) + 1);
    expect(rounds).toBeGreaterThanOrEqual(4);
    // One for what is left, if anything is, and the two looks for what Graph's feed may not show yet.
    expect([2, 3]).toContain(await roundsWithin(s, 20 * minute));
    expect(await begun(s)).toBeGreaterThan(last);
  });

  it("that come while a round is under way are followed by another", async () => {
    const s = await n.hearing({ before });
    s.change(set(1, { city: "Kiel" }));
    await n.passOn();
    const { source } = n.stage.needs;
    let pages = 0;
    n.stage.needs = {
      ...n.stage.needs,
      source: {
        ...source,
        page: async (...asked) => {
          const page = await source.page(...asked);
          // After the last page was read, so that only another round can find it.
          if (asked[1] === "users" && pages++ === 0) {
            s.change(set(2, { city: "Bonn" }));
            expect(await n.passOn()).toEqual([{ outcome: "notified", marked: 1, answered: 0 }]);
          }
          return page;
        },
      },
    };
    expect(await s.step()).toBe("done");
    expect([(await s.stored(2))?.record.fields.city, (await s.head()).notified?.last]).toEqual([
      undefined,
      expect.any(Number),
    ]);
    expect(n.stage.hints.at(-1)?.delaySeconds).toBeLessThanOrEqual(10);
    expect(await s.nextStep()).toBe("done");
    expect([(await s.stored(2))?.record.fields.city, (await s.head()).notified]).toEqual(["Bonn", null]);
  });

  it("that come while a long run is under way wait in head for its end, and cost no hint each", async () => {
    const s = await n.hearing({ before });
    const { sliceMilliseconds } = n.stage.needs;
    n.stage.needs = { ...n.stage.needs, sliceMilliseconds: 0 };
    await s.ask("full");
    expect([await s.step(), (await s.head()).run?.mode]).toEqual(["continues", "full"]);
    const hints = n.stage.hints.length;
    for (let times = 0; times < 3; times++) {
      n.pass(1000);
      expect(await n.heard().passOn(message(s, n.stage.ambient.now()))).toEqual(told);
    }
    expect(n.stage.hints.length).toBe(hints);
    n.stage.needs = { ...n.stage.needs, sliceMilliseconds };
    expect([await s.step(), (await s.head()).notified?.last]).toEqual(["done", expect.any(Number)]);
    expect(n.stage.hints.length).toBeGreaterThan(hints);
    expect([await s.nextStep(), (await s.head()).notified]).toEqual(["done", null]);
  });

  it("that Graph's own feed lags behind are answered after one or five minutes", async () => {
    const s = await n.hearing({ before, traits: { replicationDelay: true } });
    s.change(set(1, { city: "Kiel" }));
    await n.passOn();
    expect(await s.step()).toBe("done");
    expect(await lastRound(s)).toMatchObject({ cause: "notification", outcome: "nothing" });
    expect(await pauseAfter(s)).toBe(60);
    expect(n.stage.hints.at(-1)?.delaySeconds).toBeGreaterThan(30);
    expect(await s.nextStep()).toBe("done");
    expect(await lastRound(s)).toMatchObject({ cause: "notification", outcome: "done" });
    expect((await s.head()).arrivals?.notification?.seconds.at(-1)).toBeGreaterThanOrEqual(60);
    expect(await pauseAfter(s)).toBeGreaterThan(30 * 60);
  });

  it("that nothing comes of are looked into twice more, and then left to the schedule", async () => {
    const s = await n.hearing({ before });
    await n.heard().passOn(message(s, n.stage.ambient.now()));
    expect([await s.step(), await pauseAfter(s)]).toEqual(["done", 60]);
    expect([await s.nextStep(), await pauseAfter(s)]).toEqual(["done", 300]);
    expect(await s.nextStep()).toBe("done");
    expect([(await s.head()).again, (await pauseAfter(s)) > 1800]).toEqual([null, true]);
  });

  it("from a clock that is ahead are answered all the same", async () => {
    const s = await n.hearing({ before });
    await n.heard().passOn(message(s, n.stage.ambient.now() + 30_000));
    n.pass(1000);
    expect([await s.step(), (await s.head()).notified]).toEqual(["done", null]);
  });

  it("of what nobody knows, or nobody wants any more, say nothing", async () => {
    const s = await n.hearing({ before });
    const nobody = { outcome: "unknown", marked: 0, answered: 0 };
    expect(await n.heard().passOn({ feed: "not a feed", receivedAt: 1 })).toEqual(nobody);
    const other = { ...message(s, 1), feed: message(s, 1).feed.replace(n.stage.clientId, s.tid) };
    expect(await n.heard().passOn(other)).toEqual(nobody);
  });
});

describe("a connection that", () => {
  const now = () => n.stage.ambient.now();
  const silent: [string, Parameters<Scene["lay"]>[0]][] = [
    ["is looked at by hand", { settings: { automatic: false } }],
    ["is paused", { settings: { paused: true } }],
  ];
  it.each(silent)("%s runs nothing by it", async (_name, laid) => {
    const s = await n.hearing({ before });
    const notified = { first: now(), last: now() };
    await s.lay({ ...laid, head: { dueAt: null, wakeAt: null, notified } });
    expect(await n.heard().passOn(message(s, now()))).toEqual({ outcome: "notified", marked: 0, answered: 1 });
    expect([(await s.head()).wakeAt, await s.step()]).toEqual([null, "nothing-due"]);
    // The turn has let it go.
    expect(await s.head()).toMatchObject({ enlisted: [], notified: null });
  });

  it("is in quarantine is tried out when that is due, and not before", async () => {
    const s = await n.hearing({ before });
    await n.stage.store.write(s.connectionId, [{ op: "replace", ...quarantined(await s.connection()) }]);
    const { dueAt } = await s.head();
    expect(await n.heard().passOn(message(s, now()))).toMatchObject({ marked: 0 });
    expect([(await s.head()).dueAt, await s.step()]).toEqual([dueAt, "nothing-due"]);
  });

  it("waits for somebody's approval goes on waiting", async () => {
    const s = await n.hearing({ before: [...people(40), group(500, [1])] });
    await s.lay({ settings: { guard: { share: 1, floor: 0, offUntil: null, secondPerson: false } } });
    s.change(...range(1, 30).map((number) => end("delete", number)));
    await n.passOn();
    expect(await s.step()).toBe("waiting");
    const run = (await s.head()).run?.id;
    n.pass(minute);
    await n.heard().passOn(message(s, now()));
    expect([await s.step(), (await s.head()).run?.id]).toEqual(["waiting", run]);
  });

  it("is enlisted costs a quiet scheduled round three store operations, as any other", async () => {
    const s = await n.hearing({ before });
    const due = () => s.lay({ head: { dueAt: now(), wakeAt: now() } });
    await due();
    // What is remembered for some seconds is known after this one.
    expect(await s.step()).toBe("done");
    await due();
    const operations = n.stage.cosmos.requests();
    expect(await s.step()).toBe("done");
    expect([n.stage.cosmos.requests() - operations, (await lastRound(s))?.cause]).toEqual([3, "schedule"]);
  });
});

describe("what Graph says of the subscription itself", () => {
  const say = (s: Scene, event: "reauthorizationRequired" | "subscriptionRemoved" | "missed") => {
    n.stage.simulator.commands.lifecycle.run({ tid: s.tid, event });
    return n.passOn();
  };
  const outcomes = (passed: { outcome: string }[]): string[] => passed.map(({ outcome }) => outcome).toSorted();

  it("missed: everybody looks", async () => {
    const s = await n.hearing({ before });
    expect(outcomes(await say(s, "missed"))).toEqual(["notified", "notified"]);
    expect([await s.step(), (await lastRound(s))?.cause, (await s.head()).again]).toEqual([
      "done",
      "notification",
      null,
    ]);
  });

  it("subscriptionRemoved: another is made, and everybody looks", async () => {
    const s = await n.hearing({ before });
    const ids = n.held(s).map(({ id }) => id);
    expect(outcomes(await say(s, "subscriptionRemoved"))).toEqual(["created", "created"]);
    expect(n.held(s).filter(({ id }) => ids.includes(id))).toEqual([]);
    expect(n.held(s)).toHaveLength(2);
    expect((await s.head()).notified).toMatchObject({ first: null });
    // Said again, of what is no more.
    expect(
      await n
        .heard()
        .passOn({ ...message(s, 1), lifecycle: { event: "subscriptionRemoved", subscriptionId: ids[0]! } }),
    ).toMatchObject({ outcome: "unknown" });
  });

  it("reauthorizationRequired: one renewal however often it is said, and everybody looks", async () => {
    const s = await n.hearing({ before });
    n.pass(day);
    const mark = n.stage.simulator.graph.log.mark();
    expect(outcomes(await say(s, "reauthorizationRequired"))).toEqual(["renewed", "renewed"]);
    n.pass(5 * minute);
    expect(outcomes(await say(s, "reauthorizationRequired"))).toEqual(["nothing-due", "nothing-due"]);
    const patches = n.stage.simulator.graph.log
      .since(mark)
      .filter(({ method, status }) => method === "PATCH" && status === 200);
    expect([patches.length, n.held(s).some(({ inconsistent }) => inconsistent)]).toEqual([2, false]);
    expect((await s.head()).notified).toMatchObject({ first: null });
  });
});
