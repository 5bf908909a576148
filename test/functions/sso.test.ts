/** Single sign-on: who is let in, what applications and people are told, and what is recorded. */
import { HttpRequest, InvocationContext } from "@azure/functions";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { providerMetadata } from "../../src/core/sso/discovery.ts";
import { subjectOf } from "../../src/core/sso/identity.ts";
import { ssoFunctions } from "../../src/functions/sso.http.ts";
import { everybody } from "../../src/local/demo/everybody.ts";
import { defaultSwitches } from "../../src/local/simulator/entra/switches.ts";
import {
  authorizeAt,
  begun,
  type Connected,
  clicked,
  cookieIn,
  issuer,
  redeem,
  requestOf,
  type SsoStage,
  signedIn,
  startSso,
  userInfo,
} from "../support/sso-stage.ts";

let stage: SsoStage;
let customer: Connected;
let ada = "";
let bob = "";

beforeAll(async () => {
  stage = await startSso();
  customer = await stage.connect({ domain: "customer.example" });
  [ada = "", bob = ""] = customer.accounts;
});
afterAll(() => stage.close());
afterEach(async () => {
  Object.assign(stage.api.simulator.entra.switches, defaultSwitches());
  await settle({});
});

type Part = "people" | "groups";
const settle = (change: Partial<Record<Part, object>>): Promise<void> =>
  stage.patch(customer.id, "/settings", { ...everybody, automatic: false, ...change });
const people = (change: object) => ({ people: { ...everybody.people, ...change } });

const outcome = async (more: Record<string, string>, account: string): Promise<string> => {
  const { back } = await signedIn(stage, more, account);
  return back.get("error_description") ?? (back.has("code") ? "code" : "neither");
};
const here = (more: Record<string, string> = {}) => ({ connection: customer.id, ...more });

