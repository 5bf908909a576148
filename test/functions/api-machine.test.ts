/** Programs of the product: which are taken, for whom they act, and what they say of people stays theirs. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { permissions } from "../../src/core/context.ts";
import type { Route } from "../../src/functions/route.ts";
import { routes } from "../../src/functions/routes.ts";
import { type ApiStage, type Call, startApi } from "./api-stage.ts";

let api: ApiStage;
beforeAll(async () => {
  api = await startApi((issuer) => ({
    MACHINE_CLIENTS: JSON.stringify([
      { issuer, clientId: "crm", permissions: permissions.filter((each) => each !== "directory:read-all") },
      { issuer, subject: "narrow", permissions: ["integration:read"], workspaces: ["acme"] },
    ]),
  }));
});
afterAll(() => api.close());

const list = "/api/v1/connections";
const program = (
  subject = "crm",
  granted: readonly string[] = [...permissions, "workspace:act-as"],
  claims: Record<string, unknown> = {},
): Promise<string> =>
  api.tokenFor("", granted, { claims: { workspace: undefined, sub: subject, client_id: subject, ...claims } });
const as = async (workspace: string | null, more: Call = {}): Promise<Call> => ({
  token: await program(),
  ...more,
  headers: { ...(workspace === null ? {} : { "x-workspace-id": workspace }), ...more.headers },
});
const recorded = (workspace: string) =>
  api.cases.edge.access.list(workspace, new Date().toISOString().slice(0, 7), { limit: 200 });

describe("a listed program", () => {
  test("acts for the workspace that it names, and there only", async () => {
    const made = await api.call(
      "POST",
      list,
      await as("w-1", { body: { displayName: "One", access: { read: true } } }),
    );
    expect(made.status).toBe(201);
    const seen = async (workspace: string) => (await api.call("GET", list, await as(workspace))).body.items as object[];
    expect([(await seen("w-1")).length, (await seen("w-2")).length]).toEqual([1, 0]);
    expect((await api.call("GET", `${list}/${String(made.body.id)}`, await as("w-2"))).status).toBe(404);
  });

  test.each<[string, string | null]>([
    ["no workspace", null],
    ["an empty one", ""],
    ["one that is no id", "acme|2026-11"],
    ["two", "acme, other"],
  ])("that names %s is told so", async (_, workspace) => {
    const { status, body } = await api.call("GET", list, await as(workspace));
    expect([status, body.code, body.field]).toEqual([400, "invalid-request", "X-Workspace-Id"]);
  });

  test.each<[string, () => Promise<string>]>([
    ["without the right to act", () => program("crm", permissions)],
    ["for a workspace that it is not listed for", () => program("narrow")],
    ["against its own token", () => program("crm", undefined, { workspace: "elsewhere" })],
    ["beyond its maximum", () => program("crm", ["directory:read-all", "workspace:act-as"])],
  ])("%s is refused, and the workspace has the record", async (name, token) => {
    const workspace = `refused-${name.length}`;
    const { status, body } = await api.call("GET", list, await as(workspace, { token: await token() }));
    expect([status, body.code]).toEqual([403, "permission-missing"]);
    expect(await recorded(workspace)).toMatchObject([
      { what: "refused", refusal: "permission-missing", machine: true, route: "connections.list" },
    ]);
  });

  test("has no more rights than the list gives it", async () => {
    const answer = await api.call("GET", list, await as("acme", { token: await program("narrow") }));
    expect(answer.status).toBe(200);
    const body = { displayName: "Mine", access: { read: true } };
    const refused = await api.call("POST", list, await as("acme", { token: await program("narrow"), body }));
    expect([refused.status, refused.body.code]).toEqual([403, "permission-missing"]);
  });

  test.each<[string, Record<string, unknown>]>([
    ["has expired", { iat: Math.floor(Date.now() / 1000) - 3600, exp: Math.floor(Date.now() / 1000) - 60 }],
    ["is for another audience", { aud: "https://other.example" }],
    ["is an ID token", { nonce: "n" }],
    ["is a person's of the same application", { sub: "ada" }],
  ])("is not taken with a token that %s", async (_, claims) => {
    const { status, body } = await api.call(
      "GET",
      list,
      await as("acme", { token: await program("crm", undefined, claims) }),
    );
    expect([status, body.code]).toEqual([401, "token-invalid"]);
  });
});

test("a program that is not listed is nobody", async () => {
  const { status, body } = await api.call("GET", list, await as("acme", { token: await program("unlisted") }));
  expect([status, body.code]).toEqual([401, "token-invalid"]);
});

describe("what only people do", () => {
  const personal = Object.entries<Route>(routes).filter(([, { person }]) => person);

  test("is what binds the workspace or cannot be taken back", () => {
    expect(personal.map(([name]) => name)).toEqual(
      expect.arrayContaining([
        "connections.close",
        "consent.start",
        "consent.complete",
        "security.change",
        "runs.approve",
      ]),
    );
  });

  test.each(personal)("%s is refused to a program, whomever it names", async (name, route) => {
    const workspace = `people-${name}`;
    const path = `/${route.path.replace("{connection}", "0".repeat(26)).replace("{run}", "0".repeat(26))}`;
    const answer = await api.call(
      route.method,
      path,
      await as(workspace, { headers: { "x-actor-id": "ada" }, body: {} }),
    );
    expect([answer.status, answer.body.code]).toEqual([403, "person-required"]);
    expect(await recorded(workspace)).toMatchObject([
      { what: "refused", refusal: "person-required", machine: true, asserted: { subject: "ada" } },
    ]);
  });
});

describe("whom a program names", () => {
  const headers = { "x-actor-id": "grace", "x-actor-ip": "[2001:db8::7]:443" };
  const asserted = { subject: "grace", ip: "2001:db8::7" };

  test("is recorded beside the program, as asserted", async () => {
    const body = { displayName: "Two", access: { read: true } };
    const made = await api.call("POST", list, await as("w-3", { headers, body }));
    const actor = { subject: "crm", ip: "203.0.113.7", machine: true, asserted };
    expect(await recorded("w-3")).toMatchObject([{ what: "connection-created", ...actor }]);
    const feed = await api.call("GET", `${list}/${String(made.body.id)}/changes`, await as("w-3"));
    expect((feed.body.items as { actor: unknown }[])[0]?.actor).toEqual(actor);
    const versions = await api.call("GET", `${list}/${String(made.body.id)}/settings/versions`, await as("w-3"));
    expect((versions.body.items as { by: unknown }[])[0]?.by).toEqual(actor);
  });

  test.each<[string, string, string]>([
    ["x-actor-id", "", "X-Actor-Id"],
    ["x-actor-id", "a".repeat(256), "X-Actor-Id"],
    ["x-actor-id", "a\tb", "X-Actor-Id"],
    ["x-actor-ip", "localhost", "X-Actor-IP"],
    ["x-actor-ip", "", "X-Actor-IP"],
    ["x-actor-ip", "1.2.3.4, 5.6.7.8", "X-Actor-IP"],
  ])("has a form: %s %j", async (name, value, field) => {
    const { status, body } = await api.call("GET", list, await as("acme", { headers: { [name]: value } }));
    expect([status, body.code, body.field]).toEqual([400, "invalid-request", field]);
  });

  test.each(["x-workspace-id", "x-actor-id", "x-actor-ip"])("%s is refused from a person", async (name) => {
    const token = await api.tokenFor("acme", [...permissions, "workspace:act-as"]);
    const { status, body } = await api.call("GET", list, { token, headers: { [name]: "acme" } });
    expect([status, body.code]).toEqual([403, "permission-missing"]);
  });

  test("may not approve what was asked for in his name", async () => {
    const { id } = await api.connect(8, 2);
    const settings = await api.call("GET", `${list}/${id}/settings`);
    const { version: _version, etag, ...kept } = settings.body;
    const guard = { ...(kept.guard as object), secondPerson: true };
    const changed = await api.call(
      "PUT",
      `${list}/${id}/settings`,
      await as("acme", { body: { ...kept, guard }, headers: { ...headers, "if-match": String(etag) } }),
    );
    expect(changed.status).toBe(200);
    const asked = await api.call("POST", `${list}/${id}/runs`, await as("acme", { body: { mode: "full" }, headers }));
    expect(asked.body.startedBy).toBe("asserted:grace");
    const approval = async (subject: string) => {
      const token = await api.tokenFor("acme", permissions, { claims: { sub: subject } });
      const path = `${list}/${id}/runs/${String(asked.body.id)}/approve`;
      return (await api.call("POST", path, { token, body: { planHash: "0".repeat(64) } })).body.code;
    };
    expect([await approval("grace"), await approval("ada")]).toEqual(["second-person-required", "plan-not-waiting"]);
  });
});
