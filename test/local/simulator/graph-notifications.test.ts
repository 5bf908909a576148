import { expect, test } from "vitest";
import type { Mutation } from "../../../src/local/simulator/directory/state.ts";
import {
  type EndpointAnswer,
  type Endpoints,
  httpsEndpoints,
  validate,
} from "../../../src/local/simulator/graph/endpoints.ts";
import { createNotifier } from "../../../src/local/simulator/graph/notifier.ts";
import { createOutbox } from "../../../src/local/simulator/graph/outbox.ts";
import { calm, type Traits } from "../../../src/local/simulator/graph/switches.ts";
import type { Subscription } from "../../../src/local/simulator/world.ts";
import { startReceiver } from "../../support/webhook-receiver.ts";
import { graphScene, group, guid, type Json, microsoft365, reader, tid, user } from "./graph-scene.ts";

const minute = 60_000;
const url = "https://localhost:7443/notifications/graph";
const lifecycleUrl = "https://localhost:7443/notifications/lifecycle";
const prompt: EndpointAnswer = { status: 202, contentType: "", body: "", milliseconds: 5 };

const openScene = (traits: Partial<Traits> = {}) => {
  let now = Date.UTC(2026, 0, 2);
  const posts: { url: string; body: string; timeoutMilliseconds: number; at: number }[] = [];
  let answer: (body: string) => EndpointAnswer = () => prompt;
  const { world, directory } = graphScene({ now: () => now });
  const tenant = world.tenants.get(tid);
  if (!tenant) throw new Error("The scene has a tenant.");
  tenant.grants.set("app", new Set(reader));
  const endpoints: Endpoints = {
    post: async (address, { body, timeoutMilliseconds }) => {
      posts.push({ url: address, body, timeoutMilliseconds, at: now });
      return answer(body);
    },
  };
  const outbox = createOutbox({ now: () => now, endpoints });
  const notifier = createNotifier({ world, traits: () => ({ ...calm, ...traits }), outbox, seed: 1 });
  const subscribe = (feed: Subscription["feed"], changes: Partial<Subscription> = {}): Subscription => {
    const subscription: Subscription = {
      id: crypto.randomUUID(),
      clientId: "app",
      resource: `/${feed}`,
      feed,
      changeTypes: ["deleted", "updated"],
      notificationUrl: url,
      lifecycleNotificationUrl: lifecycleUrl,
      clientState: `state of ${feed}`,
      latestSupportedTlsVersion: "v1_2",
      expiresAt: now + 10_000 * minute,
      renewedAt: null,
      reauthorizedAt: null,
      challengeAt: now + 9_000 * minute,
      challenges: 0,
      inconsistent: false,
      ...changes,
    };
    tenant.subscriptions.set(subscription.id, subscription);
    return subscription;
  };
  const passes = async (milliseconds: number): Promise<void> => {
    now += milliseconds;
    notifier.catchUp();
    await notifier.settled();
  };
  return {
    posts,
    tenant,
    notifier,
    subscribe,
    passes,
    answers: (next: (body: string) => EndpointAnswer) => {
      answer = next;
    },
    change: (...mutations: Mutation[]) => {
      for (const mutation of mutations) {
        directory.apply(mutation);
        notifier.changed(tenant, mutation);
      }
    },
    items: (): Json[] => posts.flatMap(({ body }) => (JSON.parse(body) as { value: Json[] }).value),
  };
};

const told = (items: Json[]): string[] =>
  items.map(({ changeType, resource }) => `${String(changeType)} ${String(resource)}`);

test("tells of every change of users and groups in one post, and of a soft deletion as an update", async () => {
  const scene = openScene();
  scene.subscribe("users");
  scene.subscribe("groups");
  scene.change(
    user(1),
    { op: "update-user", id: guid(1), set: { displayName: "New" } },
    { op: "delete-user", id: guid(1) },
    { op: "purge-user", id: guid(1) },
    group(2),
    group(3, [], microsoft365),
    { op: "delete-group", id: guid(2) },
    { op: "delete-group", id: guid(3) },
  );
  await scene.passes(1000);
  expect(scene.posts).toMatchObject([{ url, timeoutMilliseconds: 3000 }]);
  expect(told(scene.items())).toEqual([
    `updated Users/${guid(1)}`,
    `updated Users/${guid(1)}`,
    `updated Users/${guid(1)}`,
    `deleted Users/${guid(1)}`,
    `updated Groups/${guid(2)}`,
    `updated Groups/${guid(3)}`,
    `deleted Groups/${guid(2)}`,
    `updated Groups/${guid(3)}`,
  ]);
  expect(scene.items()[0]).toMatchObject({ clientState: "state of users", tenantId: tid });
});

