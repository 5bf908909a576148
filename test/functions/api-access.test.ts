import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import { permissions } from "../../src/core/context.ts";
import type { Route } from "../../src/functions/route.ts";
import { type RouteName, routes } from "../../src/functions/routes.ts";
import { type ApiStage, audience, type Call, routed, startApi } from "./api-stage.ts";

let api: ApiStage;
let connection: string;
beforeAll(async () => {
  api = await startApi();
  const made = await api.call("POST", "/api/v1/connections", {
    body: { displayName: "Head office", access: { read: true } },
  });
  connection = String(made.body.id);
});
afterAll(() => api.close());

const bodies: Partial<Record<RouteName, object>> = {
  "connections.create": { displayName: "Another", access: { read: true } },
  "connections.update": { displayName: "Renamed" },
  "connections.close": { displayName: "Head office" },
  "consent.start": { tier: "read", returnUrl: "https://app.product.example/" },
  "consent.complete": { code: "c" },
  "security.change": { grants: [{ subject: { kind: "person", id: "ada" }, permissions: ["integration:secure"] }] },
  "keys.rekey": { displayName: "Head office" },
  "settings.change": { ...defaultSettings, automatic: false, intervalMinutes: 60, paused: false },
  "settings.impact": { ...defaultSettings, intervalMinutes: 60 },
  "settings.blacklist-replace": { entries: ["somebody@contoso.example"] },
  "product-groups.replace": { items: [{ id: "sales", name: "Sales" }] },
  "settings.finish": { withoutTest: true },
  "wizard.mark": { done: true },
  "runs.approve": { planHash: "0".repeat(64) },
  "runs.request": { mode: "full" },
  "people.search": { text: "ada" },
  "people.explain": { mail: "ada@contoso.example" },
  "people.switch": { enabled: false },
  "people.link": { productUserId: "p-1" },
  "people.export": {},
  "people.erase": { person: "a".repeat(22) },
  "product-users.link": { items: [{ person: "a".repeat(22), productUserId: "p-1" }] },
  "product-users.match": { candidates: [{ productUserId: "p-1", mail: "ada@contoso.example" }] },
  "groups.search": { text: "crew" },
  "audit.search": { ip: "203.0.113.7" },
  "access.search": { actor: "ada@contoso.example" },
  "changes.acknowledge": { consumer: "crm", sequence: 0 },
  "webhooks.replay": { after: 0 },
};

const pathOf = ({ path }: Route, id = connection): string =>
  `/${path
    .replace("{connection}", id)
    .replace("{person}", "a".repeat(22))
    .replace("{group}", "11111111-2222-4333-8444-555555555555")
    .replace("{run}", "0".repeat(26))
    .replace("{consumer}", "crm")
    .replace("{version}", "1")
    .replace("{step}", "attributes")
    .replace("{endpoint}", "crm")}`;

const requestOf = (name: RouteName): Call => {
  if (name === "settings.blacklist-upload") return { text: "somebody@contoso.example" };
  return bodies[name] ? { body: bodies[name] } : {};
};

const table = Object.entries<Route>(routes).map(([name, route]) => ({ name: name as RouteName, route }));
const guarded = table.filter(({ route }) => route.permission !== null);
const ofConnection = guarded.filter(({ route }) => route.path.includes("{connection}"));

describe("every route of the table", () => {
  test("but the descriptions of the API and its events needs a token", () => {
    const open = table.filter(({ route }) => route.permission === null).map(({ name }) => name);
    expect(open).toEqual(["events.read", "openapi.read"]);
  });

  test("is reached at its address, in the order of function names in which the host looks", () => {
    const names = api.functions.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { route } of table) expect(routed(api.functions, pathOf(route))?.target.route).toBe(route.path);
  });

  test.each(guarded)("$name refuses who does not say who he is", async ({ name, route }) => {
    const answer = await api.call(route.method, pathOf(route), { ...requestOf(name), token: null });
    expect([answer.status, answer.body.code]).toEqual([401, "token-missing"]);
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
  });

  test.each(guarded)("$name takes its permission and no other", async ({ name, route }) => {
    const others = permissions.filter((permission) => permission !== route.permission);
    const refused = await api.call(route.method, pathOf(route), {
      ...requestOf(name),
      token: await api.tokenFor("nobody", others),
    });
    expect([refused.status, refused.body.code]).toEqual([403, "permission-missing"]);
    // Of a workspace that has nothing, so that the walk changes nothing.
    const passed = await api.call(route.method, pathOf(route), {
      ...requestOf(name),
      token: await api.tokenFor("nobody", [route.permission ?? ""]),
    });
    expect(passed.status).not.toBe(403);
  });

  test.each(ofConnection)("$name knows no connection of another workspace", async ({ name, route }) => {
    const token = await api.tokenFor("other");
    const headers = { "if-match": '"1"' };
    const answers = [];
    for (const id of [connection, "0".repeat(26), "..", "x".repeat(300)]) {
      const { status, body } = await api.call(route.method, pathOf(route, encodeURIComponent(id)), {
        ...requestOf(name),
        token,
        headers,
      });
      const { correlationId: _, ...problem } = body;
      answers.push(JSON.stringify([status, problem]));
    }
    expect(new Set(answers).size).toBe(1);
    // A code that nobody was given says nothing either, whatever it is shown for.
    const expected = name === "consent.complete" ? [410, "consent-attempt-unusable"] : [404, "connection-not-found"];
    const [status, { code }] = JSON.parse(answers[0] ?? "");
    expect([status, code]).toEqual(expected);
  });

  test.each(table)("$name refuses what it does not know", async ({ name, route }) => {
    const headers = { "if-match": '"1"' };
    const query = await api.call(route.method, pathOf(route), {
      ...requestOf(name),
      headers,
      query: { surprise: "1" },
    });
    expect([query.status, query.body.code, query.body.field]).toEqual([400, "invalid-request", "surprise"]);
    // The host drops the body of a GET, and a file has no fields.
    if (route.method === "GET" || route.format === "csv") return;
    const body = await api.call(route.method, pathOf(route), {
      headers,
      body: { ...bodies[name], surprise: 1 },
    });
    expect([body.status, body.body.code, body.body.field]).toEqual([400, "invalid-request", "surprise"]);
  });

  test.each(table)("$name answers to no other verb", async ({ route }) => {
    const here = table.filter((other) => other.route.path === route.path).map((other) => other.route.method);
    for (const verb of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].filter(
      (each) => !here.some((m) => m === each),
    )) {
      const answer = await api.call(verb, pathOf(route));
      expect([answer.status, answer.body.code]).toEqual([405, "method-not-allowed"]);
      expect(answer.headers.get("allow")?.split(", ").toSorted()).toEqual(here.toSorted());
    }
  });
});

