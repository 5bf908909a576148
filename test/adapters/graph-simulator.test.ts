import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { graphClient } from "../../src/adapters/graph/client.ts";
import { directorySource } from "../../src/adapters/graph/directory-source.ts";
import { organization } from "../../src/adapters/graph/organization.ts";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import type { ConnectionContext } from "../../src/core/context.ts";
import { CursorExpired, type Feed, type RawObject } from "../../src/core/directory/ports.ts";
import { AppError } from "../../src/core/errors.ts";
import type { Fault } from "../../src/local/simulator/graph/faults.ts";
import type { Tenant } from "../../src/local/simulator/world.ts";
import { type Stage, startStage } from "./entra-stage.ts";
import { type ScriptedServer, sharedInMemory, startScripted } from "./graph-scripted-server.ts";

let stage: Stage;
let attacker: ScriptedServer;
let tenant: Tenant;
let connection: ConnectionContext;
beforeAll(async () => {
  [stage, attacker] = await Promise.all([startStage(450), startScripted()]);
  [tenant] = stage.tenants;
  connection = { connectionId: "c-1", tid: tenant.tid, settings: defaultSettings } as ConnectionContext;
});
afterAll(() => Promise.all([stage.simulator.close(), attacker.close()]));
afterEach(() => {
  stage.simulator.graph.faults.clear();
  stage.simulator.graph.switches.set(tenant.tid, null);
});

/** What an instance of the application has: nothing of it outlives a test. */
const instance = () => {
  const client = graphClient({
    baseUrl: stage.simulator.graphUrl,
    tier: "read",
    clientId: stage.app.clientId,
    tokens: stage.tokens(),
    shared: sharedInMemory(),
    now: () => stage.simulator.world.now(),
  });
  return { client, source: directorySource(client) };
};
const round = async (
  feed: Feed,
  from: string | null,
  { source } = instance(),
): Promise<{ objects: RawObject[]; delta: string }> => {
  const objects: RawObject[] = [];
  for (let link = from; ; ) {
    const page = await source.page(connection, feed, link);
    objects.push(...page.objects);
    if (page.delta !== null) return { objects, delta: page.delta };
    link = page.next;
  }
};
/** Agents have accounts as well, of a type of their own. */
const people = () =>
  [...tenant.directory.users.values()].filter(({ properties }) => properties["@odata.type"] === undefined);
const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "it succeeded",
    (error: unknown) =>
      error instanceof CursorExpired ? "cursor-expired" : error instanceof AppError ? error.code : String(error),
  );
const fault = (trouble: Fault["trouble"], rest: Partial<Fault> = {}) =>
  stage.simulator.graph.faults.add([{ trouble, ...rest }]);

