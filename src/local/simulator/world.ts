/**
 * What the simulated Microsoft holds. One world has app registrations (they live in the vendor's own tenant) and customer
 * tenants, each with a directory and with the grants its administrators gave to those registrations.
 */
import type { DirectoryState } from "./directory/state.ts";

export type OptionalClaim = "acct" | "auth_time" | "xms_edov";

export interface AppRegistration {
  clientId: string;
  displayName: string;
  secrets: string[];
  /** Base64url SHA-256 thumbprints of certificates with their PEM text. */
  certificates: { thumbprintSha256: string; certificatePem: string }[];
  federatedCredentials: { issuer: string; subject: string; audience: string }[];
  redirectUris: string[];
  /** Graph application permissions listed in `requiredResourceAccess`, e.g. `User.Read.All`. */
  applicationPermissions: string[];
  /** `groupMembershipClaims: DirectoryRole` of the registration; without it no `wids` are emitted. */
  emitsDirectoryRoles: boolean;
  /** The optional claims of the registration. `xms_edov` comes beside `email`: whether its domain is the tenant's own. */
  optionalClaims: OptionalClaim[];
}

/** A person who can sign in at the simulated login page. `objectId` is a user of the tenant. */
export interface Account {
  objectId: string;
  /** Role template ids that are active (not only eligible). */
  directoryRoles: string[];
}

/** A Graph subscription as Microsoft keeps it; times in milliseconds. */
export interface Subscription {
  id: string;
  /** The app that made it; for all others it does not exist. */
  clientId: string;
  /** As it was asked for. */
  resource: string;
  feed: "users" | "groups";
  changeTypes: ("updated" | "deleted")[];
  notificationUrl: string;
  lifecycleNotificationUrl: string | null;
  clientState: string | null;
  latestSupportedTlsVersion: string;
  expiresAt: number;
  renewedAt: number | null;
  reauthorizedAt: number | null;
  /** When the app is next asked to reauthorize. */
  challengeAt: number;
  /** Challenges since the last answer; after an ignored one nothing is delivered. */
  challenges: number;
  /** Renewed and reauthorized at nearly the same time: it looks alive and delivers nothing. */
  inconsistent: boolean;
}

export interface Tenant {
  tid: string;
  displayName: string;
  verifiedDomains: string[];
  directory: DirectoryState;
  accounts: Account[];
  /** clientId -> application permissions granted in this tenant. The service principal exists when the key exists. */
  grants: Map<string, Set<string>>;
  /** Client ids whose enterprise application was switched off (AADSTS7000112). */
  disabledApps: Set<string>;
  subscriptions: Map<string, Subscription>;
  /** The tenant was deleted: AADSTS90002. */
  gone: boolean;
}

export interface World {
  registrations: Map<string, AppRegistration>;
  tenants: Map<string, Tenant>;
  now(): number;
}
