import { afterAll, beforeAll, expect, it } from "vitest";
import { connectTenant, nothing, startTestStack, type TestStack } from "../support/stack.ts";

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack();
});
afterAll(() => stack.stop());

it("connects a tenant whose sync survives the death of the host", async () => {
  const before = await stack.host.running();
  const tenant = await connectTenant(stack, { users: 120, groups: 20, seed: 5 });
  await stack.host.kill();
  const after = await stack.host.running();
  expect(after.pid).not.toBe(before.pid);
  expect(after.url).toBe(before.url);
  expect((await tenant.first()).mode).toBe("full");
  expect(await tenant.compare()).toEqual({ tenant: nothing, feed: nothing });

  await tenant.change(1, 30);
  await stack.host.restart();
  expect(await tenant.sync()).toMatchObject({ mode: "delta", outcome: "done" });
  expect(await tenant.compare()).toEqual({ tenant: nothing, feed: nothing });
});

it("sees what a wrong store would look like", async () => {
  const tenant = await connectTenant(stack, { users: 30, groups: 5, seed: 6, workspace: "w2" });
  await tenant.first();
  // The oracle is shown a change that no run has seen.
  const { accounts } = await stack.simulator
    .command("list", {})
    .then(({ tenants }) => tenants.find(({ tid }) => tid === tenant.tid) ?? { accounts: [] });
  await stack.simulator.command("mutate", {
    tid: tenant.tid,
    mutations: [{ op: "update-user", id: accounts[0]?.objectId ?? "", set: { city: "Elsewhere" } }],
  });
  await stack.simulator.command("observe", { tid: tenant.tid });
  const { tenant: wrong, feed } = await tenant.compare();
  expect(wrong.missing).toHaveLength(1);
  expect(wrong.unexpected).toHaveLength(1);
  expect(wrong.missing[0]).toContain("Elsewhere");
  expect(feed).toEqual(nothing);
});

it("says which stand-in has ended by itself", async () => {
  const lost = await startTestStack();
  await lost.cosmos?.kill();
  expect(await lost.broken).toBe("Cosmos DB");
  await lost.stop();
});
