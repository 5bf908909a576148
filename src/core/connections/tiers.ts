/** Tiers of access. Each has its app registration and its proof; `read` is always on. */
export const tiers = ["read", "write", "licences", "signIn", "calendar"] as const;
export type Tier = (typeof tiers)[number];

export type TierState = "off" | "consent-needed" | "active" | "degraded" | "revoked";

export interface TierRecord {
  /** Switched on by the workspace. */
  wanted: boolean;
  state: TierState;
  /** Permissions that were granted when it was approved, and later found missing. */
  missing: string[];
}

/** An administrator approved it on this connection, and the product redeemed that; whether Microsoft still grants it is another matter. */
export const isRedeemed = ({ state }: Pick<TierRecord, "state">): boolean =>
  state !== "off" && state !== "consent-needed";
