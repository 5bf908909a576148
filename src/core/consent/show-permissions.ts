/**
 * What each tier asks for, what was approved for this connection, and what Microsoft grants: three different things. Microsoft is
 * asked now; where it does not answer, what the last review knows is shown.
 */
import type { Ambient } from "../ambient.ts";
import { readHead } from "../connections/change.ts";
import { type OpenNeeds, openConnection, tenantInUse } from "../connections/open.ts";
import { type Tier, tiers } from "../connections/tiers.ts";
import { type TierView, tierView } from "../connections/views.ts";
import type { Caller } from "../context.ts";
import { ids, type ProofDoc } from "../store/documents.ts";
import { askMicrosoft, effectiveTier, type Seen } from "./effective.ts";
import { type PermissionText, permissionTexts } from "./permission-texts.ts";
import { missingPermissions, tierPermissions } from "./permissions.ts";
import type { ConsentGateway } from "./ports.ts";
import { openAdministrator, type ProvenAdministrator } from "./proof.ts";
import { lastUse } from "./usage.ts";

export interface TierPermissionsView {
  tier: Tier;
  title: string;
  offered: boolean;
  /** When an administrator approved the tier for this connection. */
  approvedAt: string | null;
  /** Who that was; only for callers with `audit:read`. */
  approvedBy?: ProvenAdministrator | null;
  /** `approved`: by that approval. `granted`: null for what cannot be seen - delegated permissions, no approval here, no answer. */
  permissions: (PermissionText & { approved: boolean; granted: boolean | null })[];
  /** Day on which it was last used; null = never, as far as is known. */
  usedOn: string | null;
  effective: TierView;
}

export interface ShowPermissionsNeeds extends OpenNeeds {
  ambient: Pick<Ambient, "now">;
  gateway: Pick<ConsentGateway, "clientId" | "roles">;
}

export const showPermissions =
  (needs: ShowPermissionsNeeds) =>
  async (caller: Caller, connectionId: string): Promise<TierPermissionsView[]> => {
    const { doc, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const head = await readHead(needs.store, connectionId);
    const tid = tenantInUse(doc);
    const showsPeople = caller.permissions.has("audit:read");
    const proofs = await Promise.all(tiers.map((tier) => needs.store.read(connectionId, "proof", ids.proof(tier))));
    return Promise.all(
      tiers.map(async (tier, index): Promise<TierPermissionsView> => {
        const found = proofs[index] ?? null;
        const record = doc.tiers[tier];
        const proof = found?.tid === tid && record.state !== "consent-needed" ? found : null;
        const seen = proof && tid !== null ? await askMicrosoft(needs.gateway, tier, tid) : null;
        return {
          tier,
          title: tierPermissions[tier].title,
          offered: needs.gateway.clientId(tier) !== null,
          approvedAt: proof?.provenAt ?? null,
          ...(showsPeople ? { approvedBy: proof && openAdministrator(context.ring, proof) } : {}),
          permissions: permissionTexts(tier).map((text) => ({ ...text, ...standing(tier, text, proof, seen) })),
          usedOn: lastUse(head, tier),
          effective: tierView(seen ? effectiveTier(tier, record, { proof, tid }, seen, needs.ambient.now()) : record),
        };
      }),
    );
  };

const standing = (
  tier: Tier,
  { value, type }: PermissionText,
  proof: ProofDoc | null,
  seen: Seen | null,
): { approved: boolean; granted: boolean | null } => {
  if (type === "delegated") return { approved: proof !== null, granted: null };
  return {
    approved: proof !== null && !missingPermissions(proof.roles, tier).includes(value),
    granted: seen && !missingPermissions("roles" in seen ? seen.roles : [], tier).includes(value),
  };
};