describe("who is let in", () => {
  test("a person who is synchronised, by what the settings say now and not at the last run", async () => {
    expect(await outcome(here(), ada)).toBe("code");
    await settle(people({ kinds: { ...everybody.people.kinds, members: false } }));
    expect(await outcome(here(), ada)).toBe("sign-in-not-in-scope");
    await settle(people({ oneByOne: true }));
    expect(await outcome(here(), ada)).toBe("sign-in-not-in-scope");
    await settle(people({ from: "groups", groups: ["00000000-0000-4000-8000-00000000abcd"] }));
    expect(await outcome(here(), ada)).toBe("sign-in-not-in-scope");
  });

  test("nobody on the e-mail blacklist, from the moment the list was replaced", async () => {
    const address = String(customer.tenant.directory.users.get(bob)?.properties.mail);
    const path = `/api/v1/connections/${customer.id}/settings`;
    const replace = async (entries: string[]) => {
      const headers = { "if-match": String((await stage.api.call("GET", path)).headers.get("etag")) };
      expect((await stage.api.call("PUT", `${path}/blacklist`, { body: { entries }, headers })).status).toBe(200);
    };
    await replace([address]);
    expect(await outcome(here(), bob)).toBe("sign-in-not-in-scope");
    await replace([]);
    expect(await outcome(here(), bob)).toBe("code");
  });

  test("nobody who is not synchronised, and nobody is stored for it", async () => {
    const id = "dddddddd-0000-4000-8000-00000000000d";
    const properties = {
      displayName: "Dora New",
      userPrincipalName: "dora@customer.example",
      mail: "dora@customer.example",
      accountEnabled: true,
      userType: "Member",
    };
    stage.api.simulator.commands.mutate.run({
      tid: customer.tid,
      mutations: [{ op: "create-user", user: { id, properties } }],
    });
    customer.tenant.accounts.push({ objectId: id, directoryRoles: [] });
    expect(await outcome(here(), id)).toBe("sign-in-not-synchronised");
    // With signs that no sealed text has.
    expect(await stage.dump()).not.toMatch(/dora@|Dora /i);
  });

  test("nobody who was erased, although Microsoft still knows the account", async () => {
    const gone = await stage.connect({ domain: "gone.example" });
    const [account = ""] = gone.accounts;
    const start = await signedIn(stage, { connection: gone.id }, account);
    const { json } = await userInfo(stage, String((await redeem(stage, start)).json.access_token));
    await stage.patchPerson(gone.id, String(json.person), { state: "erased", record: null });
    expect(await outcome({ connection: gone.id }, account)).toBe("sign-in-not-synchronised");
  });

  test("a guest as himself: with another subject than at home, and only where the settings admit guests", async () => {
    const home = await stage.connect({ domain: "home.example", workspace: "home" });
    const [account = ""] = home.accounts;
    const mail = String(home.tenant.directory.users.get(account)?.properties.mail);
    const guest = "eeeeeeee-0000-4000-8000-00000000000e";
    const visited = await stage.connect({ domain: "visited.example" });
    const properties = {
      displayName: "A guest",
      userPrincipalName: `${mail.replace("@", "_")}#EXT#@visited.example`,
      mail,
      accountEnabled: true,
      userType: "Guest",
    };
    const user = { id: guest, properties };
    stage.api.simulator.commands.mutate.run({ tid: visited.tid, mutations: [{ op: "create-user", user }] });
    visited.tenant.accounts.push({ objectId: guest, directoryRoles: [] });
    await stage.api.call("POST", `/api/v1/connections/${visited.id}/runs`, { body: { mode: "full" } });
    await stage.api.cases.work({ connectionId: visited.id, receivedAt: Date.now() });

    const as = async (connection: string, who: string) =>
      (
        await userInfo(
          stage,
          String((await redeem(stage, await signedIn(stage, { connection }, who))).json.access_token),
        )
      ).json;
    const [atHome, abroad] = [await as(home.id, account), await as(visited.id, guest)];
    expect(abroad).toMatchObject({
      sub: subjectOf({ tid: visited.tid, oid: guest }),
      email: mail,
      email_verified: false,
    });
    expect(abroad.sub).not.toBe(atHome.sub);
    const kinds = { ...everybody.people.kinds, guests: false };
    await stage.patch(visited.id, "/settings/people/kinds", kinds);
    expect(await outcome({ connection: visited.id }, guest)).toBe("sign-in-not-in-scope");
  });

  test("on a connection that reads no directory, whom the settings admit by what the token says", async () => {
    const only = await stage.connect({ domain: "only.example" });
    await stage.setTier(only.id, "read", "consent-needed");
    const id = "ffffffff-0000-4000-8000-00000000000f";
    const properties = { displayName: "Never read", userPrincipalName: "x@only.example", accountEnabled: true };
    const user = { id, properties: { ...properties, userType: "Member" } };
    stage.api.simulator.commands.mutate.run({ tid: only.tid, mutations: [{ op: "create-user", user }] });
    only.tenant.accounts.push({ objectId: id, directoryRoles: [] });
    const start = await signedIn(stage, { connection: only.id }, id);
    const { json } = await userInfo(stage, String((await redeem(stage, start)).json.access_token));
    expect(json).toMatchObject({ connection: only.id, oid: id });
    expect(json).not.toHaveProperty("person");
    await stage.patch(only.id, "/settings/people/kinds/members", false);
    expect(await outcome({ connection: only.id }, id)).toBe("sign-in-not-in-scope");
  });

  test("nobody whose account was switched off, although the settings synchronise such accounts", async () => {
    const off = await stage.connect({ domain: "off.example" });
    const [account = ""] = off.accounts;
    const switched = (accountEnabled: boolean) =>
      stage.api.simulator.commands.mutate.run({
        tid: off.tid,
        mutations: [{ op: "update-user", id: account, set: { accountEnabled } }],
      });
    switched(false);
    await stage.api.call("POST", `/api/v1/connections/${off.id}/runs`, { body: { mode: "full" } });
    await stage.api.cases.work({ connectionId: off.id, receivedAt: Date.now() });
    // Microsoft lets the person in again before the next run tells us.
    switched(true);
    expect(await outcome({ connection: off.id }, account)).toBe("sign-in-account-disabled");
  });
});

describe("how fresh a sign-in is", () => {
  const age = (sessionAgeSeconds: number) => Object.assign(stage.api.simulator.entra.switches, { sessionAgeSeconds });

  test("max_age and prompt=login go to Microsoft, and what comes back is checked", async () => {
    const { microsoft } = await begun(
      stage,
      here({ max_age: "900", prompt: "login", login_hint: "ada@customer.example" }),
    );
    expect(Object.fromEntries(microsoft.searchParams)).toMatchObject({
      max_age: "900",
      prompt: "login",
      login_hint: "ada@customer.example",
      scope: "openid profile email",
    });
    age(3600);
    expect(await outcome(here({ max_age: "4000" }), ada)).toBe("code");
    expect(await outcome(here({ max_age: "900" }), ada)).toBe("code");
  });

  test("one that is too old, or of unknown age, is asked for once more, and then refused", async () => {
    const registration = [...stage.api.simulator.world.registrations.values()].find(({ redirectUris }) =>
      redirectUris.includes(`${issuer}/sso/callback/entra`),
    );
    if (!registration) throw new Error("no registration");
    registration.optionalClaims = ["acct"];
    try {
      const first = await signedIn(stage, here({ max_age: "900" }), ada);
      expect(first.answer.location?.searchParams.get("prompt")).toBe("login");
      const again = await clicked(first.answer.location ?? new URL(issuer), { account: ada });
      const { location } = await stage.ask("GET", again, { headers: { cookie: first.cookie } });
      expect(location?.searchParams.get("error_description")).toBe("sign-in-too-old");
      expect(await outcome(here(), ada)).toBe("code");
    } finally {
      registration.optionalClaims = ["acct", "auth_time", "xms_edov"];
    }
  });

  test("without a person nobody is signed in silently", async () => {
    const { microsoft, cookie } = await begun(stage, here({ prompt: "none" }));
    const back = await fetch(microsoft, { redirect: "manual" });
    const { location } = await stage.ask("GET", back.headers.get("location") ?? "", { headers: { cookie } });
    expect(location?.searchParams.get("error")).toBe("login_required");
  });
});

