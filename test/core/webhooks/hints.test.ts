import { InvocationContext } from "@azure/functions";
import { expect, test } from "vitest";
import { AppError } from "../../../src/core/errors.ts";
import type { Hint } from "../../../src/core/store/ports.ts";
import type { WebhookEndpoint } from "../../../src/core/webhooks/endpoints.ts";
import { hintDelivery, telling } from "../../../src/core/webhooks/hints.ts";
import { deliverOnHint } from "../../../src/functions/webhook-delivery.queue.ts";
import { caller } from "./stage.ts";

const connection = "0".repeat(26);
const endpoints: WebhookEndpoint[] = [{ id: "crm", url: "https://hooks.product.example/", secrets: [] }];

const changing = (outcome: () => Promise<string>, { known = endpoints, queue = () => Promise.resolve() } = {}) => {
  const hinted: Hint[] = [];
  const deliveries = {
    send: async (hint: Hint) => {
      hinted.push(hint);
      await queue();
    },
  };
  const told = telling(hintDelivery({ ambient: { now: () => 7 }, endpoints: known, deliveries }));
  return { hinted, change: () => told((_caller, _connectionId: string) => outcome())(caller(), connection) };
};

test("a change is followed by a hint, and succeeds also when that cannot be sent", async () => {
  const done = changing(() => Promise.resolve("done"));
  expect(await done.change()).toBe("done");
  expect(done.hinted).toEqual([{ connectionId: connection, receivedAt: 7 }]);
  const queue = () => Promise.reject(new AppError("queue-unavailable"));
  expect(await changing(() => Promise.resolve("done"), { queue }).change()).toBe("done");
});

test("a change that fails is not, and nobody is hinted at when there is no endpoint", async () => {
  const failed = changing(() => Promise.reject(new AppError("etag-mismatch")));
  await expect(failed.change()).rejects.toThrow("etag-mismatch");
  const unheard = changing(() => Promise.resolve("done"), { known: [] });
  await unheard.change();
  expect([...failed.hinted, ...unheard.hinted]).toEqual([]);
});

test("an endpoint that was given up is an error in the log, any other outcome is not", async () => {
  const log: string[] = [];
  const context = new InvocationContext({
    invocationId: "i-1",
    functionName: "f",
    logHandler: (level, ...parts) => void log.push(`${level} ${parts.join(" ")}`),
  });
  const counts = { delivered: 1, failed: 0, waiting: 0 };
  for (const died of [0, 1])
    await deliverOnHint(() => ({ deliver: () => Promise.resolve({ ...counts, died }) }))(
      { hint: { connectionId: connection, receivedAt: 1 } },
      context,
    );
  expect(log).toEqual([
    `information {"event":"webhook-delivery","connection":"${connection}","delivered":1,"failed":0,"waiting":0}`,
    `error {"event":"webhook-delivery","connection":"${connection}","delivered":1,"failed":0,"waiting":0,"alarm":"webhook-dead","died":1}`,
  ]);
});
