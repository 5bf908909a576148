import { type QueueClient, QueueServiceClient } from "@azure/storage-queue";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Child } from "../../src/local/child.ts";
import { startChild } from "../../src/local/child.ts";
import type { QueueSettings } from "../../src/local/host/settings.ts";
import type { QueuesOptions } from "../../src/local/queues/azurite.ts";
import type { QueuesReady } from "../../src/local/queues/main.ts";
import { type HostedFixture, scratchPath, startFixture } from "./fixtures/host.ts";

const startService = (options: QueuesOptions): Promise<Child<QueuesReady>> =>
  startChild<QueuesOptions, QueuesReady>(new URL("../../src/local/queues/main.ts", import.meta.url), options);

let service: Child<QueuesReady>;
let jobs: QueueClient;
let poison: QueueClient;

beforeAll(async () => {
  service = await startService({});
  const client = QueueServiceClient.fromConnectionString(service.ready.connectionString);
  jobs = client.getQueueClient("jobs");
  poison = client.getQueueClient("jobs-poison");
});
afterAll(() => service.stop());
beforeEach(async () => {
  await jobs.deleteIfExists();
  await poison.deleteIfExists();
  await jobs.create();
});

const startHost = (overrides: Partial<QueueSettings> = {}, traceFile?: string): Promise<HostedFixture> =>
  startFixture({
    queues: service.ready,
    overrides: { maxPollingIntervalMs: 200, ...overrides },
    ...(traceFile === undefined ? {} : { traceFile }),
  });

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64");
const post = (job: object): Promise<{ messageId: string }> => jobs.sendMessage(encoded(job));
const waiting = async (queue: QueueClient): Promise<number> =>
  (await queue.getProperties()).approximateMessagesCount ?? 0;
const poisoned = async (): Promise<string[]> =>
  vi.waitFor(
    async () => {
      const { peekedMessageItems } = await poison.peekMessages({ numberOfMessages: 32 });
      if (peekedMessageItems.length === 0) throw new Error("nothing is poisoned");
      return peekedMessageItems.map(({ messageText }) => messageText);
    },
    { timeout: 30_000, interval: 100 },
  );
const gone = (): Promise<void> =>
  vi.waitFor(async () => expect(await waiting(jobs)).toBe(0), { timeout: 30_000, interval: 100 });

test("hands over a message with its metadata and deletes it", async () => {
  const host = await startHost();
  const { messageId } = await post({ name: "plain" });
  const seen = await host.traced((line) => line.began === "plain");
  expect(seen.metadata).toMatchObject({ id: messageId, dequeueCount: 1, queueTrigger: { name: "plain" } });
  expect(seen.metadata).toHaveProperty("insertionTime", expect.stringMatching(/^2\d{3}-.*Z$/));
  await gone();
  await host.stop();
});

test("what a message says about itself replaces its metadata, as in the real host", async () => {
  const host = await startHost();
  const { messageId } = await post({ name: "shadow", dequeuecount: 99, Id: "forged", list: [1], inner: { Deep: 1 } });
  const { metadata } = await host.traced((line) => line.began === "shadow");
  expect(metadata).toMatchObject({ dequeueCount: 99, id: "forged", name: "shadow", inner: { deep: 1 } });
  expect(metadata).not.toHaveProperty("list");
  expect(JSON.stringify(metadata)).not.toContain(messageId);
  await host.stop();
});

test("sets aside what it cannot decode, as it is and without a call", async () => {
  const host = await startHost();
  await jobs.sendMessage('{"name":"not base64"}');
  expect(await poisoned()).toEqual(['{"name":"not base64"}']);
  await gone();
  await host.stop();
  expect(host.trace().filter((line) => "began" in line)).toEqual([]);
});

test("tries five times, then sets aside", async () => {
  const host = await startHost();
  await post({ name: "hopeless", do: "fail" });
  expect(await poisoned()).toEqual([encoded({ name: "hopeless", do: "fail" })]);
  await gone();
  await host.stop();
  expect(host.trace().flatMap((line) => line.dequeueCount ?? [])).toEqual([1, 2, 3, 4, 5]);
});

