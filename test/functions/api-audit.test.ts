import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { openCosmos } from "../../src/adapters/cosmos/client.ts";
import { verifyExport } from "../../src/core/audit/verify-export.ts";
import { AccessEntry, AccessPage } from "../../src/core/views/access-trail.ts";
import { AuditPage } from "../../src/core/views/audit.ts";
import { Verification } from "../../src/core/views/audit-verify.ts";
import { type ApiStage, type Call, startApi } from "./api-stage.ts";

let api: ApiStage;
let id: string;
let base: string;
let person: string;

beforeAll(async () => {
  api = await startApi();
  ({ id } = await api.connect(40, 6));
  base = `/api/v1/connections/${id}`;
  const { items } = (await api.call("GET", `${base}/people`)).body as { items: { id: string }[] };
  person = items[0]?.id ?? "";
  const linked = await api.call("PUT", `${base}/people/${person}/product-user`, {
    body: { productUserId: '=HYPERLINK("https://evil.example")' },
    token: await api.issuer.sign({ workspace: "acme", subject: "grace", permissions: ["integration:sync"] }),
  });
  expect(linked.status).toBe(200);
});
afterAll(() => api.close());

const get = async (path: string, query: Record<string, string> = {}, call: Call = {}) => {
  const answer = await api.call("GET", path, { query, ...call });
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer;
};
const audit = async (query: Record<string, string> = {}) => AuditPage.parse((await get(`${base}/audit`, query)).body);

const everything = async (query: Record<string, string>) => {
  const items: z.infer<typeof AuditPage>["items"] = [];
  for (let cursor = ""; ; ) {
    const page = await audit({ ...query, ...(cursor ? { cursor } : {}) });
    items.push(...page.items);
    if (page.next === null) return items;
    cursor = page.next;
  }
};

/** A file, part by part as the header says. */
const file = async (path: string, query: Record<string, string>) => {
  const parts: string[] = [];
  for (let address = `${path}?${new URLSearchParams(query).toString()}`; ; ) {
    const [at = "", search] = address.split("?");
    const { headers, text } = await get(at, Object.fromEntries(new URLSearchParams(search)));
    expect(headers.get("content-disposition")).toMatch(/^attachment; filename="[\w-]+\.(csv|jsonl)"$/);
    parts.push(text);
    const next = /^<([^>]+)>; rel="next"$/.exec(headers.get("link") ?? "")?.[1];
    if (next === undefined) return { parts, text: parts.join("") };
    address = next;
  }
};
const linesOf = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => z.looseObject({ record: z.string() }).parse(JSON.parse(line)));

