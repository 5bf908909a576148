/**
 * The one table of what each tier asks Microsoft for, and what of it counts on a connection.
 * https://learn.microsoft.com/graph/permissions-reference
 */
import type { Tier } from "../connections/tiers.ts";
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

/**
 * What a connection may not use of a tier that was approved on it. A permission that the tier has come to need since then is
 * missing until somebody approves again, whatever another connection to the same tenant has obtained meanwhile.
 */
export const missingHere = (tier: Tier, proof: Pick<ProofDoc, "roles">, granted: readonly string[]): string[] => {
  const missing = new Set([...missingPermissions(granted, tier), ...missingPermissions(proof.roles, tier)]);
  return tierPermissions[tier].application.filter((permission) => missing.has(permission));
};
