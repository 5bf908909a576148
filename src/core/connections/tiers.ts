/** Tiers of access. Each has its app registration and its proof; `read` is always on. */
import { iso } from "../ambient.ts";
import type { AppError } from "../errors.ts";

export const tiers = ["read", "write", "licences", "signIn", "calendar"] as const;
export type Tier = (typeof tiers)[number];

export type TierState = "off" | "consent-needed" | "active" | "degraded" | "revoked";

export interface TierRecord {
  /** Switched on by the workspace. */
  wanted: boolean;
  state: TierState;
  /** Permissions that it takes, and that are not approved here or no longer granted there. */
  missing: string[];
  /** Why it is degraded or revoked: a problem code, and since when. */
  trouble?: { code: string; since: string };
}

export const switchedOff: TierRecord = { wanted: false, state: "off", missing: [] };
export const working: TierRecord = { wanted: true, state: "active", missing: [] };

/** Approved here, and Microsoft no longer lets us use it: degraded while the application is still let in, else revoked. */
export const refusedTier = ({ trouble }: TierRecord, { code, details }: AppError, now: number): TierRecord => ({
  wanted: true,
  state: code === "permission-revoked" ? "degraded" : "revoked",
  missing: [...(details.missing ?? [])],
  trouble: { code, since: trouble?.since ?? iso(now) },
});

/** An administrator approved it on this connection, and the product redeemed that; whether Microsoft still grants it is another matter. */
export const isRedeemed = ({ state }: Pick<TierRecord, "state">): boolean =>
  state !== "off" && state !== "consent-needed";