test("names the members that changed, and numbers that JavaScript cannot count", async () => {
  const scene = openScene();
  scene.change(user(1), group(2));
  scene.subscribe("groups");
  scene.change(
    { op: "add-member", groupId: guid(2), memberId: guid(1), memberType: "user" },
    { op: "remove-member", groupId: guid(2), memberId: guid(1) },
  );
  await scene.passes(1000);
  expect(scene.items().map(({ resourceData }) => (resourceData as Json)["members@delta"])).toEqual([
    [{ id: guid(1) }],
    [{ id: guid(1), "@removed": "deleted" }],
  ]);
  const numbers = [...(scene.posts[0]?.body ?? "").matchAll(/"sequenceNumber":(\d+)[,}]/g)].map(
    ([, text = ""]) => text,
  );
  expect(numbers).toHaveLength(2);
  for (const text of numbers) expect(BigInt(text) > BigInt(Number.MAX_SAFE_INTEGER)).toBe(true);
});

test("tells nobody of a new manager, unless asked to", async () => {
  for (const managerNotifications of [false, true]) {
    const scene = openScene({ managerNotifications });
    scene.change(user(1), user(2));
    scene.subscribe("users");
    scene.change({ op: "set-manager", id: guid(1), managerId: guid(2) });
    await scene.passes(1000);
    expect(scene.items()).toHaveLength(managerNotifications ? 1 : 0);
  }
});

test("sends again what is not taken, later and later, for four hours", async () => {
  const scene = openScene();
  scene.subscribe("users");
  scene.answers(() => ({ ...prompt, status: 503 }));
  scene.change(user(1));
  for (let step = 0; step < 6 * 60; step++) await scene.passes(minute);
  const waits = scene.posts.slice(1).map(({ at }, index) => at - (scene.posts[index]?.at ?? 0));
  expect(waits.length).toBeGreaterThan(8);
  expect(waits).toEqual(waits.toSorted((one, other) => one - other));
  expect((scene.posts.at(-1)?.at ?? 0) - (scene.posts[0]?.at ?? 0)).toBeLessThanOrEqual(240 * minute);
  expect(scene.posts[1]?.timeoutMilliseconds).toBe(10_000);
  expect(scene.notifier.counts()).toMatchObject({ dropped: 1, waiting: 0 });
});

test.each([
  { milliseconds: 4000, mode: "slow" },
  { milliseconds: 11_000, mode: "drop" },
])("an endpoint that answers after $milliseconds ms: $mode", async ({ milliseconds, mode }) => {
  const scene = openScene();
  scene.subscribe("users");
  scene.answers(() => ({ ...prompt, milliseconds }));
  for (let number = 1; number <= 10; number++) {
    scene.change(user(number));
    await scene.passes(1000);
  }
  scene.answers(() => prompt);
  const before = scene.posts.length;
  scene.change(user(11));
  await scene.passes(9 * minute);
  const reached = () => scene.posts.slice(before).filter(({ body }) => body.includes(guid(11))).length;
  expect(reached()).toBe(0);
  await scene.passes(2 * minute);
  expect(reached()).toBe(mode === "slow" ? 1 : 0);
  scene.change(user(12));
  await scene.passes(minute);
  expect(scene.posts.filter(({ body }) => body.includes(guid(12)))).toHaveLength(1);
});

test("loses, repeats, shuffles and delays when told to", async () => {
  const numbers = Array.from({ length: 20 }, (_, index) => index + 1);
  const sentIn = async (traits: Partial<Traits>, after = 1000): Promise<Json[]> => {
    const scene = openScene(traits);
    scene.subscribe("users");
    scene.change(...numbers.map((number) => user(number)));
    await scene.passes(after);
    return scene.items();
  };
  const inOrder = numbers.map((number) => `updated Users/${guid(number)}`);
  expect(await sentIn({ lostNotifications: 1 })).toEqual([]);
  expect(told(await sentIn({ repeatedNotifications: 1 }))).toEqual(inOrder.flatMap((each) => [each, each]));
  const shuffled = told(await sentIn({ shuffledNotifications: true }));
  expect(shuffled).not.toEqual(inOrder);
  expect(shuffled.toSorted()).toEqual(inOrder.toSorted());
  expect(await sentIn({ notificationDelaySeconds: 60 }, 59_000)).toEqual([]);
  expect(await sentIn({ notificationDelaySeconds: 60 }, 61_000)).toHaveLength(20);
});

