import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { AppError } from "../../../src/core/errors.ts";
import { NotificationMessage } from "../../../src/core/jobs.ts";
import {
  clientStateFor,
  type NotificationKeys,
  notificationKey,
} from "../../../src/core/notifications/client-state.ts";
import { type Feed, feedKey } from "../../../src/core/notifications/feed.ts";
import { receive } from "../../../src/core/notifications/intake.ts";

const keys: NotificationKeys = [notificationKey(Buffer.alloc(32, 1)), notificationKey(Buffer.alloc(32, 2))];
const feed: Feed = {
  clientId: "5b0f7c1e-6a52-4c1d-9a3e-2f4d8e6b7a90",
  tenantId: "aaaaaaaa-2222-4333-8444-555555555555",
  resource: "users",
};
const groups: Feed = { ...feed, resource: "groups" };
const other: Feed = { ...feed, tenantId: "bbbbbbbb-2222-4333-8444-555555555555" };

const item = (of: Feed = feed, changes: Record<string, unknown> = {}): Record<string, unknown> => ({
  subscriptionId: randomUUID(),
  clientState: clientStateFor(keys, of),
  tenantId: of.tenantId,
  changeType: "updated",
  resource: `Users/${randomUUID()}`,
  ...changes,
});

interface Sent extends NonNullable<NotificationMessage["notification"]> {
  visibleAt: number;
}

const openIntake = () => {
  const start = Date.UTC(2026, 0, 2);
  let now = start;
  const sent: Sent[] = [];
  let down: Promise<void> | null = null;
  const take = receive({
    keys,
    now: () => now,
    queue: {
      send: async (message, delaySeconds) => {
        await down;
        const { notification } = NotificationMessage.parse(message);
        sent.push({ ...notification, visibleAt: now + delaySeconds * 1000 });
      },
    },
  });
  return {
    start,
    sent,
    post: (...value: unknown[]) => take({ value }),
    take,
    passes: (milliseconds: number) => {
      now += milliseconds;
    },
    now: () => now,
    fails: (isDown: boolean) => {
      down = isDown ? Promise.reject(new AppError("queue-unavailable")) : null;
      down?.catch(() => {});
    },
  };
};

test("one hint for each feed, however many items there are", async () => {
  const { post, sent, start } = openIntake();
  expect(await post(item(), item(), item(groups), item(other), item())).toEqual({
    taken: 5,
    forged: 0,
    unusable: 0,
    hints: 3,
  });
  expect(sent).toEqual(
    [feed, groups, other].map((each) => ({ feed: feedKey(each), receivedAt: start, since: start, visibleAt: start })),
  );
});

test("in a storm two hints in half a minute, and after every notification one that is newer", async () => {
  const { post, sent, passes, now, start } = openIntake();
  const received: number[] = [];
  // 500 in a second for ten seconds, then one now and then.
  for (let number = 0; number < 500; number++) {
    await Promise.all([post(item(), item()), post(item())]);
    received.push(now());
    passes(number < 400 ? 20 : 1700);
  }
  const seconds = (now() - start) / 1000;
  expect(sent.length).toBeLessThanOrEqual(2 * Math.ceil(seconds / 30) + 1);
  for (const at of received)
    expect(sent.some(({ receivedAt, visibleAt }) => receivedAt >= at && visibleAt <= at + 30_000)).toBe(true);
  // A round that began between the second notification and its hint is no reason to drop the hint.
  for (const { receivedAt, visibleAt } of sent) expect(receivedAt).toBe(visibleAt);
  // Lateness counts from the first that a hint stands for.
  for (const { since = 0, visibleAt } of sent) expect([since, since + 30_000]).toContain(visibleAt);
});

test("repeated and out of order, items say no more than once and in order", async () => {
  const { post, sent } = openIntake();
  const items = [item(), item(groups), item()];
  await post(...items);
  await post(...items.toReversed(), ...items);
  await post(...items);
  const counts = Map.groupBy(sent, ({ feed: key }) => key);
  expect([...counts.values()].map(({ length }) => length)).toEqual([2, 2]);
});

