import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Click, clickThrough } from "../../src/local/simulator/entra/click-through.ts";
import {
  applicationForm,
  clientId,
  oids,
  postToken,
  redirectUri,
  type Stage,
  startStage,
  tids,
} from "./entra-stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});
afterEach(() => stage.close());

const everything = "https://graph.microsoft.com/.default";
const consentUrl = (path: string, extra: Record<string, string> = {}): URL => {
  const url = new URL(`${stage.url}/${path}/adminconsent`);
  url.search = new URLSearchParams({
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: everything,
    state: "s-1",
    ...extra,
  }).toString();
  return url;
};
const v2 = `${tids.fabrikam}/v2.0`;

const consent = (click: Click, path = v2, extra: Record<string, string> = {}) =>
  clickThrough(consentUrl(path, extra), click);
const queryAfter = async (landing: ReturnType<typeof consent>): Promise<Record<string, string>> => {
  const landed = await landing;
  if (landed.kind !== "callback") throw new Error(landed.html);
  return Object.fromEntries(landed.url.searchParams);
};

/** Permissions in a fresh token; null when no token is issued. */
const rolesNow = async (tid: string = tids.fabrikam): Promise<string[] | null> => {
  const { status, body } = await postToken(stage, tid, applicationForm);
  return status === 200 ? (stage.entra.verifyGraphToken(`Bearer ${String(body.access_token)}`)?.roles ?? []) : null;
};
const all = ["GroupMember.Read.All", "Organization.Read.All", "User.Read.All"];

describe("admin consent", () => {
  test("names the permissions, grants all of them and says so in the redirect", async () => {
    const page = await (await fetch(consentUrl(v2))).text();
    for (const permission of all) expect(page).toContain(permission);
    expect(await queryAfter(consent({ account: oids.admin }))).toEqual({
      admin_consent: "True",
      tenant: tids.fabrikam,
      scope: everything,
      state: "s-1",
    });
    expect(await rolesNow()).toEqual(all);
    expect(await rolesNow(tids.contoso)).toBeNull();
  });

  test("declined carries an error beside admin_consent=True, no tenant, and grants nothing", async () => {
    const query = await queryAfter(consent("cancel"));
    expect(query).toMatchObject({ error: "consent_required", admin_consent: "True", state: "s-1" });
    expect(query.error_description).toContain("AADSTS65004: ");
    expect(query).not.toHaveProperty("tenant");
    expect(await rolesNow()).toBeNull();
  });

  test("keeps who may not approve on Microsoft's page: members, and application administrators", async () => {
    for (const account of [oids.member, oids.applicationAdmin])
      expect(await consent({ account })).toMatchObject({ kind: "page", html: expect.stringContaining("AADSTS90094") });
    expect(await rolesNow()).toBeNull();
  });

  test("of delegated permissions alone may be given by an application administrator", async () => {
    stage.registration.applicationPermissions = [];
    expect(await queryAfter(consent({ account: oids.applicationAdmin }))).toMatchObject({
      admin_consent: "True",
      tenant: tids.fabrikam,
    });
  });

  test("on the old endpoint knows no scope and has another word for a refusal", async () => {
    expect(await queryAfter(consent({ account: oids.admin }, tids.fabrikam))).toEqual({
      admin_consent: "True",
      tenant: tids.fabrikam,
      state: "s-1",
    });
    const declined = await queryAfter(consent("cancel", tids.fabrikam));
    expect(declined.error).toBe("permission_denied");
    expect(declined).not.toHaveProperty("admin_consent");
  });

  test("on organizations lands in the administrator's own tenant", async () => {
    expect(await queryAfter(consent({ account: oids.contosoAdmin }, "organizations/v2.0"))).toMatchObject({
      tenant: tids.contoso,
    });
    expect([await rolesNow(), await rolesNow(tids.contoso)]).toEqual([null, all]);
  });

  test("can come from another tenant than the one that was asked", async () => {
    stage.entra.switches.approvingTenant = tids.contoso;
    expect(await queryAfter(consent({ account: oids.admin }))).toMatchObject({ tenant: tids.contoso });
    expect([await rolesNow(), await rolesNow(tids.contoso)]).toEqual([null, all]);
  });

  test("can leave permissions out, or let new ones reach tokens later", async () => {
    stage.entra.switches.withheldPermissions = ["Organization.Read.All"];
    await consent({ account: oids.admin });
    expect(await rolesNow()).toEqual(["GroupMember.Read.All", "User.Read.All"]);
    stage.entra.switches.withheldPermissions = [];
    stage.entra.switches.grantDelaySeconds = 60;
    await consent({ account: oids.admin });
    expect(await rolesNow()).toEqual(["GroupMember.Read.All", "User.Read.All"]);
    stage.advance(61);
    expect(await rolesNow()).toEqual(all);
  });

  test("does not bring a permission late to an application that was removed meanwhile", async () => {
    stage.entra.switches.grantDelaySeconds = 60;
    await consent({ account: oids.admin });
    stage.fabrikam.grants.delete(clientId);
    expect(await rolesNow()).toBeNull();
    stage.fabrikam.grants.set(clientId, new Set());
    stage.advance(61);
    expect(await rolesNow()).toEqual([]);
  });

  test("repeated after a permission left the registration revokes it", async () => {
    await consent({ account: oids.admin });
    stage.registration.applicationPermissions = ["User.Read.All"];
    expect(await rolesNow()).toEqual(all);
    await consent({ account: oids.admin });
    expect(await rolesNow()).toEqual(["User.Read.All"]);
  });

  test("of permissions by name grants no application permission, and cannot be mixed with .default", async () => {
    const byName = "https://graph.microsoft.com/User.Read.All";
    expect(await queryAfter(consent({ account: oids.admin }, v2, { scope: byName }))).toMatchObject({
      admin_consent: "True",
    });
    expect(await rolesNow()).toEqual([]);
    const mixed = await queryAfter(consent({ account: oids.admin }, v2, { scope: `${everything} ${byName}` }));
    expect(mixed.error).toBe("invalid_scope");
    expect(
      await queryAfter(consent({ account: oids.admin }, v2, { scope: `openid ${everything}` })),
    ).not.toHaveProperty("error");
  });

  test("never redirects to an address that is not registered", async () => {
    expect(await consent({ account: oids.admin }, v2, { redirect_uri: "https://evil.example/" })).toMatchObject({
      kind: "page",
      html: expect.stringContaining("AADSTS50011"),
    });
    expect(await consent({ account: oids.admin }, "common/v2.0")).toMatchObject({ kind: "page" });
  });

  test("loses markup in the state", async () => {
    expect((await queryAfter(consent({ account: oids.admin }, v2, { state: "a<b>c" }))).state).toBe("ac");
  });
});
