import { beforeEach, describe, expect, test } from "vitest";
import { retryAfterSeconds } from "../../src/adapters/graph/answers.ts";
import { organization } from "../../src/adapters/graph/organization.ts";
import { AppError } from "../../src/core/errors.ts";
import {
  graphError,
  inTurn,
  type Reply,
  scriptedClient,
  scriptedForFile,
  sharedInMemory,
  tenantA,
  tenantB,
  tidA,
} from "./graph-scripted-server.ts";

const graph = await scriptedForFile();
const attacker = await scriptedForFile();
beforeEach(() => {
  graph.answer = () => ({ body: { value: [] } });
});

type Client = ReturnType<typeof scriptedClient>["client"];
const get = (client: Client, path = "/users", connection = tenantA) =>
  client.send(connection, { method: "GET", url: client.address.at(path) });

const failure = async (promise: Promise<unknown>): Promise<AppError> => {
  const error: unknown = await promise.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof AppError)) throw error;
  return error;
};

describe("a request", () => {
  test("goes to exactly the given address, options repeated and in their order, with the token of the connection's tenant", async () => {
    const { client, asked } = scriptedClient(graph);
    const target = "/v1.0/users/delta?x=1&$deltatoken=a%2Bb~c&$select=id&$select=mail&$top=5";
    await client.send(tenantA, { method: "GET", url: client.address.own(`${graph.url}${target}`) });
    expect(graph.seen.map(({ method, target: seen }) => [method, seen])).toEqual([["GET", target]]);
    expect(graph.seen[0]?.headers).toMatchObject({
      authorization: `Bearer token-of-${tidA}-1`,
      "x-ms-throttle-priority": "Low",
      "client-request-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(asked).toEqual([tidA]);
    expect([client.requests("c-a"), client.requests("c-b")]).toEqual([1, 0]);
  });

  test.each([
    ["another host", () => "https://graph.evil.example/v1.0/users/delta?$deltatoken=1"],
    ["another port of the same host", () => `${attacker.url}/v1.0/users/delta?$deltatoken=1`],
    ["another version", () => `${graph.url}/beta/users/delta?$deltatoken=1`],
    ["a path that leaves the version", () => `${graph.url}/v1.0/../beta/users`],
    ["a path that leaves the version, encoded", () => `${graph.url}/v1.0/%2e%2e/beta/users`],
    ["a path that only begins like the version", () => `${graph.url}/v1.0evil/users`],
    ["credentials in front of the host", () => `${graph.url.replace("https://", "https://me:you@")}/v1.0/users`],
    ["http", () => `${graph.url.replace("https:", "http:")}/v1.0/users`],
    ["no absolute address", () => "/v1.0/users"],
    ["no text", () => 7],
  ])("is never sent to %s", async (_name, link) => {
    const { client, asked } = scriptedClient(graph);
    const given = link();
    expect(() => client.address.own(given)).toThrow(expect.objectContaining({ code: "graph-foreign-link" }));
    const url = typeof given === "string" ? URL.parse(given) : null;
    if (url) expect((await failure(client.send(tenantA, { method: "GET", url }))).code).toBe("graph-foreign-link");
    expect(graph.seen.length + attacker.seen.length).toBe(0);
    expect(asked).toEqual([]);
  });

  test("does not follow a redirect", async () => {
    graph.answer = () => ({ status: 302, headers: { location: `${attacker.url}/v1.0/users` } });
    const { client } = scriptedClient(graph);
    expect((await failure(get(client))).code).toBe("graph-unavailable");
    expect([graph.seen.length, attacker.seen.length]).toEqual([1, 0]);
  });

  test.each(["POST", "PATCH", "PUT", "DELETE"] as const)(
    "by %s is refused on the read tier and allowed on others",
    async (method) => {
      const { client } = scriptedClient(graph);
      const request = {
        method,
        url: client.address.at("/users/1"),
        ...(method === "DELETE" ? {} : { body: { a: 1 } }),
      };
      expect((await failure(client.send(tenantA, request))).code).toBe("unexpected");
      expect(graph.seen).toEqual([]);
      await scriptedClient(graph, { tier: "write" }).client.send(tenantA, request);
      expect(graph.seen.map((seen) => [seen.method, seen.body])).toEqual([
        [method, method === "DELETE" ? "" : '{"a":1}'],
      ]);
    },
  );

  test.each([
    [{ requests: [{ id: "1", method: "GET", url: "/users/1" }] }, 1],
    [
      {
        requests: [
          { id: "1", method: "GET", url: "/users/1" },
          { id: "2", method: "DELETE", url: "/users/1" },
        ],
      },
      0,
    ],
    [{ requests: [{ id: "1", method: "GET", url: "/users/1", body: {} }] }, 0],
    [{}, 0],
  ])("as batch %j sends %i requests on the read tier", async (body, count) => {
    const { client } = scriptedClient(graph);
    await client.send(tenantA, { method: "POST", url: client.address.at("/$batch"), body }).catch(() => undefined);
    expect(graph.seen.length).toBe(count);
  });
});

describe("an answer", () => {
  const cases: [string, Reply, Partial<AppError> & { details?: object }][] = [
    [
      "429",
      graphError(429, "TooManyRequests", { headers: { "retry-after": "17" } }),
      { code: "graph-throttled", details: { retryAfterSeconds: 17, scope: "tenant" } },
    ],
    [
      "429 without a time",
      graphError(429, "TooManyRequests"),
      { code: "graph-throttled", details: { retryAfterSeconds: 10, scope: "tenant" } },
    ],
    [
      "429 of a proxy",
      { status: 429, body: "<html>" },
      { code: "graph-throttled", details: { retryAfterSeconds: 10, scope: "tenant" } },
    ],
    [
      "429 for the application",
      graphError(429, "TooManyRequests", {
        headers: { "retry-after": "3", "x-ms-throttle-scope": "Application/ReadWrite/app-1" },
      }),
      { code: "graph-throttled", details: { retryAfterSeconds: 3, scope: "application" } },
    ],
    [
      "429 for the application in one tenant",
      graphError(429, "TooManyRequests", {
        headers: { "retry-after": "3", "x-ms-throttle-scope": "Tenant_Application/Read/app-1/t" },
      }),
      { code: "graph-throttled", details: { retryAfterSeconds: 3, scope: "tenant" } },
    ],
    [
      "503 with a time",
      graphError(503, "serviceNotAvailable", { headers: { "retry-after": "7.2" } }),
      { code: "graph-unavailable", details: { retryAfterSeconds: 8 } },
    ],
    ["500", graphError(500, "generalException"), { code: "graph-unavailable" }],
    ["502 in HTML", { status: 502, body: "<html>" }, { code: "graph-unavailable" }],
    ["504", graphError(504, ""), { code: "graph-unavailable" }],
    ["509", graphError(509, "bandwidthLimitExceeded"), { code: "graph-unavailable" }],
    ["423", graphError(423, "locked"), { code: "graph-unavailable" }],
    ["501", graphError(501, "NotImplemented"), { code: "graph-refused" }],
    ["403 for want of a permission", graphError(403, "Authorization_RequestDenied"), { code: "permission-revoked" }],
    ["403 for another reason", graphError(403, "accessDenied"), { code: "graph-refused" }],
    ["403 of a proxy", { status: 403, body: "<html>" }, { code: "graph-unavailable" }],
    ["404 of a proxy", { status: 404, body: "<html>" }, { code: "graph-unavailable" }],
    ["200 in HTML", { body: "<html>" }, { code: "graph-unavailable" }],
    ["200 cut off", { body: '{"value":[{"id":' }, { code: "graph-unavailable" }],
    ["200 that is not an object", { body: "[]" }, { code: "graph-unavailable" }],
    ["a broken connection", "reset", { code: "graph-unavailable" }],
    ["half an answer", "hang", { code: "graph-unavailable" }],
    ["more than the limit", { body: { value: "x".repeat(2000) } }, { code: "graph-unavailable" }],
  ];
  test.each(cases)("of %s", async (_name, reply, expected) => {
    graph.answer = () => reply;
    const { client } = scriptedClient(graph, { timeoutMs: reply === "hang" ? 300 : 5_000, maxBytes: 1000 });
    const error = await failure(get(client));
    expect(error).toMatchObject(expected);
    expect(JSON.stringify([error.message, error.details])).not.toMatch(/mustermann|token-of/);
  });

  test.each([400, 404, 410])("of %i is the caller's to judge", async (status) => {
    graph.answer = () => graphError(status, "Some_Code");
    const { client } = scriptedClient(graph);
    expect((await get(client)).status).toBe(status);
  });

  test.each([
    ["12", 12],
    ["0.249", 1],
    ["0", 1],
    ["Sun, 01 Mar 2026 12:00:30 GMT", 30],
    ["Sun, 01 Mar 2026 11:00:00 GMT", 1],
    ["99999999", 86_400],
    ["soon", null],
    ["-5", null],
    ["", null],
    [null, null],
  ])("with Retry-After %j waits %j seconds", (value, seconds) => {
    expect(retryAfterSeconds(value, Date.parse("2026-03-01T12:00:00Z"))).toBe(seconds);
  });
});

describe("a token", () => {
  test("that Graph no longer takes is replaced once", async () => {
    graph.answer = inTurn(graphError(401, "InvalidAuthenticationToken"), { body: { value: [] } });
    const { client, asked } = scriptedClient(graph);
    expect((await get(client)).status).toBe(200);
    expect(asked).toEqual([tidA, `${tidA} fresh`]);
    expect(graph.seen[1]?.headers.authorization).toBe(`Bearer token-of-${tidA}-2`);
  });

  test("that is refused even when fresh leaves the consent alone", async () => {
    graph.answer = () => graphError(401, "InvalidAuthenticationToken");
    const { client } = scriptedClient(graph);
    expect((await failure(get(client))).code).toBe("graph-refused");
    expect(graph.seen.length).toBe(2);
  });

  test("from before a new consent is replaced before a permission counts as missing, at most every five minutes", async () => {
    graph.answer = inTurn(
      graphError(403, "Authorization_RequestDenied"),
      { body: { value: [] } },
      graphError(403, "authorization_requestdenied"),
    );
    const { client, asked, clock } = scriptedClient(graph);
    expect((await get(client)).status).toBe(200);
    expect((await failure(get(client))).code).toBe("permission-revoked");
    expect(asked).toEqual([tidA, `${tidA} fresh`, tidA]);
    clock.now += 5 * 60_000;
    await failure(get(client));
    expect(asked.slice(3)).toEqual([tidA, `${tidA} fresh`]);
  });
});

const throttle = (scope: string) =>
  graphError(429, "TooManyRequests", { headers: { "retry-after": "30", "x-ms-throttle-scope": scope } });

const broken = async () => Promise.reject(new AppError("store-unavailable"));

describe("a pause", () => {
  const other = { connectionId: "c-a2", tid: tidA };

  test("holds for every connection of the tenant, for as long as Graph said, and for no other tenant", async () => {
    const { client, clock } = scriptedClient(graph);
    graph.answer = inTurn(throttle("Tenant_Application/Read/app-1/t"), { body: { value: [] } });
    await failure(get(client));
    clock.now += 10_500;
    const error = await failure(get(client, "/users", other));
    expect(error).toMatchObject({ code: "graph-throttled", details: { retryAfterSeconds: 20, scope: "tenant" } });
    expect(graph.seen.length).toBe(1);
    expect((await get(client, "/users", tenantB)).status).toBe(200);
    clock.now += 19_500;
    expect((await get(client, "/users", other)).status).toBe(200);
  });

  test("of the application holds for every tenant", async () => {
    const { client } = scriptedClient(graph);
    graph.answer = inTurn(throttle("Application/Read/app-1"), { body: { value: [] } });
    await failure(get(client));
    const error = await failure(get(client, "/users", tenantB));
    expect(error).toMatchObject({ code: "graph-throttled", details: { retryAfterSeconds: 30, scope: "application" } });
    expect(graph.seen.length).toBe(1);
  });

  test("reaches other instances within 15 seconds, by at most two reads of the store in that time", async () => {
    const shared = sharedInMemory();
    const here = scriptedClient(graph, { shared });
    const there = scriptedClient(graph, { shared });
    graph.answer = inTurn({ body: { value: [] } }, { body: { value: [] } }, throttle("Tenant/Read/app-1/t"), {
      body: { value: [] },
    });
    await get(there.client);
    await get(there.client, "/users", other);
    expect(shared.reads).toBe(2);
    await failure(get(here.client));
    there.clock.now += 15_000;
    expect((await failure(get(there.client))).details.retryAfterSeconds).toBe(15);
    expect(graph.seen.length).toBe(3);
  });

  test("does not depend on the store", async () => {
    const { client } = scriptedClient(graph, { shared: { pauseUntil: broken, pause: broken } });
    graph.answer = inTurn({ body: { value: [] } }, throttle("Tenant/Read/app-1/t"));
    expect((await get(client)).status).toBe(200);
    expect((await failure(get(client))).code).toBe("graph-throttled");
    await failure(get(client));
    expect(graph.seen.length).toBe(2);
  });

  test("begins with a 503 that names a time", async () => {
    const { client } = scriptedClient(graph);
    graph.answer = () => graphError(503, "serviceNotAvailable", { headers: { "retry-after": "9" } });
    await failure(get(client));
    expect(await failure(get(client))).toMatchObject({ code: "graph-throttled", details: { retryAfterSeconds: 9 } });
    expect(graph.seen.length).toBe(1);
  });
});

test("the organisation's id, name and domains are read", async () => {
  graph.answer = () => ({
    body: {
      value: [
        {
          id: tidA.toUpperCase(),
          displayName: "Contoso",
          verifiedDomains: [{ name: "contoso.example", isDefault: true }],
        },
      ],
    },
  });
  const { client } = scriptedClient(graph);
  expect(await organization(client)(tenantA)).toEqual({
    id: tidA,
    displayName: "Contoso",
    verifiedDomains: ["contoso.example"],
  });
  graph.answer = () => ({ body: { value: [] } });
  expect((await failure(organization(client)(tenantA))).code).toBe("graph-unavailable");
});

test("a Graph address without TLS is refused", () => {
  expect(() => scriptedClient({ ...graph, url: graph.url.replace("https:", "http:") })).toThrow(/https/);
});
