/**
 * What a tier really is on a connection: wanted here AND approved here by an administrator of this tenant AND granted there. What
 * Microsoft says belongs to the tenant and not to the connection, so it can only ever reduce.
 */
import { refusedTier, switchedOff, type Tier, type TierRecord, working } from "../connections/tiers.ts";
import { AppError } from "../errors.ts";
import type { ProofDoc } from "../store/documents.ts";
import { missingHere } from "./permissions.ts";
import type { ConsentGateway } from "./ports.ts";

/** Application permissions in a token of now, or why Microsoft gives none. */
export type Seen = { roles: readonly string[] } | { refused: AppError };

/** Null when Microsoft does not say, or the fault is ours. */
export const askMicrosoft = async (
  gateway: Pick<ConsentGateway, "roles">,
  tier: Tier,
  tid: string,
): Promise<Seen | null> => {
  try {
    return { roles: await gateway.roles(tier, tid) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return error.kind === "not-consented" ? { refused: error } : null;
  }
};

export interface Approval {
  /** Of what was confirmed last; null = nothing was. */
  proof: Pick<ProofDoc, "tid" | "roles"> | null;
  /** Tenant of the connection, once it is in use. */
  tid: string | null;
}

export const effectiveTier = (
  tier: Tier,
  record: TierRecord,
  { proof, tid }: Approval,
  seen: Seen,
  now: number,
): TierRecord => {
  if (!record.wanted || record.state === "off") return switchedOff;
  if (tid === null || proof?.tid !== tid || record.state === "consent-needed")
    return { wanted: true, state: "consent-needed", missing: [] };
  if ("refused" in seen) return refusedTier(record, seen.refused, now);
  const missing = missingHere(tier, proof, seen.roles);
  return missing.length === 0 ? working : refusedTier(record, new AppError("permission-revoked", { missing }), now);
};
