/** Rights on one connection: who has them, who may give them, and that no route passes them by. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCosmos } from "../../src/adapters/cosmos/client.ts";
import type { Grant } from "../../src/core/access/grants.ts";
import { type Permission, permissions } from "../../src/core/context.ts";
import type { Route } from "../../src/functions/route.ts";
import { type RouteName, routes } from "../../src/functions/routes.ts";
import { type ApiStage, startApi } from "./api-stage.ts";

let api: ApiStage;
beforeAll(async () => {
  api = await startApi((issuer) => ({
    MACHINE_CLIENTS: JSON.stringify([{ issuer, subject: "crm", permissions: [...permissions] }]),
  }));
});
afterAll(() => api.close());

const list = "/api/v1/connections";
const grant = (kind: Grant["subject"]["kind"], id: string, ...given: Permission[]): Grant => ({
  subject: { kind, id },
  permissions: given,
});
const person = (subject: string, granted: readonly string[] = permissions, roles: string[] = []): Promise<string> =>
  api.tokenFor("acme", granted, { claims: { sub: subject, roles } });

const draft = async (): Promise<string> => {
  const body = { displayName: `Draft ${crypto.randomUUID()}`, access: { read: true } };
  return String((await api.call("POST", list, { body })).body.id);
};
const read = async (id: string, token?: string) =>
  api.call("GET", `${list}/${id}/security`, token === undefined ? {} : { token });
const put = async (id: string, grants: unknown, more: { token?: string; etag?: string } = {}) => {
  const etag = more.etag ?? String((await read(id)).body.etag);
  const { token } = more;
  return api.call("PUT", `${list}/${id}/security`, {
    body: { grants },
    headers: { "if-match": etag },
    ...(token === undefined ? {} : { token }),
  });
};
const ada = grant("person", "ada", "integration:secure", "integration:read");

describe("the list", () => {
  test("is empty at first, and everybody has what his token says", async () => {
    const id = await draft();
    const { status, body, headers } = await read(id);
    expect([status, body.grants, headers.get("etag")]).toEqual([200, [], String(body.etag)]);
    expect((await api.call("GET", `${list}/${id}`, { token: await person("eve") })).status).toBe(200);
  });

  test("takes from everybody what it does not name, at once", async () => {
    const id = await draft();
    const helpdesk = grant("role", "helpdesk", "integration:read");
    const changed = await put(id, [ada, helpdesk]);
    expect([changed.status, changed.body.grants]).toEqual([200, [ada, helpdesk]]);
    expect((await read(id)).body).toEqual(changed.body);
    const statusFor = async (token: string) => (await api.call("GET", `${list}/${id}`, { token })).status;
    expect(await statusFor(await person("eve"))).toBe(403);
    expect(await statusFor(await person("eve", permissions, ["helpdesk"]))).toBe(200);
    expect(await statusFor(await person("eve", ["directory:read"], ["helpdesk"]))).toBe(403);
    expect(await statusFor(await person("ada"))).toBe(200);
    // Renaming takes `integration:setup`, which is in the token and not in the list.
    const renamed = await api.call("PATCH", `${list}/${id}`, {
      body: { displayName: "x" },
      headers: { "if-match": "x" },
    });
    expect([renamed.status, renamed.body.code]).toEqual([403, "permission-missing"]);
  });

  test("needs the ETag of what was read, and changes nothing when it is the same", async () => {
    const id = await draft();
    const missing = await api.call("PUT", `${list}/${id}/security`, { body: { grants: [ada] } });
    expect([missing.status, missing.body.code]).toEqual([428, "etag-required"]);
    expect((await put(id, [ada], { etag: '"0"' })).status).toBe(412);
    const [one, other] = await Promise.all([put(id, [ada]), put(id, [ada, grant("role", "r", "audit:read")])]);
    expect([one.status, other.status].toSorted()).toEqual([200, 412]);
    const { body } = await read(id);
    const again = await put(id, body.grants);
    expect([again.status, again.body]).toEqual([200, body]);
  });

  test("has a record of every subject, which the feed tells only to those who may know", async () => {
    const id = await draft();
    const editor = grant("person", "ada", ...permissions);
    await put(id, [editor, grant("role", "helpdesk", "integration:read")]);
    await put(id, [editor, grant("role", "helpdesk", "directory:read", "audit:read")]);
    await put(id, [editor]);
    const entries = async (...granted: Permission[]) => {
      const { body } = await api.call("GET", `${list}/${id}/changes`, { token: await person("ada", granted) });
      return (body.items as { type: string; content: string; changes: unknown; actor?: unknown }[]).filter(
        ({ type }) => type === "security.updated",
      );
    };
    const seen = await entries("directory:read", "integration:secure");
    expect(seen.map(({ changes }) => changes)).toEqual([
      [
        { field: "grants.person:ada", before: null, after: permissions.toSorted() },
        { field: "grants.role:helpdesk", before: null, after: ["integration:read"] },
      ],
      [{ field: "grants.role:helpdesk", before: ["integration:read"], after: ["audit:read", "directory:read"] }],
      [{ field: "grants.role:helpdesk", before: ["audit:read", "directory:read"], after: null }],
    ]);
    expect((await entries("directory:read", "audit:read"))[0]).toMatchObject({
      content: "open",
      actor: { subject: "ada" },
    });
    for (const { content, changes, actor } of await entries("directory:read"))
      expect([content, changes, actor]).toEqual(["withheld", [], undefined]);
  });

  test("is sealed where it is stored", async () => {
    const id = await draft();
    await put(id, [ada, grant("person", "carrot-subject", "audit:read"), grant("role", "carrot-role", "audit:read")]);
    const handles = openCosmos(api.cosmos);
    const { resources } = await handles.directory.items.query("SELECT * FROM c", { partitionKey: id }).fetchAll();
    handles.dispose();
    const documents = resources.filter((doc: { kind: string }) => ["security", "log"].includes(doc.kind));
    expect(documents.length).toBeGreaterThan(2);
    expect(JSON.stringify(documents)).not.toContain("carrot");
  });

  test("hides a connection from the lists of those who may not read it", async () => {
    const [hidden, open] = [await draft(), await draft()];
    await put(hidden, [ada]);
    const idsFor = async (token: string) =>
      ((await api.call("GET", list, { token, query: { limit: "200" } })).body.items as { id: string }[]).map(
        ({ id }) => id,
      );
    const seen = await idsFor(await person("eve"));
    expect([seen.includes(hidden), seen.includes(open)]).toEqual([false, true]);
    expect(await idsFor(await person("ada"))).toContain(hidden);
  });

  test("hides what is about a connection from the access log of those who may not read its audit, and from its file", async () => {
    const [hidden, open] = [await draft(), await draft()];
    for (const id of [hidden, open]) await api.call("GET", `${list}/${id}/runs/${"0".repeat(26)}`);
    await put(hidden, [
      grant("person", "ada", "integration:secure", "audit:read"),
      grant("person", "eve", "integration:read"),
    ]);
    const seenBy = async (name: string): Promise<unknown[]> => {
      const token = await person(name);
      const { body } = await api.call("GET", "/api/v1/audit", { token, query: { limit: "200" } });
      const entries = body.items as { connection: string }[];
      const file = (await api.call("GET", "/api/v1/audit/export", { token, query: { format: "jsonl" } })).text;
      return [hidden, open].map((id) => [entries.some(({ connection }) => connection === id), file.includes(id)]);
    };
    expect(await seenBy("eve")).toEqual([
      [false, false],
      [true, true],
    ]);
    expect(await seenBy("ada")).toEqual([
      [true, true],
      [true, true],
    ]);
  });

  test("says of a program by its own kind what it may do, and lets none change it", async () => {
    const id = await draft();
    await put(id, [grant("person", "ada", ...permissions), grant("person", "crm", "integration:read")]);
    const claims = { workspace: undefined, sub: "crm", client_id: "crm" };
    const token = await api.tokenFor("", [...permissions, "workspace:act-as"], { claims });
    const ask = (method: string, path: string, more: object = {}) =>
      api.call(method, `${list}/${id}${path}`, {
        token,
        headers: { "x-workspace-id": "acme", "if-match": "x" },
        ...more,
      });
    expect((await ask("GET", "")).status).toBe(403);
    await put(id, [
      grant("person", "ada", ...permissions),
      grant("machine", "crm", "integration:read", "integration:secure"),
    ]);
    expect((await ask("GET", "")).status).toBe(200);
    const changed = await ask("PUT", "/security", { body: { grants: [ada] } });
    expect([changed.status, changed.body.code]).toEqual([403, "person-required"]);
  });

  test("cannot be changed while the connection is being deleted, and still holds", async () => {
    const id = await draft();
    const named = String((await api.call("GET", `${list}/${id}`)).body.displayName);
    const editor = grant("person", "ada", "integration:secure", "integration:read", "integration:setup");
    await put(id, [editor]);
    expect((await api.call("DELETE", `${list}/${id}`, { body: { displayName: named } })).status).toBe(202);
    const changed = await put(id, [ada]);
    expect([changed.status, changed.body.code]).toEqual([409, "state-conflict"]);
    expect((await api.call("GET", `${list}/${id}`, { token: await person("eve") })).status).toBe(403);
    expect((await api.call("GET", `${list}/${id}`)).status).toBe(200);
  });
});

describe("whoever changes the list", () => {
  test("grants nothing that he does not hold, on this connection", async () => {
    const id = await draft();
    const editor = await person("ada", ["integration:secure", "integration:read"]);
    const beyond = await put(id, [ada, grant("role", "r", "audit:read")], { token: editor });
    expect([beyond.status, beyond.body.code, beyond.body.field]).toEqual([
      403,
      "permission-missing",
      "grants.1.permissions",
    ]);
    // His token has it; the list took it from him.
    await put(id, [ada, grant("person", "root", ...permissions)]);
    const regained = await put(id, [grant("person", "ada", "integration:secure", "directory:read-all")]);
    expect([regained.status, regained.body.field]).toEqual([403, "grants.0.permissions"]);
    const gone = await put(id, []);
    expect([gone.status, gone.body.code, gone.body.field]).toEqual([403, "permission-missing", "grants"]);
    const byRoot = await put(id, [], { token: await person("root") });
    expect([byRoot.status, byRoot.body.grants]).toEqual([200, []]);
    expect((await api.call("GET", `${list}/${id}`, { token: await person("eve") })).status).toBe(200);
  });

  test("keeps the right to change it", async () => {
    const id = await draft();
    for (const grants of [
      [grant("person", "bob", ...permissions)],
      [grant("person", "ada", "integration:read")],
      [grant("role", "nobody", "integration:secure")],
      [grant("machine", "ada", "integration:secure")],
    ]) {
      const { status, body } = await put(id, grants);
      expect([status, body.code]).toEqual([409, "editor-locked-out"]);
    }
    const byRole = await put(id, [grant("role", "owner", "integration:secure")], {
      token: await person("ada", permissions, ["owner"]),
    });
    expect(byRole.status).toBe(200);
  });

  test("is told which field has no form, also of what will come", async () => {
    const id = await draft();
    for (const [extra, field] of [
      [{ operations: ["group.add-member"] }, "grants.0.operations"],
      [{ groups: ["11111111-2222-4333-8444-555555555555"] }, "grants.0.groups"],
    ] as const) {
      const { status, body } = await put(id, [{ ...ada, ...extra }]);
      expect([status, body.code, body.field]).toEqual([400, "invalid-request", field]);
    }
  });
});

describe("no route passes the list by", () => {
  const below = Object.entries<Route>(routes)
    .map(([name, route]) => ({ name: name as RouteName, route }))
    .filter(({ route }) => route.path.startsWith("api/v1/connections/"));

  test("because every route below a connection names it", () => {
    expect(below.length).toBeGreaterThan(30);
    expect(below.filter(({ route }) => !route.path.startsWith("api/v1/connections/{connection}"))).toEqual([]);
    expect(below.filter(({ route }) => route.permission === null)).toEqual([]);
  });

  test.each(below)("$name", async ({ name, route }) => {
    const id = await draft();
    const path = `/${route.path.replace("{connection}", id).replaceAll(/\{\w+\}/g, "a".repeat(26))}`;
    const right = route.permission ?? "integration:read";
    const others = permissions.filter((permission) => permission !== right);
    const editor = grant("person", "ada", ...permissions);
    await put(id, [editor, grant("role", "all-but-one", ...others)]);
    const surprise = route.method === "GET" ? {} : { body: { surprise: name } };
    const ask = async (roles: string[]) => {
      const token = await person("eve", permissions, roles);
      return api.call(route.method, path, { token, headers: { "if-match": '"1"' }, ...surprise });
    };
    for (const roles of [[], ["all-but-one"]]) {
      const { status, body } = await ask(roles);
      expect([status, body.code]).toEqual([403, "permission-missing"]);
    }
    await put(id, [editor, grant("role", "just-this", right)]);
    expect((await ask(["just-this"])).status).not.toBe(403);
  });
});
