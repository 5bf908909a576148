import { describe, expect, test } from "vitest";
import type { TierRecord } from "../../src/core/connections/tiers.ts";
import { type Judgement, judgeAdministrator } from "../../src/core/consent/administrator.ts";
import { effectiveTier, type Seen } from "../../src/core/consent/effective.ts";
import { permissionTexts } from "../../src/core/consent/permission-texts.ts";
import { missingPermissions } from "../../src/core/consent/permissions.ts";
import type { SignedIn } from "../../src/core/consent/ports.ts";
import { AppError } from "../../src/core/errors.ts";
import type { ProofDoc } from "../../src/core/store/documents.ts";
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

  test("every permission of every tier has a title of its own, and a sentence on what stops without it", () => {
    for (const tier of ["read", "write", "licences", "signIn", "calendar"] as const)
      for (const { value, wording, without } of permissionTexts(tier)) {
        expect(wording).not.toBe(value);
        expect(without).toMatch(/\.$/);
      }
  });
});

describe("what a tier really is", () => {
  const all = ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"];
  const since = "2027-01-15T08:00:00.000Z";
  const record = (state: TierRecord["state"], wanted = true): TierRecord => ({ wanted, state, missing: [] });
  const here = { tid: tenantA, roles: all };
  const granted = (...roles: string[]): Seen => ({ roles });
  const shutOut: Seen = { refused: new AppError("application-disabled") };

  test.each<[string, TierRecord, Pick<ProofDoc, "tid" | "roles"> | null, string | null, Seen, string]>([
    ["wanted, approved, granted", record("active"), here, tenantA, granted(...all), "active"],
    ["granted, but approved by nobody here", record("active"), null, tenantA, granted(...all), "consent-needed"],
    [
      "granted, but approved for another tenant",
      record("active"),
      { ...here, tid: tenantB },
      tenantA,
      granted(...all),
      "consent-needed",
    ],
    ["approved, but not redeemed", record("consent-needed"), here, tenantA, granted(...all), "consent-needed"],
    ["approved, but no tenant is in use", record("active"), here, null, granted(...all), "consent-needed"],
    ["approved and granted, but switched off", record("off", false), here, tenantA, granted(...all), "off"],
    ["a permission was taken away", record("active"), here, tenantA, granted(...all.slice(1)), "degraded"],
    ["it came back", record("degraded"), here, tenantA, granted(...all), "active"],
    ["the application is shut out", record("active"), here, tenantA, shutOut, "revoked"],
    ["it is let in again", record("revoked"), here, tenantA, granted(...all), "active"],
    [
      "needed since the approval, and granted to another connection of the tenant",
      record("active"),
      { ...here, roles: all.slice(0, 2) },
      tenantA,
      granted(...all),
      "degraded",
    ],
  ])("%s", (_what, tier, proof, tid, seen, expected) => {
    expect(effectiveTier("read", tier, { proof, tid }, seen, now).state).toBe(expected);
  });

  test("says what is missing, why, and since when", () => {
    const approval = { proof: here, tid: tenantA };
    const first = effectiveTier("read", record("active"), approval, granted("User.Read.All"), now);
    const trouble = { code: "permission-revoked", since };
    expect(first).toEqual({ wanted: true, state: "degraded", missing: all.slice(1), trouble });
    const later = effectiveTier("read", first, approval, shutOut, now + 86_400_000);
    expect(later).toEqual({
      wanted: true,
      state: "revoked",
      missing: [],
      trouble: { code: "application-disabled", since },
    });
  });
});
