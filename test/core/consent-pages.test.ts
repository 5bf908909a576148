import { createHash } from "node:crypto";
import {
  type HttpHandler,
  type HttpMethod,
  HttpRequest,
  type HttpResponseInit,
  InvocationContext,
} from "@azure/functions";
import { beforeEach, describe, expect, test } from "vitest";
import { AppError } from "../../src/core/errors.ts";
import { type ConnectCases, connectPage, consentCallback, signInCallback } from "../../src/functions/connect.http.ts";
import { browserCookie } from "./connections-stage.ts";

let seen: unknown[];
let logged: string[];
let failure: Error | null;
let cases: ConnectCases;

beforeEach(() => {
  seen = [];
  logged = [];
  failure = null;
  const answer = <T>(value: T, ...given: unknown[]): Promise<T> => {
    seen.push(given);
    return failure ? Promise.reject(failure) : Promise.resolve(value);
  };
  const microsoft = { redirect: "https://login.example/authorize?state=s" };
  cases = {
    showConnect: (ticket, cookie) =>
      answer(
        {
          workspaceId: "acme",
          requester: "alice",
          connectionName: `<img src=x onerror="alert('1')">&`,
          tierTitle: "Read people, groups and memberships",
          permissions: [
            { value: "User.Read.All", type: "application", wording: "Read all users' full profiles", without: "" },
          ],
          signInOrigin: "https://login.example",
          cookie: browserCookie,
        },
        ticket,
        cookie,
      ),
    continueConnect: (...given) => answer(microsoft, ...given),
    signInCallback: (query, visitor) => answer(microsoft, query.toString(), visitor),
    consentCallback: (query, visitor) =>
      answer({ redirect: "https://product.example/?code=c" }, query.toString(), visitor),
    clientIp: () => "198.51.100.7",
  };
});

const call = async (
  handler: HttpHandler,
  method: HttpMethod,
  options: { query?: Record<string, string>; headers?: Record<string, string> } = {},
): Promise<HttpResponseInit & { headers: Record<string, string>; body: string }> => {
  const request = new HttpRequest({
    method,
    url: "https://sync.example/x",
    params: { ticket: "the-ticket" },
    query: options.query ?? {},
    headers: options.headers ?? {},
  });
  const context = new InvocationContext({
    functionName: "test",
    invocationId: "invocation-1",
    logHandler: (_level, ...parts) => void logged.push(parts.join(" ")),
  });
  const { headers, body, ...rest } = (await handler(request, context)) as HttpResponseInit;
  return { ...rest, headers: headers as Record<string, string>, body: typeof body === "string" ? body : "" };
};

const page = connectPage(() => cases);
const callbacks: [string, HttpHandler][] = [
  ["the sign-in callback", signInCallback(() => cases)],
  ["the consent callback", consentCallback(() => cases)],
];

describe("the page", () => {
  test("names who asks for what, and lets nobody's text become markup", async () => {
    const { status, body } = await call(page, "GET");
    expect(status).toBe(200);
    for (const text of [
      "acme",
      "alice",
      "Read people, groups and memberships",
      "Read all users&#39; full profiles",
      "User.Read.All",
    ])
      expect(body).toContain(text);
    expect(body).toContain("&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;");
    expect(body).not.toContain("<img");
  });

  test("allows its own style, its form and Microsoft's sign-in, and nothing else", async () => {
    const { headers, body } = await call(page, "GET");
    const style = /<style>(.*?)<\/style>/s.exec(body)?.[1] ?? "";
    const hash = createHash("sha256").update(style).digest("base64");
    expect(headers["content-security-policy"]).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; form-action 'self' https://login.example; frame-ancestors 'none'; base-uri 'none'`,
    );
    expect(headers).toMatchObject({
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "strict-transport-security": "max-age=31536000",
    });
  });

  test("binds the browser by a cookie that only we get back", async () => {
    const { cookies } = await call(page, "GET");
    expect(cookies).toEqual([
      {
        name: "__Host-connect",
        value: browserCookie,
        path: "/",
        secure: true,
        httpOnly: true,
        sameSite: "Lax",
        maxAge: 600,
      },
    ]);
  });

  test("goes on by POST only, with the cookie, from itself", async () => {
    const cookie = `other=1; __Host-connect=${browserCookie}`;
    const { status, headers } = await call(page, "POST", { headers: { cookie, "sec-fetch-site": "same-origin" } });
    expect([status, headers.location]).toEqual([303, "https://login.example/authorize?state=s"]);
    expect(seen).toEqual([["the-ticket", browserCookie]]);
    for (const site of ["cross-site", "same-site", "none"])
      expect((await call(page, "POST", { headers: { cookie, "sec-fetch-site": site } })).status).toBe(410);
    expect(seen).toHaveLength(1);
  });

  test.each(["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] as const)(
    "answers 405 to %s and touches nothing",
    async (method) => {
      const { status, headers } = await call(page, method);
      expect([status, headers.allow]).toEqual([405, "GET, POST"]);
      expect(seen).toEqual([]);
    },
  );

  test("says that an attempt has ended, without a form", async () => {
    failure = new AppError("consent-attempt-unusable");
    const { status, body, headers } = await call(page, "GET");
    expect(status).toBe(410);
    expect(body).toContain("Start the connection again.");
    expect(body).not.toContain("<form");
    expect(headers["content-security-policy"]).toContain("form-action 'none'");
  });

  test("shows a reference and no detail when something goes wrong, and logs places without texts", async () => {
    failure = new TypeError("secret detail");
    const { status, body } = await call(page, "GET");
    expect(status).toBe(500);
    expect(body).toContain("invocation-1");
    expect(body + logged.join()).not.toContain("secret detail");
    expect(logged.join()).toMatch(/"code":"unexpected".*"TypeError","at /);
  });
});

describe.each(callbacks)("%s", (_which, handler) => {
  test("hands on the whole answer with cookie, address and correlation id, and leaves by 303", async () => {
    const query = { state: "s", code: "a b" };
    const { status, headers, body } = await call(handler, "GET", {
      query,
      headers: { cookie: `__Host-connect=${browserCookie}` },
    });
    expect([status, body]).toEqual([303, ""]);
    expect(headers).toMatchObject({ "referrer-policy": "no-referrer", "cache-control": "no-store" });
    expect(seen).toEqual([
      ["state=s&code=a+b", { cookie: browserCookie, ip: "198.51.100.7", correlationId: "invocation-1" }],
    ]);
  });

  test("leaves an unusable attempt for an address without anything in it", async () => {
    failure = new AppError("consent-attempt-unusable");
    const { status, headers } = await call(handler, "GET", { query: { state: "s", code: "c" } });
    expect([status, headers.location]).toEqual([303, "/connect/ended"]);
  });

  test.each(["POST", "OPTIONS"] as const)("answers 405 to %s", async (method) => {
    expect((await call(handler, method)).status).toBe(405);
    expect(seen).toEqual([]);
  });

  test("says 503 when a service of ours is away", async () => {
    failure = new AppError("store-unavailable");
    expect((await call(handler, "GET")).status).toBe(503);
  });
});
