import { copyFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { meaning } from "../../src/adapters/entra/aadsts.ts";
import { graphResource, isMicrosoftAuthority, type Registration } from "../../src/adapters/entra/registration.ts";
import { type IdentityEndpoint, startIdentityEndpoint } from "../../src/local/tokens/identity.ts";
import { makeCertificate, readPermissions, type Stage, startStage } from "./entra-stage.ts";
import { type ScriptedServer, startScripted } from "./graph-scripted-server.ts";

let stage: Stage;
let identity: IdentityEndpoint;
let other: ScriptedServer;
let tidA: string;
let tidB: string;
beforeAll(async () => {
  [stage, identity, other] = await Promise.all([startStage(), startIdentityEndpoint(), startScripted()]);
  [tidA, tidB] = stage.tenants.map(({ tid }) => tid) as [string, string];
  process.env.IDENTITY_ENDPOINT = identity.endpoint;
  process.env.IDENTITY_HEADER = identity.header;
});
afterAll(async () => {
  delete process.env.IDENTITY_ENDPOINT;
  delete process.env.IDENTITY_HEADER;
  await Promise.all([stage.simulator.close(), identity.close(), other.close()]);
});
beforeEach(() => {
  stage.asked();
});
afterEach(() => {
  stage.simulator.entra.switches.tokenFaults = [];
  stage.simulator.entra.switches.expiredSecrets = [];
  stage.simulator.entra.switches.opaqueAccessTokens = false;
  stage.app.certificates = [];
  stage.app.federatedCredentials = [];
  stage.tenants[0].gone = false;
  stage.tenants[0].disabledApps.clear();
  stage.tenants[0].grants.set(stage.app.clientId, new Set(readPermissions));
});

const issued = (tid: string) => ({ tid, outcome: "issued" });
const refuse = (aadsts: number, times = 1) => stage.simulator.entra.switches.tokenFaults.push({ aadsts, times });
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "it succeeded",
    (error: { code: string }) => error.code,
  );

describe("tokens", () => {
  test("are asked for once per registration and tenant, however many ask at once and for whichever tier", async () => {
    const tokens = stage.tokens({ read: stage.registration, licences: stage.registration });
    const all = await Promise.all([
      ...Array.from({ length: 5 }, () => tokens.token("read", tidA)),
      tokens.token("licences", tidA.toUpperCase()),
      tokens.token("read", tidB),
    ]);
    expect(new Set(all.slice(0, 6)).size).toBe(1);
    expect(all[6]).not.toBe(all[0]);
    expect(await tokens.token("read", tidA)).toBe(all[0]);
    expect(stage.asked().toSorted((a, b) => (a.tid === tidA ? -1 : b.tid === tidA ? 1 : 0))).toEqual([
      issued(tidA),
      issued(tidB),
    ]);
    const holder = (token: string | undefined) => stage.simulator.entra.verifyGraphToken(`Bearer ${token}`)?.tid;
    expect([holder(all[0]), holder(all[6])]).toEqual([tidA, tidB]);
  });

  test("are asked for again when fresh ones are wanted, once for all who want them, and after being forgotten", async () => {
    const tokens = stage.tokens();
    const old = await tokens.token("read", tidA);
    const [first, second] = await Promise.all([
      tokens.token("read", tidA, { fresh: true }),
      tokens.token("read", tidA, { fresh: true }),
    ]);
    expect(first).not.toBe(old);
    expect([second, await tokens.token("read", tidA)]).toEqual([first, first]);
    expect(stage.asked().length).toBe(2);
    tokens.forget(tidB);
    expect(await tokens.token("read", tidA)).toBe(first);
    tokens.forget(tidA);
    expect(await tokens.token("read", tidA)).not.toBe(first);
  });

  test("name their permissions, which change only in fresh ones; opaque ones name none", async () => {
    const tokens = stage.tokens();
    const roles = async (fresh: boolean) => (await tokens.roles("read", tidA, { fresh })).toSorted();
    const grants = stage.tenants[0].grants;
    expect(await roles(false)).toEqual(readPermissions.toSorted());
    grants.set(stage.app.clientId, new Set(["User.Read.All"]));
    expect([await roles(false), await roles(true)]).toEqual([readPermissions.toSorted(), ["User.Read.All"]]);
    grants.set(stage.app.clientId, new Set());
    expect(await roles(true)).toEqual([]);
    grants.set(stage.app.clientId, new Set(readPermissions));
    stage.simulator.entra.switches.opaqueAccessTokens = true;
    expect(await roles(true)).toEqual([]);
  });

  test.each(["organizations", "common", "fabrikam.example", "", "../x"])(
    "are not asked for with tenant %j",
    async (tid) => {
      expect(await codeOf(stage.tokens().token("read", tid))).toBe("unexpected");
      expect(stage.asked()).toEqual([]);
    },
  );

  test("are not asked for without a registration", async () => {
    expect(await codeOf(stage.tokens().token("write", tidA))).toBe("tier-not-offered");
  });
});

