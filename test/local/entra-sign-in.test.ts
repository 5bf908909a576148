import { createLocalJWKSet, errors, type JSONWebKeySet, jwtVerify } from "jose";
import * as client from "openid-client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { clickThrough, type Landing } from "../../src/local/simulator/entra/click-through.ts";
import type { IdTokenFault } from "../../src/local/simulator/entra/switches.ts";
import {
  applicationForm,
  clientId,
  globalAdministrator,
  oids,
  postToken,
  redirectUri,
  type Stage,
  secret,
  startStage,
  tids,
} from "./entra-stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});
afterEach(() => stage.close());

const verifier = client.randomPKCECodeVerifier();
const authorizeUrl = async (tenantPath: string, extra: Record<string, string | null> = {}): Promise<URL> => {
  const url = new URL(`${stage.url}/${tenantPath}/oauth2/v2.0/authorize`);
  const parameters: Record<string, string | null> = {
    client_id: clientId,
    response_type: "code",
    redirect_uri: redirectUri,
    scope: "openid profile email",
    state: "st<a>te",
    nonce: "n-1",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...extra,
  };
  for (const [name, value] of Object.entries(parameters)) if (value !== null) url.searchParams.set(name, value);
  return url;
};

const answerOf = (landing: Landing): URLSearchParams => {
  if (landing.kind !== "callback") throw new Error(`Stayed on a page: ${landing.html}`);
  return landing.body ?? landing.url.searchParams;
};
const pageOf = (landing: Landing): string => {
  if (landing.kind !== "page") throw new Error(`Went back to ${landing.url.href}`);
  return landing.html;
};

const redeem = (tenantPath: string, code: string, extra: Record<string, string> = {}) =>
  postToken(stage, tenantPath, {
    grant_type: "authorization_code",
    client_id: clientId,
    client_secret: secret,
    redirect_uri: redirectUri,
    code,
    code_verifier: verifier,
    ...extra,
  });

const signIn = async (tenantPath: string, account: string, extra: Record<string, string | null> = {}) => {
  const landing = await clickThrough(await authorizeUrl(tenantPath, extra), { account });
  return redeem(tenantPath, answerOf(landing).get("code") ?? "");
};

const Keys = z.object({ keys: z.array(z.looseObject({ kid: z.string(), issuer: z.string(), kty: z.string() })) });
const keysOf = async (tenantPath: string) =>
  Keys.parse(await (await fetch(`${stage.url}/${tenantPath}/discovery/v2.0/keys`)).json());

/** The checks a careful application makes, in its order; says which one failed. */
const verdict = async (idToken: string, expected: { tid: string; nonce: string }): Promise<string> => {
  const published = await keysOf("organizations");
  const jwks: JSONWebKeySet = published;
  try {
    const { payload, protectedHeader } = await jwtVerify(idToken, createLocalJWKSet(jwks), {
      algorithms: ["RS256"],
      audience: clientId,
      issuer: `${stage.url}/${expected.tid}/v2.0`,
      requiredClaims: ["oid", "nonce"],
    });
    const bound = published.keys.find(({ kid }) => kid === protectedHeader.kid)?.issuer;
    if (bound?.replace("{tenantid}", String(payload.tid)) !== payload.iss) return "key issuer";
    if (payload.tid !== expected.tid) return "tid";
    return payload.nonce === expected.nonce ? "accepted" : "nonce";
  } catch (error) {
    if (error instanceof errors.JWTClaimValidationFailed) return error.claim;
    if (error instanceof errors.JOSEError) return error.code;
    throw error;
  }
};

const claimsOf = async (answer: Promise<{ body: Record<string, unknown> }>) => {
  const { body } = await answer;
  const { payload } = await jwtVerify(String(body.id_token), createLocalJWKSet(await keysOf("organizations")));
  return payload;
};

const stays = async (extra: Record<string, string | null>, tenantPath: string = tids.fabrikam) =>
  pageOf(await clickThrough(await authorizeUrl(tenantPath, extra), { account: oids.member }));

const codeFor = async (tenantPath: string, extra: Record<string, string | null> = {}) =>
  answerOf(await clickThrough(await authorizeUrl(tenantPath, extra), { account: oids.member })).get("code") ?? "";

