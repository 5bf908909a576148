import { mkdtempSync, rmSync, statSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManagedIdentityCredential } from "@azure/identity";
import { createRemoteJWKSet, decodeJwt, jwtVerify } from "jose";
import { afterEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";
import { startIdentityEndpoint } from "../../src/local/tokens/identity.ts";
import { startTokenIssuer, type TokenIssuer } from "../../src/local/tokens/issuer.ts";

const opened: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const close of opened.splice(0)) await close();
});

const audience = "https://api.example";
const issuerWith = async (options: Partial<Parameters<typeof startTokenIssuer>[0]> = {}): Promise<TokenIssuer> => {
  const issuer = await startTokenIssuer({ audience, ...options });
  opened.push(() => issuer.close());
  return issuer;
};
const ask = (issuer: TokenIssuer, body: unknown, secret = issuer.secret) =>
  fetch(`${issuer.issuer}/token`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const Answer = z.object({ access_token: z.string(), expires_in: z.number(), token_type: z.literal("Bearer") });
const verify = (issuer: TokenIssuer, token: string) =>
  jwtVerify(token, createRemoteJWKSet(new URL(issuer.jwksUri)), {
    issuer: issuer.issuer,
    audience,
    typ: "at+jwt",
    algorithms: ["ES256"],
  });

/** Status for a Host header of one's own, which fetch does not let through. */
const statusFor = (url: string, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    http.get(url, { headers: { host } }, (response) => resolve(response.resume().statusCode ?? 0)).on("error", reject);
  });

describe("the development token issuer", () => {
  test("signs access tokens that verify against its published key", async () => {
    const issuer = await issuerWith();
    const response = await ask(issuer, {
      workspace: "acme",
      subject: "u-1",
      name: "Una",
      permissions: ["directory:read"],
    });
    expect(response.headers.get("cache-control")).toBe("no-store");
    const { access_token, expires_in } = Answer.parse(await response.json());
    const { payload } = await verify(issuer, access_token);
    expect(payload).toMatchObject({ sub: "u-1", workspace: "acme", name: "Una", permissions: ["directory:read"] });
    expect(payload).not.toHaveProperty("client_id");
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(expires_in);
    expect(expires_in).toBe(3600);
  });

  test("wants its secret, a sane body and at most an hour", async () => {
    const issuer = await issuerWith();
    const good = { workspace: "acme", subject: "u-1", permissions: [] };
    expect((await ask(issuer, good, "guess")).status).toBe(401);
    expect((await fetch(`${issuer.issuer}/token`, { method: "POST", body: "{}" })).status).toBe(401);
    for (const bad of [{ ...good, lifetimeSeconds: 3601 }, { ...good, admin: true }, { workspace: "acme" }, "text"])
      expect((await ask(issuer, bad)).status).toBe(400);
    expect((await ask(issuer, good)).status).toBe(200);
  });

  test("makes the broken tokens a test asks for", async () => {
    const issuer = await issuerWith();
    const claims = { workspace: "acme", subject: "u-1", permissions: [] };
    await expect(verify(issuer, await issuer.sign(claims))).resolves.toBeDefined();
    await expect(verify(issuer, await issuer.sign(claims, { header: { typ: "JWT" } }))).rejects.toMatchObject({
      claim: "typ",
    });
    await expect(
      verify(issuer, await issuer.sign(claims, { claims: { aud: "https://other.example" } })),
    ).rejects.toMatchObject({ claim: "aud" });
    await expect(verify(issuer, await issuer.sign(claims, { foreignKey: true }))).rejects.toMatchObject({
      code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
    });
    expect(decodeJwt(await issuer.sign(claims, { claims: { exp: undefined } }))).not.toHaveProperty("exp");
    expect(decodeJwt(await issuer.sign({ ...claims, client: "machine-1" }))).toMatchObject({ client_id: "machine-1" });
  });

  test("keeps its key over a restart in a file of its owner only", async () => {
    const folder = mkdtempSync(join(tmpdir(), "issuer-"));
    opened.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "keys", "issuer.json");
    const first = await startTokenIssuer({ audience, file });
    const token = await first.sign({ workspace: "acme", subject: "u-1", permissions: [] });
    await first.close();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const second = await issuerWith({ file });
    await expect(jwtVerify(token, createRemoteJWKSet(new URL(second.jwksUri)))).resolves.toBeDefined();
  });

  test("answers to loopback names only", async () => {
    const issuer = await issuerWith();
    const { port } = new URL(issuer.issuer);
    expect(await statusFor(issuer.jwksUri, `localhost:${port}`)).toBe(200);
    for (const host of [
      "attacker.example",
      `attacker.example:${port}`,
      "localhost",
      `localhost:${port}.attacker.example`,
    ])
      expect(await statusFor(issuer.jwksUri, host)).toBe(421);
  });

  test("can be served over TLS", async () => {
    const authority = await createCertificateAuthority();
    trustInThisProcess(authority.caPem);
    const issuer = await issuerWith({ tls: await authority.issueServerCertificate(), secret: "given" });
    expect([issuer.issuer.startsWith("https://localhost:"), issuer.secret]).toEqual([true, "given"]);
    await expect(
      verify(issuer, await issuer.sign({ workspace: "a", subject: "s", permissions: [] })),
    ).resolves.toBeDefined();
  });
});

describe("the managed identity endpoint", () => {
  test("serves the real ManagedIdentityCredential, and knows its tokens by resource and time", async () => {
    let now = Date.now();
    const identity = await startIdentityEndpoint({ now: () => now });
    opened.push(() => identity.close());
    vi.stubEnv("IDENTITY_ENDPOINT", identity.endpoint);
    vi.stubEnv("IDENTITY_HEADER", identity.header);
    const { token } = await new ManagedIdentityCredential().getToken("https://vault.azure.net/.default");
    expect(decodeJwt(token)).toMatchObject({
      aud: "https://vault.azure.net",
      sub: identity.principalId,
      iss: identity.issuer,
    });
    expect([identity.verify(token), identity.verify(token, "https://vault.azure.net")]).toEqual([true, true]);
    expect([identity.verify(token, "https://graph.microsoft.com"), identity.verify(`${token}x`)]).toEqual([
      false,
      false,
    ]);
    now += 25 * 3600_000;
    expect(identity.verify(token)).toBe(false);
  });

  test("gives nothing without its header", async () => {
    const identity = await startIdentityEndpoint();
    opened.push(() => identity.close());
    const url = `${identity.endpoint}?api-version=2019-08-01&resource=https://vault.azure.net`;
    expect((await fetch(url)).status).toBe(401);
    expect((await fetch(url, { headers: { "x-identity-header": "guess" } })).status).toBe(401);
    expect((await fetch(url, { headers: { "x-identity-header": identity.header } })).status).toBe(200);
  });
});
