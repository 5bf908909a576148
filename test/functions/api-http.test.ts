import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { problems } from "../../src/core/errors.ts";
import type { Route } from "../../src/functions/route.ts";
import { routes } from "../../src/functions/routes.ts";
import { type ApiStage, pageOrigin, startApi } from "./api-stage.ts";

let api: ApiStage;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const list = "/api/v1/connections";
const records = async (workspace = "acme") => {
  // The clock of the API is ahead of the machine's by what other tests have waited.
  const months = new Set([0, 3_600_000].map((ahead) => new Date(Date.now() + ahead).toISOString().slice(0, 7)));
  const lists = [...months].map((month) => api.cases.edge.access.list(workspace, month, { limit: 200 }));
  return (await Promise.all(lists)).flat();
};

describe("a page of another origin", () => {
  test("on the list may call and read what it needs", async () => {
    const asked = await api.call("OPTIONS", list, {
      token: null,
      headers: { origin: pageOrigin, "access-control-request-method": "POST" },
    });
    expect(asked.status).toBe(204);
    expect(Object.fromEntries(asked.headers)).toMatchObject({
      "access-control-allow-origin": pageOrigin,
      "access-control-allow-methods": "POST, GET",
      "access-control-allow-headers": "Authorization, Content-Type, If-Match",
      vary: "Origin",
    });
    for (const token of [null, await api.tokenFor("acme")]) {
      const { headers } = await api.call("GET", list, { token, headers: { origin: pageOrigin } });
      expect(headers.get("access-control-allow-origin")).toBe(pageOrigin);
      expect(headers.get("access-control-expose-headers")).toBe("ETag, Link, Location, Retry-After, X-Correlation-Id");
      expect(headers.has("access-control-allow-credentials")).toBe(false);
    }
  });

  test.each([
    "https://attacker.example",
    "null",
    `${pageOrigin}.attacker.example`,
    `${pageOrigin}:444`,
    "http://app.product.example",
  ])("%s is not let in", async (origin) => {
    for (const method of ["OPTIONS", "GET"]) {
      const { headers } = await api.call(method, list, { headers: { origin } });
      expect(headers.has("access-control-allow-origin")).toBe(false);
      expect(headers.get("vary")).toBe("Origin");
    }
  });
});

