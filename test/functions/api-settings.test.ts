import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import { routes } from "../../src/functions/routes.ts";
import { type ApiStage, type Call, startApi } from "./api-stage.ts";

let api: ApiStage;
let base: string;
beforeAll(async () => {
  api = await startApi();
  const made = await api.call("POST", "/api/v1/connections", {
    body: { displayName: "Head office", access: { read: true } },
  });
  base = `/api/v1/connections/${String(made.body.id)}/settings`;
});
afterAll(() => api.close());

const etag = async (): Promise<Record<string, string>> => {
  const { headers } = await api.call("GET", base);
  return { "if-match": headers.get("etag") ?? "" };
};
const csv = (text: string, query: Record<string, string> = {}): Promise<Awaited<ReturnType<ApiStage["call"]>>> =>
  api.call("POST", `${base}/blacklist/csv`, { text, query, headers: { "content-type": "text/csv" } });

describe("settings", () => {
  const { people, groups, attributes, guard, leaving } = defaultSettings;
  test.each<[string, object]>([
    ["intervalMinutes", { intervalMinutes: 4 }],
    ["people.groups", { people: { ...people, from: "groups" } }],
    ["people.groups.0", { people: { ...people, groups: ["sales"] } }],
    ["people.kinds.guests", { people: { ...people, kinds: { ...people.kinds, guests: "yes" } } }],
    ["people.kinds.robots", { people: { ...people, kinds: { ...people.kinds, robots: true } } }],
    ["groups.unmapped", { groups: { ...groups, unmapped: "perhaps" } }],
    ["groups.mapping.0.productGroup", { groups: { ...groups, mapping: [mapping("")] } }],
    // Of the form, but the product does not offer it.
    ["groups.mapping.0.productGroup", { groups: { ...groups, mapping: [mapping("sales")] } }],
    ["attributes.jobTitle.from", { attributes: { ...attributes, jobTitle: { from: "salary", clear: false } } }],
    ["attributes.job title", { attributes: { "job title": { from: "jobTitle", clear: false } } }],
    ["attributes.constructor", { attributes: { constructor: { from: "jobTitle", clear: false } } }],
    ["leaving.afterDays", { leaving: { ...leaving, afterDays: 0 } }],
    ["guard.offUntil", { guard: { ...guard, offUntil: "2999-01-01T00:00:00Z" } }],
    ["guard", { guard: undefined }],
    ["colour", { colour: "red" }],
  ])("name the field at fault: %s", async (field, change) => {
    const answer = await api.call("PUT", base, { body: { ...defaultSettings, ...change }, headers: await etag() });
    expect([answer.status, answer.body.code, answer.body.field]).toEqual([400, "invalid-request", field]);
  });
  function mapping(productGroup: string) {
    return { group: "11111111-2222-4333-8444-555555555555", productGroup };
  }
});

