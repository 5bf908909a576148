import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type HostedFixture, send, startFixture } from "./fixtures/host.ts";

let host: HostedFixture;
beforeAll(async () => {
  host = await startFixture({
    env: { FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: "1000", AzureWebJobsDisableHomepage: "true" },
    http: { port: 0, answerWithinSeconds: 1 },
  });
});
afterAll(() => host.stop());

const echoed = async (
  ...given: Parameters<typeof send>
): Promise<Record<string, unknown> & { headers: Record<string, string> }> => JSON.parse((await send(...given)).body);

test("lists its functions by name", () => {
  expect(host.functions.map(({ name }) => name)).toEqual(
    host.functions.map(({ name }) => name).toSorted((a, b) => (a.toUpperCase() < b.toUpperCase() ? -1 : 1)),
  );
  expect(host.functions).toContainEqual({
    name: "echo",
    type: "http",
    route: "echo/{id:int}/{note?}",
    methods: ["GET", "POST"],
  });
  expect(host.functions).toContainEqual({ name: "daily", type: "timer" });
});

test("the first match by function name wins, although another template is more specific", async () => {
  expect((await send(`${host.url}/things/search`)).body).toBe("thing search");
});

test.each([
  ["PUT", "/echo/5", 404],
  ["GET", "/echo/five", 404],
  ["GET", "/nowhere", 404],
  ["GET", "/admin/functions/daily", 404],
  ["POST", "/admin/functions/nobody", 404],
  ["GET", "/", 204],
  ["GET", `/echo/5/${"x".repeat(8200)}`, 414],
  ["GET", `/echo/5?q=${"x".repeat(4100)}`, 414],
])("%s %.20s is answered %i", async (method, path, status) => {
  expect((await send(host.url + path, { method })).status).toBe(status);
});

test("hands over parameters, repeated query keys and repeated headers", async () => {
  const seen = await echoed(`${host.url}/echo/5/a%20note?tag=a&Tag=b&empty`, { headers: { "X-Tag": ["1", "2"] } });
  expect(seen).toMatchObject({
    params: { id: "5", note: "a note" },
    query: { tag: "a,b", empty: "" },
    headers: { "x-tag": "1,2" },
    url: `${host.url}/echo/5/a%20note?tag=a&Tag=b&empty`,
  });
});

test("says who called, whatever the caller claims", async () => {
  const { headers } = await echoed(`${host.url}/echo/5`, {
    headers: {
      "client-ip": "6.6.6.6",
      "x-forwarded-for": "6.6.6.6, 7.7.7.7",
      "x-forwarded-host": "evil.example",
      "x-forwarded-proto": "https",
      "x-ms-client-principal": "e30=",
      "x-ms-client-principal-id": "administrator",
    },
  });
  const caller = headers["client-ip"];
  expect(caller).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(headers["x-forwarded-for"]).toBe(`6.6.6.6, 7.7.7.7, ${caller}`);
  expect(headers["x-forwarded-proto"]).toBe("http");
  expect(`http://${headers["x-forwarded-host"]}`).toBe(host.url);
  expect(headers["disguised-host"]).toBe(headers["x-forwarded-host"]);
  expect(headers["x-arr-log-id"]).toMatch(/^[0-9a-f-]{36}$/);
  expect(Object.keys(headers).filter((name) => name.startsWith("x-ms-"))).toEqual([]);
});

test("serves its own names only", async () => {
  expect((await send(`${host.url}/echo/5`, { headers: { host: "evil.example" } })).status).toBe(400);
  const { port } = new URL(host.url);
  expect((await send(`${host.url}/echo/5`, { headers: { host: `127.0.0.1:${port}` } })).status).toBe(200);
});

test("a body arrives when its length was announced, and only then", async () => {
  const post = { method: "POST", headers: { "content-length": "5" } };
  expect(await echoed(`${host.url}/echo/5`, { ...post, body: "hello" })).toMatchObject({ body: "hello" });
  expect(await echoed(`${host.url}/echo/5`, { method: "POST", chunks: ["hel", "lo"] })).toMatchObject({ body: "" });
  expect(await echoed(`${host.url}/echo/5`, { ...post, method: "GET", body: "hello" })).toMatchObject({ body: "" });
  const long = "x".repeat(1001);
  const tooLong = { method: "POST", headers: { "content-length": String(long.length) }, body: long };
  expect((await send(`${host.url}/echo/5`, tooLong)).status).toBe(413);
});

test("a failure is an empty 500 for the caller and one line in the log", async () => {
  const answer = await send(`${host.url}/fails`);
  expect([answer.status, answer.body]).toEqual([500, ""]);
  await vi.waitFor(
    () => expect(host.lines.join("\n")).toMatch(/^\[error\] fails [0-9a-f-]{36} Error: the database said\\nno.*$/m),
    { timeout: 30_000 },
  );
});

test("nothing returned is 204", async () => {
  expect(await send(`${host.url}/silent`)).toMatchObject({ status: 204, body: "" });
});

test("writes cookies and leaves the answer's status and headers alone", async () => {
  const answer = await send(`${host.url}/cookies`);
  expect(answer.status).toBe(303);
  expect(answer.headers.location).toBe("/elsewhere");
  expect(answer.headers["set-cookie"]).toEqual([
    "__Host-ticket=a%20b%3Bc; max-age=600; path=/; secure; samesite=lax; httponly",
    "old=; expires=Fri, 02 Jan 2026 03:04:05 GMT; path=/",
  ]);
});

test("hooks may replace a handler and its result, and redact a line of the log", async () => {
  expect((await send(`${host.url}/hooked`)).body).toBe("replaced by a hook");
  await vi.waitFor(() => expect(host.lines.join("\n")).toMatch(/^\[information\] hooked \S+ \(redacted\)$/m), {
    timeout: 30_000,
  });
});

test("keeps the contract of the worker: nothing is registered or set up late, no unknown hook", async () => {
  const [function_, setup, hook] = JSON.parse((await send(`${host.url}/contract`)).body);
  expect(function_).toMatchObject({ name: "Error", isSystem: true });
  expect(function_.message).toContain("after the app has started");
  expect(setup).toMatchObject({ name: "Error" });
  expect(hook).toMatchObject({ name: "RangeError", isSystem: true });
});

test("refuses what is too much at once and gives up on what takes too long", async () => {
  const answers = await Promise.all([1, 2, 3].map(() => send(`${host.url}/slow`)));
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([429, 504, 504]);
});