describe("every answer", () => {
  test("forbids caching, sniffing, framing and referrers, and names its correlation id", async () => {
    const answers = await Promise.all([
      api.call("GET", list),
      api.call("GET", list, { token: null }),
      api.call("PUT", list),
      api.call("GET", "/api/v2/anything"),
      api.call("GET", "/health", { token: null }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 405, 404, 200]);
    for (const { headers, body } of answers) {
      expect(Object.fromEntries(headers)).toMatchObject({
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "strict-transport-security": "max-age=31536000",
      });
      expect(body.correlationId ?? headers.get("x-correlation-id")).toBe(headers.get("x-correlation-id"));
    }
    expect(answers[3]?.body.code).toBe("route-not-found");
  });

  test("to a body that is too large, or no JSON, names the fault", async () => {
    const codeOf = async (text: string, headers: Record<string, string> = {}) =>
      (await api.call("POST", list, { text, headers })).body.code;
    expect(await codeOf(JSON.stringify({ displayName: "x".repeat(300_000) }))).toBe("body-too-large");
    expect(await codeOf("{}", { "content-length": "300000" })).toBe("body-too-large");
    for (const text of ["", "{", "[]", "null", '{"displayName":"A","access":{"read":true},"displayname":"B"}'])
      expect(await codeOf(text)).toBe("invalid-request");
  });

  test.each([
    ["limit", "0"],
    ["limit", "201"],
    ["limit", "1e2"],
    ["limit", "-5"],
    ["limit", "5,6"],
    ["limit", ""],
    ["cursor", ""],
  ])("to %s=%s names the field", async (field, value) => {
    const { status, body } = await api.call("GET", list, { query: { [field]: value } });
    expect([status, body.code, body.field]).toEqual([400, "invalid-request", field]);
  });
});

describe("failures behind the API", () => {
  test("are a plain answer to the caller, and code and frames in the log", async () => {
    api.cosmos.faults.rules.push({ on: ["read"], answer: 503, when: "before" });
    api.log.length = 0;
    const made = await api.call("GET", `${list}/${"0".repeat(26)}`);
    api.cosmos.faults.rules.length = 0;
    expect([made.status, made.body.code, made.body.retryable]).toEqual([503, "store-unavailable", true]);
    expect(made.body.detail).toBeUndefined();
    expect(api.log.join("\n")).toContain('"code":"store-unavailable"');
    expect(api.log.join("\n")).toContain(String(made.body.correlationId));
  });

  test("show as down, to anybody, without a word of why", async () => {
    api.advance(10_000);
    expect((await api.call("GET", "/health", { token: null })).body).toEqual({ status: "up", notifications: "off" });
    api.cosmos.faults.rules.push({ on: ["read"], answer: 503, when: "before" });
    api.advance(10_000);
    const down = await api.call("GET", "/health", { token: null });
    api.cosmos.faults.rules.length = 0;
    expect([down.status, down.body]).toEqual([503, { status: "down" }]);
    expect((await api.call("POST", "/health", { token: null })).status).toBe(405);
  });

  test("that lie in our own credential show as such, name no tenant, and are forgotten some time after the last one", async () => {
    const { id, tid } = await api.connect(5, 0);
    const health = async () => {
      api.advance(10_000);
      const { status, body } = await api.call("GET", "/health", { token: null });
      return [status, body];
    };
    api.simulator.commands["entra-switches"].run({ expiredSecrets: ["a development secret"] });
    const tested = await api.call("POST", `/api/v1/connections/${id}/test`);
    api.simulator.commands["entra-switches"].run({ expiredSecrets: [] });
    expect(JSON.stringify(tested.body.findings)).toContain("credential-expired");
    expect(await health()).toEqual([503, { status: "down", code: "misconfigured" }]);
    api.advance(590_000);
    expect(await health()).toEqual([200, { status: "up", notifications: "off" }]);

    api.simulator.commands["entra-switches"].run({ expiredSecrets: ["a development secret"] });
    await api.call("POST", `/api/v1/connections/${id}/test`);
    api.simulator.commands["entra-switches"].run({ expiredSecrets: [] });
    expect((await health())[0]).toBe(503);
    api.advance(60_000);
    await api.call("POST", `/api/v1/connections/${id}/test`);
    expect(await health()).toEqual([200, { status: "up", notifications: "off" }]);
    expect(tid).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe("the access log", () => {
  test("holds every refusal, with who and from where", async () => {
    const token = await api.tokenFor("log-1", ["integration:read"]);
    await api.call("POST", list, { token, body: { displayName: "x", access: { read: true } } });
    await api.call("GET", `${list}/${"0".repeat(26)}`, { token });
    await api.call("GET", list, { token, query: { limit: "0" } });
    expect(
      (await records("log-1")).map(({ what, refusal, route, subject, ip }) => [what, refusal, route, subject, ip]),
    ).toEqual([
      ["refused", "permission-missing", "connections.create", "ada", "203.0.113.7"],
      ["refused", "connection-not-found", "connections.read", "ada", "203.0.113.7"],
    ]);
  });
});

test("the description has every route, its permission and every problem code", async () => {
  const { status, body } = await api.call("GET", "/api/v1/openapi.json", { token: null });
  expect([status, body.openapi]).toEqual([200, "3.1.0"]);
  const paths = body.paths as Record<string, Record<string, { operationId: string; "x-permission"?: string }>>;
  for (const [name, route] of Object.entries<Route>(routes)) {
    const operation = paths[`/${route.path}`]?.[route.method.toLowerCase()];
    expect([operation?.operationId, operation?.["x-permission"]]).toEqual([name, route.permission ?? undefined]);
  }
  const text = JSON.stringify(body);
  for (const code of Object.keys(problems)) expect(text).toContain(`"${code}"`);
  const people = paths["/api/v1/connections/{connection}/people"]?.get as unknown as {
    parameters: { name: string; schema: object }[];
  };
  expect(people.parameters.find(({ name }) => name === "limit")?.schema).toMatchObject({
    type: "integer",
    maximum: 200,
  });
});
