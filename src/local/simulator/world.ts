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
  /** The tenant was deleted: AADSTS90002. */
  gone: boolean;
}

export interface World {
  registrations: Map<string, AppRegistration>;
  tenants: Map<string, Tenant>;
  now(): number;
}
