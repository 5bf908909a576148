import { InvocationContext } from "@azure/functions";
import { expect, test } from "vitest";
import { passOnNotification, tendSubscription } from "../../src/functions/graph-notifications.queue.ts";

const feed = "11111111-2222-4333-8444-555555555555:aaaaaaaa-0000-4000-8000-00000000000a:users";
const subscriptionId = "0fc0d6db-0073-42e5-a186-853da75fb308";
const logging = () => {
  const log: string[] = [];
  const logHandler = (level: string, ...parts: unknown[]): void => void log.push(`${level} ${parts.join(" ")}`);
  return { log, context: new InvocationContext({ invocationId: "i-1", functionName: "f", logHandler }) };
};

test("a subscription near its end that could not be renewed is an error in the log, one that was renewed is not", async () => {
  const { log, context } = logging();
  for (const outcome of ["renewed", "overdue"] as const)
    await tendSubscription(() => ({ tend: () => Promise.resolve(outcome) }))({ subscription: { feed } }, context);
  const lifecycle = { event: "reauthorizationRequired", subscriptionId };
  const passed = { outcome: "overdue", marked: 0, answered: 0 } as const;
  await passOnNotification(() => ({ passOn: () => Promise.resolve(passed) }))(
    { notification: { feed, receivedAt: 1, lifecycle } },
    context,
  );
  expect(log).toEqual([
    `information {"event":"graph-notifications-tend","feed":"${feed}","outcome":"renewed"}`,
    `error {"event":"graph-notifications-tend","feed":"${feed}","outcome":"overdue","alarm":"subscription-overdue"}`,
    `error {"event":"graph-notifications-pass-on","feed":"${feed}","lifecycle":"reauthorizationRequired","outcome":"overdue","marked":0,"answered":0,"alarm":"subscription-overdue"}`,
  ]);
});

test.each([
  { notification: { feed, receivedAt: 1, connectionId: "0".repeat(26) } },
  { notification: { feed, receivedAt: 1, lifecycle: { event: "deleted", subscriptionId } } },
  { notification: { feed: "x".repeat(121), receivedAt: 1 } },
  { hint: { connectionId: "0".repeat(26), receivedAt: 1 } },
])("a message of another form is set aside", async (message) => {
  const cases = () => {
    throw new Error("nothing is built for it");
  };
  await expect(async () => passOnNotification(cases)(message, logging().context)).rejects.toThrow("known form");
});
