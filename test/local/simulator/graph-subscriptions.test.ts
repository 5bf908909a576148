import { beforeEach, describe, expect, test } from "vitest";
import type { TraitChanges } from "../../../src/local/simulator/graph/switches.ts";
import { type Answer, graphScene, type Json, reader, tid } from "./graph-scene.ts";

const start = Date.UTC(2026, 0, 2);
const minute = 60_000;
const notificationUrl = "https://localhost:7443/notifications/graph?from=graph";
const lifecycleNotificationUrl = "https://localhost:7443/notifications/lifecycle";
const inMinutes = (minutes: number): string => new Date(now + minutes * minute).toISOString();

let now = start;
let asked: string[];
let fault: string | null;
beforeEach(() => {
  now = start;
  asked = [];
  fault = null;
});

const openScene = (traits: TraitChanges = {}) =>
  graphScene({
    traits,
    now: () => now,
    subscriptions: {
      validate: async (url) => {
        asked.push(url);
        return fault;
      },
      changed: () => {},
    },
  });
type Scene = ReturnType<typeof openScene>;

const wanted = (changes: Json = {}): Json => ({
  changeType: "updated,deleted",
  resource: "/users",
  notificationUrl,
  lifecycleNotificationUrl,
  expirationDateTime: inMinutes(1000),
  clientState: "a secret text",
  ...changes,
});
const make = (scene: Scene, changes: Json = {}, extra: { roles?: string[]; clientId?: string } = {}): Promise<Answer> =>
  scene.ask("/subscriptions", { method: "POST", body: JSON.stringify(wanted(changes)), ...extra });
const idOf = ({ body }: Answer): string => String(body.id);

describe("making a subscription", () => {
  test("asks both addresses first, and tells the client state once", async () => {
    const scene = openScene();
    const made = await make(scene);
    expect(made).toMatchObject({
      status: 201,
      body: { resource: "/users", changeType: "deleted,updated", clientState: "a secret text", applicationId: "app" },
    });
    expect(made.body.expirationDateTime).toBe(inMinutes(1000));
    expect(asked).toEqual([notificationUrl, lifecycleNotificationUrl]);
    const path = `/subscriptions/${idOf(made)}`;
    expect((await scene.ask(path)).body).toMatchObject({ id: made.body.id, clientState: null });
    expect((await scene.ask("/subscriptions")).body.value).toMatchObject([{ id: made.body.id, clientState: null }]);
  });

  test("does not happen when the endpoint does not prove itself", async () => {
    const scene = openScene();
    fault = "The answer is not the validation token.";
    expect(await make(scene)).toMatchObject({ status: 400, body: { error: { code: "ValidationError" } } });
    expect((await scene.ask("/subscriptions")).body.value).toEqual([]);
  });

  test.each([
    ["a change type of its own for new objects", { changeType: "created,updated" }],
    ["no change type", { changeType: "" }],
    ["a resource that is not simulated", { resource: "/users/1/events" }],
    ["an address without TLS", { notificationUrl: "http://localhost:7443/n" }],
    ["an address that is not on this machine", { lifecycleNotificationUrl: "https://product.example/n" }],
    ["a client state of 129 characters", { clientState: "x".repeat(129) }],
    ["more than the longest life", { expirationDateTime: new Date(start + 41_761 * minute).toISOString() }],
    ["an end in the past", { expirationDateTime: new Date(start - minute).toISOString() }],
    ["no end", { expirationDateTime: undefined }],
    ["rich notifications of directory objects", { includeResourceData: true }],
    ["a field of other subscriptions", { vapidPublicKey: "key" }],
  ])("refuses %s", async (_, changes) => {
    expect((await make(openScene(), changes)).status).toBe(400);
    expect(asked).toEqual([]);
  });

  test("gives at least 45 minutes", async () => {
    expect((await make(openScene(), { expirationDateTime: inMinutes(1) })).body.expirationDateTime).toBe(inMinutes(45));
  });

  test("takes the permission of the resource, and for groups the wider one unless told otherwise", async () => {
    const scene = openScene();
    expect((await make(scene, {}, { roles: ["GroupMember.Read.All"] })).status).toBe(403);
    expect((await make(scene, { resource: "groups" })).status).toBe(403);
    expect((await make(scene, { resource: "groups" }, { roles: [...reader, "Group.Read.All"] })).status).toBe(201);
    expect(
      (await make(openScene({ groupSubscriptionRight: "GroupMember.Read.All" }), { resource: "groups" })).status,
    ).toBe(201);
  });

  test("is refused for the same resource and changes, until the first one is gone", async () => {
    const scene = openScene();
    const first = await make(scene);
    const again = await make(scene, { resource: "Users", notificationUrl: lifecycleNotificationUrl });
    expect(again).toMatchObject({ status: 409 });
    expect(again.text).toContain(idOf(first));
    expect((await make(scene, {}, { clientId: "another app" })).status).toBe(201);
    now += 1001 * minute;
    expect((await make(scene)).status).toBe(201);
    const seenTwice = openScene({ duplicateSubscriptions: true });
    expect([(await make(seenTwice)).status, (await make(seenTwice)).status]).toEqual([201, 201]);
  });

  test("is refused over the quota, by a message that names it", async () => {
    const scene = openScene({ mostSubscriptions: 1 });
    await make(scene);
    const answer = await make(scene, { changeType: "updated" });
    expect(answer.status).toBe(403);
    expect(answer.text).toContain("limit of 1 subscriptions");
  });
});