describe("the audit trail", () => {
  test("has every entry once, newest first, whatever the size of a page", async () => {
    const { body } = await get(`${base}/changes`, { limit: "1" });
    const items = await everything({ limit: "7" });
    const numbers = items.map(({ sequence }) => sequence);
    expect(numbers).toEqual(Array.from({ length: Number(body.sequence) }, (_, index) => Number(body.sequence) - index));
    expect(await everything({ limit: "200" })).toEqual(items);
  });

  test("tells who, from where, what, field by field", async () => {
    const [newest] = (await audit({ limit: "1" })).items;
    expect(newest).toMatchObject({
      kind: "product-user",
      op: "changed",
      object: person,
      cause: "api",
      content: "open",
      actor: { subject: "grace", ip: "203.0.113.7" },
      correlationId: expect.any(String),
      changes: [{ field: "productUserId", before: null, after: '=HYPERLINK("https://evil.example")' }],
    });
  });

  test("is filtered by kind, operation, object, person and actor", async () => {
    const all = await everything({ limit: "200" });
    const numbers = async (query: Record<string, string>) =>
      (await everything({ limit: "3", ...query })).map(({ sequence }) => sequence);
    const expected = (test: (entry: (typeof all)[number]) => boolean) =>
      all.filter(test).map(({ sequence }) => sequence);
    expect(await numbers({ kind: "group" })).toEqual(expected(({ kind }) => kind === "group"));
    expect(await numbers({ op: "created", kind: "person" })).toHaveLength(
      all.filter(({ type }) => type === "person.created").length,
    );
    expect(await numbers({ object: "connection" })).toEqual(expected(({ object }) => object === "connection"));
    expect(await numbers({ person })).toEqual(expected(({ object }) => object === person));
    expect(await numbers({ person })).toHaveLength(2);
    const byGrace = expected(({ actor }) => actor?.subject === "grace");
    expect(await numbers({ actor: "grace" })).toEqual(byGrace);
    expect(byGrace).toHaveLength(1);
    expect(await numbers({ actor: "nobody" })).toEqual([]);
    const address = await api.call("GET", `${base}/audit`, { query: { actor: "grace@contoso.example" } });
    expect([address.status, address.body.field]).toEqual([400, "actor"]);
  });

  test("is searched for an address, or a name that no URL may hold, by a body; a cursor is good for the same search only", async () => {
    const search = async (path: string, body: object, query: Record<string, string> = {}) =>
      api.call("POST", path, { body, query });
    const anna = await api.issuer.sign({
      workspace: "acme",
      subject: "anna@product.example",
      permissions: ["integration:sync"],
    });
    const headers = { "client-ip": "198.51.100.44:1234" };
    for (const productUserId of ["p-7", null])
      await api.call("PUT", `${base}/people/${person}/product-user`, { body: { productUserId }, token: anna, headers });
    const subjects = async (path: string, filter: object) => {
      const { status, body } = await search(path, filter);
      expect(status).toBe(200);
      return (body.items as { actor: { subject: string } | null }[]).map(({ actor }) => actor?.subject);
    };
    expect(await subjects(`${base}/audit/search`, { ip: "198.51.100.44" })).toHaveLength(2);
    expect(new Set(await subjects(`${base}/audit/search`, { actor: "anna@product.example" }))).toEqual(
      new Set(["anna@product.example"]),
    );
    expect(await subjects(`${base}/audit/search`, { actor: "grace", ip: "198.51.100.44" })).toEqual([]);
    expect(new Set(await subjects("/api/v1/audit/search", { ip: "198.51.100.44" }))).toEqual(
      new Set(["anna@product.example"]),
    );
    const first = await search(`${base}/audit/search`, { ip: "198.51.100.44" }, { limit: "1" });
    const cursor = String(first.body.next);
    const next = await search(`${base}/audit/search`, { ip: "198.51.100.44" }, { limit: "1", cursor });
    expect((next.body.items as unknown[]).length).toBe(1);
    const other = await search(`${base}/audit/search`, { ip: "203.0.113.7" }, { limit: "1", cursor });
    expect([other.status, other.body.code]).toEqual([400, "invalid-cursor"]);
    expect((await search(`${base}/audit/search`, { ip: "somewhere" })).body.field).toBe("ip");
    // Neither may stand in an address.
    expect((await api.call("GET", `${base}/audit`, { query: { ip: "198.51.100.44" } })).status).toBe(400);
  });

  test("is cut by time where it was recorded", async () => {
    const all = await everything({ limit: "200" });
    api.advance(60_000);
    const from = new Date(Date.now() + 30_000).toISOString();
    expect(await everything({ from })).toEqual([]);
    expect(await everything({ to: from, limit: "200" })).toEqual(all);
    expect(await everything({ to: "2026-01-01T00:00:00Z" })).toEqual([]);
    const backwards = await api.call("GET", `${base}/audit`, { query: { from, to: "2026-01-01T00:00:00Z" } });
    expect([backwards.status, backwards.body.field]).toEqual([400, "to"]);
  });
});

