/** Whether the account that signed in may approve a tier for its organisation. */
import type { Tier } from "../connections/tiers.ts";
import type { ProblemCode } from "../errors.ts";
import { tierPermissions } from "./permissions.ts";
import type { SignedIn } from "./ports.ts";

/** Templates of directory roles, the same in every tenant. */
export const directoryRoles = {
  globalAdministrator: "62e90394-69f5-4237-9190-012177145e10",
  privilegedRoleAdministrator: "e8611ab8-c189-46e8-94e1-60213ab1f814",
  cloudApplicationAdministrator: "158c047a-c907-4556-b7ef-446551a6b5f7",
  applicationAdministrator: "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
} as const;

const forApplicationPermissions: readonly string[] = [
  directoryRoles.globalAdministrator,
  directoryRoles.privilegedRoleAdministrator,
];
const forDelegatedPermissions: readonly string[] = [
  ...forApplicationPermissions,
  directoryRoles.cloudApplicationAdministrator,
  directoryRoles.applicationAdministrator,
];

/** Every personal Microsoft account lives in this tenant. */
const consumerTenant = "9188040d-6c67-4c5b-b112-36a304b66dad";
const guid = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

const maxSignInAgeSeconds = 600;
const clockSkewSeconds = 300;

export type Judgement =
  | { verdict: "administrator" }
  /** The sign-in is too old, or its age is not known: the person has to prove presence. */
  | { verdict: "stale" }
  | { verdict: "refused"; code: ProblemCode };

const refused = (code: ProblemCode): Judgement => ({ verdict: "refused", code });

/** What is absent proves nothing: without `acct` or `wids` nobody is an administrator. */
export const judgeAdministrator = (tier: Tier, person: SignedIn, now: number): Judgement => {
  if (!guid.test(person.tid) || !guid.test(person.oid) || person.tid === consumerTenant)
    return refused("consent-sign-in-failed");
  if (person.acct === 1 || (person.idp !== null && person.idp !== person.iss)) return refused("consent-guest");
  if (person.acct !== 0) return refused("consent-not-administrator");
  const accepted = tierPermissions[tier].application.length > 0 ? forApplicationPermissions : forDelegatedPermissions;
  if (!person.wids?.some((role) => accepted.includes(role))) return refused("consent-not-administrator");
  if (person.authTime === null) return { verdict: "stale" };
  const ageSeconds = now / 1000 - person.authTime;
  return ageSeconds > maxSignInAgeSeconds || ageSeconds < -clockSkewSeconds
    ? { verdict: "stale" }
    : { verdict: "administrator" };
};
