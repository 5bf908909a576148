import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { consentGateway } from "../../src/adapters/entra/consent-gateway.ts";
import type { Registration } from "../../src/adapters/entra/registration.ts";
import {
  adminConsentUrl,
  type EntraSignIn,
  type EntraSignInOptions,
  entraSignIn,
} from "../../src/adapters/entra/sign-in.ts";
import { type Click, clickThrough } from "../../src/local/simulator/entra/click-through.ts";
import type { IdTokenFault } from "../../src/local/simulator/entra/switches.ts";
import { type IdentityEndpoint, startIdentityEndpoint } from "../../src/local/tokens/identity.ts";
import { makeCertificate, redirectUri, type Stage, startStage } from "./entra-stage.ts";
import { type ScriptedServer, startScripted } from "./graph-scripted-server.ts";

const globalAdministrator = "62e90394-69f5-4237-9190-012177145e10";
const attempt = { state: "state-1", nonce: "nonce-1", verifier: "v".repeat(43) };

let stage: Stage;
let identity: IdentityEndpoint;
let other: ScriptedServer;
beforeAll(async () => {
  [stage, identity, other] = await Promise.all([startStage(), startIdentityEndpoint(), startScripted()]);
  process.env.IDENTITY_ENDPOINT = identity.endpoint;
  process.env.IDENTITY_HEADER = identity.header;
});
afterAll(async () => {
  delete process.env.IDENTITY_ENDPOINT;
  delete process.env.IDENTITY_HEADER;
  await Promise.all([stage.simulator.close(), identity.close(), other.close()]);
});
afterEach(() => {
  stage.simulator.entra.switches.tokenFaults = [];
  stage.simulator.entra.switches.idTokenFault = null;
  stage.app.emitsDirectoryRoles = true;
  stage.app.optionalClaims = ["acct", "auth_time"];
  stage.app.certificates = [];
});

const signInWith = (
  registration: Registration = stage.registration,
  options: Partial<EntraSignInOptions> = {},
): EntraSignIn =>
  entraSignIn(registration, {
    authority: stage.simulator.entraUrl,
    redirectUri,
    now: () => stage.simulator.world.now(),
    ...options,
  });

/** The query the browser comes back with after the click. */
const come = async (signIn: EntraSignIn, click: Click): Promise<URLSearchParams> => {
  const landing = await clickThrough(await signIn.authorizationUrl(attempt), click);
  if (landing.kind !== "callback") throw new Error(`Microsoft kept the person: ${landing.status}`);
  return landing.url.searchParams;
};
const administrator = () => ({ account: stage.tenants[0].accounts[0]?.objectId ?? "" });
const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => ({ code: "it succeeded", message: "" }),
    (error: { code: string; message: string }) => ({ code: error.code, message: error.message }),
  );

describe("a sign-in", () => {
  test("asks for a code with PKCE on the path of any organisation", async () => {
    const url = await signInWith().authorizationUrl({ ...attempt, prompt: "select_account", maxAge: 0 });
    expect(url.origin + url.pathname).toBe(`${stage.simulator.entraUrl}/organizations/oauth2/v2.0/authorize`);
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: stage.app.clientId,
      response_type: "code",
      response_mode: "query",
      redirect_uri: redirectUri,
      scope: "openid profile",
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: "S256",
      prompt: "select_account",
      max_age: "0",
    });
  });

  test("tells who signed in, in which tenant and with which roles", async () => {
    const [tenant] = stage.tenants;
    const oid = administrator().account;
    const signIn = signInWith();
    const person = await signIn.redeem({ query: await come(signIn, administrator()), ...attempt });
    expect(person).toEqual({
      tid: tenant.tid,
      oid,
      name: tenant.directory.users.get(oid)?.properties.displayName,
      preferredUsername: tenant.directory.users.get(oid)?.properties.userPrincipalName,
      wids: expect.arrayContaining([globalAdministrator]),
      acct: 0,
      idp: null,
      iss: `${stage.simulator.entraUrl}/${tenant.tid}/v2.0`,
      authTime: expect.any(Number),
    });
  });

  test("says null, not empty, for what the registration does not emit", async () => {
    stage.app.emitsDirectoryRoles = false;
    stage.app.optionalClaims = [];
    const signIn = signInWith();
    const person = await signIn.redeem({ query: await come(signIn, administrator()), ...attempt });
    expect([person.wids, person.acct, person.authTime]).toEqual([null, null, null]);
  });
});

