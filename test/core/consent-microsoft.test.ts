/** The pages and the use-cases against the simulated Microsoft, over TLS, through the real adapters. */
import { HttpRequest, type HttpResponseInit, InvocationContext } from "@azure/functions";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { CosmosHandles } from "../../src/adapters/cosmos/client.ts";
import { sharedStore } from "../../src/adapters/cosmos/shared-store.ts";
import { appTokens } from "../../src/adapters/entra/app-tokens.ts";
import { consentGateway } from "../../src/adapters/entra/consent-gateway.ts";
import { graphResource, type Registration } from "../../src/adapters/entra/registration.ts";
import { graphClient } from "../../src/adapters/graph/client.ts";
import { organization } from "../../src/adapters/graph/organization.ts";
import { directoryRoles } from "../../src/core/consent/administrator.ts";
import type { ConsentGateway } from "../../src/core/consent/ports.ts";
import { connectPage, consentCallback, signInCallback } from "../../src/functions/connect.http.ts";
import { clickThrough } from "../../src/local/simulator/entra/click-through.ts";
import { defaultSwitches } from "../../src/local/simulator/entra/switches.ts";
import { type Simulator, startSimulator } from "../../src/local/simulator/server.ts";
import type { AppRegistration, Tenant } from "../../src/local/simulator/world.ts";
import { createCertificateAuthority, trustInThisProcess } from "../../src/local/tls.ts";
import { caller, openStage, readRoles, returnUrl, type Stage } from "./connections-stage.ts";

const publicBaseUrl = "https://sync.example";
const signInUri = `${publicBaseUrl}/connect/callback/sign-in`;
const consentUri = `${publicBaseUrl}/connect/callback/consent`;

let simulator: Simulator;
let stage: Stage;
let app: AppRegistration;
let tenant: Tenant;
let other: Tenant;

const registration: Registration = {
  clientId: "11111111-2222-4333-8444-555555555555",
  credential: { kind: "secret", secret: "a development secret" },
};

const realGateway = (now: () => number, cosmos: CosmosHandles): ConsentGateway => {
  const authority = simulator.entraUrl;
  const { graphUrl } = simulator;
  const tokens = appTokens({ read: registration }, { authority, resource: graphResource(graphUrl), now });
  const shared = sharedStore(cosmos.shared);
  const client = graphClient({ baseUrl: graphUrl, tier: "read", clientId: registration.clientId, tokens, now, shared });
  return consentGateway({
    registrations: { read: registration },
    tokens,
    authority,
    resource: graphResource(graphUrl),
    redirectUris: { signIn: signInUri, consent: consentUri },
    organization: organization(client),
    now,
  });
};

beforeAll(async () => {
  const authority = await createCertificateAuthority();
  trustInThisProcess(authority.caPem);
  simulator = await startSimulator({ tls: await authority.issueServerCertificate(), seed: 5 });
  app = {
    clientId: registration.clientId,
    displayName: "Directory sync",
    secrets: ["a development secret"],
    certificates: [],
    federatedCredentials: [],
    redirectUris: [signInUri, consentUri],
    applicationPermissions: readRoles,
    emitsDirectoryRoles: true,
    optionalClaims: ["acct", "auth_time"],
  };
  simulator.world.registrations.set(app.clientId, app);
  stage = await openStage(realGateway);
  stage.needs.wait = (milliseconds) => {
    simulator.commands.clock.run({ advanceSeconds: milliseconds / 1000 });
    return Promise.resolve();
  };
});
afterAll(async () => {
  await stage.close();
  await simulator.close();
});

let count = 0;
const newTenant = (): Tenant => {
  const { tid } = simulator.commands["create-tenant"].run({
    seed: (count += 1),
    users: 20,
    groups: 3,
    domain: `t${count}.example`,
  });
  const made = simulator.world.tenants.get(tid);
  if (!made) throw new Error("the tenant was not made");
  return made;
};
beforeEach(() => {
  Object.assign(simulator.entra.switches, defaultSwitches());
  Object.assign(app, { emitsDirectoryRoles: true, optionalClaims: ["acct", "auth_time"] });
  tenant = newTenant();
  other = newTenant();
});

const withRole = (role: string | null, at = tenant): string => {
  const account = at.accounts.find(({ directoryRoles: roles }) =>
    role === null ? roles.length === 0 : roles.includes(role),
  );
  if (!account) throw new Error("the tenant has no such account");
  return account.objectId;
};
const administrator = (at = tenant): string => withRole(directoryRoles.globalAdministrator, at);

const cases = () => ({
  showConnect: stage.cases.show,
  continueConnect: stage.cases.continue,
  signInCallback: stage.cases.signIn,
  consentCallback: stage.cases.consent,
  clientIp: () => "198.51.100.7",
});

/** A browser that keeps one cookie. */
const browse = () => {
  let cookie: string | undefined;
  const call = async (
    handler: ReturnType<typeof connectPage>,
    method: string,
    url: string | URL,
  ): Promise<HttpResponseInit> => {
    const { href, searchParams, pathname } = new URL(url);
    const request = new HttpRequest({
      method,
      url: href,
      headers: cookie === undefined ? {} : { cookie: `__Host-connect=${cookie}` },
      query: Object.fromEntries(searchParams),
      params: { ticket: pathname.split("/").at(-1) ?? "" },
    });
    const answer = (await handler(
      request,
      new InvocationContext({ functionName: "test", invocationId: "i-1" }),
    )) as HttpResponseInit;
    cookie = answer.cookies?.[0]?.value ?? cookie;
    return answer;
  };
  const location = (answer: HttpResponseInit): string => (answer.headers as Record<string, string>).location ?? "";
  const callbackOf = async (address: string, click: Parameters<typeof clickThrough>[1]): Promise<URL> => {
    const landing = await clickThrough(address, click);
    if (landing.kind !== "callback")
      throw new Error(`Microsoft keeps the person on a page of its own: ${landing.html.slice(0, 500)}`);
    return landing.url;
  };
  return {
    toMicrosoft: async (connectUrl: string): Promise<string> => {
      await call(connectPage(cases), "GET", connectUrl);
      return location(await call(connectPage(cases), "POST", connectUrl));
    },
    signIn: async (address: string, click: Parameters<typeof clickThrough>[1]): Promise<string> =>
      location(await call(signInCallback(cases), "GET", await callbackOf(address, click))),
    approve: async (address: string, click: Parameters<typeof clickThrough>[1]): Promise<string> =>
      location(await call(consentCallback(cases), "GET", await callbackOf(address, click))),
  };
};

