/** From a change in the tenant to the change log, in the shipped bundle: subscribed to, told by Graph, passed on, read. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { connectTenant, startTestStack, type TestStack } from "../support/stack.ts";

const Connection = z.looseObject({
  subscriptions: z.array(z.looseObject({ resource: z.string(), state: z.string() })),
  lastRound: z.looseObject({ cause: z.string(), outcome: z.string() }).nullable(),
  nextSyncAt: z.string().nullable(),
  arrivals: z.looseObject({ notification: z.looseObject({ rounds: z.number(), p95Seconds: z.number().nullable() }) }),
});
const Settings = z.looseObject({ etag: z.string(), version: z.number() });
const Changes = z.looseObject({
  items: z.array(z.looseObject({ kind: z.string(), op: z.string(), sequence: z.number() })),
});

const patience = { timeout: 90_000, interval: 200 };

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({ notifications: true, seed: 3 });
});
afterAll(() => stack.stop());

test("a new person arrives although the schedule is a day away, and a pause takes the subscription back", async () => {
  const { command } = stack.simulator;
  const { tid, connectionId, product, first } = await connectTenant(stack, { users: 20, groups: 3, seed: 31 });
  await first();
  const path = `/connections/${connectionId}`;
  const connection = () => product.get(path, Connection);
  const stateOf = async (resource: string) =>
    (await connection()).subscriptions.find((each) => each.resource === resource)?.state;
  await expect.poll(() => stateOf("users"), patience).toBe("live");

  const health = await (await fetch(`${stack.url}/health`)).json();
  expect(health).toMatchObject({ status: "up", notifications: "on" });

  const created = async () => {
    const { items } = await product.get(`${path}/changes?after=0&limit=200`, Changes);
    return items.filter(({ kind, op }) => kind === "person" && op === "created").length;
  };
  const before = await created();
  const user = {
    id: randomUUID(),
    properties: { displayName: "New Here", userPrincipalName: "new.here@t31.example", accountEnabled: true },
    managerId: null,
  };
  await command("mutate", { tid, mutations: [{ op: "create-user", user }] });
  await expect.poll(created, patience).toBe(before + 1);
  await expect.poll(async () => (await connection()).arrivals.notification.rounds, patience).toBeGreaterThan(0);
  const { nextSyncAt, arrivals } = await connection();
  expect(arrivals.notification.p95Seconds).toBeLessThan(120);
  expect(Date.parse(nextSyncAt ?? "")).toBeGreaterThan(Date.now());

  const { etag, version: _, ...settings } = await product.get(`${path}/settings`, Settings);
  await product.put(`${path}/settings`, { ...settings, paused: true }, etag, z.object({}));
  const left = async () => (await command("subscriptions", { tid })).subscriptions.length;
  await expect.poll(left, patience).toBe(0);
  expect((await connection()).subscriptions).toEqual([]);
}, 300_000);