describe("a refusal", () => {
  test.each([
    [700016, "consent-revoked"],
    [7000229, "consent-revoked"],
    [700011, "consent-revoked"],
    [70001, "consent-revoked"],
    [7000112, "application-disabled"],
    [65001, "permission-revoked"],
    [90002, "tenant-gone"],
    [7000215, "credential-rejected"],
    [7000222, "credential-expired"],
    [700027, "credential-rejected"],
    [50012, "credential-rejected"],
    [700030, "credential-rejected"],
    [700211, "credential-rejected"],
    [700213, "credential-rejected"],
    [650056, "not-configured"],
    [53003, "policy-blocked"],
    [500021, "tenant-blocked"],
    [500212, "tenant-blocked"],
    [50105, "policy-blocked"],
    [90033, "sign-in-unavailable"],
    [50196, "sign-in-unavailable"],
    [999999, null],
  ] as const)("AADSTS%i means %s", (number, problem) => {
    expect(meaning(number, "invalid_request")).toBe(problem);
  });

  test("is not asked for again for a minute, but a fresh token is", async () => {
    const clock = { now: 1_000_000 };
    const tokens = stage.tokens({ read: stage.registration }, { now: () => clock.now });
    refuse(700016);
    expect(await codeOf(tokens.token("read", tidA))).toBe("consent-revoked");
    clock.now += 59_000;
    expect(await codeOf(tokens.token("read", tidA))).toBe("consent-revoked");
    expect(stage.asked()).toEqual([{ tid: tidA, outcome: 700016 }]);
    clock.now += 1_000;
    expect(await codeOf(tokens.token("read", tidA))).toBe("it succeeded");
    refuse(7000112);
    expect(await codeOf(tokens.token("read", tidA, { fresh: true }))).toBe("application-disabled");
    expect(await codeOf(tokens.token("read", tidA, { fresh: true }))).toBe("it succeeded");
  });

  test("by a service principal that is missing, disabled or gone with its tenant is told apart from our own faults", async () => {
    const [tenant] = stage.tenants;
    const granted = tenant.grants.get(stage.app.clientId) ?? new Set<string>();
    tenant.grants.delete(stage.app.clientId);
    expect(await codeOf(stage.tokens().token("read", tidA))).toBe("consent-revoked");
    tenant.grants.set(stage.app.clientId, granted);
    tenant.disabledApps.add(stage.app.clientId);
    expect(await codeOf(stage.tokens().token("read", tidA))).toBe("application-disabled");
    tenant.disabledApps.clear();
    tenant.gone = true;
    expect(await codeOf(stage.tokens().token("read", tidA))).toBe("tenant-gone");
    tenant.gone = false;
    stage.simulator.entra.switches.expiredSecrets = ["first-secret"];
    expect(await codeOf(stage.tokens().token("read", tidA))).toBe("credential-expired");
  });

  test("that will pass is asked for again at once and holds nobody up", async () => {
    const tokens = stage.tokens();
    stage.simulator.entra.switches.tokenFaults.push({ times: 1, status: 503, retryAfterSeconds: 120 });
    refuse(90033);
    expect(await codeOf(tokens.token("read", tidA))).toBe("sign-in-unavailable");
    expect(await codeOf(stage.tokens().token("read", tidA))).toBe("sign-in-unavailable");
    expect(await codeOf(stage.tokens().token("read", tidA))).toBe("it succeeded");
  });

  test("tells the number and no text", async () => {
    refuse(700016);
    await expect(stage.tokens().token("read", tidA)).rejects.toThrow(/^consent-revoked: [^0-9]* AADSTS700016$/);
  });

  test("by silence or a redirect ends in time, and no other host is asked", async () => {
    const elsewhere = await startScripted();
    other.answer = () => ({ status: 303, headers: { location: `${elsewhere.url}/t` } });
    const options = { authority: other.url, timeoutMs: 300 };
    expect(await codeOf(stage.tokens({ read: stage.registration }, options).token("read", tidA))).toBe(
      "sign-in-unavailable",
    );
    expect(other.seen.map(({ method }) => method)).toEqual(["POST"]);
    expect(elsewhere.seen).toEqual([]);
    other.answer = () => "hang";
    expect(await codeOf(stage.tokens({ read: stage.registration }, options).token("read", tidB))).toBe(
      "sign-in-unavailable",
    );
    await elsewhere.close();
  });
});

