/** An application signs people in with openid-client, against the whole product by plain HTTP. */
import { createHash, generateKeyPairSync, webcrypto } from "node:crypto";
import * as client from "openid-client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { subjectOf } from "../../src/core/sso/identity.ts";
import { clickThrough } from "../../src/local/simulator/entra/click-through.ts";
import { admitEverybody, begin, type Caller, callerOf, expectStatus, settled } from "../support/api.ts";
import { consent } from "../support/browser.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";

const redirectUri = "https://app.product.example/signed-in";
const signedOut = "https://app.product.example/signed-out";
const secret = "an application's secret of many random bits";
const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const clients = [
  {
    clientId: "portal",
    redirectUris: [redirectUri],
    postLogoutRedirectUris: [signedOut],
    secretHash: createHash("sha256").update(secret).digest("hex"),
  },
  {
    clientId: "signer",
    redirectUris: [redirectUri],
    jwks: { keys: [{ ...keys.publicKey.export({ format: "jwk" }), kid: "1" }] },
  },
];

let stack: TestStack;
let call: Caller;
let tid: string;
let connectionId: string;
/** Object ids of people who can sign in; the first is an administrator. */
let people: string[];

const returnUrl = "http://localhost:9/connected";

const approveTier = async (tier: "read" | "signIn", account: string): Promise<void> => {
  const asked = call("POST", `/connections/${connectionId}/consent`, { body: { tier, returnUrl } });
  const { connectUrl } = (await expectStatus(201, asked)).body;
  const back = await consent(String(connectUrl), [{ account }, { account }]);
  const code = back.searchParams.get("code");
  await expectStatus(200, call("POST", `/connections/${connectionId}/consent/complete`, { body: { code } }));
};

beforeAll(async () => {
  stack = await startTestStack({ seed: 41, environment: { SSO_CLIENTS: JSON.stringify(clients) } });
  call = callerOf(stack, { workspace: "acme" });
  const made = await stack.simulator.command("create-tenant", {
    users: 12,
    groups: 2,
    seed: 41,
    domain: "sso.example",
  });
  tid = made.tid;
  people = made.accounts.map(({ objectId }) => objectId);
  const [administrator = ""] = people;
  const draft = call("POST", "/connections", {
    body: { displayName: "Sign-in", access: { read: true, signIn: true } },
  });
  connectionId = String((await expectStatus(201, draft)).body.id);
  await admitEverybody(call, connectionId);
  await approveTier("read", administrator);
  await begin(call, connectionId);
  await settled(call, connectionId);
  await approveTier("signIn", administrator);
});
afterAll(() => stack.stop());

/** As somebody's browser: keeps cookies, clicks one account at Microsoft, and stops at the application. */
const signIn = async (address: URL, account: string): Promise<URL> => {
  const first = await fetch(address, { redirect: "manual" });
  const cookie = first.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const landing = await clickThrough(first.headers.get("location") ?? "", { account });
  if (landing.kind === "page") throw new Error(`Microsoft shows: ${landing.html}`);
  const last = await fetch(landing.url, { redirect: "manual", headers: { cookie } });
  return new URL(last.headers.get("location") ?? "");
};

const attempt = async (configuration: client.Configuration, more: Record<string, string>, account: string) => {
  const [pkceCodeVerifier, expectedState, expectedNonce] = [
    client.randomPKCECodeVerifier(),
    client.randomState(),
    client.randomNonce(),
  ];
  const address = client.buildAuthorizationUrl(configuration, {
    redirect_uri: redirectUri,
    scope: "openid profile email",
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    ...more,
  });
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
  return { back: await signIn(address, account), checks };
};

const bySecret = (authentication: client.ClientAuth): Promise<client.Configuration> =>
  client.discovery(new URL(stack.publicBaseUrl), "portal", {}, authentication, {
    execute: [client.enableNonRepudiationChecks],
  });