describe("the e-mail blacklist", () => {
  test("is uploaded, added to, read page by page and replaced", async () => {
    expect(await csv('email\r\n"b@x.example"\r\n', { mode: "replace" })).toMatchObject({
      status: 200,
      body: { entries: 1 },
    });
    const added = await csv("a@x.example\nc@x.example");
    expect(added).toMatchObject({ status: 200, body: { version: 2, entries: 3 } });
    expect(routes["settings.blacklist-upload"].answer.safeParse(added.body).success).toBe(true);
    const first = await api.call("GET", `${base}/blacklist`, { query: { limit: "2" } });
    expect(first.body).toMatchObject({ items: ["a@x.example", "b@x.example"], version: 2, entries: 3 });
    // The place in the list is an address.
    expect(String(first.body.next)).not.toContain("example");
    const rest = await api.call("GET", `${base}/blacklist`, { query: { limit: "2", cursor: String(first.body.next) } });
    expect(rest.body).toMatchObject({ items: ["c@x.example"], next: null });
    const headers = { "if-match": first.headers.get("etag") ?? "" };
    const body = { entries: ["*@X.example"] };
    expect((await api.call("PUT", `${base}/blacklist`, { body, headers })).body).toMatchObject({
      version: 3,
      entries: 1,
    });
    expect((await api.call("PUT", `${base}/blacklist`, { body, headers })).status).toBe(412);
    expect((await api.call("PUT", `${base}/blacklist`, { body })).status).toBe(428);
  });

  test("says what is wrong by line or by field, and repeats nothing", async () => {
    const upload = await csv("fine@x.example\nno-address\n");
    expect([upload.status, upload.body.code]).toEqual([400, "invalid-request"]);
    expect(upload.body.lines).toEqual([{ line: 2, detail: expect.any(String) }]);
    const entries = ["fine@x.example", "no-address"];
    const put = await api.call("PUT", `${base}/blacklist`, { body: { entries }, headers: await etag() });
    expect([put.status, put.body.field]).toEqual([400, "entries.1"]);
    expect(JSON.stringify([upload.body, put.body, api.log])).not.toContain("no-address");
    expect((await csv("", { mode: "merge" })).body.field).toBe("mode");
  });

  test("takes a megabyte and no more", async () => {
    const blank = (bytes: number) => `a@x.example\n${"\n".repeat(bytes - 12)}`;
    expect((await csv(blank(1_048_576), { mode: "replace" })).status).toBe(200);
    expect((await csv(blank(1_048_577))).status).toBe(413);
    const path = base.replace("/settings", "/runs");
    expect((await api.call("POST", path, { text: " ".repeat(300_000) })).status).toBe(413);
    const many = { entries: Array.from({ length: 9000 }, (_, index) => `somebody.${index}@department.x.example`) };
    expect((await api.call("PUT", `${base}/blacklist`, { body: many, headers: await etag() })).status).toBe(200);
  });

  test("is shown to those who set it up, and each reading is recorded", async () => {
    const call: Call = { token: await api.tokenFor("acme", ["integration:read", "directory:read", "audit:read"]) };
    expect((await api.call("GET", `${base}/blacklist`, call)).status).toBe(403);
    const { personal, permission } = routes["settings.blacklist"];
    expect([personal, permission]).toEqual([true, "integration:setup"]);
    for (const path of ["", "/versions", "/versions/2"])
      expect(JSON.stringify((await api.call("GET", `${base}${path}`, call)).body)).not.toContain("@");
  });
});

test("earlier settings are listed, read, and put into force again", async () => {
  const before = await api.call("GET", base);
  const { version, etag: _, ...settings } = before.body;
  const headers = { "if-match": before.headers.get("etag") ?? "" };
  await api.call("PUT", base, { body: { ...settings, intervalMinutes: 60 }, headers });
  const listed = await api.call("GET", `${base}/versions`, { query: { limit: "1" } });
  expect(listed.body.items).toMatchObject([{ version: Number(version) + 1, fields: ["intervalMinutes"] }]);
  const read = await api.call("GET", `${base}/versions/${String(version)}`);
  expect(routes["settings.version"].answer.parse(read.body)).toMatchObject({ version, settings });
  const restored = await api.call("POST", `${base}/versions/${String(version)}/restore`, { headers: await etag() });
  expect(restored.body).toMatchObject({ ...settings, version: Number(version) + 2 });
  expect(restored.headers.get("etag")).toBe(`"${Number(version) + 2}"`);
});

test("groups of the product are offered and listed", async () => {
  const path = base.replace("/settings", "/product-groups");
  const put = (items: object[]) => api.call("PUT", path, { body: { items } });
  expect((await put([{ id: "a b", name: "A" }])).body.field).toBe("items.0.id");
  expect(
    (
      await put([
        { id: "a", name: "A" },
        { id: "a", name: "B" },
      ])
    ).body.field,
  ).toBe("items");
  const items = [
    { id: "it", name: "IT" },
    { id: "sales.emea:1", name: "Sales" },
  ];
  expect((await put(items)).body).toMatchObject({ version: 1, count: 2 });
  const listed = await api.call("GET", path);
  expect(routes["product-groups.list"].answer.parse(listed.body)).toMatchObject({ items, next: null });
});