describe("a file of the audit trail", () => {
  test("is the same in one part as in many, oldest first", async () => {
    const whole = await file(`${base}/audit/export`, { format: "csv" });
    const inParts = await file(`${base}/audit/export`, { format: "csv", limit: "1" });
    expect(whole.parts).toHaveLength(1);
    expect(inParts.parts.length).toBeGreaterThan(3);
    expect(inParts.text).toBe(whole.text);
    const numbers = [...whole.text.matchAll(/^"(\d+)"/gm)].map(([, number]) => Number(number));
    const entries = (await everything({ limit: "200" })).map(({ sequence }) => sequence);
    expect([...new Set(numbers)]).toEqual(entries.toReversed());
  });

  test("makes nothing of a name that a spreadsheet would carry out", async () => {
    const { text } = await file(`${base}/audit/export`, {});
    expect(text).toContain(`"'=HYPERLINK(""https://evil.example"")"`);
    expect(text).not.toMatch(/(^|,)"?[=+@-]/m);
    expect(text.split("\r\n").at(-1)).toBe("");
  });

  test("as JSON Lines has the stored documents with their entries", async () => {
    const { text } = await file(`${base}/audit/export`, { format: "jsonl", limit: "1" });
    const lines = linesOf(text);
    expect([lines[0], lines.at(-1)]).toMatchObject([
      { record: "start", connection: id, after: { sequence: 0 } },
      { record: "end", sequence: (await get(`${base}/changes`)).body.sequence },
    ]);
    const entries = await everything({ limit: "200" });
    expect(lines.filter(({ record }) => record === "entry").map(({ record: _record, ...entry }) => entry)).toEqual(
      entries.toReversed(),
    );
  });
});

describe("the access log", () => {
  const log = async (query: Record<string, string> = {}) => AccessPage.parse((await get("/api/v1/audit", query)).body);
  const entriesOf = async (query: Record<string, string>) => {
    const items: z.infer<typeof AccessEntry>[] = [];
    for (let cursor = ""; ; ) {
      const page = await log({ ...query, ...(cursor ? { cursor } : {}) });
      items.push(...page.items);
      if (page.next === null) return items;
      cursor = page.next;
    }
  };

  test("tells who read what, who was refused, and what was made", async () => {
    const token = await api.issuer.sign({ workspace: "acme", subject: "eve", permissions: ["integration:read"] });
    await api.call("GET", `${base}/people/${person}`, { token });
    await get(`${base}/people/${person}`);
    const { items } = await log({ limit: "2" });
    expect(items).toMatchObject([
      { what: "read", route: "people.read", actor: { subject: "ada" }, connection: id, count: 1, objects: [person] },
      {
        what: "refused",
        route: "people.read",
        actor: { subject: "eve", ip: "203.0.113.7" },
        refusal: "permission-missing",
      },
    ]);
    const made = await entriesOf({ what: "connection-created", limit: "1" });
    expect(made).toMatchObject([{ connection: id, actor: { subject: "ada" } }]);
    expect((await entriesOf({ actor: "eve" })).map(({ what }) => what)).toEqual(["refused"]);
    expect(await entriesOf({ connection: "0".repeat(26) })).toEqual([]);
  });

  test("records that it was read, and exported", async () => {
    const { text } = await file("/api/v1/audit/export", { format: "csv" });
    expect(text.split("\r\n")[0]).toContain('"correlationId"');
    const [newest] = (await log({ limit: "1" })).items;
    expect(newest).toMatchObject({
      what: "read",
      route: "access.export",
      count: text.trimEnd().split("\r\n").length - 1,
    });
    await file(`${base}/audit/export`, { limit: "1000" });
    expect((await log({ limit: "1" })).items).toMatchObject([{ route: "audit.export", connection: id }]);
  });

  test("is shown page by page, each record once", async () => {
    const to = new Date(Date.now() + 120_000).toISOString();
    const [all, small] = [await entriesOf({ to, limit: "200" }), await entriesOf({ to, limit: "3" })];
    expect(all.length).toBeGreaterThan(8);
    // What was read for the first is told by the second, and is newer.
    expect(small.slice(-all.length)).toEqual(all);
    expect(new Set(small.map((entry) => entry.id)).size).toBe(small.length);
  });

  test("shows a record that was altered as one that cannot be read", async () => {
    const { database, endpoint, key } = api.cosmos;
    const handles = openCosmos({ database, endpoint, key });
    const [victim] = (await log({ what: "connection-created" })).items;
    if (!victim) throw new Error("no record");
    const pk = `acme|${victim.at.slice(0, 7)}`;
    await handles.access.item(victim.id, pk).patch([{ op: "set", path: "/content", value: "1.access-1.AAAA" }]);
    handles.dispose();
    expect((await log({ what: "unreadable" })).items).toMatchObject([{ id: victim.id, actor: null, route: null }]);
  });

  test("is the workspace's own", async () => {
    const answer = await get("/api/v1/audit", {}, { token: await api.tokenFor("other") });
    expect(answer.body).toMatchObject({ items: [], next: null });
  });
});

describe("verification", () => {
  const verify = async (query: Record<string, string> = {}) =>
    Verification.parse((await get(`${base}/audit/verify`, query)).body);

  test("follows the log from its beginning to head", async () => {
    const { sequence, chain } = (await get(`${base}/changes`)).body;
    const found = await verify();
    expect(found).toMatchObject({
      from: { sequence: 0, trust: "beginning" },
      to: { sequence, chain },
      finding: null,
      next: null,
    });
    let page = await verify({ limit: "1" });
    for (; page.next !== null; page = await verify({ limit: "1", cursor: page.next })) expect(page.finding).toBeNull();
    expect(page.to).toEqual({ sequence, chain });
  });

  test("holds it against the day's anchor, which an export takes along", async () => {
    expect(await api.cases.writeAnchor()).toBe(1);
    expect(await api.cases.writeAnchor()).toBeNull();
    const found = await verify();
    expect(found.checkpoints.map(({ by }) => by)).toEqual([expect.stringMatching(/^anchor \d{4}-\d\d-\d\d$/), "head"]);
    expect(found.finding).toBeNull();
    const { text } = await file(`${base}/audit/export`, { format: "jsonl", limit: "5" });
    const verified = await verifyExport(text.split("\n"), { keys: found.keys, witnesses: [] });
    expect(verified).toMatchObject({
      connection: id,
      from: { sequence: 0, trust: "beginning" },
      to: found.to,
      unverified: 0,
      checkpoints: [expect.stringMatching(/^anchor/)],
      finding: null,
    });
  });
});