describe("a domain", () => {
  test("of one connection leads there, of several to a choice among those that admit the person", async () => {
    expect(await outcome({ domain: "customer.example" }, ada)).toBe("code");
    const second = await stage.connect({ domain: "", tenant: customer.tenant, workspace: "second" });
    const start = await signedIn(stage, { domain: "customer.example" }, ada);
    expect(start.answer.status).toBe(200);
    expect(start.answer.headers.get("content-security-policy")).toContain("form-action 'self';");
    const choice = /name="choice" value="([^"]+)"/.exec(start.answer.text)?.[1] ?? "";
    const offered = [...start.answer.text.matchAll(/name="connection" value="([^"]+)"/g)].map(([, id]) => id);
    expect(offered.toSorted()).toEqual([customer.id, second.id].toSorted());

    const choose = (connection: string, headers: Record<string, string>) =>
      stage.ask("POST", "/sso/choose", { body: { choice, connection }, headers });
    const { cookie } = start;
    expect((await choose(second.id, {})).status).toBe(410);
    expect((await choose(second.id, { cookie, "sec-fetch-site": "cross-site" })).status).toBe(410);
    const chosen = await choose(second.id, { cookie });
    // No redirect: browsers keep what follows a form under the page's `form-action`, also at the application's other hosts.
    expect([chosen.status, chosen.headers.get("location")]).toEqual([200, null]);
    const back = chosen.location?.searchParams ?? new URLSearchParams();
    const { json } = await userInfo(stage, String((await redeem(stage, { ...start, back })).json.access_token));
    expect(json).toMatchObject({ connection: second.id, workspace: "second" });
    expect((await choose(second.id, { cookie })).status).toBe(410);

    await stage.setTier(second.id, "signIn", "off");
    expect(await outcome({ domain: "customer.example" }, ada)).toBe("code");
  });

  test("that Microsoft does not know leads nowhere", async () => {
    const { location } = await stage.ask("GET", authorizeAt(requestOf({ domain: "nowhere.example" })));
    expect(location?.searchParams.get("error")).toBe("access_denied");
  });
});

describe("when something fails", () => {
  test.each<[string, object, string]>([
    ["Microsoft is busy", { status: 503 }, "temporarily_unavailable sign-in-unavailable"],
    ["Microsoft rejects our own credential", { aadsts: 7000215 }, "server_error credential-rejected"],
    ["Microsoft refuses the person's code", { aadsts: 70008 }, "access_denied sign-in-failed"],
  ])("%s: the application is told no more than that, and the log says whose fault it was", async (_, fault, told) => {
    Object.assign(stage.api.simulator.entra.switches, {
      tokenFaults: [{ times: 1, grantType: "authorization_code", ...fault }],
    });
    const before = stage.log.length;
    const { back } = await signedIn(stage, here(), ada);
    expect(`${back.get("error")} ${back.get("error_description")}`).toBe(told);
    const lines = stage.log.slice(before).join("\n");
    expect(lines).toContain(told.split(" ")[1]);
    expect(await outcome(here(), ada)).toBe("code");
  });
});

test("whom the product has linked is named as the product knows him", async () => {
  const start = await signedIn(stage, here(), ada);
  const { json } = await userInfo(stage, String((await redeem(stage, start)).json.access_token));
  expect(json).not.toHaveProperty("product_user");
  const path = `/api/v1/connections/${customer.id}/people/${String(json.person)}/product-user`;
  expect((await stage.api.call("PUT", path, { body: { productUserId: "ada-1" } })).status).toBe(200);
  const again = await signedIn(stage, here(), ada);
  const { json: linked } = await userInfo(stage, String((await redeem(stage, again)).json.access_token));
  expect(linked).toMatchObject({ sub: json.sub, product_user: "ada-1" });
});