describe("a sign-in is refused", () => {
  const faults: [IdTokenFault, string][] = [
    ["alg-none", "ERR_JOSE_ALG_NOT_ALLOWED"],
    ["alg-hs256", "ERR_JOSE_ALG_NOT_ALLOWED"],
    ["foreign-signature", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"],
    ["unknown-kid", "ERR_JWKS_NO_MATCHING_KEY"],
    ["wrong-audience", "ERR_JWT_CLAIM_VALIDATION_FAILED aud"],
    ["wrong-issuer", "ERR_JWT_CLAIM_VALIDATION_FAILED iss"],
    ["issuer-tid-mismatch", "ERR_JWT_CLAIM_VALIDATION_FAILED iss"],
    ["key-issuer-mismatch", "ID token: key issuer"],
    ["expired", "ERR_JWT_EXPIRED exp"],
    ["not-yet-valid", "ERR_JWT_CLAIM_VALIDATION_FAILED nbf"],
    ["wrong-nonce", "ID token: nonce"],
    ["no-nonce", "ERR_JWT_CLAIM_VALIDATION_FAILED nonce"],
    ["no-oid", "ERR_JWT_CLAIM_VALIDATION_FAILED oid"],
    ["version-1", "ERR_JWT_CLAIM_VALIDATION_FAILED iss"],
  ];
  test.each(faults)("with an ID token that is %s, and only the rule is told: %s", async (fault, rule) => {
    const signIn = signInWith();
    const query = await come(signIn, administrator());
    stage.simulator.entra.switches.idTokenFault = fault;
    const { code, message } = await outcome(signIn.redeem({ query, ...attempt }));
    expect([code, message]).toEqual([
      "consent-sign-in-failed",
      `consent-sign-in-failed: The sign-in could not be verified. ${rule}`,
    ]);
  });

  test.each<[string, Partial<typeof attempt>]>([
    ["another state", { state: "state-2" }],
    ["another nonce", { nonce: "nonce-2" }],
    ["another verifier", { verifier: "w".repeat(43) }],
  ])("with %s", async (_name, change) => {
    const signIn = signInWith();
    const query = await come(signIn, administrator());
    expect((await outcome(signIn.redeem({ query, ...attempt, ...change }))).code).toBe("consent-sign-in-failed");
  });

  test("when the code comes a second time, the person pressed Cancel, or there is no code", async () => {
    const signIn = signInWith();
    const query = await come(signIn, administrator());
    await signIn.redeem({ query, ...attempt });
    const again = await outcome(signIn.redeem({ query, ...attempt }));
    expect(again).toMatchObject({ code: "consent-sign-in-failed", message: expect.stringMatching(/AADSTS\d+$/) });
    const cancelled = await come(signIn, "cancel");
    expect((await outcome(signIn.redeem({ query: cancelled, ...attempt }))).code).toBe("consent-sign-in-failed");
    expect(
      (await outcome(signIn.redeem({ query: new URLSearchParams({ state: attempt.state }), ...attempt }))).code,
    ).toBe("consent-sign-in-failed");
  });
});

describe("our own trouble is not the person's", () => {
  test.each([
    [{ times: 1, aadsts: 7000222 }, "credential-expired"],
    [{ times: 1, aadsts: 90033 }, "sign-in-unavailable"],
    [{ times: 1, status: 503 }, "sign-in-unavailable"],
    [{ times: 1, status: 200 }, "sign-in-unavailable"],
    [{ times: 1, aadsts: 54005 }, "consent-sign-in-failed"],
    [{ times: 1, aadsts: 50105 }, "consent-sign-in-failed"],
  ])("%j means %s", async (fault, code) => {
    const signIn = signInWith();
    const query = await come(signIn, administrator());
    stage.simulator.entra.switches.tokenFaults = [fault];
    expect((await outcome(signIn.redeem({ query, ...attempt }))).code).toBe(code);
  });

  test("an authority that does not answer is asked again at the next sign-in", async () => {
    other.answer = () => ({ status: 500 });
    const signIn = signInWith(stage.registration, { authority: other.url });
    expect((await outcome(signIn.authorizationUrl(attempt))).code).toBe("sign-in-unavailable");
    other.answer = () => "hang";
    const impatient = signInWith(stage.registration, { authority: other.url, timeoutMs: 300 });
    expect((await outcome(impatient.authorizationUrl(attempt))).code).toBe("sign-in-unavailable");
    other.answer = () => ({
      body: {
        issuer: "x",
        authorization_endpoint: `${other.url}/a`,
        token_endpoint: `${other.url}/t`,
        jwks_uri: `${other.url}/k`,
      },
    });
    expect((await signIn.authorizationUrl(attempt)).origin).toBe(other.url);
  });

  test("keys that cannot be fetched", async () => {
    const { url } = other;
    const authorityWithoutKeys = { issuer: `${stage.simulator.entraUrl}/{tenantid}/v2.0`, jwks_uri: `${url}/keys` };
    const metadata = {
      authorization_endpoint: `${stage.simulator.entraUrl}/organizations/oauth2/v2.0/authorize`,
      token_endpoint: `${stage.simulator.entraUrl}/organizations/oauth2/v2.0/token`,
    };
    other.answer = ({ target }) =>
      target === "/keys" ? { status: 503 } : { body: { ...authorityWithoutKeys, ...metadata } };
    const signIn = signInWith(stage.registration, { authority: url });
    const query = await come(signIn, administrator());
    expect((await outcome(signIn.redeem({ query, ...attempt }))).code).toBe("sign-in-unavailable");
  });
});

const redeemWith = async (registration: Registration) => {
  const signIn = signInWith(registration);
  return outcome(signIn.redeem({ query: await come(signIn, administrator()), ...attempt }));
};

describe("the registration proves itself", () => {
  test("by certificate, of two the one that Entra ID knows", async () => {
    const [old, next] = await Promise.all([makeCertificate(), makeCertificate()]);
    stage.app.certificates = [next.listed];
    const by = (...paths: string[]): Registration => ({
      clientId: stage.app.clientId,
      credential: { kind: "certificate", paths },
    });
    expect((await redeemWith(by(old.path, next.path))).code).toBe("it succeeded");
    expect((await redeemWith(by("/nowhere/app.pem", next.path))).code).toBe("it succeeded");
    expect((await redeemWith(by(old.path))).code).toBe("credential-rejected");
  });

  test("by managed identity", async () => {
    stage.simulator.entra.switches.federatedKeys = { [identity.issuer]: identity.jwks };
    stage.app.federatedCredentials = [
      { issuer: identity.issuer, subject: identity.principalId, audience: "api://AzureADTokenExchange" },
    ];
    const registration: Registration = {
      clientId: stage.app.clientId,
      credential: { kind: "federated", managedIdentityClientId: identity.principalId },
    };
    expect((await redeemWith(registration)).code).toBe("it succeeded");
  });

  test("by a wrong secret in vain", async () => {
    const registration: Registration = {
      clientId: stage.app.clientId,
      credential: { kind: "secret", secret: "wrong" },
    };
    expect((await redeemWith(registration)).code).toBe("credential-rejected");
  });
});

test("each tier signs in and is approved with its own registration, and what was granted is asked for afresh", async () => {
  const tokens = stage.tokens();
  const gateway = consentGateway({
    registrations: { read: stage.registration },
    authority: stage.simulator.entraUrl,
    resource: "https://graph.microsoft.com",
    redirectUris: { signIn: redirectUri, consent: "https://app.example/connect/callback/consent" },
    tokens,
    organization: async ({ tid }) => ({ id: tid }),
    now: () => stage.simulator.world.now(),
  });
  const [{ tid, grants }] = stage.tenants;
  expect([gateway.clientId("read"), gateway.clientId("write")]).toEqual([stage.app.clientId, null]);
  expect(gateway.signInOrigin).toBe(stage.simulator.entraUrl);
  expect(() => gateway.adminConsentUrl("write", tid, "s")).toThrow("tier-not-offered");
  expect(gateway.adminConsentUrl("read", tid, "s").searchParams.get("redirect_uri")).toBe(
    "https://app.example/connect/callback/consent",
  );
  const address = await gateway.signInUrl("read", { ...attempt, prompt: "select_account" });
  const landing = await clickThrough(address, administrator());
  const query = landing.kind === "callback" ? landing.url.searchParams : new URLSearchParams();
  expect((await gateway.redeem("read", { query, ...attempt })).tid).toBe(tid);
  await tokens.token("read", tid);
  grants.set(stage.app.clientId, new Set(["User.Read.All"]));
  expect(await gateway.roles("read", tid)).toEqual(["User.Read.All"]);
});

test("admin consent is asked for in one tenant and for everything the registration lists", async () => {
  const [{ tid }] = stage.tenants;
  const url = adminConsentUrl({
    authority: "https://login.microsoftonline.com/",
    tid,
    clientId: "app-1",
    redirectUri,
    state: "s&1",
  });
  expect(url.origin + url.pathname).toBe(`https://login.microsoftonline.com/${tid}/v2.0/adminconsent`);
  expect(Object.fromEntries(url.searchParams)).toEqual({
    client_id: "app-1",
    scope: "https://graph.microsoft.com/.default",
    redirect_uri: redirectUri,
    state: "s&1",
  });
});