const refresh = (token: unknown) =>
  postToken(stage, tids.fabrikam, {
    grant_type: "refresh_token",
    client_id: clientId,
    client_secret: secret,
    refresh_token: String(token),
  });

/** Seconds between the sign-in and the token. */
const ageOf = async (extra: Record<string, string>) => {
  const { iat = 0, auth_time } = await claimsOf(signIn(tids.fabrikam, oids.admin, extra));
  return iat - Number(auth_time);
};

describe("sign-in", () => {
  test("completes with openid-client: discovery, PKCE, state, nonce and signature", async () => {
    const config = await client.discovery(new URL(`${stage.url}/${tids.fabrikam}/v2.0`), clientId, secret, undefined, {
      execute: [client.enableNonRepudiationChecks],
    });
    expect(config.serverMetadata().supportsPKCE()).toBe(false);
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      scope: "openid profile email",
      state: "state-1",
      nonce: "nonce-1",
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
    });
    const landing = await clickThrough(url, { account: oids.admin });
    if (landing.kind !== "callback") throw new Error(landing.html);
    const tokens = await client.authorizationCodeGrant(config, landing.url, {
      pkceCodeVerifier: verifier,
      expectedState: "state-1",
      expectedNonce: "nonce-1",
      idTokenExpected: true,
    });
    expect(tokens.claims()).toMatchObject({
      tid: tids.fabrikam,
      oid: oids.admin,
      ver: "2.0",
      preferred_username: "ada@fabrikam.example",
      name: "Ada Admin",
      acct: 0,
      wids: expect.arrayContaining([globalAdministrator]),
    });
    expect(tokens.refresh_token).toBeUndefined();
  });

  test("on organizations is answered with a template issuer, every account, and the tenant of the chosen one", async () => {
    const discovery = await (await fetch(`${stage.url}/organizations/v2.0/.well-known/openid-configuration`)).json();
    expect(discovery).toMatchObject({ issuer: `${stage.url}/{tenantid}/v2.0` });
    const claims = await claimsOf(signIn("organizations", oids.contosoAdmin));
    expect(claims).toMatchObject({ tid: tids.contoso, iss: `${stage.url}/${tids.contoso}/v2.0` });
  });

  test("lands a guest at home on organizations, and in the inviting tenant on its own path", async () => {
    const account = "gil_contoso.example#EXT#@fabrikam.example";
    expect(await claimsOf(signIn("organizations", account))).toMatchObject({
      tid: tids.contoso,
      oid: oids.guestAtHome,
      acct: 0,
    });
    expect(await claimsOf(signIn(tids.fabrikam, oids.guest))).toMatchObject({
      tid: tids.fabrikam,
      oid: oids.guest,
      acct: 1,
      idp: `https://sts.windows.net/${tids.contoso}/`,
    });
  });

  test("answers by form_post when asked", async () => {
    const landing = await clickThrough(await authorizeUrl(tids.fabrikam, { response_mode: "form_post" }), {
      account: oids.member,
    });
    expect(landing).toMatchObject({ kind: "callback", url: new URL(redirectUri) });
    expect(answerOf(landing).get("state")).toBe("st<a>te");
    expect((await redeem(tids.fabrikam, answerOf(landing).get("code") ?? "")).status).toBe(200);
  });

  test("tells the application when the person cancels, nobody is signed in, or the request makes no sense", async () => {
    const refusals: [Record<string, string | null>, string, string][] = [
      [{}, "access_denied", "AADSTS65004"],
      [{ prompt: "none" }, "login_required", "AADSTS50058"],
      [{ prompt: "select_account", login_hint: "x" }, "invalid_request", "AADSTS9002313"],
      [{ response_type: "token" }, "unsupported_response_type", "AADSTS70005"],
      [{ scope: null }, "invalid_request", "AADSTS900144"],
    ];
    for (const [extra, error, aadsts] of refusals) {
      const answer = answerOf(await clickThrough(await authorizeUrl(tids.fabrikam, extra), "cancel"));
      expect([answer.get("error"), answer.get("state"), answer.get("code")]).toEqual([error, "st<a>te", null]);
      expect(answer.get("error_description")).toContain(`${aadsts}: `);
    }
  });

  test("keeps the person on Microsoft's page when there is nobody to go back to or a policy forbids it", async () => {
    expect(await stays({ redirect_uri: `${redirectUri}/` })).toContain("AADSTS50011");
    expect(await stays({ redirect_uri: redirectUri.toUpperCase() })).toContain("AADSTS50011");
    expect(await stays({ client_id: tids.contoso })).toContain("AADSTS700016");
    expect(await stays({}, "nowhere.example")).toContain("AADSTS90002");
    stage.entra.switches.signInError = 53003;
    expect(await stays({})).toContain("AADSTS53003");
    stage.entra.switches.signInError = null;
    stage.fabrikam.directory.apply({ op: "update-user", id: oids.member, set: { accountEnabled: false } });
    expect(await stays({})).toContain("AADSTS50057");
  });

  test("escapes names on its pages", async () => {
    const page = await (await fetch(await authorizeUrl(tids.fabrikam))).text();
    expect(page).toContain("Max &lt;Member&gt;");
    expect(page).not.toContain("<Member>");
  });

  test("creates the service principal, so that application tokens without permissions become possible", async () => {
    expect((await postToken(stage, tids.fabrikam, applicationForm)).body.error_codes).toEqual([700016]);
    await signIn(tids.fabrikam, oids.member);
    expect((await postToken(stage, tids.fabrikam, applicationForm)).status).toBe(200);
  });
});

