import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { idTokenVerifier } from "../../src/adapters/entra/id-token.ts";
import { type ScriptedServer, startScripted } from "./graph-scripted-server.ts";

const tid = "aaaaaaaa-0000-4000-8000-00000000000a";
const personalTid = "9188040d-6c67-4c5b-b112-36a304b66dad";
const issuerTemplate = "https://login.example/{tenantid}/v2.0";
const issuerOf = (id: string) => issuerTemplate.replace("{tenantid}", id);
const now = Date.parse("2026-03-01T12:00:00Z");
const seconds = now / 1000;

let server: ScriptedServer;
let privateKey: CryptoKey;
/** The `issuer` of the published key; undefined leaves it out. */
let keyIssuer: string | undefined;
beforeAll(async () => {
  server = await startScripted();
  const keys = await generateKeyPair("RS256");
  privateKey = keys.privateKey;
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: "k1", use: "sig" };
  server.answer = () => ({ body: { keys: [{ ...jwk, issuer: keyIssuer }] } });
});
afterAll(() => server.close());

const good = {
  ver: "2.0",
  iss: issuerOf(tid),
  aud: "app-1",
  nonce: "n",
  tid,
  oid: "bbbbbbbb-0000-4000-8000-00000000000b",
  iat: seconds,
  nbf: seconds,
  exp: seconds + 3600,
};

const verify = async (claims: Record<string, unknown>, issuer: string | undefined = issuerTemplate) => {
  keyIssuer = issuer;
  const token = await new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "k1" }).sign(privateKey);
  const options = { issuerTemplate, jwksUri: `${server.url}/keys`, clientId: "app-1", timeoutMs: 5000, now: () => now };
  return idTokenVerifier(options)(token, "n");
};

test("a token in order is taken, within five minutes of skew, by a key of all tenants or of this one", async () => {
  expect(await verify(good)).toMatchObject({ tid, name: "", wids: null, acct: null, idp: null, auth_time: null });
  expect(await verify({ ...good, exp: seconds - 299, nbf: seconds + 299, iat: seconds + 299 })).toMatchObject({ tid });
  expect(await verify({ ...good, acct: "1", wids: ["w"], azp: "app-1" }, issuerOf(tid))).toMatchObject({
    acct: 1,
    wids: ["w"],
  });
});

test.each<[string, Record<string, unknown>]>([
  ["exp", { ...good, exp: seconds - 301 }],
  ["nbf", { ...good, nbf: seconds + 301 }],
  ["iat", { ...good, iat: seconds + 301 }],
  ["nbf", { ...good, nbf: undefined }],
  ["aud", { ...good, aud: ["app-1", "app-2"] }],
  ["azp", { ...good, azp: "app-2" }],
  ["ver", { ...good, ver: "1.0" }],
  ["tid", { ...good, tid: "contoso.example" }],
  ["tid", { ...good, tid: undefined }],
  ["oid", { ...good, oid: "somebody" }],
  ["iss", { ...good, iss: issuerOf("organizations") }],
  ["iss", { ...good, iss: `${issuerOf(tid)}/` }],
  ["wids", { ...good, wids: "62e90394-69f5-4237-9190-012177145e10" }],
  ["personal account", { ...good, tid: personalTid, iss: issuerOf(personalTid) }],
])("a token is refused for its %s", async (rule, claims) => {
  await expect(verify(claims)).rejects.toThrow(rule);
});

test.each([issuerOf(personalTid), "https://login.evil.example/{tenantid}/v2.0", ""])(
  "a key bound to %j vouches for no work tenant",
  async (issuer) => {
    await expect(verify(good, issuer)).rejects.toThrow("key issuer");
  },
);

test("where one tenant is expected, the token of another is refused, however good", async () => {
  keyIssuer = issuerTemplate;
  const token = await new SignJWT(good).setProtectedHeader({ alg: "RS256", kid: "k1" }).sign(privateKey);
  const options = { issuerTemplate, jwksUri: `${server.url}/keys`, clientId: "app-1", timeoutMs: 5000, now: () => now };
  const check = idTokenVerifier(options);
  expect(await check(token, "n", tid)).toMatchObject({ tid });
  await expect(check(token, "n", tid.replace(/a$/, "b"))).rejects.toThrow("other tenant");
});

test("a token that is none is refused", async () => {
  const options = { issuerTemplate, jwksUri: `${server.url}/keys`, clientId: "app-1", timeoutMs: 5000, now: () => now };
  await expect(idTokenVerifier(options)("a.b.c", "n")).rejects.toThrow("form");
});
