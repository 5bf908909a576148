/**
 * An application says which user of the product it is who has just signed in: the link of the person, by the use-case of the API. Only
 * the product knows that; nobody is found by an address. A first link only: what the product has linked before, its back end changes.
 */
import type { AccessLog } from "../audit/access-log.ts";
import type { OpenNeeds } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import { AppError, isAppError, type ProblemCode } from "../errors.ts";
import type { OneTimeNeeds } from "../one-time.ts";
import { type LinkNeeds, linkProductUser, ProductUserId } from "../views/link-product-user.ts";
import { personDoc, productUserOf } from "../views/people.ts";
import type { HintDelivery } from "../webhooks/hints.ts";
import type { SsoClient } from "./clients.ts";
import { type Origin, signedInBy } from "./exchange.ts";
import type { Identity } from "./identity.ts";
import { OAuthError, required } from "./oauth-error.ts";
import type { UsableConnection } from "./usable.ts";

export interface LinkSignedInNeeds extends OneTimeNeeds, OpenNeeds, LinkNeeds {
  ambient: OneTimeNeeds["ambient"];
  keys: OneTimeNeeds["keys"] & OpenNeeds["keys"];
  store: LinkNeeds["store"];
  access: Pick<AccessLog, "record">;
  ssoClients: readonly SsoClient[];
  hintChange: HintDelivery;
}

export type LinkAnswer = Pick<Identity, "sub" | "workspace" | "connection"> & { person: string; product_user: string };

/** Throws an `OAuthError`. `client` has proven itself; the token has to be one that it got itself, a few minutes ago. */
export const linkSignedIn =
  (needs: LinkSignedInNeeds) =>
  async (client: SsoClient, form: URLSearchParams, { ip, correlationId }: Origin): Promise<LinkAnswer> => {
    if (!client.linksPeople) throw new OAuthError("unauthorized_client", "the client may not link people");
    const productUser = ProductUserId.safeParse(required(form, "product_user"));
    if (!productUser.success) throw new OAuthError("invalid_request", "product_user is not an id");
    const signedIn = await signedInBy(needs)(required(form, "token"));
    if (signedIn.client.clientId !== client.clientId)
      throw new OAuthError("invalid_token", "the access token is not valid");
    const { sub, workspace, connection, person } = signedIn.identity;
    const subject = `client:${client.clientId}`;
    const caller: Caller = {
      workspaceId: workspace,
      subject,
      machine: true,
      permissions: new Set(),
      ip,
      correlationId,
    };
    try {
      if (person === undefined) throw new AppError("sign-in-not-synchronised");
      await link(needs, signedIn.usable, caller, person, productUser.data);
      await needs.hintChange(connection);
      return { sub, workspace, connection, person, product_user: productUser.data };
    } catch (error) {
      if (!isAppError(error) || !refusals.includes(error.code)) throw error;
      await needs.access.record(workspace, {
        what: "refused",
        route: "sso.product-user",
        subject,
        machine: true,
        ip,
        connectionId: connection,
        ...(person === undefined ? {} : { objects: [person] }),
        refusal: error.code,
        correlationId,
      });
      throw new OAuthError("access_denied", error.code, error);
    }
  };

const refusals: readonly ProblemCode[] = [
  "sign-in-not-synchronised",
  "person-not-found",
  "person-linked",
  "product-user-taken",
  "state-conflict",
];

const maxAttempts = 3;

const link = async (
  needs: LinkSignedInNeeds,
  { context }: UsableConnection,
  caller: Caller,
  person: string,
  productUserId: string,
): Promise<void> => {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const doc = await personDoc(needs.store, context.connectionId, person);
    const known = doc.state === "active" ? productUserOf(context, doc) : null;
    // Two people at one desk: who signs in second must not take over what is linked to the first.
    if (known !== null && known !== productUserId) throw new AppError("person-linked");
    try {
      await linkProductUser(needs)(caller, context.connectionId, person, doc._etag, { productUserId });
      return;
    } catch (error) {
      if (!isAppError(error, "etag-mismatch")) throw error;
    }
  }
  throw new AppError("changed-meanwhile");
};