describe("a connection that is being deleted", () => {
  let closing: string;
  beforeAll(async () => {
    const displayName = "Going";
    const made = await api.call("POST", "/api/v1/connections", { body: { displayName, access: { read: true } } });
    closing = String(made.body.id);
    await api.call("DELETE", `/api/v1/connections/${closing}`, { body: { displayName } });
  });

  const stays = ofConnection.filter(({ name }) => !["connections.close", "connections.restore"].includes(name));
  test.each(stays)("$name shows nothing of the directory there, and changes nothing", async ({ name, route }) => {
    const { status, body } = await api.call(route.method, pathOf(route, closing), {
      ...requestOf(name),
      headers: { "if-match": '"1"' },
    });
    const isAboutPeople = route.permission?.startsWith("directory:") ?? false;
    if (route.method !== "GET" || isAboutPeople) expect([404, 409, 410, 412]).toContain(status);
    else expect([200, 404, 409]).toContain(status);
    expect(["unexpected", "key-missing"]).not.toContain(body.code);
  });
});

describe("a token", () => {
  const list = (token: string | null, headers: Record<string, string> = {}) =>
    api.call("GET", "/api/v1/connections", { token, headers });

  test("of the product's issuer is taken", async () => {
    expect((await list(await api.tokenFor("acme"))).status).toBe(200);
    const typed = await api.tokenFor("acme", permissions, { header: { typ: "application/at+jwt" } });
    expect((await list(typed)).status).toBe(200);
  });

  const seconds = () => Math.floor(Date.now() / 1000);
  test.each<[string, () => Parameters<ApiStage["tokenFor"]>[2]]>([
    ["that has expired", () => ({ claims: { iat: seconds() - 3600, exp: seconds() - 60 } })],
    ["without an end", () => ({ claims: { exp: undefined } })],
    ["without a beginning", () => ({ claims: { iat: undefined } })],
    ["that lives longer than an hour", () => ({ claims: { exp: seconds() + 7200 } })],
    ["that was dated back to live longer", () => ({ claims: { iat: seconds() - 7200, exp: seconds() + 60 } })],
    ["that is issued in the future", () => ({ claims: { iat: seconds() + 600, exp: seconds() + 900 } })],
    ["that is not valid yet", () => ({ claims: { nbf: seconds() + 600 } })],
    ["of an unknown issuer", () => ({ claims: { iss: "https://login.attacker.example" } })],
    ["of an issuer with another ending", () => ({ claims: { iss: `${api.issuer.issuer}/` } })],
    ["for another audience", () => ({ claims: { aud: `${audience}/` } })],
    ["of another type", () => ({ header: { typ: "JWT" } })],
    ["without a type", () => ({ header: { typ: undefined } })],
    ["signed with another key", () => ({ foreignKey: true })],
    ["that is an ID token by its nonce", () => ({ claims: { nonce: "n" } })],
    ["that is an ID token by its hash", () => ({ claims: { at_hash: "h" } })],
    ["of a program", () => ({ claims: { client_id: "ada" } })],
    ["without a workspace", () => ({ claims: { workspace: undefined } })],
    ["with a workspace that is no id", () => ({ claims: { workspace: "acme|2026-11" } })],
    ["without a subject", () => ({ claims: { sub: undefined } })],
  ])("%s is refused", async (_, overrides) => {
    const answer = await list(await api.tokenFor("acme", permissions, overrides()));
    expect([answer.status, answer.body.code, answer.body.detail]).toEqual([401, "token-invalid", undefined]);
  });

  test("of another algorithm, altered, or no token at all is refused", async () => {
    const token = await api.tokenFor("acme");
    const [, payload = "", signature = ""] = token.split(".");
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const forged = encode({ iss: api.issuer.issuer, aud: audience, workspace: "acme", sub: "eve" });
    for (const bad of [
      `${encode({ alg: "none", typ: "at+jwt" })}.${payload}.`,
      `${encode({ alg: "HS256", typ: "at+jwt" })}.${payload}.${signature}`,
      token.replace(payload, forged),
      "garbage",
      `${token}.${token}`,
      "a".repeat(20_000),
    ])
      expect((await list(bad)).body.code).toBe("token-invalid");
    expect((await list(null, { authorization: "Basic YWRhOmFkYQ==" })).body.code).toBe("token-invalid");
    expect((await list(null, { authorization: " " })).body.code).toBe("token-missing");
  });

  test("does not act for a workspace that a header names", async () => {
    const answer = await list(await api.tokenFor("acme"), { "x-workspace-id": "other" });
    expect([answer.status, answer.body.code]).toEqual([403, "permission-missing"]);
  });
});