const begin = async () => {
  const { id } = await stage.draft(caller(), `Microsoft ${(count += 1)}`);
  const browser = browse();
  const { connectUrl } = await stage.cases.start(caller(), id, { tier: "read", returnUrl });
  return { id, browser, signInAddress: await browser.toMicrosoft(connectUrl) };
};
const errorIn = (address: string): string | null => new URL(address).searchParams.get("error");

describe("with the simulated Microsoft", () => {
  test("an administrator signs in, approves, and the product confirms", async () => {
    const { id, browser, signInAddress } = await begin();
    const consentAddress = await browser.signIn(signInAddress, { account: administrator() });
    expect(consentAddress.startsWith(`${simulator.entraUrl}/${tenant.tid}/v2.0/adminconsent?`)).toBe(true);
    const ended = new URL(await browser.approve(consentAddress, { account: administrator() }));
    const view = await stage.cases.complete(caller(), id, { code: ended.searchParams.get("code") ?? "" });
    expect(view).toMatchObject({ state: "active", tid: tenant.tid });
    const [read] = await stage.cases.permissions(caller(), id);
    expect(read).toMatchObject({
      effective: { state: "active" },
      permissions: readRoles.map((value) => ({ value, granted: true })),
    });
  });

  test.each([
    ["an Application Administrator", () => withRole(directoryRoles.applicationAdministrator)],
    ["somebody without a role", () => withRole(null)],
  ])("%s is turned back before anything can be approved", async (_who, account) => {
    const { browser, signInAddress } = await begin();
    expect(errorIn(await browser.signIn(signInAddress, { account: account() }))).toBe("consent-not-administrator");
    expect([...(tenant.grants.get(app.clientId) ?? [])]).toEqual([]);
  });

  test.each([
    ["no roles", { emitsDirectoryRoles: false }, "consent-not-administrator"],
    ["no acct", { optionalClaims: ["auth_time"] }, "consent-not-administrator"],
  ])("an application whose tokens carry %s proves nobody", async (_what, difference, expected) => {
    Object.assign(app, difference);
    const { browser, signInAddress } = await begin();
    expect(errorIn(await browser.signIn(signInAddress, { account: administrator() }))).toBe(expected);
  });

  test("an old session is asked for its password once more", async () => {
    simulator.entra.switches.sessionAgeSeconds = 3600;
    const { browser, signInAddress } = await begin();
    const again = await browser.signIn(signInAddress, { account: administrator() });
    expect(new URL(again).searchParams.get("prompt")).toBe("login");
    expect(await browser.signIn(again, { account: administrator() })).toContain("/adminconsent?");
  });

  test.each(["consent_required", "access_denied"] as const)("a denial (%s) is a denial", async (consentDenial) => {
    simulator.entra.switches.consentDenial = consentDenial;
    const { browser, signInAddress } = await begin();
    const consentAddress = await browser.signIn(signInAddress, { account: administrator() });
    expect(errorIn(await browser.approve(consentAddress, "cancel"))).toBe("consent-declined");
  });

  test("Cancel at the sign-in is a denial", async () => {
    const { browser, signInAddress } = await begin();
    expect(errorIn(await browser.signIn(signInAddress, "cancel"))).toBe("consent-declined");
  });

  test("an approval that came from another tenant is refused", async () => {
    const { id, browser, signInAddress } = await begin();
    const consentAddress = await browser.signIn(signInAddress, { account: administrator() });
    simulator.entra.switches.approvingTenant = other.tid;
    expect(errorIn(await browser.approve(consentAddress, { account: administrator() }))).toBe("consent-wrong-tenant");
    expect((await stage.cases.read(caller(), id)).state).toBe("draft");
  });

  test("permissions that were left out are named", async () => {
    simulator.entra.switches.withheldPermissions = ["Organization.Read.All"];
    const { browser, signInAddress } = await begin();
    const consentAddress = await browser.signIn(signInAddress, { account: administrator() });
    const ended = await browser.approve(consentAddress, { account: administrator() });
    expect([errorIn(ended), new URL(ended).searchParams.get("missing")]).toEqual([
      "consent-roles-missing",
      "Organization.Read.All",
    ]);
  });

  test("permissions that come a little later are waited for", async () => {
    simulator.entra.switches.grantDelaySeconds = 2;
    const { browser, signInAddress } = await begin();
    const consentAddress = await browser.signIn(signInAddress, { account: administrator() });
    const ended = await browser.approve(consentAddress, { account: administrator() });
    expect(new URL(ended).searchParams.has("code")).toBe(true);
  });

  test.each(["foreign-signature", "wrong-audience", "wrong-nonce", "issuer-tid-mismatch"] as const)(
    "a bad token (%s) is a failed sign-in",
    async (fault) => {
      simulator.entra.switches.idTokenFault = fault;
      const { browser, signInAddress } = await begin();
      expect(errorIn(await browser.signIn(signInAddress, { account: administrator() }))).toBe("consent-sign-in-failed");
    },
  );
});
