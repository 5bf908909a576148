/** The receiver in the shipped bundle, on an instance where nothing answers but the queues. */
import { randomBytes, randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { clientId, startReceiverHost } from "../../bench/receiver-host.ts";
import { clientStateFor, notificationKeys } from "../../src/core/notifications/client-state.ts";
import type { Feed } from "../../src/core/notifications/feed.ts";
import type { HostProcess } from "../../src/local/host/process.ts";
import { type QueuesProcess, startQueuesProcess } from "../../src/local/queues/process.ts";

const secret = randomBytes(32).toString("base64url");
const keys = notificationKeys.parse(secret);
const lines: string[] = [];
let queues: QueuesProcess;
let host: HostProcess;
beforeAll(async () => {
  queues = await startQueuesProcess({});
  host = await startReceiverHost(queues.connectionString, secret, (line) => lines.push(line));
});
afterAll(async () => {
  await host.stop();
  await queues.stop();
});

const newFeed = (): Feed => ({ clientId, tenantId: randomUUID(), resource: "users" });
const item = (feed: Feed, changes: Record<string, unknown> = {}) => ({
  subscriptionId: randomUUID(),
  clientState: clientStateFor(keys, feed),
  tenantId: feed.tenantId,
  changeType: "updated",
  ...changes,
});
const post = (path: string, body: string, type = "application/json"): Promise<Response> =>
  fetch(`${host.url}/notifications/${path}`, { method: "POST", headers: { "content-type": type }, body });
const notify = async (...value: object[]): Promise<number> => (await post("graph", JSON.stringify({ value }))).status;

test.each([
  ["abc%20def%2B1", "abc def+1"],
  ["abc+def%2B1", "abc def+1"],
  ["100%2525%252B", "100%25%2B"],
  ["%C3%A9%3Cb%3E%26", "é<b>&"],
])("the handshake with %s gives %s back", async (sent, expected) => {
  for (const path of ["graph", "lifecycle"]) {
    const answer = await post(`${path}?validationToken=${sent}`, "", "text/plain; charset=utf-8");
    expect([answer.status, answer.headers.get("content-type"), await answer.text()]).toEqual([
      200,
      "text/plain; charset=utf-8",
      expected,
    ]);
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test("nobody is sent away who asks in another way, and nobody gets a page of ours", async () => {
  expect((await fetch(`${host.url}/notifications/graph?validationToken=x`)).status).toBe(405);
  const answer = await post("graph?validationToken=<script>", "{}");
  expect([answer.status, await answer.text()]).toEqual([202, ""]);
});

test("takes what is genuine with store, vault and Microsoft away, and drops the rest", async () => {
  const feed = newFeed();
  const forged = Array.from({ length: 1000 }, () => item(feed, { clientState: clientStateFor(keys, newFeed()) }));
  expect(await notify(...forged)).toBe(202);
  expect(await notify(item(feed), { nonsense: true })).toBe(202);
  expect((await post("lifecycle", JSON.stringify({ value: [item(feed, { lifecycleEvent: "missed" })] }))).status).toBe(
    202,
  );
  expect((await post("graph", "x".repeat(1024 * 1024 + 1))).status).toBe(413);
});

test("a burst from one address is not refused", async () => {
  const feeds = Array.from({ length: 5 }, newFeed);
  const statuses: number[] = [];
  // As many as the host lets in at once.
  for (let round = 0; round < 10; round++)
    statuses.push(
      ...(await Promise.all(Array.from({ length: 100 }, (_, at) => notify(item(feeds[at % 5] ?? newFeed()))))),
    );
  expect(new Set(statuses)).toEqual(new Set([202]));
});

test("asks to be told again when the queue is away, and no id of anybody is in the log", async () => {
  await queues.stop();
  const feed = newFeed();
  expect(await notify(item(feed, { resourceData: { id: "somebody" } }))).toBe(503);
  const said = lines.join("\n");
  expect(said).toContain("graph-notifications");
  expect(said).toContain("queue-unavailable");
  for (const hidden of [feed.tenantId, "somebody", secret]) expect(said).not.toContain(hidden);
});
