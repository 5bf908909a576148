/**
 * The end of a session lies with the application and with Microsoft, since none is kept here: a validated redirect to Microsoft's
 * sign-out. https://openid.net/specs/openid-connect-rpinitiated-1_0.html
 */
import { AppError } from "../errors.ts";
import type { SsoClient } from "./clients.ts";
import { OAuthError, only } from "./oauth-error.ts";
import type { SignInGateway } from "./ports.ts";
import type { SigningKeys } from "./signing-keys.ts";

export interface LogoutNeeds {
  signIns: Pick<SignInGateway, "signOutUrl">;
  signing: Pick<SigningKeys, "verified">;
  ssoClients: readonly SsoClient[];
  issuer: string;
}

/** Throws `sign-in-request-invalid` for everything that is not an address of the very client that asks. */
export const logout =
  (needs: LogoutNeeds) =>
  async (parameters: URLSearchParams): Promise<{ redirect: string }> => {
    try {
      const postLogoutRedirectUri = only(parameters, "post_logout_redirect_uri") ?? null;
      const hint = only(parameters, "id_token_hint");
      const clientId = await clientIdOf(needs, only(parameters, "client_id"), hint);
      const client = needs.ssoClients.find((known) => known.clientId === clientId);
      if (clientId !== undefined && !client) throw new AppError("sign-in-request-invalid");
      if (postLogoutRedirectUri !== null && !client?.postLogoutRedirectUris.includes(postLogoutRedirectUri))
        throw new AppError("sign-in-request-invalid");
      const redirect = await needs.signIns.signOutUrl({
        postLogoutRedirectUri,
        state: only(parameters, "state") ?? null,
        logoutHint: only(parameters, "logout_hint") ?? null,
      });
      return { redirect };
    } catch (error) {
      if (error instanceof OAuthError) throw new AppError("sign-in-request-invalid", { cause: error });
      throw error;
    }
  };

/** A token that is not ours, or of another client than the one named, is refused. */
const clientIdOf = async (
  { signing, issuer }: LogoutNeeds,
  named: string | undefined,
  hint: string | undefined,
): Promise<string | undefined> => {
  if (hint === undefined) return named;
  const claims = await signing.verified(hint);
  const audience = claims?.iss === issuer && typeof claims.aud === "string" ? claims.aud : null;
  if (audience === null || (named !== undefined && named !== audience)) throw new AppError("sign-in-request-invalid");
  return audience;
};
