/** Attacks on single sign-on: other tenants, other applications, other browsers, the same secret twice, tokens that lie. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { defaultSwitches, type IdTokenFault } from "../../src/local/simulator/entra/switches.ts";
import {
  type Answer,
  assertion,
  authorizeAt,
  basic,
  begun,
  type Connected,
  clicked,
  issuer,
  portalSecret,
  redeem,
  redirectUri,
  requestOf,
  type SsoStage,
  signedIn,
  signerPublicKey,
  startSso,
  userInfo,
} from "../support/sso-stage.ts";

let stage: SsoStage;
let customer: Connected;
let other: Connected;
let ada = "";

beforeAll(async () => {
  stage = await startSso();
  customer = await stage.connect({ domain: "customer.example" });
  other = await stage.connect({ domain: "other.example", workspace: "evil" });
  ada = customer.accounts[0] ?? "";
});
afterAll(() => stage.close());
afterEach(() => {
  Object.assign(stage.api.simulator.entra.switches, defaultSwitches());
});

const refusalOf = ({ location }: Answer): string => {
  const query = location?.searchParams;
  return `${query?.get("error")} ${query?.get("error_description")} ${query?.get("code")}`;
};
const toConnection = (): Record<string, string> => ({ connection: customer.id });
const back = (start: { cookie: string }) => ({ headers: { cookie: start.cookie } });

describe("somebody of another tenant", () => {
  test("who signs in at his own tenant's page gets no code for this one", async () => {
    const start = await begun(stage, toConnection());
    const elsewhere = new URL(start.microsoft.href.replace(customer.tid, other.tid));
    const returned = await clicked(elsewhere, { account: other.accounts[0] ?? "" });
    expect(refusalOf(await stage.ask("GET", returned, back(start)))).toBe("access_denied sign-in-failed null");
  });

  test("gets none at the page of all organisations either", async () => {
    const start = await begun(stage, toConnection());
    const elsewhere = new URL(start.microsoft.href.replace(customer.tid, "organizations"));
    const returned = await clicked(elsewhere, { account: other.accounts[0] ?? "" });
    expect(refusalOf(await stage.ask("GET", returned, back(start)))).toBe("access_denied sign-in-failed null");
  });

  test("who bears a victim's address is somebody else", async () => {
    const victim = await signedIn(stage, toConnection(), ada);
    const claims = (await userInfo(stage, String((await redeem(stage, victim)).json.access_token))).json;
    const account = other.accounts[1] ?? "";
    stage.api.simulator.commands.mutate.run({
      tid: other.tid,
      mutations: [{ op: "update-user", id: account, set: { mail: claims.email } }],
    });
    const attacker = await signedIn(stage, { connection: other.id }, account);
    const theirs = (await userInfo(stage, String((await redeem(stage, attacker)).json.access_token))).json;
    expect(theirs).toMatchObject({ email: claims.email, email_verified: false, workspace: "evil", tid: other.tid });
    expect(theirs.sub).not.toBe(claims.sub);
  });
});

test.each<[IdTokenFault]>([
  ["alg-none"],
  ["alg-hs256"],
  ["foreign-signature"],
  ["unknown-kid"],
  ["wrong-audience"],
  ["wrong-issuer"],
  ["other-tenant"],
  ["issuer-tid-mismatch"],
  ["key-issuer-mismatch"],
  ["expired"],
  ["not-yet-valid"],
  ["wrong-nonce"],
  ["no-nonce"],
  ["no-oid"],
  ["version-1"],
])("Microsoft's ID token with the fault %s signs nobody in", async (idTokenFault) => {
  Object.assign(stage.api.simulator.entra.switches, { idTokenFault });
  const { answer } = await signedIn(stage, toConnection(), ada);
  expect(refusalOf(answer)).toBe("access_denied sign-in-failed null");
});

describe("an address that is not the application's", () => {
  test.each<[string, Record<string, string>]>([
    ["another host", { redirect_uri: "https://evil.example/signed-in" }],
    ["a path below", { redirect_uri: `${redirectUri}/more` }],
    ["a query", { redirect_uri: `${redirectUri}?x=1` }],
    ["other case", { redirect_uri: redirectUri.toUpperCase() }],
    ["another application's", { redirect_uri: "https://rival.example/cb" }],
    ["nobody's", { client_id: "nobody" }],
  ])("is sent nothing: %s", async (_, more) => {
    const answer = await stage.ask("GET", authorizeAt(requestOf({ ...toConnection(), ...more })));
    expect({ status: answer.status, location: answer.location, cookies: answer.cookies }).toEqual({
      status: 400,
      location: null,
      cookies: [],
    });
  });

  test("does not pass beside a right one", async () => {
    const address = `${authorizeAt(requestOf(toConnection()))}&redirect_uri=https%3A%2F%2Fevil.example`;
    expect((await stage.ask("GET", address)).status).toBe(400);
  });

  test("is nowhere for a sign-out", async () => {
    for (const query of [
      "client_id=portal&post_logout_redirect_uri=https://evil.example/",
      "client_id=rival&post_logout_redirect_uri=https://portal.example/bye",
      "post_logout_redirect_uri=https://portal.example/bye",
      "client_id=portal&id_token_hint=e30.e30.e30",
    ])
      expect((await stage.ask("GET", `/sso/logout?${query}`)).status).toBe(400);
    const right = await stage.ask(
      "GET",
      "/sso/logout?client_id=portal&post_logout_redirect_uri=https://portal.example/bye",
    );
    expect(right.status).toBe(303);
  });
});

describe("a request without what protects it", () => {
  test.each<[string, Record<string, string>, string]>([
    ["no PKCE", { code_challenge: "", code_challenge_method: "" }, "invalid_request"],
    ["plain PKCE", { code_challenge_method: "plain" }, "invalid_request"],
    ["a token in the address", { response_type: "id_token" }, "unsupported_response_type"],
    ["a fragment", { response_mode: "fragment" }, "invalid_request"],
    ["an object by reference", { request_uri: "https://evil.example/x" }, "request_uri_not_supported"],
    ["a connection of a workspace that is not the application's", { client_id: "stranger" }, "access_denied"],
    ["no connection", { connection: "" }, "invalid_request"],
    ["both", { domain: "customer.example" }, "invalid_request"],
  ])("is refused: %s", async (_, more, error) => {
    const { location } = await stage.ask("GET", authorizeAt(requestOf({ ...toConnection(), ...more })));
    expect(location?.href.startsWith(redirectUri)).toBe(true);
    expect(location?.searchParams.get("error")).toBe(error);
    expect(location?.searchParams.get("iss")).toBe(issuer);
    expect(location?.searchParams.get("state")).toBe("state-of-the-portal");
  });

  test.each([["organizations"], ["common"], ["customer.example/../x"], ["9188040d-6c67-4c5b-b112-36a304b66dad"]])(
    "is refused: the domain %s",
    async (domain) => {
      const { location } = await stage.ask("GET", authorizeAt(requestOf({ domain })));
      expect(location?.searchParams.get("error")).toBe("invalid_request");
    },
  );
});

describe("what a stranger learns about customers", () => {
  const shapeOf = (url: URL): string =>
    `${url.pathname.replace(/[0-9a-f-]{36}/, "tid")} ${[...url.searchParams.keys()].toSorted().join(" ")}`;

  test("is nothing from a domain: one of no customer leads to the same page and fails in the same words", async () => {
    const { tid } = stage.api.simulator.commands["create-tenant"].run({
      users: 5,
      groups: 0,
      seed: 9,
      domain: "none.example",
    });
    const [known, unknown] = [
      await begun(stage, { domain: "customer.example" }),
      await begun(stage, { domain: "none.example" }),
    ];
    expect(unknown.microsoft.pathname).toContain(tid);
    expect(shapeOf(unknown.microsoft)).toBe(shapeOf(known.microsoft));
    for (const start of [known, unknown]) {
      const state = start.microsoft.searchParams.get("state") ?? "";
      const forged = await stage.ask("GET", `/sso/callback/entra?code=forged&state=${state}`, back(start));
      expect(refusalOf(forged)).toBe("access_denied sign-in-failed null");
    }
  });

  test("is nothing from a connection: one that cannot be used and one that is not there look alike", async () => {
    const answers = new Set<string>();
    const ask = async (connection: string) => {
      const { location } = await stage.ask("GET", authorizeAt(requestOf({ connection })));
      answers.add(location?.href ?? "");
    };
    await ask("0".repeat(26));
    await ask("nonsense");
    for (const state of ["off", "consent-needed", "degraded", "revoked"]) {
      await stage.setTier(customer.id, "signIn", state);
      await ask(customer.id);
    }
    await stage.setTier(customer.id, "signIn", "active");
    await stage.patch(customer.id, "/state", "closing");
    await ask(customer.id);
    await stage.patch(customer.id, "/state", "active");
    expect([...answers]).toHaveLength(1);
    expect([...answers][0]).toContain("error=access_denied");
  });
});

describe("another browser", () => {
  test("cannot go on with an attempt, and does not spend it", async () => {
    const start = await begun(stage, toConnection());
    const returned = await clicked(start.microsoft, { account: ada });
    const elsewhere = await begun(stage, toConnection());
    for (const headers of [{}, { cookie: elsewhere.cookie }]) {
      const answer = await stage.ask("GET", returned, { headers });
      expect({ status: answer.status, location: answer.location?.href }).toEqual({
        status: 303,
        location: `${issuer}/sso/ended`,
      });
    }
    const right = await stage.ask("GET", returned, back(start));
    expect(right.location?.searchParams.get("code")).toMatch(/./);
    const again = await stage.ask("GET", returned, back(start));
    expect(again.location?.pathname).toBe("/sso/ended");
  });

  test("is kept apart by a cookie that no script, no other host and no form of another site gets", async () => {
    const answer = await stage.ask("GET", authorizeAt(requestOf(toConnection())));
    expect(answer.cookies).toMatchObject([
      { name: "__Host-sso", path: "/", secure: true, httpOnly: true, sameSite: "Lax" },
    ]);
    expect(answer.headers.get("referrer-policy")).toBe("no-referrer");
    expect(answer.headers.get("cache-control")).toBe("no-store");
  });
});

describe("a code", () => {
  test("that is redeemed a second time takes away what the first got", async () => {
    const start = await signedIn(stage, toConnection(), ada);
    const first = await redeem(stage, start);
    const token = String(first.json.access_token);
    expect((await userInfo(stage, token)).status).toBe(200);
    expect((await redeem(stage, start)).json.error).toBe("invalid_grant");
    expect((await userInfo(stage, token)).status).toBe(401);
  });

  test("that is redeemed by many at once is worth nothing in the end, and never twice", async () => {
    const start = await signedIn(stage, toConnection(), ada);
    const answers = await Promise.all([1, 2, 3, 4].map(() => redeem(stage, start)));
    const tokens = answers.flatMap(({ status, json }) => (status === 200 ? [String(json.access_token)] : []));
    expect(tokens.length).toBeLessThanOrEqual(1);
    for (const token of tokens) expect((await userInfo(stage, token)).status).toBe(401);
  });

  test.each<[string, Record<string, string>, Record<string, string>]>([
    ["another application", {}, basic("rival", "secret of the rival")],
    [
      "another address of the same application",
      { redirect_uri: "https://portal.example/other" },
      basic("portal", portalSecret),
    ],
    ["another verifier", { code_verifier: "w".repeat(43) }, basic("portal", portalSecret)],
  ])("is of no use to %s, and after that to nobody", async (_, more, headers) => {
    const start = await signedIn(stage, toConnection(), ada);
    expect((await redeem(stage, start, more, headers)).json.error).toBe("invalid_grant");
    expect((await redeem(stage, start)).json.error).toBe("invalid_grant");
  });

  test("is of no use without a verifier or the application's proof, which does not spend it", async () => {
    const start = await signedIn(stage, toConnection(), ada);
    expect((await redeem(stage, start, { code_verifier: "" })).json.error).toBe("invalid_request");
    for (const headers of [{}, basic("portal", "wrong"), basic("nobody", portalSecret), basic("signer", "")]) {
      const answer = await redeem(stage, start, {}, headers);
      expect({ status: answer.status, error: answer.json.error }).toEqual({ status: 401, error: "invalid_client" });
    }
    expect((await redeem(stage, start, { client_secret: portalSecret })).json.error).toBe("invalid_request");
    expect((await redeem(stage, start)).status).toBe(200);
  });

  test("ends after a minute, an access token after five, and both with the connection's approval", async () => {
    const late = await signedIn(stage, toConnection(), ada);
    stage.api.advance(61_000);
    expect((await redeem(stage, late)).json.error).toBe("invalid_grant");

    const withdrawn = await signedIn(stage, toConnection(), ada);
    const token = String((await redeem(stage, await signedIn(stage, toConnection(), ada))).json.access_token);
    await stage.setTier(customer.id, "signIn", "off");
    expect((await redeem(stage, withdrawn)).json.error).toBe("invalid_grant");
    expect((await userInfo(stage, token)).status).toBe(401);
    await stage.setTier(customer.id, "signIn", "active");
    expect((await userInfo(stage, token)).status).toBe(200);
    stage.api.advance(301_000);
    expect((await userInfo(stage, token)).status).toBe(401);
  });
});

describe("an assertion", () => {
  const present = async (text: string): Promise<Answer> => {
    const start = await signedIn(stage, { ...toConnection(), client_id: "signer" }, ada);
    const type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    return redeem(stage, start, { client_assertion: text, client_assertion_type: type }, {});
  };
  const inSeconds = (count: number): number => Math.floor(Date.now() / 1000) + count;
  // The clock of the product is ahead of the machine's by what other tests have waited.
  const fresh = (claims: Record<string, unknown> = {}) => assertion({ iat: undefined, exp: inSeconds(420), ...claims });

  test("works once", async () => {
    const text = await fresh();
    expect((await present(text)).status).toBe(200);
    expect((await present(text)).json.error).toBe("invalid_client");
  });

  test.each<[string, () => Promise<string>]>([
    ["for another issuer", () => fresh({ aud: "https://login.example" })],
    ["of another application", () => fresh({ iss: "portal", sub: "portal" })],
    ["that speaks for another one", () => fresh({ iss: "portal" })],
    ["that has expired", () => fresh({ exp: inSeconds(-60) })],
    ["for a day", () => fresh({ exp: inSeconds(86_400) })],
    ["without an id", () => fresh({ jti: undefined })],
    [
      "signed with the public key as a secret",
      () =>
        assertion({ exp: inSeconds(420) }, { alg: "HS256" }, signerPublicKey.export({ format: "der", type: "spki" })),
    ],
    [
      "that nobody signed",
      async () => `${Buffer.from('{"alg":"none"}').toString("base64url")}.${(await fresh()).split(".")[1]}.`,
    ],
  ])("%s proves nothing", async (_, make) => {
    expect((await present(await make())).json.error).toBe("invalid_client");
  });
});

test("our own tokens are no access tokens of the API", async () => {
  const start = await signedIn(stage, toConnection(), ada);
  const { json } = await redeem(stage, start);
  for (const token of [json.id_token, json.access_token])
    expect((await stage.api.call("GET", "/api/v1/connections", { token: String(token) })).status).toBe(401);
});

test("nothing of a sign-in is readable where it is kept or logged", async () => {
  const hint = "a.secret.hint@customer.example";
  const start = await signedIn(stage, { ...toConnection(), login_hint: hint }, ada);
  const answer = await redeem(stage, start);
  const info = (await userInfo(stage, String(answer.json.access_token))).json;
  const kept = (await stage.dump()) + stage.log.join("\n");
  const secrets = [
    hint,
    info.email,
    info.name,
    info.oid,
    start.back.get("code"),
    answer.json.access_token,
    answer.json.id_token,
  ];
  expect(secrets.filter((text) => typeof text !== "string" || text === "" || kept.includes(text))).toEqual([]);
});
