import { describe, expect, test } from "vitest";
import type { TierRecord } from "../../src/core/connections/tiers.ts";
import { type Judgement, judgeAdministrator } from "../../src/core/consent/administrator.ts";
import { effectiveTier, missingPermissions, permissionTexts } from "../../src/core/consent/permissions.ts";
import type { SignedIn } from "../../src/core/consent/ports.ts";
import { tenantA, tenantB } from "./connections-stage.ts";

const now = 1_800_000_000_000;
const global = "62e90394-69f5-4237-9190-012177145e10";
const privileged = "e8611ab8-c189-46e8-94e1-60213ab1f814";
const application = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3";
const cloudApplication = "158c047a-c907-4556-b7ef-446551a6b5f7";
const userAdministrator = "fe930be7-5e62-47db-91af-98c3a49a38b1";

const member: SignedIn = {
  tid: tenantA,
  oid: "cccccccc-0000-4000-8000-000000000003",
  name: "",
  preferredUsername: "",
  wids: [global],
  acct: 0,
  idp: null,
  iss: `https://login.example/${tenantA}/v2.0`,
  authTime: now / 1000 - 60,
};

const said = (judgement: Judgement): string => (judgement.verdict === "refused" ? judgement.code : judgement.verdict);

describe("who may approve application permissions", () => {
  test.each<[string, Partial<SignedIn>, string]>([
    ["a Global Administrator", {}, "administrator"],
    ["a Privileged Role Administrator", { wids: [privileged] }, "administrator"],
    ["an administrator with other roles before", { wids: [userAdministrator, global] }, "administrator"],
    ["an Application Administrator", { wids: [application] }, "consent-not-administrator"],
    ["a Cloud Application Administrator", { wids: [cloudApplication] }, "consent-not-administrator"],
    ["another administrator", { wids: [userAdministrator] }, "consent-not-administrator"],
    ["somebody whose role is only eligible", { wids: [] }, "consent-not-administrator"],
    ["anybody when the registration emits no roles", { wids: null }, "consent-not-administrator"],
    ["a guest with the role", { acct: 1 }, "consent-guest"],
    ["anybody when the registration emits no acct", { acct: null }, "consent-not-administrator"],
    ["an account kind that we do not know", { acct: 2 }, "consent-not-administrator"],
    ["an account of another identity provider", { idp: "live.com" }, "consent-guest"],
    ["an account whose provider is the tenant itself", { idp: member.iss }, "administrator"],
    ["a personal account", { tid: "9188040d-6c67-4c5b-b112-36a304b66dad" }, "consent-sign-in-failed"],
    ["a tenant that is no GUID", { tid: "fabrikam.example" }, "consent-sign-in-failed"],
    ["an object id that is no GUID", { oid: "" }, "consent-sign-in-failed"],
    ["a sign-in ten minutes ago", { authTime: now / 1000 - 600 }, "administrator"],
    ["a sign-in longer ago", { authTime: now / 1000 - 601 }, "stale"],
    ["a sign-in of unknown age", { authTime: null }, "stale"],
    ["a sign-in in the future, within the skew of clocks", { authTime: now / 1000 + 300 }, "administrator"],
    ["a sign-in in the future", { authTime: now / 1000 + 301 }, "stale"],
    ["an old session of somebody without a role", { authTime: null, wids: [] }, "consent-not-administrator"],
  ])("%s", (_who, difference, expected) => {
    expect(said(judgeAdministrator("read", { ...member, ...difference }, now))).toBe(expected);
  });

  test.each([
    [application, "administrator"],
    [cloudApplication, "administrator"],
    [userAdministrator, "consent-not-administrator"],
  ])("application administrators (%s) approve what is only delegated", (role, expected) => {
    expect(said(judgeAdministrator("signIn", { ...member, wids: [role] }, now))).toBe(expected);
  });
});

describe("which permissions are missing", () => {
  test.each([
    ["nothing granted", [], ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"]],
    ["all granted", ["Organization.Read.All", "GroupMember.Read.All", "User.Read.All"], []],
    ["group reading includes members", ["User.Read.All", "Group.Read.All", "Organization.Read.All"], []],
    [
      "group writing includes members, by two steps",
      ["User.Read.All", "Group.ReadWrite.All", "Organization.Read.All"],
      [],
    ],
    [
      "member writing includes member reading",
      ["User.Read.All", "GroupMember.ReadWrite.All", "Organization.Read.All"],
      [],
    ],
    ["user writing includes user reading", ["User.ReadWrite.All", "GroupMember.Read.All", "Organization.Read.All"], []],
    [
      "reading does not include more",
      ["User.ReadBasic.All", "GroupMember.Read.All", "Organization.Read.All"],
      ["User.Read.All"],
    ],
  ])("%s", (_what, granted, missing) => {
    expect(missingPermissions(granted, "read")).toEqual(missing);
  });

  test("reading does not bring writing", () => {
    expect(missingPermissions(["User.Read.All", "Group.Read.All"], "write")).toEqual([
      "User.ReadWrite.All",
      "Group.ReadWrite.All",
    ]);
  });

  test("every permission of every tier has a title of its own", () => {
    for (const tier of ["read", "write", "licences", "signIn", "calendar"] as const)
      for (const { value, wording } of permissionTexts(tier)) expect(wording).not.toBe(value);
  });
});

describe("what a tier really is", () => {
  const all = ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"];
  const record = (state: TierRecord["state"], wanted = true): TierRecord => ({ wanted, state, missing: [] });
  const here = { tid: tenantA };

  test.each<[string, TierRecord, { tid: string } | null, string | null, string[], string]>([
    ["wanted, approved, granted", record("active"), here, tenantA, all, "active"],
    ["granted, but approved by nobody here", record("active"), null, tenantA, all, "consent-needed"],
    ["granted, but approved for another tenant", record("active"), { tid: tenantB }, tenantA, all, "consent-needed"],
    ["approved, but not redeemed by the product", record("consent-needed"), here, tenantA, all, "consent-needed"],
    ["approved, but the connection has no tenant in use", record("active"), here, null, all, "consent-needed"],
    ["approved and granted, but switched off", record("off", false), here, tenantA, all, "off"],
    ["a permission was taken away", record("active"), here, tenantA, all.slice(1), "degraded"],
    ["it came back", record("degraded"), here, tenantA, all, "active"],
    ["revoked stays revoked until it is approved again", record("revoked"), here, tenantA, all, "revoked"],
  ])("%s", (_what, tier, proof, tid, granted, expected) => {
    expect(effectiveTier("read", tier, proof, { tid, granted }).state).toBe(expected);
  });
});
