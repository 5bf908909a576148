/** What one workspace, or one address, may ask of an instance. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ApiStage, pageOrigin, startApi } from "./api-stage.ts";

let api: ApiStage;
beforeAll(async () => {
  api = await startApi((issuer) => ({
    RATE_LIMITS: JSON.stringify({ read: 6, write: 3, live: 2, wait: 1, address: 4 }),
    MACHINE_CLIENTS: JSON.stringify([
      { issuer, subject: "crm", permissions: ["integration:read"], workspaces: ["busy-machine"] },
    ]),
  }));
});
afterAll(() => api.close());

const list = "/api/v1/connections";
const none = `${list}/${"0".repeat(26)}`;

const statuses = async (count: number, ask: () => Promise<{ status: number }>): Promise<number[]> => {
  const seen: number[] = [];
  for (let n = 0; n < count; n++) seen.push((await ask()).status);
  return seen;
};

describe("a workspace", () => {
  test("that asks too often is told when to come back, in a form that a page can read", async () => {
    const token = await api.tokenFor("busy-1");
    const ask = () => api.call("GET", list, { token, headers: { origin: pageOrigin } });
    expect(await statuses(7, ask)).toEqual([200, 200, 200, 200, 200, 200, 429]);
    const { headers, body } = await ask();
    expect(Object.fromEntries(headers)).toMatchObject({
      "content-type": "application/problem+json",
      // Whole seconds; some may have gone by.
      "retry-after": expect.stringMatching(/^([6-9]|10)$/),
      "access-control-allow-origin": pageOrigin,
      "cache-control": "no-store",
    });
    expect(body).toMatchObject({ code: "rate-limited", status: 429, retryable: true });
    api.advance(10_000);
    expect(await statuses(2, ask)).toEqual([200, 429]);
  });

  test("takes nothing from another one", async () => {
    const [busy, quiet] = [await api.tokenFor("busy-2"), await api.tokenFor("quiet-2")];
    await statuses(8, () => api.call("GET", list, { token: busy }));
    expect((await api.call("GET", list, { token: quiet })).status).toBe(200);
  });

  test("has a bucket for each class of cost", async () => {
    const token = await api.tokenFor("busy-3");
    const live = () => api.call("POST", `${none}/people/search`, { token, body: { text: "ada" } });
    const write = () => api.call("POST", `${none}/runs`, { token, body: { mode: "full" } });
    const waiting = () => api.call("GET", `${none}/changes`, { token, query: { wait: "20" } });
    const reading = () => api.call("GET", `${none}/changes`, { token, query: { wait: "0" } });
    expect(await statuses(3, live)).toEqual([404, 404, 429]);
    expect(await statuses(4, write)).toEqual([404, 404, 404, 429]);
    expect(await statuses(2, waiting)).toEqual([404, 429]);
    expect(await statuses(7, reading)).toEqual([404, 404, 404, 404, 404, 404, 429]);
  });

  test("is limited also in what is refused, and a refusal for the rate costs the database nothing", async () => {
    const token = await api.tokenFor("busy-4", []);
    expect(await statuses(7, () => api.call("GET", list, { token }))).toEqual([403, 403, 403, 403, 403, 403, 429]);
    api.cosmos.faults.rules.push({ on: ["read", "write", "query", "batch"], answer: 503, when: "before" });
    const { status } = await api.call("GET", list, { token });
    api.cosmos.faults.rules.length = 0;
    expect(status).toBe(429);
    const month = new Date().toISOString().slice(0, 7);
    expect(await api.cases.edge.access.list("busy-4", month, { limit: 100 })).toHaveLength(6);
  });

  test("keeps its own when a program asks that may not act for it", async () => {
    const claims = { workspace: undefined, sub: "crm", client_id: "crm" };
    const token = await api.tokenFor("", ["integration:read", "workspace:act-as"], { claims });
    const ask = () => api.call("GET", list, { token, headers: { "x-workspace-id": "busy-5" } });
    expect(await statuses(7, ask)).toEqual([403, 403, 403, 403, 403, 403, 429]);
    expect((await api.call("GET", list, { token: await api.tokenFor("busy-5") })).status).toBe(200);
  });
});

describe("an address", () => {
  const from = (ip: string) => ({ token: null, headers: { "client-ip": ip } });

  test.each([
    ["/connect/callback/consent", 1],
    ["/connect/callback/sign-in", 2],
    ["/connect/ended", 3],
    ["/setup", 4],
  ])("gets so many of %s and of every page, and a page that says so", async (path, number) => {
    const ip = `198.51.100.${number}`;
    const seen = await statuses(4, () => api.call("GET", path, from(ip)));
    expect(seen).not.toContain(429);
    const { status, headers } = await api.call("GET", path, from(ip));
    expect([status, headers.get("content-type")]).toEqual([429, "text/html; charset=utf-8"]);
    expect(headers.get("retry-after")).toMatch(/^1[0-5]$/);
    expect((await api.call("GET", path, from(`203.0.113.${number}`))).status).not.toBe(429);
  });

  test("is a whole network of IPv6, and one that cannot be told shares with its like", async () => {
    const ask = (ip: string) => () => api.call("GET", "/api/v1/events.json", from(ip));
    expect(await statuses(4, ask("2001:db8:1:2::1"))).toEqual([200, 200, 200, 200]);
    expect(await statuses(1, ask("2001:db8:1:2:ffff::9"))).toEqual([429]);
    expect(await statuses(1, ask("2001:db8:1:3::1"))).toEqual([200]);
    expect(await statuses(5, ask("not an address"))).toEqual([200, 200, 200, 200, 429]);
  });

  test("may always ask how the installation is", async () => {
    const seen = await statuses(20, () => api.call("GET", "/health", from("192.0.2.77")));
    expect(new Set(seen)).toEqual(new Set([200]));
  });
});
