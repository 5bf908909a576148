import { describe, expect, test } from "vitest";
import type { InnerResponse } from "../../../src/local/simulator/graph/batch.ts";
import { calm } from "../../../src/local/simulator/graph/switches.ts";
import { type Ask, graphScene, guid, type Json, reader, user } from "./graph-scene.ts";

const scene = () => {
  const made = graphScene({ traits: calm });
  for (let number = 1; number <= 20; number++) made.directory.apply(user(number));
  return made;
};

const batch = (ask: Ask, requests: object[], roles = reader) =>
  ask("/$batch", { method: "POST", roles, body: JSON.stringify({ requests }) });

const get = (number: number, extra: Json = {}) => ({
  id: String(number),
  method: "GET",
  url: `/users/${guid(number)}?$select=id`,
  ...extra,
});

const responsesOf = (body: Json): InnerResponse[] => {
  const { responses } = body;
  return Array.isArray(responses) ? responses : [];
};
const statuses = (body: Json): Record<string, number> =>
  Object.fromEntries(responsesOf(body).map(({ id, status }) => [id, status]));

test("answers twenty requests in an order of its own, each with its own status", async () => {
  const { ask } = scene();
  const { status, body } = await batch(ask, [...Array.from({ length: 19 }, (_, at) => get(at + 1)), get(999)]);
  expect(status).toBe(200);
  const responses = responsesOf(body);
  expect(responses).toHaveLength(20);
  expect(responses.map(({ id }) => Number(id))).not.toEqual(
    responses.map(({ id }) => Number(id)).toSorted((a, b) => a - b),
  );
  expect(responses.find(({ id }) => id === "7")).toMatchObject({ status: 200, body: { id: guid(7) } });
  expect(responses.find(({ id }) => id === "999")).toMatchObject({
    status: 404,
    body: { error: { code: "Request_ResourceNotFound" } },
  });
});

describe("refuses as a whole", () => {
  test.each<[string, object[]]>([
    ["more than twenty requests", Array.from({ length: 21 }, (_, at) => get(at))],
    ["no requests", []],
    ["ids that differ by case only", [get(1, { id: "a" }), get(2, { id: "A" })]],
    ["a request without an id", [{ method: "GET", url: "/users" }]],
    ["an absolute address", [get(1, { url: "https://localhost:7444/v1.0/users" })]],
    ["a body without Content-Type", [get(1, { method: "POST", body: {} })]],
    ["a POST without a body", [get(1, { method: "POST", headers: { "Content-Type": "application/json" } })]],
    ["a dependency on nobody", [get(1, { dependsOn: ["9"] })]],
    ["dependencies in a circle", [get(1, { dependsOn: ["2"] }), get(2, { dependsOn: ["1"] })]],
  ])("%s", async (_name, requests) => {
    const { status, body } = await batch(scene().ask, requests);
    expect([status, body["error"]]).toMatchObject([400, { code: "BadRequest" }]);
  });

  test("what is not JSON, not a POST, or has no token", async () => {
    const { ask } = scene();
    expect((await ask("/$batch", { method: "POST", body: "{" })).status).toBe(400);
    expect((await ask("/$batch")).status).toBe(405);
    expect((await ask("/$batch", { method: "POST", headers: { authorization: "" }, body: "{}" })).status).toBe(401);
  });
});

test("a dependant of a failure is 424, and so is whoever depends on that", async () => {
  const { body } = await batch(scene().ask, [
    get(3, { dependsOn: ["2"] }),
    get(2, { dependsOn: ["999"] }),
    get(999),
    get(5, { dependsOn: ["4"] }),
    get(4),
  ]);
  expect(statuses(body)).toEqual({ 999: 404, 2: 424, 3: 424, 4: 200, 5: 200 });
});

test("permissions and headers hold for each request inside", async () => {
  const { ask } = scene();
  const cast = { id: "1", method: "GET", url: "users?$filter=endsWith(mail,'x')&$count=true" };
  const { body } = await batch(
    ask,
    [cast, { ...cast, id: "2", headers: { ConsistencyLevel: "eventual" } }, get(3)],
    ["User.Read.All"],
  );
  expect(statuses(body)).toEqual({ 1: 400, 2: 200, 3: 200 });
  const groups = await batch(ask, [{ id: "1", method: "GET", url: "/groups" }], ["User.Read.All"]);
  expect([groups.status, statuses(groups.body)]).toEqual([200, { 1: 403 }]);
});

test("one request inside is throttled with a fraction of a second while the outside is fine", async () => {
  const { ask, graph } = scene();
  graph.faults.add([{ trouble: { kind: "throttle", retryAfterSeconds: 0.249 }, inBatch: true, path: guid(2) }]);
  const { status, body } = await batch(ask, [get(1), get(2), get(3)]);
  const throttled = responsesOf(body).find(({ id }) => id === "2");
  expect([status, throttled?.status, throttled?.headers["Retry-After"]]).toEqual([200, 429, "0.249"]);
  expect(statuses((await batch(ask, [get(2)])).body)).toEqual({ 2: 200 });
});

test("each request inside is logged and charged", async () => {
  const { ask, graph } = scene();
  await batch(ask, [get(1), get(2)]);
  const logged = graph.log.since(0).map(({ path, inBatch, status }) => ({ path, inBatch, status }));
  expect(logged).toEqual([
    { path: "/users/{id}", inBatch: true, status: 200 },
    { path: "/users/{id}", inBatch: true, status: 200 },
    { path: "/$batch", inBatch: false, status: 200 },
  ]);
});