describe("an authorization code", () => {
  test("works once, within ten minutes", async () => {
    const code = await codeFor(tids.fabrikam);
    expect((await redeem(tids.fabrikam, code)).status).toBe(200);
    expect((await redeem(tids.fabrikam, code)).body.error_codes).toEqual([54005]);
    const late = await codeFor(tids.fabrikam);
    stage.advance(601);
    expect((await redeem(tids.fabrikam, late)).body.error_codes).toEqual([70008]);
  });

  test("works only on the path, with the redirect URI and the verifier it was issued for", async () => {
    const code = await codeFor(tids.fabrikam);
    expect((await redeem("organizations", code)).body.error_codes).toEqual([700005]);
    expect((await redeem(tids.fabrikam, code, { redirect_uri: `${redirectUri}?x` })).body.error_codes).toEqual([
      500112,
    ]);
    expect(
      (await redeem(tids.fabrikam, code, { code_verifier: client.randomPKCECodeVerifier() })).body.error_codes,
    ).toEqual([501481]);
    expect((await redeem(tids.fabrikam, "1.guess")).body.error_codes).toEqual([70000]);
    expect((await redeem(tids.fabrikam, code)).status).toBe(200);
  });

  test("takes an omitted challenge method for plain, as Microsoft does", async () => {
    const code = await codeFor(tids.fabrikam, { code_challenge: verifier, code_challenge_method: null });
    expect((await redeem(tids.fabrikam, code)).status).toBe(200);
  });

  test("gives no refresh token unless offline_access was asked for, and no ID token without openid", async () => {
    const code = await codeFor(tids.fabrikam, { scope: "https://graph.microsoft.com/User.Read" });
    const { body } = await redeem(tids.fabrikam, code);
    expect(Object.keys(body)).not.toContain("id_token");
    expect(Object.keys(body)).not.toContain("refresh_token");
  });
});

describe("a refresh token", () => {
  const offline = { scope: "openid profile offline_access https://graph.microsoft.com/Calendars.Read" };

  test("is replaced with each use while the old one stays good, and dies after 90 days without use", async () => {
    const first = (await signIn(tids.fabrikam, oids.member, offline)).body.refresh_token;
    const second = (await refresh(first)).body.refresh_token;
    expect(second).not.toBe(first);
    expect((await refresh(first)).status).toBe(200);
    stage.advance(91 * 86_400);
    expect((await refresh(second)).body).toMatchObject({
      error: "invalid_grant",
      error_codes: [700082],
      suberror: "bad_token",
    });
  });

  test("dies with the person's sessions, and with the consent", async () => {
    const token = (await signIn(tids.fabrikam, oids.member, offline)).body.refresh_token;
    stage.entra.revokeSessions(tids.fabrikam, oids.member);
    expect((await refresh(token)).body.error_codes).toEqual([50173]);
    stage.advance(1);
    const next = (await signIn(tids.fabrikam, oids.member, offline)).body.refresh_token;
    stage.fabrikam.grants.delete(clientId);
    expect((await refresh(next)).body).toMatchObject({ error_codes: [65001], suberror: "consent_required" });
  });
});

