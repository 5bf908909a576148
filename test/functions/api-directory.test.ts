import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { defaultSettings } from "../../src/core/connections/settings.ts";
import { permissions } from "../../src/core/context.ts";
import type { Route } from "../../src/functions/route.ts";
import { routes } from "../../src/functions/routes.ts";
import { type ApiStage, type Call, routed, startApi } from "./api-stage.ts";

let api: ApiStage;
let id: string;
let base: string;
beforeAll(async () => {
  api = await startApi();
  ({ id } = await api.connect(60, 12));
  base = `/api/v1/connections/${id}`;
});
afterAll(() => api.close());

const Items = z.object({
  items: z.array(z.looseObject({ id: z.string().optional() })),
  next: z.union([z.string(), z.number()]).nullable(),
});

/** An answer of 2xx, held against the schema that the table promises. */
const good = async (method: string, path: string, call: Call = {}): Promise<Record<string, unknown>> => {
  const { status, body } = await api.call(method, path, call);
  const route = Object.values<Route>(routes).find(
    (each) => each.method === method && each.path === routed(api.functions, path)?.target.route,
  );
  if (!route || status !== route.status) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
  const parsed = route.answer.safeParse(body);
  if (!parsed.success) throw new Error(`${method} ${path}: ${z.prettifyError(parsed.error)}`);
  return body;
};

const pages = async (path: string, query: Record<string, string> = {}) => {
  const items: z.infer<typeof Items>["items"] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page = Items.parse(await good("GET", path, { query: { ...query, ...(cursor ? { cursor } : {}) } }));
    items.push(...page.items);
    cursor = page.next === null ? null : String(page.next);
  }
  return items;
};

const month = () => new Date().toISOString().slice(0, 7);
const recorded = async () => api.cases.edge.access.list("acme", month(), { limit: 1000 });

describe("a synchronised directory", () => {
  test("is listed page by page, each object once", async () => {
    const { counts } = await good("GET", base);
    const people = await pages(`${base}/people`, { limit: "7" });
    const groups = await pages(`${base}/groups`, { limit: "5" });
    expect(new Set(people.map((person) => person.id)).size).toBe(people.length);
    expect(counts).toMatchObject({ people: people.length, groups: groups.length });
    expect(people.length).toBeGreaterThan(50);
    expect(await pages(`${base}/people`, { state: "deactivated" })).toEqual([]);
  });

  test("shows the same members from both sides, and in the snapshot", async () => {
    const groups = await pages(`${base}/groups`);
    let most = { id: "", members: [] as (string | undefined)[] };
    for (const group of groups) {
      const members = (await pages(`${base}/groups/${group.id}/members`, { limit: "3" })).map((member) => member.id);
      expect(await good("GET", `${base}/groups/${group.id}`)).toMatchObject({ memberCount: members.length });
      if (members.length > most.members.length) most = { id: group.id ?? "", members };
    }
    expect(most.members.length).toBeGreaterThan(3);
    for (const member of most.members.slice(0, 3))
      expect((await good("GET", `${base}/people/${member}`)).groups).toContain(most.id);
    const snapshot = z
      .array(
        z.looseObject({ kind: z.string(), group: z.unknown().optional(), members: z.array(z.string()).default([]) }),
      )
      .parse(await pages(`${base}/snapshot`, { limit: "9" }));
    const ofMost = snapshot.filter((item) => item.kind === "members" && item.group === most.id);
    expect(ofMost.flatMap(({ members }) => members).toSorted()).toEqual(most.members.toSorted());
    expect(snapshot.filter(({ kind }) => kind === "group")).toHaveLength(groups.length);
  });

  test("is told by the feed without a gap, actors only to those who may see them", async () => {
    const sequences: unknown[] = [];
    for (let after = 0; ; ) {
      const page = await good("GET", `${base}/changes`, { query: { after: String(after), limit: "20" } });
      const items = z.array(z.looseObject({ sequence: z.int() })).parse(page.items);
      if (items.length === 0) {
        expect([page.next, page.sequence]).toEqual([after, after]);
        break;
      }
      sequences.push(...items.map(({ sequence }) => sequence));
      after = z.int().parse(page.next);
    }
    expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    const first = async (granted: readonly string[]) => {
      const token = await api.tokenFor("acme", granted);
      const page = await good("GET", `${base}/changes`, { token, query: { limit: "1" } });
      return z.array(z.looseObject({})).parse(page.items)[0];
    };
    expect(await first(permissions)).toMatchObject({ actor: { subject: "ada", ip: "203.0.113.7" } });
    expect(await first(["directory:read"])).not.toHaveProperty("actor");
  });

  test("takes no cursor of another list, another connection, or another workspace", async () => {
    const { next } = await good("GET", `${base}/people`, { query: { limit: "3" } });
    const cursor = String(next);
    const other = String(
      (await good("POST", "/api/v1/connections", { body: { displayName: "Other", access: { read: true } } })).id,
    );
    for (const [path, query] of [
      [`${base}/groups`, {}],
      [`${base}/people`, { state: "active" }],
      [`/api/v1/connections/${other}/people`, {}],
      [`${base}/people`, { cursor: `${cursor}A` }],
    ] as const) {
      const answer = await api.call("GET", path, { query: { cursor, ...query } });
      expect([answer.status, answer.body.code]).toEqual([400, "invalid-cursor"]);
    }
    // The length of a page is no part of what was asked.
    await good("GET", `${base}/people`, { query: { cursor, limit: "50" } });
  });

  test.each([
    ["people/nobody", "person-not-found"],
    [`people/${"a".repeat(22)}`, "person-not-found"],
    ["groups/none", "group-not-found"],
    ["groups/11111111-2222-4333-8444-555555555555", "group-not-found"],
    ["groups/11111111-2222-4333-8444-555555555555/members", "group-not-found"],
    ["runs/none", "run-not-found"],
    [`runs/${"0".repeat(26)}`, "run-not-found"],
  ])("%s is not there", async (path, code) => {
    const answer = await api.call("GET", `${base}/${path}`);
    expect([answer.status, answer.body.code]).toEqual([404, code]);
  });
});

