import { type AddressInfo, createServer, type Socket } from "node:net";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { hintQueue } from "../../src/adapters/storage-queue/hint-queue.ts";
import { notificationSender } from "../../src/adapters/storage-queue/notification-queue.ts";
import { isAppError } from "../../src/core/errors.ts";
import { HintMessage, syncQueue } from "../../src/core/jobs.ts";
import { type Queues, startQueues } from "../../src/local/queues/azurite.ts";

let queues: Queues;
beforeAll(async () => {
  queues = await startQueues({});
});
afterAll(() => queues.close());

const theQueue = () => QueueServiceClient.fromConnectionString(queues.connectionString).getQueueClient(syncQueue);
beforeEach(async () => {
  await theQueue().deleteIfExists();
});

const hint = { connectionId: "01k00000000000000000000000", receivedAt: 1_760_000_000_000 };

test("creates the queue when it is missing and sends what the host decodes: base64 of the wrapped hint", async () => {
  const sender = hintQueue({ connectionString: queues.connectionString });
  await sender.send(hint);
  await sender.send({ ...hint, receivedAt: hint.receivedAt + 1 });

  const { receivedMessageItems } = await theQueue().receiveMessages({ numberOfMessages: 32 });
  const received = receivedMessageItems.map(({ messageText }) =>
    HintMessage.parse(JSON.parse(Buffer.from(messageText, "base64").toString("utf8"))),
  );
  expect(received).toEqual([{ hint }, { hint: { ...hint, receivedAt: hint.receivedAt + 1 } }]);
});

test("a delayed hint is not visible yet", async () => {
  await hintQueue({ connectionString: queues.connectionString }).send(hint, 30);
  const { receivedMessageItems } = await theQueue().receiveMessages();
  expect(receivedMessageItems).toHaveLength(0);
  expect((await theQueue().getProperties()).approximateMessagesCount).toBe(1);
});

test.each([
  { delaySeconds: 0.2, hidden: true },
  { delaySeconds: -5, hidden: false },
  { delaySeconds: 24 * 3600, hidden: true },
  { delaySeconds: 30 * 24 * 3600, hidden: true },
])(
  "accepts a delay of $delaySeconds seconds, also beyond what the service allows",
  async ({ delaySeconds, hidden }) => {
    const before = Date.now();
    await hintQueue({ connectionString: queues.connectionString }).send(hint, delaySeconds);
    const { peekedMessageItems } = await theQueue().peekMessages();
    expect(peekedMessageItems).toHaveLength(hidden ? 0 : 1);
    const [visible] = peekedMessageItems;
    if (visible) expect(visible.expiresOn.getTime() - before).toBeGreaterThan(23 * 3600_000);
  },
);

test("a queue that does not answer is queue-unavailable, without the account key in the error", async () => {
  const accountKey = Buffer.from("not a real key of any account").toString("base64");
  const connectionString = `DefaultEndpointsProtocol=http;AccountName=a;AccountKey=${accountKey};QueueEndpoint=http://127.0.0.1:1/a`;
  const error: unknown = await hintQueue({ connectionString })
    .send(hint)
    .catch((reason: unknown) => reason);
  expect(isAppError(error, "queue-unavailable")).toBe(true);
  expect(JSON.stringify(error, everyProperty)).not.toContain(accountKey);
});

test("for a notification a silent queue is given up sooner than for a hint: Graph waits for the answer", async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as AddressInfo;
  const accountKey = Buffer.from("not a real key of any account").toString("base64");
  const connectionString = `DefaultEndpointsProtocol=http;AccountName=a;AccountKey=${accountKey};QueueEndpoint=http://127.0.0.1:${port}/a`;
  const codeOf = async (sending: Promise<void>): Promise<unknown> =>
    sending.then(
      () => "sent",
      (error: unknown) => isAppError(error, "queue-unavailable") && error.code,
    );
  const hinted = codeOf(hintQueue({ connectionString }).send(hint));
  const notified = codeOf(
    notificationSender({ connectionString }).send({ notification: { feed: "f", receivedAt: 1 } }, 0),
  );
  expect(await Promise.race([hinted.then(() => "hint"), notified.then((code) => `notification ${String(code)}`)])).toBe(
    "notification queue-unavailable",
  );
  silent.close();
  for (const socket of sockets) socket.destroy();
  expect(await hinted).toBe("queue-unavailable");
});

/** Also what errors keep out of JSON: message and cause. */
const everyProperty = (_: string, value: unknown): unknown =>
  value instanceof Error
    ? Object.fromEntries(Object.getOwnPropertyNames(value).map((name) => [name, Reflect.get(value, name)]))
    : value;