test("a subscription is nobody's but its app's", async () => {
  const scene = openScene();
  const path = `/subscriptions/${idOf(await make(scene))}`;
  const other = { clientId: "another app" };
  expect((await scene.ask(path, other)).status).toBe(404);
  expect((await scene.ask(path, { method: "DELETE", ...other })).status).toBe(404);
  expect((await scene.ask("/subscriptions", other)).body.value).toEqual([]);
  expect((await scene.ask(path)).status).toBe(200);
});

test("a list comes in pages and takes no options", async () => {
  const scene = openScene({ duplicateSubscriptions: true });
  for (let count = 0; count < 7; count++) await make(scene);
  const first = await scene.ask("/subscriptions");
  const second = await scene.ask(String(first.body["@odata.nextLink"]));
  const ids = [first, second].flatMap(({ body }) => (body.value as Json[]).map(({ id }) => id));
  expect([new Set(ids).size, second.body["@odata.nextLink"]]).toEqual([7, undefined]);
  expect((await scene.ask("/subscriptions?$top=1")).status).toBe(400);
});

describe("renewal", () => {
  const renew = (scene: Scene, id: string, body: Json = { expirationDateTime: inMinutes(2000) }): Promise<Answer> =>
    scene.ask(`/subscriptions/${id}`, { method: "PATCH", body: JSON.stringify(body) });
  const reauthorize = (scene: Scene, id: string): Promise<Answer> =>
    scene.ask(`/subscriptions/${id}/reauthorize`, { method: "POST" });
  const isInconsistent = (scene: Scene, id: string): boolean | undefined =>
    scene.world.tenants.get(tid)?.subscriptions.get(id)?.inconsistent;

  test("moves the end, and nothing else but the address, which is asked again", async () => {
    const scene = openScene();
    const id = idOf(await make(scene));
    expect((await renew(scene, id)).body.expirationDateTime).toBe(inMinutes(2000));
    for (const body of [{}, { clientState: "x" }, { changeType: "updated" }, { lifecycleNotificationUrl: null }])
      expect((await renew(scene, id, body)).status).toBe(400);
    asked = [];
    expect((await renew(scene, id, { notificationUrl: lifecycleNotificationUrl })).status).toBe(200);
    expect(asked).toEqual([lifecycleNotificationUrl]);
  });

  test("comes too late for what has expired", async () => {
    const scene = openScene();
    const id = idOf(await make(scene));
    now += 1000 * minute;
    expect((await renew(scene, id)).status).toBe(404);
    expect((await reauthorize(scene, id)).status).toBe(404);
  });

  test("within ten minutes of a reauthorization leaves a subscription that only looks alive", async () => {
    const scene = openScene();
    const id = idOf(await make(scene));
    expect((await reauthorize(scene, id)).status).toBe(204);
    now += 10 * minute;
    expect((await renew(scene, id)).status).toBe(200);
    expect(isInconsistent(scene, id)).toBe(false);
    now += 9 * minute;
    expect((await reauthorize(scene, id)).status).toBe(204);
    expect(isInconsistent(scene, id)).toBe(true);
  });
});

test("a subscription ends once", async () => {
  const scene = openScene();
  const id = idOf(await make(scene));
  const end = () => scene.ask(`/subscriptions/${id}`, { method: "DELETE" });
  expect([(await end()).status, (await end()).status]).toEqual([204, 404]);
  expect((await scene.ask("/subscriptions", { method: "PUT" })).status).toBe(405);
});
