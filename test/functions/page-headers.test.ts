/** What every answer tells a browser, whichever function gives it and however it ends. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answered, type ApiStage, pageOrigin, startApi } from "./api-stage.ts";

let api: ApiStage;
beforeAll(async () => {
  api = await startApi({ RATE_LIMITS: JSON.stringify({ address: 1 }) });
});
afterAll(() => api.close());

const always = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000",
  "x-content-type-options": "nosniff",
};

const policyOf = ({ headers }: Answered): Map<string, string> =>
  new Map(
    (headers.get("content-security-policy") ?? "").split("; ").map((part) => {
      const [name = "", ...sources] = part.split(" ");
      return [name, sources.join(" ")];
    }),
  );

let caller = 0;
/** From an address of its own, unless it is to be refused. */
const ask = (method: string, path: string, headers: Record<string, string> = {}): Promise<Answered> =>
  api.call(method, path, { token: null, headers: { "client-ip": `198.51.100.${++caller}`, ...headers } });

const answers: [string, number, () => Promise<Answered>][] = [
  ["a page", 200, () => ask("GET", "/setup")],
  ["a page asked for by a wrong verb", 405, () => ask("PUT", "/setup")],
  ["a connect page that has ended", 410, () => ask("GET", "/connect/ended")],
  ["a connect page by a wrong verb", 405, () => ask("DELETE", "/connect/ended")],
  ["a form from another site", 410, () => ask("POST", "/connect/ended", { "sec-fetch-site": "cross-site" })],
  ["a callback that sends the browser on", 303, () => ask("GET", "/connect/callback/sign-in")],
  [
    "a page that is asked for too often",
    429,
    async () => {
      const same = { "client-ip": "203.0.113.9" };
      await ask("GET", "/setup", same);
      return ask("GET", "/setup", same);
    },
  ],
  ["a public document", 200, () => ask("GET", "/api/v1/openapi.json")],
  ["a refusal", 401, () => ask("GET", "/api/v1/connections")],
  ["a preflight", 204, () => ask("OPTIONS", "/api/v1/connections", { origin: pageOrigin })],
  ["nothing", 404, () => ask("GET", "/connect/a/b")],
  ["the state of health", 200, () => ask("GET", "/health")],
];

test.each(answers)(
  "%s (%i) is for no cache, frame, referrer or guess, and loads nothing from elsewhere",
  async (_, status, get) => {
    const answer = await get();
    expect(answer.status).toBe(status);
    expect(Object.fromEntries(answer.headers)).toMatchObject(always);
    const policy = policyOf(answer);
    expect([policy.get("default-src"), policy.get("frame-ancestors")]).toEqual(["'none'", "'none'"]);
    for (const [directive, sources] of policy)
      if (!["form-action", "require-trusted-types-for"].includes(directive))
        expect(sources).toMatch(/^('none'|'self'|'sha256-[A-Za-z0-9+/=]{44}')$/);
    expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
  },
);

describe("an origin", () => {
  test.each(["/setup", "/connect/ended", "/connect/callback/consent", "/health"])(
    "that may call the API may not read %s, which is for browsers alone",
    async (path) => {
      const { headers } = await ask("GET", path, { origin: pageOrigin });
      expect([...headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
    },
  );

  test("is not taken from what a page could send instead of it", async () => {
    for (const headers of [{ referer: `${pageOrigin}/` }, { "x-forwarded-host": "app.product.example" }]) {
      const answer = await ask("GET", "/api/v1/connections", headers);
      expect(answer.headers.has("access-control-allow-origin")).toBe(false);
    }
  });
});
