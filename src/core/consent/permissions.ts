/**
 * The one table of what each tier asks Microsoft for, with the titles that Microsoft shows on its consent page.
 * https://learn.microsoft.com/graph/permissions-reference
 */
import type { Tier, TierRecord } from "../connections/tiers.ts";
import type { ProofDoc } from "../store/documents.ts";

export interface TierPermissions {
  /** What the tier is for, in our words. */
  title: string;
  /** Granted to the application as a whole; only a Global or Privileged Role Administrator may approve these. */
  application: readonly string[];
  /** Used in the name of a person who signed in. */
  delegated: readonly string[];
}

export const tierPermissions: Readonly<Record<Tier, TierPermissions>> = {
  read: {
    title: "Read people, groups and memberships",
    application: ["User.Read.All", "GroupMember.Read.All", "Organization.Read.All"],
    delegated: [],
  },
  write: {
    title: "Change people, groups and memberships",
    application: ["User.ReadWrite.All", "Group.ReadWrite.All"],
    delegated: [],
  },
  licences: {
    title: "Assign and remove licences",
    application: ["LicenseAssignment.ReadWrite.All"],
    delegated: [],
  },
  signIn: {
    title: "Sign in with the work account",
    application: [],
    delegated: ["openid", "profile", "email"],
  },
  calendar: {
    title: "Keep calendars level, for people who connect theirs",
    application: [],
    delegated: ["openid", "profile", "offline_access", "Calendars.ReadWrite"],
  },
};

const wordings: Readonly<Record<string, string>> = {
  "User.Read.All": "Read all users' full profiles",
  "GroupMember.Read.All": "Read all group memberships",
  "Organization.Read.All": "Read organization information",
  "User.ReadWrite.All": "Read and write all users' full profiles",
  "Group.ReadWrite.All": "Read and write all groups",
  "LicenseAssignment.ReadWrite.All": "Manage all license assignments",
  "Calendars.ReadWrite": "Have full access to user calendars",
  openid: "Sign users in",
  profile: "View users' basic profile",
  email: "View users' email address",
  offline_access: "Maintain access to data you have given it access to",
};

export interface PermissionText {
  value: string;
  type: "application" | "delegated";
  wording: string;
}

export const permissionTexts = (tier: Tier): PermissionText[] =>
  (["application", "delegated"] as const).flatMap((type) =>
    tierPermissions[tier][type].map((value) => ({ value, type, wording: wordings[value] ?? value })),
  );

/** What each permission brings with it: who may write may read. */
const includes: Readonly<Record<string, readonly string[]>> = {
  "User.ReadWrite.All": ["User.Read.All"],
  "Group.ReadWrite.All": ["Group.Read.All"],
  "Group.Read.All": ["GroupMember.Read.All"],
  "GroupMember.ReadWrite.All": ["GroupMember.Read.All"],
};

const closure = (granted: readonly string[]): Set<string> => {
  const all = new Set<string>();
  const add = (permission: string): void => {
    if (all.has(permission)) return;
    all.add(permission);
    for (const included of includes[permission] ?? []) add(included);
  };
  granted.forEach(add);
  return all;
};

/** Application permissions of the tier that are not among the granted ones, nor included in one of them. */
export const missingPermissions = (granted: readonly string[], tier: Tier): string[] => {
  const all = closure(granted);
  return tierPermissions[tier].application.filter((permission) => !all.has(permission));
};

export const covers = (granted: readonly string[], tier: Tier): boolean =>
  missingPermissions(granted, tier).length === 0;

/**
 * What a tier really is on a connection: wanted here AND approved here by an administrator of this tenant AND granted there.
 * `granted` comes from a token, which belongs to the tenant and not to the connection, so it can only ever reduce.
 */
export const effectiveTier = (
  tier: Tier,
  record: TierRecord,
  proof: Pick<ProofDoc, "tid"> | null,
  tenant: { tid: string | null; granted: readonly string[] },
): TierRecord => {
  if (!record.wanted) return { wanted: false, state: "off", missing: [] };
  const approved =
    tenant.tid !== null && proof?.tid === tenant.tid && record.state !== "consent-needed" && record.state !== "off";
  if (!approved) return { wanted: true, state: "consent-needed", missing: [] };
  if (record.state === "revoked") return record;
  const missing = missingPermissions(tenant.granted, tier);
  return { wanted: true, state: missing.length === 0 ? "active" : "degraded", missing };
};