test.each<[string, (of: Feed) => Record<string, unknown>]>([
  ["another signature", (of) => ({ clientState: `${clientStateFor(keys, of).slice(0, -2)}AA` })],
  ["a key of nobody", (of) => ({ clientState: clientStateFor([notificationKey(Buffer.alloc(32, 3))], of) })],
  ["the state of another tenant", () => ({ clientState: clientStateFor(keys, other) })],
  ["another tenant beside a good state", () => ({ tenantId: other.tenantId })],
  [
    "a body and a signature that do not belong together",
    (of) => {
      const [id, , mac] = clientStateFor(keys, of).split(".");
      return { clientState: [id, clientStateFor(keys, groups).split(".")[1], mac].join(".") };
    },
  ],
  ["no secret at all", () => ({ clientState: "secret" })],
])("forged with %s: counted, and nothing more, while its neighbour is taken", async (_, change) => {
  const { post, sent } = openIntake();
  expect(await post(item(feed, change(feed)))).toEqual({ taken: 0, forged: 1, unusable: 0, hints: 0 });
  expect(sent).toEqual([]);
  expect(await post(item(feed, change(feed)), item(groups))).toMatchObject({ taken: 1, forged: 1, hints: 1 });
  expect(sent.map(({ feed: key }) => key)).toEqual([feedKey(groups)]);
});

test("an older key is good, and ids may be in capitals", async () => {
  const { post } = openIntake();
  const [, older] = keys;
  const clientState = clientStateFor(older ? [older] : keys, feed);
  expect(await post(item(feed, { clientState, tenantId: feed.tenantId.toUpperCase() }))).toMatchObject({ taken: 1 });
});

test("garbage is counted item by item", async () => {
  const { take, post, sent } = openIntake();
  for (const body of [null, undefined, "text", 5, [], {}, { value: null }, { value: { 0: item() } }])
    expect(await take(body)).toEqual({ taken: 0, forged: 0, unusable: 1, hints: 0 });
  expect(
    await post(
      null,
      [],
      "a",
      {},
      item(feed, { clientState: {} }),
      item(feed, { tenantId: null }),
      item(feed, { clientState: "x".repeat(129) }),
      item(),
    ),
  ).toEqual({ taken: 1, forged: 0, unusable: 7, hints: 1 });
  expect(sent).toHaveLength(1);
});

test("looks at a thousand items and no more", async () => {
  const { post } = openIntake();
  const forged = Array.from({ length: 1000 }, () => item(feed, { clientState: "x" }));
  expect(await post(...forged, item())).toEqual({ taken: 0, forged: 1000, unusable: 1, hints: 0 });
});

test("what is the matter with a subscription goes on with its id, and does not stand in the way of changes", async () => {
  const { post, sent } = openIntake();
  const subscriptionId = randomUUID();
  const about = (lifecycleEvent: unknown) => item(feed, { lifecycleEvent, subscriptionId, resourceData: undefined });
  await post(about("missed"), about("reauthorizationRequired"), about("subscriptionRemoved"), item());
  expect(sent.map(({ lifecycle }) => lifecycle)).toEqual([
    { event: "missed", subscriptionId },
    { event: "reauthorizationRequired", subscriptionId },
    { event: "subscriptionRemoved", subscriptionId },
    undefined,
  ]);
  expect(
    await post(about("somethingNew"), item(feed, { lifecycleEvent: "missed", subscriptionId: "1" })),
  ).toMatchObject({
    unusable: 2,
    hints: 0,
  });
});

test("whoever has one good state cannot fill the queue with made up subscriptions", async () => {
  const { post, sent } = openIntake();
  for (let number = 0; number < 50; number++)
    await post(...Array.from({ length: 20 }, () => item(feed, { lifecycleEvent: "subscriptionRemoved" })));
  expect(sent).toHaveLength(2);
});

test("without the queue Graph is asked to send again, and then it is heard at once", async () => {
  const { post, sent, fails, passes, start } = openIntake();
  fails(true);
  await expect(post(item())).rejects.toMatchObject({ code: "queue-unavailable" });
  const both = await Promise.allSettled([post(item()), post(item(groups), item())]);
  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  fails(false);
  passes(1000);
  await post(item());
  expect(sent).toEqual([
    { feed: feedKey(feed), receivedAt: start + 1000, since: start + 1000, visibleAt: start + 1000 },
  ]);
  // The delayed hint failed: the next notification must not rely on it.
  fails(true);
  await expect(post(item())).rejects.toMatchObject({ code: "queue-unavailable" });
  fails(false);
  await post(item());
  expect(sent.map(({ visibleAt }) => visibleAt - start)).toEqual([1000, 31_000]);
});
