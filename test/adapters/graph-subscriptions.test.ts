/** What is asked of Graph about subscriptions, and what its answers mean. */
import { describe, expect, test } from "vitest";
import { subscriptions } from "../../src/adapters/graph/subscriptions.ts";
import { assertSubscriptions } from "../../src/adapters/graph/subscriptions-only.ts";
import { isAppError } from "../../src/core/errors.ts";
import { graphError, inTurn, scriptedClient, scriptedForFile, tidA } from "./graph-scripted-server.ts";

const graph = await scriptedForFile();

const feed = { clientId: "11111111-2222-4333-8444-555555555555", tenantId: tidA, resource: "users" } as const;
const minute = 60_000;
const id = "0fc0d6db-0073-42e5-a186-853da75fb308";
const open = () => {
  const { client, clock, asked } = scriptedClient(graph, { assertAllowed: assertSubscriptions });
  const own = subscriptions(client, {
    notificationUrl: "https://app.example/notifications/graph",
    lifecycleNotificationUrl: "https://app.example/notifications/lifecycle",
    now: () => clock.now,
  });
  return { client, clock, asked, own };
};
const item = (changes: object = {}) => ({
  id: id.toUpperCase(),
  resource: "/users",
  notificationUrl: "https://app.example/notifications/graph",
  expirationDateTime: "2026-03-20T12:00:00Z",
  ...changes,
});
const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "it succeeded",
    (error: unknown) => (isAppError(error) ? error.code : error),
  );

describe("a client for subscriptions", () => {
  test.each([
    ["GET", "/users"],
    ["PATCH", "/users/1"],
    ["POST", "/$batch"],
    ["DELETE", "/groups/1"],
    ["POST", "/subscriptions/../users"],
    ["POST", `/subscriptions/${id}/reauthorize`],
    ["DELETE", "/subscriptions/1%2F..%2F..%2Fusers%2F1"],
  ] as const)("sends no %s %s", async (method, path) => {
    const { client } = open();
    const url = client.address.at(path);
    expect(await code(client.send({ connectionId: "c", tid: tidA }, { method, url }))).toBe("unexpected");
    expect(graph.seen).toEqual([]);
  });
});

test("one is asked for with both addresses, for as long as Graph allows, in the feed's own tenant", async () => {
  const { own, clock, asked } = open();
  graph.answer = () => ({ status: 201, body: item() });
  expect(await own.create(feed, "state")).toEqual({
    id,
    resource: "users",
    notificationUrl: "https://app.example/notifications/graph",
    expiresAt: Date.parse("2026-03-20T12:00:00Z"),
  });
  const { expirationDateTime, ...body } = JSON.parse(graph.seen[0]?.body ?? "{}");
  expect(body).toEqual({
    changeType: "updated,deleted",
    resource: "users",
    notificationUrl: "https://app.example/notifications/graph",
    lifecycleNotificationUrl: "https://app.example/notifications/lifecycle",
    clientState: "state",
  });
  expect((Date.parse(expirationDateTime) - clock.now) / minute).toBe(41_745);
  expect(asked).toEqual([tidA]);
});

test.each([
  ["a lacking permission", graphError(403, "Authorization_RequestDenied"), "permission"],
  ["a limit", graphError(403, "Forbidden"), "quota"],
  ["one there already is", graphError(409, "Conflict"), "taken"],
  ["an address that did not answer", graphError(400, "ValidationError"), "address"],
] as const)("%s is a refusal", async (_name, answer, reason) => {
  graph.answer = () => answer;
  expect(await open().own.create(feed, "state")).toBe(reason);
});

test("what says nothing of it is no refusal", async () => {
  graph.answer = () => graphError(503, "ServiceUnavailable");
  expect(await code(open().own.create(feed, "state"))).toBe("graph-unavailable");
  graph.answer = () => graphError(429, "TooManyRequests");
  expect(await code(open().own.renew(feed, id))).toBe("graph-throttled");
  // Our own, but nobody may ask at present.
  graph.answer = () => graphError(403, "Authorization_RequestDenied");
  expect(await code(open().own.renew(feed, id))).toBe("permission-revoked");
  expect(await code(open().own.list(feed))).toBe("permission-revoked");
});

test("a list is read to its end, on Graph's own host, and what cannot be used is left out", async () => {
  const { own } = open();
  const next = `${graph.url}/v1.0/subscriptions?$skiptoken=a`;
  graph.answer = inTurn(
    { body: { value: [item(), { id: 7 }], "@odata.nextLink": next } },
    { body: { value: [item({ id: "other", resource: "Groups", expirationDateTime: "soon" })] } },
  );
  expect((await own.list(feed)).map((each) => each.id)).toEqual([id]);
  graph.answer = () => ({ body: { value: [], "@odata.nextLink": "https://graph.evil.example/v1.0/subscriptions" } });
  expect(await code(own.list(feed))).toBe("graph-foreign-link");
});

test("what is gone is gone, whether it is to be renewed or removed", async () => {
  const { own } = open();
  graph.answer = () => graphError(404, "ResourceNotFound");
  expect(await own.renew(feed, id)).toBeNull();
  await own.remove(feed, id);
  graph.answer = () => ({ body: item() });
  expect(await own.renew(feed, id)).toBe(Date.parse("2026-03-20T12:00:00Z"));
  expect(graph.seen.map(({ method }) => method)).toEqual(["PATCH", "DELETE", "PATCH"]);
});