describe("an application with openid-client", () => {
  test.each([
    ["a secret in the header", () => bySecret(client.ClientSecretBasic(secret)), "connection"],
    ["a secret in the form", () => bySecret(client.ClientSecretPost(secret)), "domain"],
    [
      "an assertion of its own key",
      async () => {
        const pkcs8 = keys.privateKey.export({ format: "der", type: "pkcs8" });
        const algorithm = { name: "ECDSA", namedCurve: "P-256" };
        const key = await webcrypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
        return client.discovery(new URL(stack.publicBaseUrl), "signer", {}, client.PrivateKeyJwt({ key, kid: "1" }), {
          execute: [client.enableNonRepudiationChecks],
        });
      },
      "connection",
    ],
  ] as const)("signs a person in with %s", async (_, configure, by) => {
    const configuration = await configure();
    expect(configuration.serverMetadata().supportsPKCE()).toBe(true);
    const [person = ""] = people;
    const target = by === "domain" ? { domain: "SSO.example" } : { connection: connectionId };
    const { back, checks } = await attempt(configuration, { ...target, max_age: "600" }, person);
    expect(back.searchParams.get("iss")).toBe(stack.publicBaseUrl);
    const tokens = await client.authorizationCodeGrant(configuration, back, { ...checks, maxAge: 600 });
    const claims = tokens.claims();
    expect(tokens.refresh_token).toBeUndefined();
    expect(claims).toMatchObject({ workspace: "acme", connection: connectionId, tid });
    expect(claims?.sub).toBe(subjectOf({ tid, oid: person }));
    const info = await client.fetchUserInfo(configuration, tokens.access_token, claims?.sub ?? "");
    expect(info).toMatchObject({
      oid: person,
      name: expect.stringMatching(/./),
      person: claims?.person,
      email_verified: true,
    });
    const id = z.string().parse(info.person);
    const shown = await expectStatus(200, call("GET", `/connections/${connectionId}/people/${id}`));
    expect(shown.body).toMatchObject({ id: info.person, state: "active" });
  });

  test("ends a session by Microsoft's page, and returns to a registered address only", async () => {
    const configuration = await bySecret(client.ClientSecretBasic(secret));
    const address = (uri: string): URL =>
      client.buildEndSessionUrl(configuration, { post_logout_redirect_uri: uri, state: "s" });
    const away = await fetch(address(signedOut), { redirect: "manual" });
    const microsoft = new URL(away.headers.get("location") ?? "");
    expect(away.status).toBe(303);
    expect(microsoft.pathname).toBe("/organizations/oauth2/v2.0/logout");
    expect(microsoft.searchParams.get("post_logout_redirect_uri")).toBe(signedOut);
    expect((await fetch(address("https://evil.example/"), { redirect: "manual" })).status).toBe(400);
  });

  test("is told why somebody was turned away whom it excludes from now on", async () => {
    const configuration = await bySecret(client.ClientSecretBasic(secret));
    const person = people[1] ?? "";
    const connection = { connection: connectionId };
    const before = await attempt(configuration, connection, person);
    const tokens = await client.authorizationCodeGrant(configuration, before.back, before.checks);
    const path = `/connections/${connectionId}/people/${z.string().parse(tokens.claims()?.person)}/sync`;
    await expectStatus(200, call("PUT", path, { body: { enabled: false } }));
    const { back, checks } = await attempt(configuration, connection, person);
    await expect(client.authorizationCodeGrant(configuration, back, checks)).rejects.toMatchObject({
      error: "access_denied",
      error_description: "sign-in-not-synchronised",
    });
  });
});

test("an ID token of ours opens nothing in the API", async () => {
  const configuration = await bySecret(client.ClientSecretBasic(secret));
  const { back, checks } = await attempt(configuration, { connection: connectionId }, people[0] ?? "");
  const { id_token: idToken, access_token: accessToken } = await client.authorizationCodeGrant(
    configuration,
    back,
    checks,
  );
  for (const token of [idToken, accessToken]) {
    const answer = await fetch(`${stack.url}/api/v1/connections`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(401);
  }
});
