/** Traps in how Microsoft says no: wait, not any more, not with that credential. None of them is ever read as "nobody is there". */
import { describe, expect, it } from "vitest";
import type { Stage } from "../../support/sync-stage.ts";
import { end, group, openScene, person, range, type Scene, set, withStage } from "./trap-scene.ts";

let stage: Stage;
withStage(9, (started) => {
  stage = started;
});

const before = [...range(1, 6).map((n) => person(n)), group(500, [1, 2])];
/** A token in use keeps its permissions; this makes the next request come back for a new one. */
const tokenExpires = (s: Scene): void => s.fault({ trouble: { kind: "status", status: 401 } });
const sent = async (what: () => Promise<unknown>): Promise<number> => {
  const mark = stage.simulator.graph.log.mark();
  await what();
  return stage.simulator.graph.log.since(mark).filter(({ inBatch }) => !inBatch).length;
};
const secondsUntil = (time: number | null): number => ((time ?? Number.NaN) - stage.ambient.now()) / 1000;

describe("429", () => {
  for (const [given, retryAfterSeconds, seconds] of [
    ["a Retry-After", 37, 37],
    ["a fraction as Retry-After", 20.249, 21],
    ["no Retry-After", undefined, 10],
  ] as const)
    it(`with ${given} ends the slice with a hint for ${seconds} seconds later; nothing waits and nothing is asked again`, async () => {
      const s = await openScene(stage, { before });
      await s.sync("full");
      s.change(set(1, { city: "Kiel" }), end("delete", 2));
      await s.ask();
      s.fault({
        trouble: { kind: "throttle", ...(retryAfterSeconds ? { retryAfterSeconds } : {}) },
        path: "^/users/delta",
      });
      stage.hints.length = 0;
      const asked = stage.ambient.now();
      expect(await sent(async () => expect(await s.step()).toBe("retries"))).toBe(2);
      expect(stage.hints).toMatchObject([{ hint: { connectionId: s.connectionId }, delaySeconds: seconds }]);
      const head = await s.head();
      expect(head).toMatchObject({ owner: null, leaseUntil: 0, attempts: 0, failures: 0 });
      expect(head.wakeAt).toBeGreaterThanOrEqual(asked + seconds * 1000);
      expect(secondsUntil(head.wakeAt)).toBeLessThanOrEqual(seconds);
      expect(await sent(() => s.step())).toBe(0);
      expect(await s.nextStep()).toBe("done");
      await s.sync();
      await s.agrees();
    });

  it("inside a batch pauses the same way, and what was asked in the batch is asked again", async () => {
    const s = await openScene(stage, { before });
    await s.sync("full");
    s.change(...range(10, 25).map((n) => person(n)));
    await s.ask();
    s.fault({ trouble: { kind: "throttle", retryAfterSeconds: 21 }, inBatch: true, path: "^/users/", after: 22 });
    stage.hints.length = 0;
    expect(await s.step()).toBe("retries");
    expect(stage.hints.map(({ delaySeconds }) => delaySeconds)).toEqual([21]);
    expect(await sent(() => s.step())).toBe(0);
    expect(await s.nextStep()).toBe("done");
    expect((await s.sync()).entries).toEqual([]);
    await s.agrees();
  });

  it("however often is no attempt", async () => {
    const s = await openScene(stage, { before });
    await s.ask("full");
    s.fault({ trouble: { kind: "throttle", retryAfterSeconds: 90 }, times: 9 });
    for (let time = 1; time <= 9; time++) {
      expect(await s.nextStep()).toBe("retries");
      expect(await s.head()).toMatchObject({ attempts: 0, failures: 0 });
    }
    expect(await s.nextStep()).toBe("done");
    await s.sync();
    await s.agrees();
  });

  it("for a tenant pauses all its connections and no other tenant's", async () => {
    const throttled = await openScene(stage, { before });
    const sameTenant = await openScene(stage, { sameTenantAs: throttled });
    const other = await openScene(stage, { before, label: "other" });
    for (const scene of [throttled, sameTenant, other]) await scene.ask("full");
    throttled.fault({ trouble: { kind: "throttle", retryAfterSeconds: 60, scope: "Tenant_Application" } });
    expect(await throttled.step()).toBe("retries");
    expect(await sent(async () => expect(await sameTenant.step()).toBe("retries"))).toBe(0);
    expect(secondsUntil((await sameTenant.head()).wakeAt)).toBeGreaterThan(20);
    expect(await other.step()).toBe("done");
    expect([await throttled.nextStep(), await sameTenant.step()]).toEqual(["done", "done"]);
  });

  it("for the application pauses every tenant", async () => {
    const throttled = await openScene(stage, { before });
    const other = await openScene(stage, { before, label: "other" });
    for (const scene of [throttled, other]) await scene.ask("full");
    throttled.fault({ trouble: { kind: "throttle", retryAfterSeconds: 60, scope: "Application" } });
    expect(await throttled.step()).toBe("retries");
    stage.ambient.advance(16_000);
    expect(await sent(async () => expect(await other.step()).toBe("retries"))).toBe(0);
    expect((await other.head()).attempts).toBe(0);
    expect([await throttled.nextStep(), await other.nextStep()]).toEqual(["done", "done"]);
  });
});

