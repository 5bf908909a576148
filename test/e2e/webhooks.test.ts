/** Events to the product's back end, with the shipped bundle in its host: hints, timer, retries and a restart. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { type ConnectedTenant, connectTenant, startTestStack, type TestStack } from "../support/stack.ts";
import { isSignedWith, newSecret, type Receiver, startReceiver } from "../support/webhook-receiver.ts";

const Event = z.strictObject({
  type: z.string(),
  workspace: z.string(),
  connection: z.string(),
  sequence: z.number(),
});
const Changes = z.looseObject({ items: z.array(z.looseObject({ sequence: z.number() })) });
const Webhooks = z.looseObject({
  items: z.array(z.looseObject({ endpoint: z.string(), state: z.string(), sequence: z.number() })),
});

let receiver: Receiver;
let stack: TestStack;
let tenant: ConnectedTenant;
const secret = newSecret();
const folder = mkdtempSync(join(tmpdir(), "webhooks-"));

beforeAll(async () => {
  receiver = await startReceiver();
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, receiver.caPem);
  const endpoints = [{ id: "product", url: receiver.url, secrets: [secret] }];
  stack = await startTestStack({
    environment: { NODE_EXTRA_CA_CERTS: ca, WEBHOOK_ENDPOINTS: JSON.stringify(endpoints) },
  });
  tenant = await connectTenant(stack, { users: 30, groups: 3, seed: 7 });
});
afterAll(async () => {
  await stack.stop();
  await receiver.close();
  rmSync(folder, { recursive: true, force: true });
});

const sequenceOf = ({ body }: { body: string }): number => Event.parse(JSON.parse(body)).sequence;
const path = (rest: string): string => `/connections/${tenant.connectionId}/${rest}`;
const shown = async () => (await tenant.product.get(path("webhooks"), Webhooks)).items[0];
const becomes = (state: string) =>
  expect.poll(async () => (await shown())?.state, { timeout: 60_000, interval: 200 }).toBe(state);
/** Number of the newest change, as the feed tells it. */
const newest = async (after: number): Promise<number> => {
  const { items } = await tenant.product.get(path(`changes?after=${after}&limit=200`), Changes);
  return items.at(-1)?.sequence ?? after;
};

test("the back end hears of a first sync, of a delta after failures, a restart and a replay, and of nothing twice", async () => {
  const taken: number[] = [];
  const take: Receiver["answer"] = (event) => {
    taken.push(sequenceOf(event));
    return 204;
  };
  receiver.answer = take;
  await tenant.first();
  await becomes("live");
  const first = taken.at(-1) ?? 0;
  expect(first).toBeGreaterThan(30);
  expect((await shown())?.sequence).toBe(first);
  expect(await newest(first)).toBe(first);

  receiver.answer = () => 500;
  await tenant.change(1, 5);
  await tenant.sync();
  await becomes("failing");
  expect((await shown())?.sequence).toBe(first);
  await stack.host.restart();
  receiver.answer = take;
  await tenant.product.post(path("webhooks/product/replay"), { after: first }, z.looseObject({}));
  await becomes("live");
  expect(taken.at(-1)).toBe(await newest(first));
  expect(taken.at(-1)).toBeGreaterThan(first);
  expect(new Set(taken).size).toBe(taken.length);

  expect(receiver.received.every((event) => isSignedWith(secret, event))).toBe(true);
  for (const { body } of receiver.received)
    expect(Event.parse(JSON.parse(body))).toMatchObject({ workspace: "w1", connection: tenant.connectionId });
});
