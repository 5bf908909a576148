import {
  AuthenticationRequiredError,
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  ManagedIdentityCredential,
} from "@azure/identity";
import {
  type CryptoKey,
  decodeJwt,
  exportJWK,
  generateKeyPair,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
} from "jose";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { startIdentityEndpoint } from "../../src/local/tokens/identity.ts";
import { selfSigned } from "../support/self-signed.ts";
import { applicationForm, clientId, postToken, type Stage, secret, startStage, tids } from "./entra-stage.ts";

const graph = "https://graph.microsoft.com/.default";
let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});
afterEach(() => stage.close());

const options = () => ({
  authorityHost: stage.url,
  disableInstanceDiscovery: true,
  retryOptions: { maxRetries: 0 },
});
const grant = (...roles: string[]) => stage.fabrikam.grants.set(clientId, new Set(roles));

const Refused = z.object({ cause: z.object({ errorNo: z.coerce.number() }) });

/** AADSTS number that the real credential reports. */
const refusedWith = async (asking: Promise<unknown>): Promise<unknown> => {
  const error = await asking.then(
    () => expect.unreachable("a token was issued"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AuthenticationRequiredError);
  return Refused.parse(error).cause.errorNo;
};

const byCertificate = (certificate: string) =>
  new ClientCertificateCredential(tids.fabrikam, clientId, { certificate }, options()).getToken(graph);

describe("application tokens", () => {
  test("carry the granted permissions and nothing that was only asked for", async () => {
    grant("User.Read.All");
    const { token } = await new ClientSecretCredential(tids.fabrikam, clientId, secret, options()).getToken(graph);
    expect(decodeJwt(token)).toMatchObject({
      tid: tids.fabrikam,
      appid: clientId,
      roles: ["User.Read.All"],
      idtyp: "app",
    });
    expect(stage.entra.verifyGraphToken(`Bearer ${token}`)).toEqual({
      tid: tids.fabrikam,
      clientId,
      roles: ["User.Read.All"],
    });
  });

  test("are issued without any permission as soon as the service principal exists", async () => {
    grant();
    const { token } = await new ClientSecretCredential(tids.fabrikam, clientId, secret, options()).getToken(graph);
    expect(decodeJwt(token)).not.toHaveProperty("roles");
  });

  test("are kept apart by tenant when one credential serves several", async () => {
    grant("User.Read.All");
    stage.contoso.grants.set(clientId, new Set(["Organization.Read.All"]));
    const credential = new ClientSecretCredential(tids.fabrikam, clientId, secret, {
      ...options(),
      additionallyAllowedTenants: ["*"],
    });
    await credential.getToken(graph);
    const { token } = await credential.getToken(graph, { tenantId: tids.contoso });
    expect(stage.entra.verifyGraphToken(`Bearer ${token}`)).toMatchObject({
      tid: tids.contoso,
      roles: ["Organization.Read.All"],
    });
  });

  test("live 60 to 90 minutes of the world's clock, whatever happens to the grant", async () => {
    grant("User.Read.All");
    const { body } = await postToken(stage, tids.fabrikam, applicationForm);
    expect(body.expires_in).toBeGreaterThanOrEqual(3600);
    expect(body.expires_in).toBeLessThanOrEqual(5400);
    const header = `Bearer ${String(body.access_token)}`;
    stage.fabrikam.grants.delete(clientId);
    stage.advance(Number(body.expires_in) - 5);
    expect(stage.entra.verifyGraphToken(header)?.roles).toEqual(["User.Read.All"]);
    stage.advance(10);
    expect(stage.entra.verifyGraphToken(header)).toBeNull();
  });

  test("are refused by Graph when they were not issued here or their tenant is gone", async () => {
    grant("User.Read.All");
    const { body } = await postToken(stage, tids.fabrikam, applicationForm);
    const token = String(body.access_token);
    for (const header of [undefined, "", token, `Bearer ${token.slice(0, -3)}AAA`, `Basic ${token}`])
      expect(stage.entra.verifyGraphToken(header)).toBeNull();
    stage.fabrikam.gone = true;
    expect(stage.entra.verifyGraphToken(`Bearer ${token}`)).toBeNull();
  });

  test("can be opaque", async () => {
    grant("User.Read.All");
    stage.entra.switches.opaqueAccessTokens = true;
    const { body } = await postToken(stage, tids.fabrikam, applicationForm);
    expect(() => decodeJwt(String(body.access_token))).toThrow();
    expect(stage.entra.verifyGraphToken(`Bearer ${String(body.access_token)}`)?.tid).toBe(tids.fabrikam);
  });
});

describe("client authentication", () => {
  test("takes a registered certificate and no other", async () => {
    grant("User.Read.All");
    const [registered, other] = [await selfSigned(), await selfSigned()];
    stage.registration.certificates.push(registered.listed);
    expect(stage.entra.verifyGraphToken(`Bearer ${(await byCertificate(registered.pemWithKey)).token}`)?.clientId).toBe(
      clientId,
    );
    expect(await refusedWith(byCertificate(other.pemWithKey))).toBe(700027);
    // The right thumbprint over another key's signature.
    const { thumbprintSha256 } = other.listed;
    stage.registration.certificates[0] = { ...registered.listed, thumbprintSha256 };
    expect(await refusedWith(byCertificate(other.pemWithKey))).toBe(700027);
  });

  test("takes no certificate outside its period of validity", async () => {
    grant("User.Read.All");
    const [hour, now] = [3_600_000, Date.now()];
    for (const valid of [
      { from: now - 2 * hour, to: now - hour },
      { from: now + hour, to: now + 2 * hour },
    ]) {
      const certificate = await selfSigned(valid);
      stage.registration.certificates.push(certificate.listed);
      expect(await refusedWith(byCertificate(certificate.pemWithKey))).toBe(700027);
    }
  });

  test("takes the token of a managed identity as federated credential, end to end", async () => {
    grant("User.Read.All");
    const identity = await startIdentityEndpoint({ issuer: `${stage.url}/${tids.contoso}/v2.0` });
    vi.stubEnv("IDENTITY_ENDPOINT", identity.endpoint);
    vi.stubEnv("IDENTITY_HEADER", identity.header);
    try {
      const managed = new ManagedIdentityCredential();
      const byAudience = (audience: string) =>
        new ClientAssertionCredential(
          tids.fabrikam,
          clientId,
          async () => (await managed.getToken(`${audience}/.default`)).token,
          options(),
        ).getToken(graph);
      const audience = "api://AzureADTokenExchange";
      expect(await refusedWith(byAudience(audience))).toBe(700211);
      const credential = { issuer: identity.issuer, subject: identity.principalId, audience };
      stage.registration.federatedCredentials = [{ ...credential, subject: identity.principalId.toUpperCase() }];
      expect(await refusedWith(byAudience(audience))).toBe(700213);
      stage.registration.federatedCredentials = [credential];
      expect(await refusedWith(byAudience("api://another"))).toBe(700212);
      expect(await refusedWith(byAudience(audience))).toBe(50013);
      stage.entra.switches.federatedKeys[identity.issuer] = identity.jwks;
      expect(stage.entra.verifyGraphToken(`Bearer ${(await byAudience(audience)).token}`)?.tid).toBe(tids.fabrikam);
    } finally {
      vi.unstubAllEnvs();
      await identity.close();
    }
  });

  test("takes no assertion for another endpoint, out of its time, of another application or of a person", async () => {
    grant("User.Read.All");
    const certificate = await selfSigned();
    const federated = await generateKeyPair("ES256");
    const issuer = "https://workload.example";
    stage.registration.certificates.push(certificate.listed);
    stage.registration.federatedCredentials.push({ issuer, subject: "workload-1", audience: "api://exchange" });
    stage.entra.switches.federatedKeys[issuer] = [{ ...(await exportJWK(federated.publicKey)), alg: "ES256" }];
    const seconds = Math.floor(Date.now() / 1000);
    const outcome = async (header: JWTHeaderParameters, claims: JWTPayload, key: CryptoKey) => {
      const { status, body } = await postToken(stage, tids.fabrikam, {
        ...applicationForm,
        client_secret: "",
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: await new SignJWT(claims).setProtectedHeader(header).sign(key),
      });
      return status === 200 ? "issued" : z.array(z.number()).parse(body.error_codes)[0];
    };
    const endpoint = `${stage.url}/${tids.fabrikam}/oauth2/v2.0/token`;
    const own = { iss: clientId, sub: clientId, aud: endpoint, nbf: seconds, exp: seconds + 600 };
    const byKey = (claims: Record<string, unknown>) =>
      outcome(
        { alg: "RS256", "x5t#S256": certificate.listed.thumbprintSha256 },
        { ...own, ...claims },
        certificate.privateKey,
      );
    expect(await byKey({})).toBe("issued");
    expect(await byKey({ aud: `${stage.url}/${tids.fabrikam}/v2.0` })).toBe(700023);
    expect(await byKey({ aud: endpoint.replace(tids.fabrikam, tids.contoso) })).toBe(700023);
    expect(await byKey({ exp: seconds - 600 })).toBe(700024);
    expect(await byKey({ exp: undefined })).toBe(700024);
    expect(await byKey({ nbf: seconds + 600 })).toBe(700024);
    expect(await byKey({ sub: "another" })).toBe(700021);
    const workload = { iss: issuer, sub: "workload-1", aud: "api://exchange", exp: seconds + 600 };
    const byWorkload = (claims: Record<string, unknown>) =>
      outcome({ alg: "ES256" }, { ...workload, ...claims }, federated.privateKey);
    expect(await byWorkload({})).toBe("issued");
    expect(await byWorkload({ scp: "User.Read" })).toBe(700229);
    expect(await byWorkload({ exp: seconds - 600 })).toBe(700024);
  });

  test("takes the secret in a Basic header, form-encoded as OAuth asks", async () => {
    grant();
    const { client_id: _id, client_secret: _secret, ...form } = applicationForm;
    const basic = `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`).toString("base64")}`;
    expect((await postToken(stage, tids.fabrikam, form, { authorization: basic })).status).toBe(200);
  });
});

describe("refusals of the token endpoint", () => {
  const cases: [
    aadsts: number,
    status: number,
    error: string,
    arrange: () => [tenant: string, form: Record<string, string>],
  ][] = [
    [90002, 400, "invalid_request", () => ["99999999-9999-4999-8999-999999999999", applicationForm]],
    [
      90002,
      400,
      "invalid_request",
      () => {
        stage.fabrikam.gone = true;
        return [tids.fabrikam, applicationForm];
      },
    ],
    [700016, 400, "unauthorized_client", () => [tids.contoso, applicationForm]],
    [700016, 400, "unauthorized_client", () => [tids.fabrikam, { ...applicationForm, client_id: tids.contoso }]],
    [
      7000112,
      400,
      "unauthorized_client",
      () => {
        stage.fabrikam.disabledApps.add(clientId);
        return [tids.fabrikam, applicationForm];
      },
    ],
    [7000215, 401, "invalid_client", () => [tids.fabrikam, { ...applicationForm, client_secret: "guess" }]],
    [
      7000222,
      401,
      "invalid_client",
      () => {
        stage.entra.switches.expiredSecrets.push(secret);
        return [tids.fabrikam, applicationForm];
      },
    ],
    [7000218, 401, "invalid_client", () => [tids.fabrikam, { ...applicationForm, client_secret: "" }]],
    [50059, 400, "invalid_request", () => ["organizations", applicationForm]],
    [
      1002012,
      400,
      "invalid_scope",
      () => [tids.fabrikam, { ...applicationForm, scope: "https://graph.microsoft.com/User.Read.All" }],
    ],
    [
      500011,
      400,
      "invalid_resource",
      () => [tids.fabrikam, { ...applicationForm, scope: "https://vault.azure.net/.default" }],
    ],
    [70003, 400, "unsupported_grant_type", () => [tids.fabrikam, { ...applicationForm, grant_type: "password" }]],
  ];
  test.each(cases)("AADSTS%i with status %i and error %s", async (aadsts, status, error, arrange) => {
    grant("User.Read.All");
    const [tenantPath, form] = arrange();
    const answer = await postToken(stage, tenantPath, form);
    expect(answer).toMatchObject({ status, body: { error, error_codes: [aadsts] } });
    expect(stage.entra.tokenRequests.at(-1)?.outcome).toBe(aadsts);
  });

  test("have the shape that Microsoft's libraries read, and echo the caller's correlation id", async () => {
    const correlation = "dddddddd-0000-4000-8000-000000000001";
    const { body } = await postToken(stage, tids.contoso, applicationForm, { "client-request-id": correlation });
    expect(body).toMatchObject({ correlation_id: correlation, trace_id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(body.timestamp).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/);
    expect(body.error_description).toContain(`AADSTS700016: `);
    expect(body.error_description).toContain(`Correlation ID: ${correlation}`);
    const credential = new ClientSecretCredential(tids.contoso, clientId, secret, options());
    expect(await refusedWith(credential.getToken(graph))).toBe(700016);
  });

  test("can be scripted for one tenant, for a number of requests or until further notice, with a claims challenge or as a proxy's page", async () => {
    grant("User.Read.All");
    stage.contoso.grants.set(clientId, new Set());
    stage.entra.switches.tokenFaults.push(
      { times: 1, tid: tids.fabrikam, aadsts: 53003, suberror: "basic_action", claims: '{"access_token":{}}' },
      { times: 1, tid: tids.fabrikam, status: 503, retryAfterSeconds: 7 },
    );
    expect((await postToken(stage, tids.contoso, applicationForm)).status).toBe(200);
    const { body } = await postToken(stage, tids.fabrikam, applicationForm);
    expect(body).toMatchObject({ error_codes: [53003], suberror: "basic_action", claims: '{"access_token":{}}' });
    const page = await fetch(`${stage.url}/${tids.fabrikam}/oauth2/v2.0/token`, {
      method: "POST",
      body: new URLSearchParams(applicationForm),
    });
    expect([page.status, page.headers.get("retry-after"), page.headers.get("content-type")]).toEqual([
      503,
      "7",
      "text/html",
    ]);
    expect((await postToken(stage, tids.fabrikam, applicationForm)).status).toBe(200);

    stage.entra.switches.tokenFaults.push({ tid: tids.fabrikam, aadsts: 500212 });
    for (let time = 0; time < 3; time++)
      expect((await postToken(stage, tids.fabrikam, applicationForm)).body.error_codes).toEqual([500212]);
    stage.entra.switches.tokenFaults = [];
    expect((await postToken(stage, tids.fabrikam, applicationForm)).status).toBe(200);
  });
});