describe("the simulated directory", () => {
  test("is read whole, with managers and members, and then its changes", async () => {
    const users = await round("users", null);
    const live = new Set(users.objects.filter(({ removed }) => !removed).map(({ id }) => id));
    expect([...live].toSorted()).toEqual(
      people()
        .map(({ id }) => id)
        .toSorted(),
    );
    const withManager = new Set(
      users.objects.filter(({ manager }) => manager?.some(({ removed }) => !removed)).map(({ id }) => id),
    );
    const expected = people()
      .filter(({ managerId }) => managerId !== null)
      .map(({ id }) => id);
    expect([...withManager].toSorted()).toEqual(expected.toSorted());

    const groups = await round("groups", null);
    for (const group of tenant.directory.groups.values()) {
      if (/hidden/i.test(String(group.properties.visibility))) continue;
      const pieces = groups.objects.filter(({ id }) => id === group.id);
      const members = new Set(
        pieces
          .flatMap(({ members: piece }) => piece ?? [])
          .filter(({ removed }) => !removed)
          .map(({ id }) => id),
      );
      expect([group.id, [...members].toSorted()]).toEqual([group.id, [...group.members.keys()].toSorted()]);
    }

    const [gone] = [...tenant.directory.users.keys()].slice(-1) as [string];
    tenant.directory.apply({ op: "delete-user", id: gone });
    const changes = await round("users", users.delta);
    expect(changes.objects.find(({ id }) => id === gone)?.removed).toBe("changed");
  });

  test("says what is there and what is not, and knows its organisation", async () => {
    const { client, source } = instance();
    const ids = people()
      .slice(0, 41)
      .map(({ id }) => id);
    const absent = "00000000-0000-4000-8000-000000000000";
    const present = await source.present(connection, "users", [...ids, absent]);
    expect([...present]).toEqual([...ids.map((id) => [id, true]), [absent, false]]);
    const found = await source.people(connection, [...ids, absent]);
    expect(found.get(absent)).toBeNull();
    for (const id of ids) {
      const user = tenant.directory.users.get(id);
      expect(found.get(id)?.properties.displayName).toBe(user?.properties.displayName);
      expect(found.get(id)?.manager?.map((manager) => manager.id)).toEqual(
        user?.managerId && tenant.directory.users.has(user.managerId) ? [user.managerId] : [],
      );
    }
    const [group] = [...tenant.directory.groups.values()].toSorted((a, b) => b.members.size - a.members.size);
    const members = await source.members(connection, group?.id ?? "", null);
    expect(new Set(members.members.map(({ type }) => type)).size).toBeGreaterThan(0);
    expect(members.members.every(({ id, type }) => group?.members.get(id) === type)).toBe(true);
    expect(await organization(client)(connection)).toMatchObject({
      id: tenant.tid,
      verifiedDomains: tenant.verifiedDomains,
    });
  });

  test.each<[Fault["trouble"]]>([
    [{ kind: "gone" }],
    [{ kind: "sync-state-not-found" }],
    [{ kind: "sync-state-not-found", code: "SYNCSTATENOTFOUND", status: 404 }],
    [{ kind: "resync-required", nested: true }],
    [{ kind: "resync-required" }],
    [{ kind: "delta-link-too-old" }],
    [{ kind: "token-unknown" }],
  ])("no longer honours a link: %j", async (trouble) => {
    const { delta } = await round("groups", null);
    fault(trouble);
    expect(await codeOf(round("groups", delta))).toBe("cursor-expired");
    expect(stage.simulator.graph.faults.left()).toBe(0);
  });

  test("forgets links after their week, and takes those of another feed for none of its own", async () => {
    const { delta } = await round("groups", null);
    expect(await codeOf(instance().source.page(connection, "users", delta.replace("/groups/", "/users/")))).toBe(
      "cursor-expired",
    );
    stage.simulator.commands.clock.run({ advanceSeconds: 8 * 24 * 3600 });
    expect(await codeOf(round("groups", delta))).toBe("cursor-expired");
  });

  test.each(["nextLink", "deltaLink"] as const)("offers a foreign %s in vain", async (name) => {
    stage.simulator.graph.switches.set(tenant.tid, { foreignOrigin: { [name]: attacker.url } });
    expect(await codeOf(round("users", null))).toBe("graph-foreign-link");
    expect(attacker.seen).toEqual([]);
  });

  test("pages for ever in vain", async () => {
    stage.simulator.graph.switches.set(tenant.tid, { loop: "groups", emptyPages: 0 });
    expect(await codeOf(round("groups", null))).toBe("graph-unavailable");
  });

  test("throttles one answer of a batch, and the whole tenant waits", async () => {
    const running = instance();
    fault({ kind: "throttle", retryAfterSeconds: 3.2 }, { inBatch: true, after: 5 });
    const ids = [...tenant.directory.users.keys()].slice(0, 20);
    await expect(running.source.present(connection, "users", ids)).rejects.toMatchObject({
      code: "graph-throttled",
      details: { retryAfterSeconds: 4 },
    });
    const before = running.source.requests("c-1");
    expect(await codeOf(running.source.page(connection, "users", null))).toBe("graph-throttled");
    expect(running.source.requests("c-1")).toBe(before);
    stage.simulator.commands.clock.run({ advanceSeconds: 5 });
    expect((await running.source.present(connection, "users", ids)).size).toBe(20);
  });

  test.each<[Fault["trouble"], string]>([
    [{ kind: "reset" }, "graph-unavailable"],
    [{ kind: "truncated" }, "graph-unavailable"],
    [{ kind: "html", status: 200 }, "graph-unavailable"],
    [{ kind: "html", status: 502 }, "graph-unavailable"],
    [{ kind: "status", status: 504 }, "graph-unavailable"],
    [{ kind: "throttle", asDate: true, retryAfterSeconds: 5, scope: "Application" }, "graph-throttled"],
  ])("in trouble %j", async (trouble, code) => {
    fault(trouble);
    expect(await codeOf(instance().source.page(connection, "users", null))).toBe(code);
  });

  test("takes a permission away and gives it back without a restart", async () => {
    const running = instance();
    await running.source.page(connection, "users", null);
    const granted = tenant.grants.get(stage.app.clientId) ?? new Set<string>();
    tenant.grants.set(stage.app.clientId, new Set(["GroupMember.Read.All"]));
    // The token of before still has it; an expired one is replaced without anybody noticing.
    stage.simulator.commands.clock.run({ advanceSeconds: 2 * 3600 });
    expect(await codeOf(running.source.page(connection, "users", null))).toBe("permission-revoked");
    tenant.grants.set(stage.app.clientId, granted);
    stage.simulator.commands.clock.run({ advanceSeconds: 5 * 60 });
    expect(await codeOf(running.source.page(connection, "users", null))).toBe("it succeeded");
  });
});