test("an application may send its request in a form, so that no address holds it", async () => {
  const answer = await stage.ask("POST", "/sso/authorize", { body: requestOf(here()) });
  expect(answer.status).toBe(303);
  const microsoft = answer.location ?? new URL(issuer);
  const landed = await clicked(microsoft, { account: ada });
  const { location } = await stage.ask("GET", landed, { headers: { cookie: cookieIn(answer) } });
  expect(location?.searchParams.get("code")).toMatch(/./);
});

test("a person who declines comes back without a code", async () => {
  const { microsoft, cookie } = await begun(stage, here());
  const landed = await clicked(microsoft, "cancel");
  const { location } = await stage.ask("GET", landed, { headers: { cookie } });
  expect(location?.searchParams.get("error")).toBe("access_denied");
  expect(location?.searchParams.get("state")).toBe("state-of-the-portal");
});

test("sign-ins, refusals and who asked for whose identity are in the access log", async () => {
  const start = await signedIn(stage, here(), ada);
  const { json } = await redeem(stage, start);
  await userInfo(stage, String(json.access_token));
  await redeem(stage, start);
  await settle(people({ oneByOne: true }));
  await outcome(here(), ada);
  const month = new Date().toISOString().slice(0, 7);
  const records = await stage.api.cases.edge.access.list("acme", month, { limit: 1000 });
  const last = records.filter(({ route }) => route.startsWith("sso.")).slice(-4);
  const person = last[0]?.subject.replace("person:", "");
  const from = { ip: "203.0.113.7", connectionId: customer.id };
  const client = { subject: "client:portal", machine: true };
  expect(last).toMatchObject([
    { what: "sign-in", route: "sso.portal", subject: `person:${person}`, ...from },
    { what: "read", route: "sso.userinfo", ...client, objects: [person], count: 1, ...from },
    { what: "refused", route: "sso.token", ...client, refusal: "sign-in-attempt-unusable", ...from },
    { what: "refused", route: "sso.portal", subject: `person:${person}`, refusal: "sign-in-not-in-scope", ...from },
  ]);
});

test("what is advertised is what there is", async () => {
  const { json, headers } = await stage.ask("GET", "/.well-known/openid-configuration");
  expect(json).toEqual(providerMetadata(issuer));
  expect(headers.get("cache-control")).toBe("public, max-age=3600");
  const { json: keys } = await stage.ask("GET", String(json.jwks_uri));
  expect(keys.keys).toHaveLength(1);
  for (const name of ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "end_session_endpoint"]) {
    const { status } = await stage.ask("GET", String(json[name]));
    expect({ name, status }).toEqual({
      name,
      status: { token_endpoint: 405, userinfo_endpoint: 401, end_session_endpoint: 303 }[name] ?? 400,
    });
  }
});

test.each<["GET" | "POST", string, number]>([
  ["GET", "/sso/authorize", 400],
  ["POST", "/sso/authorize", 400],
  ["GET", "/sso/callback/entra?state=x", 303],
  ["POST", "/sso/callback/entra", 405],
  ["GET", "/sso/choose", 405],
  ["POST", "/sso/choose", 400],
  ["GET", "/sso/ended", 410],
  ["GET", "/sso/token", 405],
  ["POST", "/sso/token", 400],
  ["GET", "/sso/userinfo", 401],
  ["GET", "/sso/logout?client_id=nobody", 400],
])("%s %s answers %i, for no cache, frame, referrer or guess", async (method, path, status) => {
  const { headers, ...answer } = await stage.ask(method, path);
  expect(answer.status).toBe(status);
  expect(Object.fromEntries(headers)).toMatchObject({
    "cache-control": "no-store",
    "content-security-policy": expect.stringMatching(/^default-src 'none';.*frame-ancestors 'none'/),
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
  });
  expect([...headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
});

test("without applications there is nothing at any of its addresses", async () => {
  const off = ssoFunctions(() => ({ ...stage.api.cases, sso: null }));
  expect(off.length).toBeGreaterThanOrEqual(9);
  for (const { route, name, handler } of off) {
    const request = new HttpRequest({
      method: "GET",
      url: `${issuer}/${route}`,
      headers: { "client-ip": "203.0.113.8" },
    });
    const answer = await handler(request, new InvocationContext({ functionName: name, logHandler: () => {} }));
    expect(answer).toMatchObject({ status: 404 });
  }
});
