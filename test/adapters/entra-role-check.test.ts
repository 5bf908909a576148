/** An administrator's roles where ID tokens do not tell them: Graph is asked in his own name. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { consentGateway } from "../../src/adapters/entra/consent-gateway.ts";
import { roleCheck } from "../../src/adapters/entra/role-check.ts";
import { directoryRoles } from "../../src/core/consent/administrator.ts";
import { clickThrough } from "../../src/local/simulator/entra/click-through.ts";
import { redirectUri, type Stage, startStage } from "./entra-stage.ts";

const attempt = { state: "state-1", nonce: "nonce-1", verifier: "v".repeat(43) };
const resource = "https://graph.microsoft.com";

let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.simulator.close());
beforeEach(() => {
  stage.app.emitsDirectoryRoles = false;
  stage.simulator.commands.faults.run({ clear: true });
});

const accountWith = (...roles: string[]): string => {
  const { accounts } = stage.tenants[0];
  const found = accounts.find(
    ({ directoryRoles: held }) => held.length === roles.length && roles.every((role) => held.includes(role)),
  );
  if (!found) throw new Error("the tenant has no such account");
  return found.objectId;
};

/** What is known of the roles after a sign-in; `permission` null: nothing is asked for. */
const rolesSeen = async (
  account: string,
  permission: string | null = "Directory.Read.All",
): Promise<string[] | null> => {
  const gateway = consentGateway({
    registrations: { read: stage.registration },
    authority: stage.simulator.entraUrl,
    resource,
    redirectUris: { signIn: redirectUri, consent: `${redirectUri}-consent` },
    tokens: stage.tokens(),
    organization: async ({ tid }) => ({ id: tid }),
    now: () => stage.simulator.world.now(),
    ...(permission ? { roleCheck: roleCheck({ graphBaseUrl: stage.simulator.graphUrl, resource, permission }) } : {}),
  });
  const address = await gateway.signInUrl("read", { ...attempt, prompt: "select_account" });
  const landing = await clickThrough(address, { account });
  const query = landing.kind === "callback" ? landing.url.searchParams : new URLSearchParams();
  return (await gateway.redeem("read", { query, ...attempt })).wids;
};
const asked = (since: number) =>
  stage.simulator.commands.requests.run({ since }).requests.filter(({ path }) => path === "/me/checkMemberObjects")
    .length;
const mark = () => stage.simulator.commands.requests.run({}).mark;

test("are those that Graph confirms, of the roles that may approve", async () => {
  expect(await rolesSeen(accountWith(directoryRoles.globalAdministrator))).toEqual([
    directoryRoles.globalAdministrator,
  ]);
  expect(await rolesSeen(accountWith())).toEqual([]);
});

test("are not asked for when the token tells them, nor when it is not switched on", async () => {
  const since = mark();
  expect(await rolesSeen(accountWith(directoryRoles.globalAdministrator), null)).toBeNull();
  stage.app.emitsDirectoryRoles = true;
  expect(await rolesSeen(accountWith(directoryRoles.globalAdministrator))).toContain(
    directoryRoles.globalAdministrator,
  );
  expect(asked(since)).toBe(0);
});

test("stay unknown when Graph refuses: nobody is an administrator by that", async () => {
  const since = mark();
  expect(await rolesSeen(accountWith(directoryRoles.globalAdministrator), "User.Read")).toBeNull();
  expect(asked(since)).toBe(1);
});

test("are no reason to refuse anybody when Graph does not answer: it is to be tried again", async () => {
  for (const status of [503, 429]) {
    stage.simulator.commands.faults.run({ clear: true, add: [{ trouble: { kind: "status", status } }] });
    await expect(rolesSeen(accountWith(directoryRoles.globalAdministrator))).rejects.toThrow("sign-in-unavailable");
  }
});