describe("a tenant that no longer lets us in", () => {
  const refusals: [string, string, (s: Scene) => void, (s: Scene) => void][] = [
    [
      "consent was revoked",
      "consent-revoked",
      ({ tid }) => stage.simulator.commands.revoke.run({ tid, clientId: stage.clientId }),
      ({ tid }) => stage.simulator.commands.grant.run({ tid, clientId: stage.clientId }),
    ],
    [
      "the application was switched off",
      "application-disabled",
      ({ tid }) => stage.simulator.commands.disable.run({ tid, clientId: stage.clientId }),
      ({ tid }) => stage.simulator.commands.enable.run({ tid, clientId: stage.clientId }),
    ],
    [
      "the tenant is gone",
      "tenant-gone",
      ({ tid }) => stage.simulator.commands["delete-tenant"].run({ tid }),
      ({ tid }) => {
        stage.simulator.world.tenants.get(tid)!.gone = false;
      },
    ],
    ...(
      [
        ["Conditional Access blocks us", "policy-blocked", 53003],
        ["the tenant admits no foreign applications", "tenant-blocked", 500212],
      ] as const
    ).map(([what, code, aadsts]): (typeof refusals)[number] => [
      what,
      code,
      ({ tid }) => stage.simulator.commands["entra-switches"].run({ tokenFaults: [{ tid, aadsts }] }),
      () => stage.simulator.commands["entra-switches"].run({ tokenFaults: [] }),
    ]),
    ...["User.Read.All", "GroupMember.Read.All"].map((permission): (typeof refusals)[number] => [
      `${permission} was taken away`,
      "permission-revoked",
      ({ tid }) => stage.simulator.commands.revoke.run({ tid, clientId: stage.clientId, permissions: [permission] }),
      ({ tid }) => stage.simulator.commands.grant.run({ tid, clientId: stage.clientId }),
    ]),
  ];

  for (const [what, code, breakIt, healIt] of refusals)
    it(`because ${what}: asked twice, then it needs attention, nobody is removed, and it recovers by itself`, async () => {
      const s = await openScene(stage, { before });
      await s.sync("full");
      const held = await s.held();
      const { sequence } = await s.head();
      s.change(end("delete", 1), set(3, { city: "Kiel" }));
      breakIt(s);
      tokenExpires(s);
      await s.lay({ settings: { automatic: true }, head: { dueAt: stage.ambient.now(), wakeAt: stage.ambient.now() } });

      expect(await s.step()).toBe("retries");
      expect([(await s.connection()).state, (await s.head()).attempts]).toEqual(["active", 1]);
      expect(await s.nextStep()).toBe("retries");
      const state = code === "permission-revoked" ? "degraded" : "revoked";
      expect(await s.connection()).toMatchObject({
        state: "needs-attention",
        attention: { code },
        tiers: { read: { state, trouble: { code } } },
      });
      const [run] = await stage.store.list(s.connectionId, "run", { limit: 1 });
      expect(run).toMatchObject({ outcome: "failed", failure: code });
      expect((await s.head()).dueAt).not.toBeNull();

      expect([await s.nextStep(), await s.nextStep()]).toEqual(["retries", "retries"]);
      const { attention } = await s.connection();
      expect(attention?.code).toBe(code);
      const blames = (await s.entriesSince(sequence)).filter(({ kind }) => kind === "connection");
      expect(blames).toMatchObject([{ op: "updated", evidence: code }]);
      expect(await s.held()).toEqual(held);

      healIt(s);
      expect(await s.nextStep()).toBe("done");
      expect(await s.connection()).toMatchObject({ state: "active", attention: null });
      expect((await s.connection()).tiers.read).toEqual({ wanted: true, state: "active", missing: [] });
      const entries = await s.entriesSince(sequence);
      expect(entries).toContainEqual(expect.objectContaining({ kind: "connection", evidence: "recovered" }));
      expect(entries.filter(({ op }) => op === "deactivated").map(({ object }) => object)).toEqual([s.personId(1)]);
      await s.lay({ settings: { automatic: false }, head: { dueAt: null, wakeAt: null } });
      await s.sync();
      await s.agrees();
    });
});

describe("our own credential", () => {
  it("when it is refused is not the connection's fault: no attempt, no blame, and it goes on when it is mended", async () => {
    const s = await openScene(stage, { before });
    await s.sync("full");
    const { sequence } = await s.head();
    s.change(end("delete", 1));
    stage.simulator.commands["entra-switches"].run({ expiredSecrets: ["a development secret"] });
    tokenExpires(s);
    await s.ask();
    for (let time = 1; time <= 7; time++) {
      expect(await s.nextStep()).toBe("retries");
      expect(await s.head()).toMatchObject({ attempts: 0, failures: 0, owner: null });
      expect(secondsUntil((await s.head()).wakeAt)).toBeGreaterThan(60);
    }
    expect(await s.connection()).toMatchObject({ state: "active", attention: null });
    expect(await s.entriesSince(sequence)).toEqual([]);
    stage.simulator.commands["entra-switches"].run({ expiredSecrets: [] });
    expect(await s.nextStep()).toBe("done");
    await s.sync();
    await s.agrees();
  });
});
