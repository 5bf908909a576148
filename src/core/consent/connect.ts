/** Our own page: it says who asks for what, before anybody is sent to Microsoft. Going on spends the ticket. */
import { openName, plainly } from "../connections/name.ts";
import { type OpenNeeds, openConnection } from "../connections/open.ts";
import type { Tier } from "../connections/tiers.ts";
import { AppError, isAppError } from "../errors.ts";
import { type Asked, begin, consume, find, type HandshakeNeeds, hashOf, isSecret, newSecret } from "./handshakes.ts";
import { type PermissionText, permissionTexts } from "./permission-texts.ts";
import { tierPermissions } from "./permissions.ts";
import type { ConsentGateway } from "./ports.ts";

export interface ConnectPage {
  workspaceId: string;
  /** As the product's token names the person who asked. */
  requester: string;
  connectionName: string;
  tierTitle: string;
  permissions: PermissionText[];
  signInOrigin: string;
  /** Secret that binds the attempt to the browser in which this page was shown. */
  cookie: string;
}

export interface ConnectNeeds extends HandshakeNeeds, OpenNeeds {
  keys: HandshakeNeeds["keys"] & OpenNeeds["keys"];
  gateway: Pick<ConsentGateway, "clientId" | "signInOrigin" | "signInUrl">;
}

/** Looking does not spend the ticket: mail programs look at links before people do. */
export const showConnect =
  (needs: ConnectNeeds) =>
  async (ticket: string, cookie: string | undefined): Promise<ConnectPage> => {
    const { content } = await find(needs)("ticket", ticket);
    const connectionName = await stillAsked(needs, content);
    return {
      workspaceId: content.workspaceId,
      requester: plainly(content.subject),
      connectionName,
      tierTitle: tierPermissions[content.tier].title,
      permissions: permissionTexts(content.tier),
      signInOrigin: needs.gateway.signInOrigin,
      // Kept when there is one: the page may be open twice.
      cookie: cookie !== undefined && isSecret(cookie) ? cookie : newSecret(needs.ambient),
    };
  };

/** Only for the browser that has shown the page. */
export const continueConnect =
  (needs: ConnectNeeds) =>
  async (ticket: string, cookie: string | undefined): Promise<{ redirect: string }> => {
    if (cookie === undefined || !isSecret(cookie)) throw new AppError("consent-attempt-unusable");
    const found = await find(needs)("ticket", ticket);
    await stillAsked(needs, found.content);
    await consume(needs)(found);
    return { redirect: await signInAddress(needs)(found.content, hashOf(cookie), false) };
  };

/** A sign-in with a state, nonce and PKCE verifier of its own. */
export const signInAddress =
  (needs: HandshakeNeeds & { gateway: Pick<ConsentGateway, "signInUrl"> }) =>
  async (asked: Asked, browser: string, repeated: boolean): Promise<string> => {
    const { workspaceId, subject, connectionId, tier, returnUrl } = asked;
    const nonce = newSecret(needs.ambient);
    const verifier = newSecret(needs.ambient);
    const content = { workspaceId, subject, connectionId, tier, returnUrl, browser, nonce, verifier, repeated };
    const { secret: state } = await begin(needs)("sign-in", content);
    const prompt = repeated ? "login" : "select_account";
    return (await needs.gateway.signInUrl(tier, { state, nonce, verifier, prompt })).href;
  };

/** The name of the connection, if it still is there and still asks for the tier. */
const stillAsked = async (
  needs: ConnectNeeds,
  { workspaceId, connectionId, tier }: Omit<Asked, "returnUrl">,
): Promise<string> => {
  try {
    const { doc, context } = await openConnection(needs)(workspaceId, connectionId);
    if (isAskedFor(doc, tier) && needs.gateway.clientId(tier) !== null) return openName(context.ring, doc);
  } catch (error) {
    if (!isAppError(error, "connection-not-found")) throw error;
  }
  throw new AppError("consent-attempt-unusable");
};

export const isAskedFor = (doc: { state: string; tiers: Record<Tier, { wanted: boolean }> }, tier: Tier): boolean =>
  doc.state !== "closing" && doc.tiers[tier].wanted;
