/** What a sign-in may write: somebody whom no sync has brought yet, and who the person is in the product. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { everybody } from "../../src/local/demo/everybody.ts";
import { defaultSwitches } from "../../src/local/simulator/entra/switches.ts";
import {
  type Answer,
  assertion,
  basic,
  type Connected,
  portalSecret,
  redeem,
  type SsoStage,
  signedIn,
  startSso,
  userInfo,
} from "../support/sso-stage.ts";

let stage: SsoStage;
let customer: Connected;

beforeAll(async () => {
  stage = await startSso();
  customer = await connected("customer.example", "acme");
});
afterAll(() => stage.close());
afterEach(async () => {
  Object.assign(stage.api.simulator.entra.switches, defaultSwitches());
  stage.api.simulator.graph.faults.clear();
});

/** Set up to the end, with people being added when they first sign in. */
const connected = async (domain: string, workspace: string, tenant?: Connected["tenant"]): Promise<Connected> => {
  const made = await stage.connect({ domain, workspace, ...(tenant ? { tenant } : {}) });
  await stage.patch(made.id, "/wizard/finishedAt", new Date().toISOString());
  await stage.patch(made.id, "/settings", { ...everybody, automatic: false, signIn: { createPeople: true } });
  return made;
};

let count = 0;
/** An account that no sync has seen. */
const hired = (name: string, where: Connected = customer): string => {
  const id = `dddddddd-0000-4000-8000-${(++count).toString(16).padStart(12, "0")}`;
  const mail = `${name.toLowerCase()}@customer.example`;
  const properties = {
    displayName: name,
    userPrincipalName: mail,
    mail,
    accountEnabled: true,
    userType: "Member",
  };
  const user = { id, properties };
  stage.api.simulator.commands.mutate.run({ tid: where.tid, mutations: [{ op: "create-user", user }] });
  where.tenant.accounts.push({ objectId: id, directoryRoles: [] });
  return id;
};

const here = () => ({ connection: customer.id });
const tokenOf = async (account: string, more: Record<string, string> = here()): Promise<string> =>
  String((await redeem(stage, await signedIn(stage, more, account))).json.access_token);
const told = async (person: unknown) => {
  const { body } = await stage.api.call("GET", `/api/v1/connections/${customer.id}/audit`, {
    query: { person: String(person) },
  });
  const entries = body.items as { type: string; cause: string; actor: unknown; correlationId: string }[];
  return entries.toReversed();
};

describe("somebody whom no sync has brought yet", () => {
  test("is added, told of in the feed, and let in; the audit names the sign-in", async () => {
    const account = hired("Dora");
    const { json } = await userInfo(stage, await tokenOf(account));
    const shown = await stage.api.call("GET", `/api/v1/connections/${customer.id}/people/${String(json.person)}`);
    expect(shown.body).toMatchObject({ state: "active", attributes: { displayName: "Dora" } });
    const [created] = await told(json.person);
    expect(created).toMatchObject({ type: "person.created", cause: "sign-in", actor: null });
    const { body } = await stage.api.call("GET", "/api/v1/audit", { query: { what: "sign-in" } });
    expect(body.items).toMatchObject([
      {
        correlationId: created?.correlationId,
        actor: { subject: `person:${String(json.person)}`, ip: "203.0.113.7" },
      },
    ]);
    await tokenOf(account);
    expect(await told(json.person)).toHaveLength(1);
  });

  test("is asked to try again when Graph fails, and is not there until it answers", async () => {
    const account = hired("Frida");
    const trouble = { kind: "status", status: 500 } as const;
    stage.api.simulator.graph.faults.add([{ trouble, path: `^/users/${account}`, times: 100, inBatch: true }]);
    const { back } = await signedIn(stage, here(), account);
    expect(`${back.get("error")} ${back.get("error_description")}`).toBe("temporarily_unavailable graph-unavailable");
    const people = async () =>
      JSON.stringify((await stage.api.call("GET", `/api/v1/connections/${customer.id}/people`)).body);
    expect(await people()).not.toContain("Frida");
    stage.api.simulator.graph.faults.clear();
    const { json } = await userInfo(stage, await tokenOf(account));
    expect(await people()).toContain("Frida");
    const { body } = await stage.api.call("GET", "/api/v1/audit", { query: { what: "refused" } });
    expect((body.items as unknown[]).slice(0, 1)).toMatchObject([
      { refusal: "graph-unavailable", actor: { subject: `person:${String(json.person)}` } },
    ]);
  });

  test("is not kept out of where he is known by another workspace's connection that cannot be asked", async () => {
    const second = await connected("", "second", customer.tenant);
    const account = hired("Jana");
    await tokenOf(account);
    const trouble = { kind: "status", status: 500 } as const;
    stage.api.simulator.graph.faults.add([{ trouble, path: `^/users/${account}`, times: 100, inBatch: true }]);
    const { json } = await userInfo(stage, await tokenOf(account, { domain: "customer.example" }));
    expect(json).toMatchObject({ connection: customer.id, oid: account });
    await stage.setTier(second.id, "signIn", "off");
  });

  test("is added to the one connection that he chooses", async () => {
    const second = await connected("", "second", customer.tenant);
    const account = hired("Gerda");
    const start = await signedIn(stage, { domain: "customer.example" }, account);
    const choice = /name="choice" value="([^"]+)"/.exec(start.answer.text)?.[1] ?? "";
    const chosen = await stage.ask("POST", "/sso/choose", {
      body: { choice, connection: second.id },
      headers: { cookie: start.cookie },
    });
    expect(chosen.location?.searchParams.get("code")).toMatch(/./);
    const token = await stage.api.tokenFor("second");
    const [first, other] = await Promise.all([
      stage.api.call("GET", `/api/v1/connections/${customer.id}/people`, { query: { limit: "200" } }),
      stage.api.call("GET", `/api/v1/connections/${second.id}/people`, { query: { limit: "200" }, token }),
    ]);
    expect(JSON.stringify(first.body)).not.toContain("Gerda");
    expect(JSON.stringify(other.body)).toContain("Gerda");
    await stage.setTier(second.id, "signIn", "off");
  });
});

