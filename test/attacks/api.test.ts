/** Attacks on the API by who has a token: rights that bring more than they say, odd input on every route, and what is left behind. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { permissions } from "../../src/core/context.ts";
import type { Route } from "../../src/functions/route.ts";
import { type RouteName, routes } from "../../src/functions/routes.ts";
import { type ApiStage, startApi } from "../functions/api-stage.ts";

let api: ApiStage;
let id: string;
let base: string;
beforeAll(async () => {
  api = await startApi();
  ({ id } = await api.connect(8, 2));
  base = `/api/v1/connections/${id}`;
});
afterAll(() => api.close());

const recorded = async (workspace = "acme") =>
  api.cases.edge.access.list(workspace, new Date().toISOString().slice(0, 7), { limit: 1000 });

describe("the right to link", () => {
  test("does not read the directory", async () => {
    const { items } = (await api.call("GET", `${base}/people`)).body as { items: { id: string }[] };
    const path = `${base}/people/${items[0]?.id}`;
    const token = await api.tokenFor("acme", ["integration:sync"]);
    expect((await api.call("GET", path, { token })).status).toBe(403);
    for (const productUserId of ["user-1", "user-1", null]) {
      const { status, body } = await api.call("PUT", `${path}/product-user`, { token, body: { productUserId } });
      expect([status, body]).toEqual([200, { id: items[0]?.id, productUserId, etag: expect.any(String) }]);
    }
  });

  test("takes no text of which two look the same to the hash that makes it unique", async () => {
    const { items } = (await api.call("GET", `${base}/people`)).body as { items: { id: string }[] };
    const { status, body } = await api.call("PUT", `${base}/people/${items[0]?.id}/product-user`, {
      text: '{"productUserId":"user-\\ud800"}',
    });
    expect([status, body.field]).toEqual([400, "productUserId"]);
  });
});

describe("actors in the feed", () => {
  test("are for the right to read the audit, and for no other", async () => {
    const actorsFor = async (granted: readonly string[]) => {
      const token = await api.tokenFor("acme", granted);
      const { body } = await api.call("GET", `${base}/changes`, { token });
      return (body.items as object[]).filter((item) => "actor" in item).length;
    };
    expect(await actorsFor(permissions.filter((permission) => permission !== "audit:read"))).toBe(0);
    expect(await actorsFor(["directory:read", "audit:read"])).toBeGreaterThan(0);
  });
});

describe("a refusal", () => {
  test("is recorded also for a code that is good for nothing, as one that was stolen would be", async () => {
    const token = await api.tokenFor("thief");
    const { status } = await api.call("POST", `${base}/consent/complete`, { token, body: { code: "c".repeat(43) } });
    expect(status).toBe(410);
    expect((await recorded("thief")).map(({ what, route, refusal }) => [what, route, refusal])).toEqual([
      ["refused", "consent.complete", "consent-attempt-unusable"],
    ]);
  });
});

const marker = "carrot-marker";
const table = Object.entries<Route>(routes).map(([name, route]) => ({ name: name as RouteName, route }));

describe.each(table)("odd input to $name", ({ route }) => {
  const odd = [
    "..",
    "%00",
    "\u0000",
    "\r\nx-injected: 1",
    "__proto__",
    "constructor",
    "1e400",
    "-1",
    "Ａ".repeat(26),
    "\ud800",
    `${marker}'"<script>`,
    "x".repeat(5000),
    "${jndi:ldap://x}",
    "../../connections",
    "0".repeat(26),
  ];

  /** The host drops the body of a GET. */
  const bodies = (text: string) =>
    route.method === "GET"
      ? []
      : [
          { text: JSON.stringify({ [text]: { [text]: [text] } }) },
          { text: `{"__proto__":${JSON.stringify(text)}}` },
          { text: "[".repeat(50_000) },
        ];

  test("in the path, the query and the body is refused, and never a fault of ours", async () => {
    api.log.length = 0;
    for (const text of odd) {
      const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
      for (const name of names) {
        const path = `/${route.path
          .replace(`{${name}}`, safely(text))
          .replace("{connection}", id)
          .replaceAll(/\{\w+\}/g, "a".repeat(22))}`;
        const { status } = await api.call(route.method, path, {
          headers: { "if-match": '"1"' },
          ...(route.method === "GET" ? {} : { body: {} }),
        });
        expect([400, 404, 410]).toContain(status);
      }
      const path = `/${route.path.replace("{connection}", id).replaceAll(/\{\w+\}/g, "a".repeat(22))}`;
      for (const call of [
        { query: { [text]: "1" } },
        { query: { limit: text } },
        { query: { cursor: text } },
        { query: { after: text, wait: text } },
        ...bodies(text),
        { headers: { "x-workspace-id": text.replaceAll(/[^!-~]/g, "") || "x" } },
      ]) {
        const { status } = await api.call(route.method, path, call);
        // The API's description asks for nothing and refuses only what it does not know.
        expect(route.permission === null ? [200, 400] : [400, 403, 404, 409, 410, 428]).toContain(status);
      }
    }
    const said = api.log.join("\n");
    for (const line of api.log) expect(() => JSON.parse(line) as unknown).not.toThrow();
    for (const trace of [marker, "jndi", "x-injected", "unexpected"]) expect(said).not.toContain(trace);
  });
});

/** As a client would have to send it. */
const safely = (text: string): string => encodeURIComponent(text.toWellFormed());

describe("odd claims in a token", () => {
  test.each(["__proto__", "constructor", "..", "hasOwnProperty"])(
    "make %s a workspace like any other",
    async (workspace) => {
      const token = await api.tokenFor(workspace);
      const listed = await api.call("GET", "/api/v1/connections", { token });
      expect([listed.status, listed.body.items]).toEqual([200, []]);
      expect((await api.call("GET", base, { token })).status).toBe(404);
      expect((await recorded(workspace)).map(({ refusal }) => refusal)).toEqual(["connection-not-found"]);
    },
  );

  test.each<[string, Record<string, unknown>]>([
    ["a workspace in a list", { workspace: ["acme"] }],
    ["a workspace with a line break", { workspace: "acme\n" }],
    ["a workspace in other letters", { workspace: "ａcme" }],
    ["a subject that is an object", { sub: { toString: "ada" } }],
    ["an endless subject", { sub: "a".repeat(256) }],
    ["an issuer that is a list", { iss: [""] }],
    ["a program, as one issuer writes it", { sub: "0oa1", cid: "0oa1" }],
  ])("are refused: %s", async (_, claims) => {
    const token = await api.tokenFor("acme", permissions, { claims });
    expect((await api.call("GET", "/api/v1/connections", { token })).body.code).toBe("token-invalid");
  });

  test("give no right that is only a property of every object", async () => {
    const token = await api.tokenFor("acme", ["constructor", "__proto__", "integration:read "]);
    expect((await api.call("GET", "/api/v1/connections", { token })).status).toBe(403);
  });
});

test("addresses that are no route carry the headers of every other answer", async () => {
  for (const path of ["/api", "/api/v1", "/api/v9/x", "/connect", "/connect/a/b", "/connect/callback/sign-in/x"]) {
    const { status, headers } = await api.call("GET", path, { token: null });
    expect(status).toBe(404);
    expect(Object.fromEntries(headers)).toMatchObject({
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "strict-transport-security": "max-age=31536000",
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
    });
  }
});
