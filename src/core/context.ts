/** Who calls, and which connection is meant: the two values that everything touching customer data takes first. */

import type { Settings } from "./connections/settings.ts";
import type { KeyRing } from "./crypto/key-ring.ts";

export interface ConnectionContext {
  connectionId: string;
  workspaceId: string;
  /** Entra tenant id, lower-case GUID. The Graph adapter takes it from here and from nowhere else. */
  tid: string;
  ring: KeyRing;
  settings: Settings;
}

/** Every right that a route can ask for. */
export const permissions = [
  "integration:setup",
  "integration:secure",
  "integration:sync",
  "integration:approve",
  "integration:read",
  "directory:read",
  "directory:read-all",
  "directory:write",
  "licence:write",
  "calendar:self",
  "calendar:act-for",
  "audit:read",
  "privacy:manage",
] as const;
export type Permission = (typeof permissions)[number];

export interface Caller {
  workspaceId: string;
  subject: string;
  permissions: ReadonlySet<Permission>;
  /** Client address as `CLIENT_IP_FROM` says, or `unknown`. */
  ip: string;
  correlationId: string;
  /** The product's roles, as the token names them; absent: none. */
  roles?: ReadonlySet<string>;
  /** When the person signed in, ms; absent: the token does not say. */
  signedInAt?: number;
  /** A program that the installation lists, and no person. */
  machine?: true;
  /** Whom the program names as the person it works for. Nobody has checked it. */
  asserted?: Asserted;
}

export interface Asserted {
  subject?: string;
  ip?: string;
}