const link = (token: string, productUser: string, headers = basic("portal", portalSecret)): Promise<Answer> =>
  stage.ask("POST", "/sso/product-user", { headers, body: { token, product_user: productUser } });
const outcome = ({ status, json }: Answer): string =>
  `${status} ${String(json.error)} ${String(json.error_description)}`;

describe("an application that may link people", () => {
  test("says who signed in, by the use-case of the API: recorded as that application, and told at the next sign-in", async () => {
    const [account = ""] = customer.accounts;
    const token = await tokenOf(account);
    const { json } = await userInfo(stage, token);
    const linked = await link(token, "user-1");
    expect({ status: linked.status, json: linked.json }).toEqual({
      status: 200,
      json: {
        sub: json.sub,
        workspace: "acme",
        connection: customer.id,
        person: json.person,
        product_user: "user-1",
      },
    });
    expect((await link(token, "user-1")).status).toBe(200);
    expect((await told(json.person)).filter(({ type }) => type === "product-user.changed")).toMatchObject([
      {
        actor: { subject: "client:portal", ip: "203.0.113.7", machine: true },
        changes: [{ field: "productUserId", before: null, after: "user-1" }],
      },
    ]);
    expect((await userInfo(stage, await tokenOf(account))).json).toMatchObject({ product_user: "user-1" });
  });

  test("takes no link over: neither another user for the person, nor another person for the user", async () => {
    const [, second = "", third = ""] = customer.accounts;
    const token = await tokenOf(second);
    expect((await link(token, "user-2")).status).toBe(200);
    expect(outcome(await link(token, "user-of-whoever-sits-there"))).toBe("400 access_denied person-linked");
    expect(outcome(await link(await tokenOf(third), "user-2"))).toBe("400 access_denied product-user-taken");
    expect((await userInfo(stage, await tokenOf(second))).json).toMatchObject({ product_user: "user-2" });
    expect((await userInfo(stage, await tokenOf(third))).json).not.toHaveProperty("product_user");
    const { body } = await stage.api.call("GET", "/api/v1/audit", { query: { what: "refused" } });
    expect((body.items as unknown[]).slice(0, 2)).toMatchObject([
      { route: "sso.product-user", refusal: "product-user-taken", actor: { subject: "client:portal" } },
      { route: "sso.product-user", refusal: "person-linked", actor: { subject: "client:portal" } },
    ]);
  });

  test("links nobody who has left since, and nobody of whom no record is kept", async () => {
    const account = hired("Hanna");
    const token = await tokenOf(account);
    const { json } = await userInfo(stage, token);
    const path = `/api/v1/connections/${customer.id}/people/${String(json.person)}/sync`;
    expect((await stage.api.call("PUT", path, { body: { enabled: false } })).status).toBe(200);
    expect(outcome(await link(token, "user-3"))).toBe("400 access_denied state-conflict");

    const only = await stage.connect({ domain: "only.example" });
    await stage.setTier(only.id, "read", "consent-needed");
    const unread = await tokenOf(hired("Ida", only), { connection: only.id });
    expect(outcome(await link(unread, "user-4"))).toBe("400 access_denied sign-in-not-synchronised");
  });
});

describe("a link is refused", () => {
  let token = "";
  beforeAll(async () => {
    token = await tokenOf(customer.accounts[3] ?? "");
  });

  test.each<[string, () => Promise<Answer>, string]>([
    [
      "without the proof of an application",
      () => link(token, "x", {}),
      "401 invalid_client the client did not prove itself",
    ],
    [
      "to another application than the one that got the token",
      () => link(token, "x", basic("rival", "secret of the rival")),
      "401 invalid_token the access token is not valid",
    ],
    [
      "for a token that we did not make",
      () => link("t".repeat(43), "x"),
      "401 invalid_token the access token is not valid",
    ],
    ["without a token", () => link("", "x"), "400 invalid_request token is missing"],
    ["without a user", () => link(token, ""), "400 invalid_request product_user is missing"],
    ["for what is no id", () => link(token, "a\nb"), "400 invalid_request product_user is not an id"],
  ])("%s", async (_, ask, expected) => {
    expect(outcome(await ask())).toBe(expected);
  });

  test("to an application whose settings do not let it", async () => {
    const type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    const proof = { client_assertion: await assertion(), client_assertion_type: type };
    const body = { token, product_user: "x", ...proof };
    expect(outcome(await stage.ask("POST", "/sso/product-user", { body }))).toBe(
      "400 unauthorized_client the client may not link people",
    );
  });

  test("when the approval of single sign-on was withdrawn, or the token has expired", async () => {
    await stage.setTier(customer.id, "signIn", "off");
    expect(outcome(await link(token, "x"))).toMatch("401 invalid_token");
    await stage.setTier(customer.id, "signIn", "active");
    stage.api.advance(301_000);
    expect(outcome(await link(token, "x"))).toMatch("401 invalid_token");
  });
});