describe("reads of personal data", () => {
  test("are recorded with who, from where, what and how much", async () => {
    const [person] = await pages(`${base}/people`, { limit: "200" });
    await good("GET", `${base}/people/${person?.id}`);
    const { route, subject, ip, connectionId, count, objects } = (await recorded()).at(-1) ?? {};
    expect({ route, subject, ip, connectionId, count, objects }).toEqual({
      route: "people.read",
      subject: "ada",
      ip: "203.0.113.7",
      connectionId: id,
      count: 1,
      objects: [person?.id],
    });
  });

  test("are not answered when they cannot be recorded", async () => {
    api.cosmos.faults.rules.push({ on: ["write"], container: "access", answer: 503, when: "before" });
    const answer = await api.call("GET", `${base}/people`);
    api.cosmos.faults.rules.length = 0;
    expect([answer.status, answer.body.items]).toEqual([503, undefined]);
  });

  test("that brought nothing leave no record, so that waiting for changes does not fill the log", async () => {
    const { sequence } = await good("GET", `${base}/changes`);
    const before = (await recorded()).length;
    await good("GET", `${base}/changes`, { query: { after: String(sequence) } });
    expect((await recorded()).length).toBe(before);
  });
});

describe("what a product does with a connection", () => {
  test("asks for a run, sees it queued, then ended", async () => {
    const asked = await api.call("POST", `${base}/runs`, { body: { mode: "delta" } });
    expect(asked.headers.get("location")).toBe(`${new URL(`https://x${base}`).pathname}/runs/${String(asked.body.id)}`);
    expect(asked.body).toMatchObject({ phase: "queued", cause: "manual", mode: "delta" });
    const again = await api.call("POST", `${base}/runs`, { body: { mode: "delta" } });
    expect([again.status, again.body.code]).toEqual([409, "run-in-progress"]);
    await api.cases.work({ connectionId: id, receivedAt: Date.now() });
    expect(await good("GET", `${base}/runs/${String(asked.body.id)}`)).toMatchObject({
      phase: "ended",
      outcome: "nothing",
    });
    expect((await pages(`${base}/runs`, { limit: "1" }))[0]?.id).toBe(asked.body.id);
    expect((await api.call("POST", `${base}/runs`, { body: { mode: "sideways" } })).status).toBe(400);
  });

  test("links a person to a user of its own, once", async () => {
    const [one, two] = await pages(`${base}/people`, { limit: "200" });
    const link = (person: string | undefined, productUserId: string | null, headers: Record<string, string> = {}) =>
      api.call("PUT", `${base}/people/${person}/product-user`, { body: { productUserId }, headers });
    const linked = await link(one?.id, "user-1");
    expect([linked.status, linked.body.productUserId]).toEqual([200, "user-1"]);
    expect(linked.headers.get("etag")).toBe(linked.body.etag);
    expect((await link(two?.id, "user-1")).body).toMatchObject({ code: "product-user-taken", field: "productUserId" });
    expect((await link(one?.id, null, { "if-match": String(one?.etag) })).body.code).toBe("etag-mismatch");
    expect((await link(one?.id, null, { "if-match": String(linked.body.etag) })).body.productUserId).toBeNull();
    expect((await link(two?.id, "user-1")).body.productUserId).toBe("user-1");
  });

  test("matches and links many people, and sees who is left", async () => {
    const [, , three, four] = await pages(`${base}/people`, { limit: "200" });
    const attributes = z.object({ userPrincipalName: z.string() });
    const userPrincipalName = attributes.parse(three?.attributes).userPrincipalName.toUpperCase();
    const candidates = [{ productUserId: "user-3", userPrincipalName }];
    expect((await good("POST", `${base}/product-users/match`, { body: { candidates } })).items).toMatchObject([
      { productUserId: "user-3", result: "one", proof: false, persons: [{ id: three?.id, isLinked: false }] },
    ]);
    const items = [
      { person: three?.id, productUserId: "user-3" },
      { person: four?.id, productUserId: "user-4" },
      { person: "a".repeat(22), productUserId: "user-5" },
    ];
    expect((await good("POST", `${base}/product-users`, { body: { items } })).items).toMatchObject([
      { outcome: "linked", code: null },
      { outcome: "linked", code: null },
      { outcome: "refused", code: "person-not-found" },
    ]);
    expect((await recorded()).at(-1)).toMatchObject({ what: "read", route: "product-users.link", count: 3 });
    const linked = (await pages(`${base}/people`, { link: "linked" })).map((person) => person.id);
    const unmatched = (await pages(`${base}/people`, { link: "unmatched", limit: "9" })).map((person) => person.id);
    expect(linked).toEqual(expect.arrayContaining([three?.id, four?.id]));
    expect(new Set([...linked, ...unmatched]).size).toBe((await pages(`${base}/people`)).length);
    expect(linked.filter((person) => unmatched.includes(person))).toEqual([]);
    expect((await api.call("GET", `${base}/people`, { query: { link: "maybe" } })).status).toBe(400);
    const twice = { items: [items[0], { ...items[0], productUserId: null }] };
    expect((await api.call("POST", `${base}/product-users`, { body: twice })).body).toMatchObject({
      code: "invalid-request",
      field: "items",
    });
  });

  test("follows the changes under a name, and is seen to", async () => {
    const { sequence } = await good("GET", `${base}/changes`, { query: { limit: "1" } });
    const acknowledge = (number: unknown) =>
      api.call("POST", `${base}/changes/ack`, { body: { consumer: "crm.eu", sequence: number } });
    expect((await acknowledge(Number(sequence) + 1)).body).toMatchObject({
      code: "invalid-request",
      field: "sequence",
    });
    expect((await acknowledge(-1)).status).toBe(400);
    expect((await acknowledge(1)).body).toMatchObject({ name: "crm.eu", lag: Number(sequence) - 1, state: "behind" });
    expect(await good("POST", `${base}/changes/ack`, { body: { consumer: "crm.eu", sequence } })).toMatchObject({
      sequence,
      lag: 0,
      state: "live",
    });
    expect((await good("GET", `${base}/changes/consumers`)).items).toMatchObject([{ name: "crm.eu", sequence }]);
    expect(await good("GET", base)).toMatchObject({ deadConsumers: 0 });
    expect(await good("DELETE", `${base}/changes/consumers/crm.eu`)).toMatchObject({ name: "crm.eu" });
    const again = await api.call("DELETE", `${base}/changes/consumers/crm.eu`);
    expect([again.status, again.body.code]).toEqual([404, "consumer-not-found"]);
  });

  test("finds the form of every change it is told of in one public document", async () => {
    const document = await good("GET", "/api/v1/events.json", { token: null });
    const { $defs } = z.object({ $defs: z.record(z.string(), z.unknown()) }).parse(document);
    const Typed = z.array(z.looseObject({ type: z.string(), version: z.literal(1) }));
    const told = Typed.parse((await good("GET", `${base}/changes`, { query: { limit: "200" } })).items);
    expect(told.filter(({ type }) => !Object.hasOwn($defs, type))).toEqual([]);
    expect(told.some(({ type }) => type === "person.created")).toBe(true);
  });

  test("tries the connection, and learns what is missing", async () => {
    const { findings } = await good("POST", `${base}/test`);
    expect(findings).toMatchObject(
      ["token", "permissions", "organization", "groups", "users"].map((check) => ({ check, outcome: "passed" })),
    );
    const { tid } = await good("GET", base);
    api.simulator.commands.revoke.run({ tid: String(tid), clientId: "11111111-2222-4333-8444-555555555555" });
    const { findings: after } = await good("POST", `${base}/test`);
    expect(after).toMatchObject([
      { check: "token", outcome: "failed", code: "consent-revoked" },
      ...["permissions", "organization", "groups", "users"].map((check) => ({ check, outcome: "skipped" })),
    ]);
    expect(await good("GET", base)).toMatchObject({ state: "active" });
  });

  test("changes settings only when it has seen them, and pauses", async () => {
    const settings = { ...defaultSettings, automatic: false, intervalMinutes: 60, paused: true };
    const change = (headers: Record<string, string>) =>
      api.call("PUT", `${base}/settings`, { body: settings, headers });
    const { headers } = await api.call("GET", `${base}/settings`);
    expect((await change({})).status).toBe(428);
    expect((await change({ "if-match": '"99"' })).status).toBe(412);
    expect((await change({ "if-match": headers.get("etag") ?? "" })).status).toBe(200);
    const asked = await api.call("POST", `${base}/runs`, { body: { mode: "full" } });
    expect([asked.status, asked.body.code]).toEqual([409, "state-conflict"]);
  });

  test("makes, reads, renames, deletes and restores a connection", async () => {
    const made = await api.call("POST", "/api/v1/connections", {
      body: { displayName: "Branch", access: { read: true } },
    });
    const one = `/api/v1/connections/${String(made.body.id)}`;
    expect([made.status, made.headers.get("location")]).toEqual([201, one]);
    expect((await good("GET", `${one}/permissions`)).items).toHaveLength(5);
    expect((await api.call("POST", `${one}/test`)).body.code).toBe("state-conflict");
    expect((await api.call("POST", `${one}/runs`, { body: { mode: "full" } })).body.code).toBe("state-conflict");
    const etag = made.headers.get("etag") ?? "";
    expect(
      await good("PATCH", one, { body: { displayName: "Branch office" }, headers: { "if-match": etag } }),
    ).toMatchObject({
      displayName: "Branch office",
    });
    const returnUrl = "https://app.product.example/back";
    expect(await good("POST", `${one}/consent`, { body: { tier: "read", returnUrl } })).toHaveProperty("connectUrl");
    expect((await api.call("DELETE", one, { body: { displayName: "Branch" } })).status).toBe(400);
    expect(await good("DELETE", one, { body: { displayName: "Branch office" } })).toMatchObject({ state: "closing" });
    for (const path of ["people", "groups", "changes", "snapshot", "runs"]) {
      const answer = await api.call("GET", `${one}/${path}`);
      expect([answer.status, answer.body.code]).toEqual([409, "state-conflict"]);
    }
    expect(await good("POST", `${one}/restore`)).toMatchObject({ state: "draft" });
    expect((await pages("/api/v1/connections", { limit: "1" })).map((connection) => connection.id)).toContain(
      made.body.id,
    );
  });
});