describe("an ID token", () => {
  test("carries directory roles only when the registration emits them, and never roles that are merely eligible", async () => {
    const eligible = await claimsOf(signIn(tids.fabrikam, oids.member));
    expect(eligible.wids).toEqual(["b79fbf4d-3ef9-4689-8143-76b194e85509"]);
    stage.registration.emitsDirectoryRoles = false;
    stage.registration.optionalClaims = [];
    const bare = await claimsOf(signIn(tids.fabrikam, oids.admin));
    for (const claim of ["wids", "acct", "auth_time"]) expect(bare).not.toHaveProperty(claim);
  });

  test("shows the age of the session unless a fresh sign-in was demanded", async () => {
    stage.entra.switches.sessionAgeSeconds = 3600;
    expect(await ageOf({})).toBeGreaterThanOrEqual(3599);
    expect(await ageOf({ prompt: "login" })).toBeLessThan(60);
    expect(await ageOf({ max_age: "600" })).toBeLessThan(60);
    expect(await ageOf({ max_age: "7200" })).toBeGreaterThanOrEqual(3599);
  });

  test("has no oid without the profile scope", async () => {
    expect(await claimsOf(signIn(tids.fabrikam, oids.member, { scope: "openid" }))).not.toHaveProperty("oid");
  });

  test("is pairwise by application", async () => {
    const before = await claimsOf(signIn(tids.fabrikam, oids.member));
    const other = { ...stage.registration, clientId: "cccccccc-0000-4000-8000-000000000002" };
    stage.world.registrations.set(other.clientId, other);
    const landing = await clickThrough(await authorizeUrl(tids.fabrikam, { client_id: other.clientId }), {
      account: oids.member,
    });
    const after = await claimsOf(
      redeem(tids.fabrikam, answerOf(landing).get("code") ?? "", { client_id: other.clientId }),
    );
    expect(after.oid).toBe(before.oid);
    expect(after.sub).not.toBe(before.sub);
  });

  test("verifies after a rotation with the new key, and the old key stays published for one generation", async () => {
    const expected = { tid: tids.fabrikam, nonce: "n-1" };
    const old = String((await signIn(tids.fabrikam, oids.member)).body.id_token);
    const kids = new Set((await keysOf("common")).keys.map(({ kid }) => kid));
    stage.entra.switches.keyGeneration += 1;
    const fresh = String((await signIn(tids.fabrikam, oids.member)).body.id_token);
    expect((await keysOf("common")).keys.filter(({ kid }) => !kids.has(kid))).toHaveLength(1);
    expect([await verdict(old, expected), await verdict(fresh, expected)]).toEqual(["accepted", "accepted"]);
    stage.entra.switches.keyGeneration += 1;
    expect(await verdict(old, expected)).toBe("ERR_JWKS_NO_MATCHING_KEY");
  });

  test("broken by a switch fails exactly the check it is made for", async () => {
    const expected: [IdTokenFault | null, string][] = [
      [null, "accepted"],
      ["alg-none", "ERR_JOSE_ALG_NOT_ALLOWED"],
      ["alg-hs256", "ERR_JOSE_ALG_NOT_ALLOWED"],
      ["foreign-signature", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"],
      ["unknown-kid", "ERR_JWKS_NO_MATCHING_KEY"],
      ["wrong-audience", "aud"],
      ["wrong-issuer", "iss"],
      ["other-tenant", "iss"],
      ["issuer-tid-mismatch", "key issuer"],
      ["key-issuer-mismatch", "key issuer"],
      ["expired", "ERR_JWT_EXPIRED"],
      ["not-yet-valid", "nbf"],
      ["wrong-nonce", "nonce"],
      ["no-nonce", "nonce"],
      ["no-oid", "oid"],
      ["version-1", "iss"],
    ];
    const seen: typeof expected = [];
    for (const [fault] of expected) {
      stage.entra.switches.idTokenFault = fault;
      const { body } = await signIn(tids.fabrikam, oids.admin);
      seen.push([fault, await verdict(String(body.id_token), { tid: tids.fabrikam, nonce: "n-1" })]);
    }
    expect(seen).toEqual(expected);
  });
});