test("delivers nothing without permission, to an inconsistent subscription, or after its end", async () => {
  const scene = openScene();
  const subscription = scene.subscribe("users", { inconsistent: true });
  scene.change(user(1));
  subscription.inconsistent = false;
  scene.tenant.grants.set("app", new Set());
  scene.change(user(2));
  await scene.passes(0);
  await scene.passes(1000);
  expect(scene.posts.map(({ url: address }) => address)).toEqual([lifecycleUrl]);
  expect(scene.items()).toMatchObject([{ lifecycleEvent: "reauthorizationRequired" }]);
  scene.tenant.grants.set("app", new Set(reader));
  await scene.passes(10_000 * minute);
  const before = scene.posts.length;
  scene.change(user(3));
  await scene.passes(1000);
  expect([scene.tenant.subscriptions.size, scene.posts.length]).toEqual([0, before]);
});

test("asks for an answer near the end, and delivers nothing while it is ignored", async () => {
  const scene = openScene();
  const subscription = scene.subscribe("users", { challengeAt: Date.UTC(2026, 0, 2) + minute });
  await scene.passes(minute);
  scene.change(user(1));
  await scene.passes(1000);
  await scene.passes(15 * minute);
  scene.change(user(2));
  await scene.passes(1000);
  subscription.challenges = 0;
  scene.change(user(3));
  await scene.passes(1000);
  expect(scene.items().map(({ lifecycleEvent, resource }) => lifecycleEvent ?? resource)).toEqual([
    "reauthorizationRequired",
    `Users/${guid(1)}`,
    "reauthorizationRequired",
    `Users/${guid(3)}`,
  ]);
});

test("a removed subscription says so once", async () => {
  const scene = openScene();
  const { id } = scene.subscribe("users");
  scene.notifier.lifecycle(scene.tenant, "subscriptionRemoved");
  scene.change(user(1));
  await scene.passes(1000);
  expect(scene.items()).toEqual([
    expect.objectContaining({ subscriptionId: id, lifecycleEvent: "subscriptionRemoved" }),
  ]);
});

test("a forger knows everything but the client state", async () => {
  const scene = openScene();
  const { id } = scene.subscribe("users");
  scene.notifier.forge(scene.tenant, 1);
  await scene.passes(1000);
  expect(scene.items()).toMatchObject([{ subscriptionId: id, tenantId: tid }]);
  expect(scene.items()[0]?.clientState).not.toBe("state of users");
});

test.each([
  ["the token in clear", (token: string) => ({ ...prompt, status: 200, contentType: "text/plain", body: token }), null],
  [
    "the token as it came",
    (token: string) => ({ ...prompt, status: 200, contentType: "text/plain", body: encodeURIComponent(token) }),
    "not the validation token",
  ],
  [
    "the token decoded twice",
    (token: string) => ({ ...prompt, status: 200, contentType: "text/plain", body: decodeURIComponent(token) }),
    "not the validation token",
  ],
  ["a page", (token: string) => ({ ...prompt, status: 200, contentType: "text/html", body: token }), "not text/plain"],
  ["202", (token: string) => ({ ...prompt, contentType: "text/plain", body: token }), "answered 202"],
  ["nothing", () => ({ ...prompt, status: null }), "did not answer"],
])("an endpoint that answers the handshake with %s", async (_, answerTo, expected) => {
  const asked: string[] = [];
  const fault = await validate(
    {
      post: async (address, { body }) => {
        asked.push(body);
        return answerTo(new URL(address).searchParams.get("validationToken") ?? "");
      },
    },
    `${url}?own=query`,
  );
  expect(fault).toEqual(expected === null ? null : expect.stringContaining(expected));
  expect(asked).toEqual([""]);
});

test("over TLS an endpoint is trusted by its authority only, and no redirect is followed", async () => {
  const receiver = await startReceiver({ isTrusted: false });
  const endpoints = httpsEndpoints(receiver.caPem);
  const asked = { contentType: "application/json", body: '{"value":[]}', timeoutMilliseconds: 60_000 };
  const status = async (from: Endpoints, changes: Partial<typeof asked> = {}) =>
    (await from.post(receiver.url, { ...asked, ...changes })).status;
  try {
    expect(await status(endpoints)).toBe(204);
    expect(receiver.received).toMatchObject([{ path: "/hooks", body: asked.body }]);
    receiver.answer = () => ({ status: 302, location: `${receiver.url}/further` });
    expect(await status(endpoints)).toBe(302);
    const stranger = httpsEndpoints();
    expect(await status(stranger)).toBeNull();
    stranger.close();
    expect(receiver.received.map(({ path }) => path)).toEqual(["/hooks", "/hooks"]);
    receiver.answer = () => new Promise(() => {});
    expect(await status(endpoints, { timeoutMilliseconds: 200 })).toBeNull();
  } finally {
    endpoints.close();
    await receiver.close();
  }
});