test("sets aside what was received too often before, without a call", async () => {
  await post({ name: "worn" });
  for (let received = 0; received < 5; received += 1) {
    const { receivedMessageItems } = await jobs.receiveMessages();
    for (const { messageId, popReceipt } of receivedMessageItems)
      await jobs.updateMessage(messageId, popReceipt, undefined, 0);
  }
  const host = await startHost();
  expect(await poisoned()).toEqual([encoded({ name: "worn" })]);
  await host.stop();
  expect(host.trace().filter((line) => "began" in line)).toEqual([]);
});

test("keeps a message hidden as long as its handler runs, and deletes it by its newest receipt", async () => {
  const host = await startHost({ invisibilitySeconds: 3 });
  await post({ name: "long", seconds: 5 });
  await host.traced((line) => line.began === "long");
  while (!host.trace().some((line) => line.ended === "long")) {
    const { peekedMessageItems } = await jobs.peekMessages();
    expect(peekedMessageItems).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await gone();
  await host.stop();
  expect(host.trace().filter((line) => line.began === "long")).toHaveLength(1);
});

test("a message in the hands of a host that was killed comes back, counted", async () => {
  const traceFile = scratchPath("killed");
  const killed = await startHost({ invisibilitySeconds: 2 }, traceFile);
  await post({ name: "orphan", seconds: 1 });
  await killed.traced((line) => line.began === "orphan");
  await killed.kill();
  const next = await startHost({ invisibilitySeconds: 2 }, traceFile);
  const again = await next.traced((line) => line.began === "orphan" && line.pid !== killed.pid);
  expect(again).toMatchObject({ dequeueCount: 2, pid: next.pid });
  await gone();
  await next.stop();
});

test.each([
  [0, ["long", "first", "ended", "second"]],
  [1, ["long", "first", "second", "ended"]],
])("with a batch of two and a threshold of %i the order is %j", async (newBatchThreshold, expected) => {
  for (const job of [{ name: "long", seconds: 2 }, { name: "first" }, { name: "second" }]) await post(job);
  const host = await startHost({ batchSize: 2, newBatchThreshold });
  await gone();
  await host.stop();
  const order = host.trace().flatMap((line) => line.began ?? (line.ended === "long" ? "ended" : []));
  expect(order).toEqual(expected);
});

test("a message that somebody else took meanwhile is theirs", async () => {
  const host = await startHost();
  await post({ name: "taken", seconds: 1 });
  const { metadata } = await host.traced((line) => line.began === "taken");
  const { id, popReceipt } = metadata as { id: string; popReceipt: string };
  await jobs.updateMessage(id, popReceipt, encoded({ name: "theirs" }), 600);
  await host.traced((line) => line.ended === "taken");
  await post({ name: "after" });
  await host.traced((line) => line.ended === "after");
  await vi.waitFor(async () => expect(await waiting(jobs)).toBe(1), { timeout: 30_000 });
  await host.stop();
  expect(host.lines.filter((line) => line.startsWith("[warning]"))).toEqual([]);
});

test("lets a handler end when it is stopped, and deletes its message", async () => {
  const host = await startHost();
  await post({ name: "nearly", seconds: 1 });
  await host.traced((line) => line.began === "nearly");
  await host.stop();
  expect(host.trace().map((line) => line.hook ?? line.ended ?? line.began)).toEqual([
    "appStart",
    "nearly",
    "nearly",
    "appTerminate",
  ]);
  expect(await waiting(jobs)).toBe(0);
});

test("waits for a queue that does not exist yet", async () => {
  await jobs.delete();
  const host = await startHost();
  await jobs.create();
  await post({ name: "late" });
  await host.traced((line) => line.ended === "late");
  await host.stop();
  expect(host.lines.filter((line) => line.startsWith("[warning]"))).toEqual([]);
});

test("messages on disk are there after a restart", async () => {
  const dir = scratchPath("queues-on-disk");
  const first = await startService({ dir });
  const queue = QueueServiceClient.fromConnectionString(first.ready.connectionString).getQueueClient("kept");
  await queue.create();
  await queue.sendMessage(encoded({ name: "kept" }));
  await first.stop();
  const second = await startService({ dir });
  const again = QueueServiceClient.fromConnectionString(second.ready.connectionString).getQueueClient("kept");
  expect((await again.peekMessages()).peekedMessageItems.map(({ messageText }) => messageText)).toEqual([
    encoded({ name: "kept" }),
  ]);
  await second.stop();
});
