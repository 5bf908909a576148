/** What each tier asks for, what was approved for this connection, and what Microsoft grants: three different things. */
import { type OpenNeeds, openConnection, tenantInUse } from "../connections/open.ts";
import { type Tier, type TierRecord, tiers } from "../connections/tiers.ts";
import type { Caller } from "../context.ts";
import { AppError } from "../errors.ts";
import { ids } from "../store/documents.ts";
import {
  effectiveTier,
  missingPermissions,
  type PermissionText,
  permissionTexts,
  tierPermissions,
} from "./permissions.ts";
import type { ConsentGateway } from "./ports.ts";

export interface TierPermissionsView {
  tier: Tier;
  title: string;
  offered: boolean;
  /** When an administrator approved the tier for this connection. */
  approvedAt: string | null;
  /** `granted` is null for what cannot be seen: another connection's approval, delegated permissions, no answer from Microsoft. */
  permissions: (PermissionText & { granted: boolean | null })[];
  effective: TierRecord;
}

export interface ShowPermissionsNeeds extends OpenNeeds {
  gateway: Pick<ConsentGateway, "clientId" | "roles">;
}

export const showPermissions =
  (needs: ShowPermissionsNeeds) =>
  async (caller: Caller, connectionId: string): Promise<TierPermissionsView[]> => {
    const { doc } = await openConnection(needs)(caller.workspaceId, connectionId);
    const tid = tenantInUse(doc);
    const proofs = await Promise.all(tiers.map((tier) => needs.store.read(connectionId, "proof", ids.proof(tier))));
    return Promise.all(
      tiers.map(async (tier, index): Promise<TierPermissionsView> => {
        const found = proofs[index] ?? null;
        const proof = found?.tid === tid && doc.tiers[tier].state !== "consent-needed" ? found : null;
        const granted = proof && tid !== null ? await rolesOf(needs, tier, tid) : null;
        const missing = granted && missingPermissions(granted, tier);
        return {
          tier,
          title: tierPermissions[tier].title,
          offered: needs.gateway.clientId(tier) !== null,
          approvedAt: proof?.provenAt ?? null,
          permissions: permissionTexts(tier).map((text) => ({
            ...text,
            granted: missing && text.type === "application" ? !missing.includes(text.value) : null,
          })),
          effective: granted ? effectiveTier(tier, doc.tiers[tier], proof, { tid, granted }) : doc.tiers[tier],
        };
      }),
    );
  };

/** None when Microsoft says that the application is gone; null when it does not say. */
const rolesOf = async ({ gateway }: ShowPermissionsNeeds, tier: Tier, tid: string): Promise<string[] | null> => {
  try {
    return await gateway.roles(tier, tid);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return error.kind === "not-consented" ? [] : null;
  }
};
