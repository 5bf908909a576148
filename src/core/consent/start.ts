/** Begins an attempt to connect: a link to our own page, for whoever administers the organisation. */
import { z } from "zod";
import { iso } from "../ambient.ts";
import { requireOpen } from "../connections/change.ts";
import { type OpenNeeds, openConnection } from "../connections/open.ts";
import { tiers } from "../connections/tiers.ts";
import type { Caller } from "../context.ts";
import { AppError } from "../errors.ts";
import { begin, type HandshakeNeeds } from "./handshakes.ts";
import type { ConsentGateway } from "./ports.ts";

export const StartConsent = z.strictObject({ tier: z.enum(tiers), returnUrl: z.string().max(2000) });
export type StartConsent = z.infer<typeof StartConsent>;

export interface StartNeeds extends HandshakeNeeds, OpenNeeds {
  keys: HandshakeNeeds["keys"] & OpenNeeds["keys"];
  gateway: Pick<ConsentGateway, "clientId">;
  publicBaseUrl: string;
  /** Origins of the product that a browser may be sent back to. */
  returnOrigins: readonly string[];
}

export const startConsent =
  (needs: StartNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    input: StartConsent,
  ): Promise<{ connectUrl: string; expiresAt: string }> => {
    const { workspaceId, subject } = caller;
    const { tier, returnUrl } = input;
    const { doc } = await openConnection(needs)(workspaceId, connectionId);
    requireOpen(doc);
    if (needs.gateway.clientId(tier) === null) throw new AppError("tier-not-offered", { field: "tier" });
    if (!doc.tiers[tier].wanted)
      throw new AppError("state-conflict", { field: "tier", detail: "Switch this access on first." });
    if (!isReturnAddress(returnUrl, needs.returnOrigins))
      throw new AppError("return-url-not-allowed", { field: "returnUrl" });
    const ticket = await begin(needs)("ticket", { workspaceId, subject, connectionId, tier, returnUrl });
    return {
      connectUrl: new URL(`/connect/${ticket.secret}`, needs.publicBaseUrl).href,
      expiresAt: iso(ticket.expiresAt),
    };
  };

/** Any path of a registered origin; nothing that a browser would read as another place. */
const isReturnAddress = (address: string, origins: readonly string[]): boolean => {
  const url = URL.parse(address);
  if (url === null || !["https:", "http:"].includes(url.protocol)) return false;
  return origins.includes(url.origin) && url.username === "" && url.password === "" && url.hash === "";
};
