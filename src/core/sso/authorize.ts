/**
 * An application sends a browser to sign in, and the browser goes on to Microsoft, to the pages of one tenant. Which tenant is
 * decided here, by the connection or the domain that was asked for, and by nothing that a token says later.
 */
import type { OpenNeeds } from "../connections/open.ts";
import { hashOf, isSecret, newSecret, type OneTimeNeeds } from "../one-time.ts";
import type { SsoClient } from "./clients.ts";
import { asOAuthError, OAuthError } from "./oauth-error.ts";
import type { SignInGateway } from "./ports.ts";
import { type Recipient, readRecipient, readRequest, refusalTo, type SignInRequest } from "./request.ts";
import { begin, type Steps } from "./steps.ts";
import { usableConnection } from "./usable.ts";

export interface AuthorizeNeeds extends OneTimeNeeds, OpenNeeds {
  keys: OneTimeNeeds["keys"] & OpenNeeds["keys"];
  signIns: Pick<SignInGateway, "tenantOf" | "signInUrl">;
  ssoClients: readonly SsoClient[];
  issuer: string;
}

export interface Departure {
  redirect: string;
  /** Binds the attempt to this browser; null: nothing to bind. */
  cookie: string | null;
  /** Why the application was told no. */
  refusal: OAuthError | null;
}

/** Throws `sign-in-request-invalid` when nobody may be answered. */
export const authorize =
  (needs: AuthorizeNeeds) =>
  async (parameters: URLSearchParams, cookie: string | undefined): Promise<Departure> => {
    const recipient = readRecipient(needs.ssoClients, parameters);
    try {
      const request = readRequest(parameters);
      // Kept when there is one: the person may sign in to several applications at once.
      const browser = cookie !== undefined && isSecret(cookie) ? cookie : newSecret(needs.ambient);
      const { tid, connection } = await targetOf(needs, recipient.client, request.target);
      const { nonce, challenge, scopes } = request;
      const { client, redirectUri, state } = recipient;
      const attempt: Begun = {
        asked: { clientId: client.clientId, redirectUri, state, nonce, challenge, scopes },
        tid,
        connection,
        browser: hashOf(browser),
        silent: request.prompt === "none",
        authenticatedAfter: request.prompt === "login" ? Math.floor(needs.ambient.now() / 1000) : null,
        maxAgeSeconds: request.maxAgeSeconds,
        repeated: false,
      };
      return { redirect: await upstream(needs)(attempt, request), cookie: browser, refusal: null };
    } catch (error) {
      const refusal = asOAuthError(error);
      return { redirect: refusalTo(recipient, needs.issuer, refusal), cookie: null, refusal };
    }
  };

type Begun = Omit<Steps["attempt"], "nonce" | "verifier">;

/** A sign-in at Microsoft with a state, nonce and PKCE verifier of its own. */
export const upstream =
  (needs: OneTimeNeeds & { signIns: Pick<SignInGateway, "signInUrl"> }) =>
  async (
    attempt: Begun,
    { prompt, loginHint, maxAgeSeconds }: Pick<SignInRequest, "prompt" | "loginHint" | "maxAgeSeconds">,
  ): Promise<string> => {
    const nonce = newSecret(needs.ambient);
    const verifier = newSecret(needs.ambient);
    const { secret: state } = await begin(needs)("attempt", { ...attempt, nonce, verifier });
    return needs.signIns.signInUrl({ tid: attempt.tid, state, nonce, verifier, prompt, loginHint, maxAgeSeconds });
  };

/**
 * A domain leads to the tenant that Microsoft names for it, whether that tenant is a customer or not: only who has signed in there
 * learns more. A connection that cannot be used is told apart from none by nobody.
 */
const targetOf = async (
  needs: AuthorizeNeeds,
  client: Recipient["client"],
  target: SignInRequest["target"],
): Promise<Pick<Begun, "tid" | "connection">> => {
  if ("domain" in target) {
    const tid = await needs.signIns.tenantOf(target.domain);
    if (tid !== null) return { tid, connection: null };
  } else {
    const usable = await usableConnection(needs)(client, target.connection);
    if (usable) return { tid: usable.tid, connection: target.connection };
  }
  throw new OAuthError("access_denied", "sign-in-not-offered");
};
