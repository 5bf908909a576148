/** What cannot be undone takes somebody who has signed in a moment ago, where the product's issuer tells when that was. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Route } from "../../src/functions/route.ts";
import { type RouteName, routes } from "../../src/functions/routes.ts";
import { type ApiStage, startApi } from "./api-stage.ts";

let api: ApiStage;
let id: string;
beforeAll(async () => {
  api = await startApi();
  const made = await api.call("POST", "/api/v1/connections", {
    body: { displayName: "Head office", access: { read: true } },
  });
  id = String(made.body.id);
});
afterAll(() => api.close());

const person = "a".repeat(22);
const signedIn = (auth_time: unknown): Promise<string> => api.tokenFor("acme", undefined, { claims: { auth_time } });
const minutesAgo = (minutes: number): number => Math.floor(Date.now() / 1000) - minutes * 60;
const erase = async (token: string) =>
  api.call("POST", `/api/v1/connections/${id}/people/${person}/erase`, { body: { person }, token });
const outcome = async (token: string) => (await erase(token)).body.code;

test("deleting a connection and erasing somebody are routes of that kind", () => {
  const found = Object.entries<Route>(routes).filter(([, { stepUp }]) => stepUp);
  expect(found.map(([name]) => name as RouteName)).toEqual(
    expect.arrayContaining(["connections.close", "people.erase"]),
  );
  for (const [name, { person: takesPerson }] of found) expect(takesPerson, name).toBe(true);
});

describe("a token", () => {
  test.each([
    ["of somebody who has just signed in", () => minutesAgo(1), "person-not-found"],
    ["of somebody who signed in nine minutes ago", () => minutesAgo(9), "person-not-found"],
    ["of somebody who signed in before that", () => minutesAgo(11), "sign-in-not-recent"],
    ["that does not tell when", () => undefined, "person-not-found"],
    ["that tells it in words", () => "just now", "sign-in-not-recent"],
  ])("%s", async (_, time, code) => {
    expect(await outcome(await signedIn(time()))).toBe(code);
  });

  test("that is refused is told what to ask the issuer for, and is recorded", async () => {
    const { status, headers } = await erase(await signedIn(minutesAgo(60)));
    expect([status, headers.get("www-authenticate")]).toEqual([
      401,
      'Bearer error="insufficient_user_authentication", max_age="600"',
    ]);
    const { body } = await api.call("GET", "/api/v1/audit", { query: { what: "refused", limit: "1" } });
    expect(body.items).toMatchObject([{ route: "people.erase", refusal: "sign-in-not-recent", objects: [person] }]);
  });

  test("of long ago goes on reading, and does not delete the connection", async () => {
    const token = await signedIn(minutesAgo(60));
    const path = `/api/v1/connections/${id}`;
    expect((await api.call("GET", path, { token })).status).toBe(200);
    const deleted = await api.call("DELETE", path, { token, body: { displayName: "Head office" } });
    expect(deleted.body.code).toBe("sign-in-not-recent");
    expect((await api.call("GET", path)).body.state).toBe("draft");
  });
});
