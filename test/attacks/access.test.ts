/** Attacks on access control: by people who have lost a right, by other workspaces, by programs, and by noise. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Grant } from "../../src/core/access/grants.ts";
import { type Permission, permissions } from "../../src/core/context.ts";
import { type ApiStage, startApi } from "../functions/api-stage.ts";

let api: ApiStage;
let id: string;
let base: string;
beforeAll(async () => {
  api = await startApi((issuer) => ({
    RATE_LIMITS: JSON.stringify({ read: 1000, write: 1000, live: 1000, wait: 1000, address: 3 }),
    MACHINE_CLIENTS: JSON.stringify([{ issuer, clientId: "crm", permissions: [...permissions] }]),
  }));
  ({ id } = await api.connect(8, 2));
  base = `/api/v1/connections/${id}`;
});
afterAll(() => api.close());

const person = (subject: string, roles: unknown = [], workspace = "acme"): Promise<string> =>
  api.tokenFor(workspace, permissions, { claims: { sub: subject, roles } });
const grant = (kind: Grant["subject"]["kind"], name: string, ...given: Permission[]): Grant => ({
  subject: { kind, id: name },
  permissions: given,
});
const root = grant("person", "ada", ...permissions);
const etagNow = async (): Promise<string> => String((await api.call("GET", `${base}/security`)).body.etag);
const put = async (grants: Grant[], token?: string, etag?: string) =>
  api.call("PUT", `${base}/security`, {
    body: { grants },
    headers: { "if-match": etag ?? (await etagNow()) },
    ...(token === undefined ? {} : { token }),
  });

describe("a right that was taken on a connection", () => {
  test("is gone from everything that another right shows beside its own", async () => {
    const token = await person("eve", ["reader"]);
    const seen = async () => {
      const feed = await api.call("GET", `${base}/changes`, { token });
      const runs = await api.call("GET", `${base}/runs`, { token });
      const versions = await api.call("GET", `${base}/settings/versions`, { token });
      const texts = [feed, runs, versions].map(({ body }) => JSON.stringify(body));
      return texts.map((text) => /"actor":|"startedBy":|"by":/.test(text));
    };
    expect(await seen()).toEqual([true, true, true]);
    await put([root, grant("role", "reader", "directory:read", "integration:read")]);
    expect(await seen()).toEqual([false, false, false]);
    expect((await api.call("POST", `${base}/people/search`, { token, body: { text: "a" } })).status).toBe(403);
  });

  test("does not live on in a cursor that was given out before", async () => {
    const token = await person("eve", ["reader"]);
    await put([root, grant("role", "reader", "directory:read")]);
    const first = await api.call("GET", `${base}/people`, { token, query: { limit: "2" } });
    const cursor = String(first.body.next);
    expect((await api.call("GET", `${base}/people`, { token, query: { limit: "2", cursor } })).status).toBe(200);
    await put([root]);
    expect((await api.call("GET", `${base}/people`, { token, query: { limit: "2", cursor } })).status).toBe(403);
  });

  test("does not help to change the list, with the old ETag or the new one", async () => {
    const eve = grant("person", "eve", "integration:secure", "audit:read");
    const token = await person("eve");
    await put([root, eve]);
    const before = await etagNow();
    await put([root]);
    const refused = await put([root, eve], token, before);
    expect([refused.status, refused.body.code]).toEqual([403, "permission-missing"]);
    // As if the list had been taken from him between the edge and the change.
    const stale = api.cases.changeSecurity(
      { workspaceId: "acme", subject: "eve", permissions: new Set(permissions), ip: "unknown", correlationId: "c" },
      id,
      before,
      { grants: [root, eve] },
    );
    await expect(stale).rejects.toMatchObject({ code: "etag-mismatch" });
    expect((await api.call("GET", `${base}/security`)).body.grants).toEqual([root]);
  });

  test("is not won back by a role in another form, or by looking like another kind of caller", async () => {
    await put([root, grant("role", "reader", "integration:read"), grant("machine", "eve", "integration:read")]);
    for (const roles of [
      "Reader",
      "reader,admin",
      ["reader "],
      [["reader"]],
      { reader: true },
      [{ 0: "reader" }],
      "role:reader",
    ])
      expect((await api.call("GET", base, { token: await person("eve", roles) })).status).toBe(403);
    expect((await api.call("GET", base, { token: await person("reader") })).status).toBe(403);
    expect((await api.call("GET", base, { token: await person("x", "admin reader") })).status).toBe(200);
  });

  test("is recorded as refused, once for each try", async () => {
    await put([root]);
    const month = new Date().toISOString().slice(0, 7);
    const refusals = async () =>
      (await api.cases.edge.access.list("acme", month, { limit: 1000 })).filter(
        ({ what, subject, connectionId }) => what === "refused" && subject === "mallory" && connectionId === id,
      );
    await api.call("GET", `${base}/people`, { token: await person("mallory") });
    expect((await refusals()).map(({ refusal, route }) => [refusal, route])).toEqual([
      ["permission-missing", "people.list"],
    ]);
  });
});

describe("another workspace", () => {
  test("learns nothing of a list: a connection that has one looks like one that has none, or is not there", async () => {
    await put([root]);
    const bare = await api.call("POST", "/api/v1/connections", {
      body: { displayName: "Bare", access: { read: true } },
    });
    const token = await person("ada", [], "other");
    const answers = [];
    for (const each of [id, String(bare.body.id), "0".repeat(26), "no-id"])
      for (const path of ["", "/people", "/security"]) {
        const { status, body } = await api.call("GET", `/api/v1/connections/${each}${path}`, { token });
        answers.push([status, body.code]);
      }
    for (const answer of answers) expect(answer).toEqual([404, "connection-not-found"]);
    // Nor does the list of one workspace give anything to the same person in another.
    const changed = await api.call("PUT", `${base}/security`, {
      token,
      body: { grants: [root] },
      headers: { "if-match": await etagNow() },
    });
    expect([changed.status, changed.body.code]).toEqual([404, "connection-not-found"]);
  });
});

describe("a token", () => {
  const list = "/api/v1/connections";
  test.each<[string, Record<string, unknown>, Record<string, string>, number]>([
    ["of a person who may act for others, with a workspace", {}, { "x-workspace-id": "other" }, 403],
    ["of a person whose application is listed", { client_id: "crm", azp: "crm" }, { "x-workspace-id": "other" }, 403],
    ["of a person who is marked by the address of somebody else", {}, { "x-actor-ip": "192.0.2.1" }, 403],
    ["of a program that is not listed and looks like a person", { sub: "svc", client_id: "svc" }, {}, 401],
    ["of a listed program without a workspace, with one in its claims", { sub: "crm", client_id: "crm" }, {}, 400],
    [
      "of a listed program for another workspace than its claims",
      { sub: "crm", client_id: "crm" },
      { "x-workspace-id": "other" },
      403,
    ],
  ])("%s is refused", async (_, claims, headers, expected) => {
    const token = await api.tokenFor("acme", [...permissions, "workspace:act-as"], { claims });
    expect((await api.call("GET", list, { token, headers })).status).toBe(expected);
  });

  test("of a person does not become another's by what he claims beside it", async () => {
    const claims = { sub: "eve", act: { sub: "ada" }, asserted: { subject: "ada" }, machine: true, kind: "machine" };
    await put([root]);
    const token = await api.tokenFor("acme", permissions, { claims });
    expect((await api.call("GET", base, { token })).status).toBe(403);
  });
});

describe("noise from one address", () => {
  test("gets no new bucket by headers that everybody can send", async () => {
    const seen = [];
    for (let n = 0; n < 6; n++) {
      const headers = {
        "client-ip": "198.51.100.200:1234",
        "x-forwarded-for": `192.0.2.${n}`,
        "x-real-ip": `192.0.2.${n}`,
        forwarded: `for=192.0.2.${n}`,
        "x-azure-socketip": `192.0.2.${n}`,
      };
      seen.push((await api.call("GET", "/setup", { token: null, headers })).status);
    }
    expect(seen).toEqual([200, 200, 200, 429, 429, 429]);
  });

  test("does not keep people with tokens out", async () => {
    const headers = { "client-ip": "198.51.100.200:1234" };
    expect((await api.call("GET", "/api/v1/connections", { headers })).status).toBe(200);
  });
});
