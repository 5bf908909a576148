/**
 * The product redeems the one-time code: only now the connection belongs to the workspace and its directory may be read. The
 * code must come from the very person who began, so a link that was mailed to somebody else's administrator ends here.
 */
import { z } from "zod";
import { type ChangeNeeds, changeConnection, entryOf, requireOpen } from "../connections/change.ts";
import { hintNow } from "../connections/change-settings.ts";
import { openConnection } from "../connections/open.ts";
import { working } from "../connections/tiers.ts";
import { type ConnectionView, connectionView } from "../connections/views.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { scheduleOf } from "../directory/schedule.ts";
import { AppError } from "../errors.ts";
import { type ConnectionDoc, ids, type ProofDoc } from "../store/documents.ts";
import type { HintQueue } from "../store/ports.ts";
import { isAskedFor } from "./connect.ts";
import { consume, find, type HandshakeNeeds, type Steps } from "./handshakes.ts";
import { confirmation } from "./proof.ts";
import { reviewed } from "./review.ts";

export const CompleteConsent = z.strictObject({ code: z.string().max(100) });
export type CompleteConsent = z.infer<typeof CompleteConsent>;

export interface CompleteNeeds extends HandshakeNeeds, ChangeNeeds {
  ambient: ChangeNeeds["ambient"];
  keys: Pick<Keys, "platform" | "ring">;
  hints: HintQueue;
}

export const completeConsent =
  (needs: CompleteNeeds) =>
  async (caller: Caller, connectionId: string, { code }: CompleteConsent): Promise<ConnectionView> => {
    const { ambient, store } = needs;
    const found = await find(needs)("code", code);
    // Spent whoever shows it: a code that reached the wrong hands must not work later in the right ones. It cannot be guessed,
    // so nobody can spend one that he was not given.
    await consume(needs)(found);
    const { content } = found;
    const { tier } = content;
    if (content.workspaceId !== caller.workspaceId || content.subject !== caller.subject)
      throw new AppError("consent-not-yours");
    if (content.connectionId !== connectionId) throw new AppError("consent-attempt-unusable");

    const { doc: opened, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    let startsSync = false;
    const { doc, head } = await changeConnection(needs)(opened, async (current) => {
      requireOpen(current);
      const [inForce, proof] = await Promise.all([
        store.read(connectionId, "proof", ids.proof(tier)),
        store.read(connectionId, "proof", ids.unconfirmedProof(tier)),
      ]);
      if (!proof || !isAskedFor(current, tier) || !standsFor(content, current, proof))
        throw new AppError("consent-attempt-unusable");
      const next = activated(current, tier);
      startsSync = tier === "read" && scheduleOf(next).automatic && !next.settings.paused;
      const changes = [
        { field: "state", before: current.state, after: next.state },
        { field: `access.${tier}`, before: current.tiers[tier].state, after: next.tiers[tier].state },
      ];
      return {
        doc: next,
        writes: confirmation(ambient, context.ring, proof, inForce),
        entries: [entryOf(ambient, context, caller, { kind: "tier", op: "updated", object: tier, changes })],
        advance: (before) => ({
          ...before,
          ...(tier === "read" ? { failures: 0, strikes: 0 } : {}),
          ...(startsSync ? { dueAt: ambient.now(), wakeAt: ambient.now() } : {}),
          ...reviewed(before, tier, ambient.now()),
        }),
      };
    });
    if (startsSync) await hintNow(needs, connectionId);
    return connectionView(doc, head, context.ring);
  };

/** Nobody approved again meanwhile, for this tenant or another. */
const standsFor = (code: Steps["code"], connection: ConnectionDoc, proof: ProofDoc): boolean =>
  connection.tid === code.tid && proof.tid === code.tid && proof.provenAt === code.provenAt;

/** What needs attention concerns reading, so approving another tier does not settle it. */
const activated = (connection: ConnectionDoc, tier: Steps["code"]["tier"]): ConnectionDoc => {
  const settled = tier === "read" || connection.state !== "needs-attention";
  return {
    ...connection,
    state: settled ? "active" : connection.state,
    attention: settled ? null : connection.attention,
    quarantine: tier === "read" ? null : connection.quarantine,
    tiers: { ...connection.tiers, [tier]: working },
  };
};