const withPaths = (...paths: string[]): Registration => ({
  clientId: stage.app.clientId,
  credential: { kind: "certificate", paths },
});

describe("a certificate", () => {
  test("proves the registration; of two the one that Entra ID knows is found and kept", async () => {
    const [old, next] = await Promise.all([makeCertificate(), makeCertificate()]);
    stage.app.certificates = [next.listed];
    const tokens = stage.tokens({ read: withPaths(old.path, next.path) });
    expect(await codeOf(tokens.token("read", tidA))).toBe("it succeeded");
    expect(await codeOf(tokens.token("read", tidA))).toBe("it succeeded");
    expect(stage.asked()).toEqual([{ tid: tidA, outcome: 700027 }, issued(tidA)]);
  });

  test("that cannot be read gives way to the other; without any the fault is ours", async () => {
    const good = await makeCertificate();
    stage.app.certificates = [good.listed];
    expect(await codeOf(stage.tokens({ read: withPaths("/nowhere/app.pem", good.path) }).token("read", tidA))).toBe(
      "it succeeded",
    );
    expect(await codeOf(stage.tokens({ read: withPaths("/nowhere/app.pem") }).token("read", tidA))).toBe(
      "credential-rejected",
    );
    expect(await codeOf(stage.tokens({ read: withPaths() }).token("read", tidA))).toBe("credential-rejected");
  });

  test("that is over or not valid yet is not even shown to Entra ID; the other one is", async () => {
    const day = 86_400_000;
    const [over, coming, good] = await Promise.all([
      makeCertificate({ from: Date.now() - 2 * day, to: Date.now() - day }),
      makeCertificate({ from: Date.now() + day, to: Date.now() + 2 * day }),
      makeCertificate(),
    ]);
    stage.app.certificates = [over.listed, coming.listed, good.listed];
    const tokenOf = (...paths: string[]) => codeOf(stage.tokens({ read: withPaths(...paths) }).token("read", tidA));
    expect([await tokenOf(over.path), await tokenOf(coming.path)]).toEqual([
      "credential-expired",
      "credential-rejected",
    ]);
    expect(stage.asked()).toEqual([]);
    expect([await tokenOf(over.path, good.path), await tokenOf(coming.path, good.path)]).toEqual([
      "it succeeded",
      "it succeeded",
    ]);
    expect(stage.asked()).toEqual([issued(tidA), issued(tidA)]);
  });

  test("is not the second try when the consent is what is missing", async () => {
    const [one, two] = await Promise.all([makeCertificate(), makeCertificate()]);
    stage.app.certificates = [one.listed, two.listed];
    refuse(700016);
    expect(await codeOf(stage.tokens({ read: withPaths(one.path, two.path) }).token("read", tidA))).toBe(
      "consent-revoked",
    );
    expect(stage.asked().length).toBe(1);
  });

  test("that was replaced on disk counts after the refusal's minute", async () => {
    const [old, next] = await Promise.all([makeCertificate(), makeCertificate()]);
    stage.app.certificates = [next.listed];
    const clock = { now: Date.now() };
    const tokens = stage.tokens({ read: withPaths(old.path) }, { now: () => clock.now });
    expect(await codeOf(tokens.token("read", tidA))).toBe("credential-rejected");
    copyFileSync(next.path, old.path);
    clock.now += 60_000;
    expect(await codeOf(tokens.token("read", tidA))).toBe("it succeeded");
  });
});

const federated = (): Registration => ({
  clientId: stage.app.clientId,
  credential: { kind: "federated", managedIdentityClientId: identity.principalId },
});

describe("a managed identity", () => {
  test("proves the registration that trusts it", async () => {
    stage.simulator.entra.switches.federatedKeys = { [identity.issuer]: identity.jwks };
    stage.app.federatedCredentials = [
      { issuer: identity.issuer, subject: identity.principalId, audience: "api://AzureADTokenExchange" },
    ];
    expect(await codeOf(stage.tokens({ read: federated() }).token("read", tidA))).toBe("it succeeded");
    stage.app.federatedCredentials = [];
    expect(await codeOf(stage.tokens({ read: federated() }).token("read", tidB))).toBe("credential-rejected");
  });
});

test("only Microsoft's own sign-in hosts are asked about their instances", () => {
  expect(isMicrosoftAuthority("https://login.microsoftonline.com")).toBe(true);
  expect(isMicrosoftAuthority("https://login.microsoftonline.us")).toBe(true);
  expect(isMicrosoftAuthority("https://localhost:8443")).toBe(false);
  expect(graphResource("https://dod-graph.microsoft.us/v1.0")).toBe("https://dod-graph.microsoft.us");
  expect(graphResource("https://localhost:8444/v1.0")).toBe("https://graph.microsoft.com");
});
