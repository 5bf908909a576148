/** Consent's view of Microsoft: each tier's own registration signs in and asks for approval. */
import type { ConsentGateway } from "../../core/consent/ports.ts";
import { AppError } from "../../core/errors.ts";
import type { AppTokens, Registrations } from "./app-tokens.ts";
import type { Registration } from "./registration.ts";
import type { RoleCheck } from "./role-check.ts";
import { adminConsentUrl, type EntraSignIn, entraSignIn } from "./sign-in.ts";

export interface ConsentGatewayOptions {
  registrations: Registrations;
  /** `https://login.microsoftonline.com`, without a tenant. */
  authority: string;
  /** `graphResource(GRAPH_BASE_URL)`. */
  resource: string;
  /** Registered with Microsoft, one for each purpose. */
  redirectUris: { signIn: string; consent: string };
  tokens: Pick<AppTokens, "roles">;
  organization: ConsentGateway["organization"];
  now: () => number;
  /** Where ID tokens do not tell an administrator's roles. */
  roleCheck?: RoleCheck;
}

export const consentGateway = (options: ConsentGatewayOptions): ConsentGateway => {
  const { registrations, authority, resource, redirectUris, now } = options;
  const asking = options.roleCheck ? { roleCheck: options.roleCheck } : {};
  const signIns = new Map<Registration, EntraSignIn>();

  const registered = (tier: keyof Registrations): Registration => {
    const registration = registrations[tier];
    if (!registration) throw new AppError("tier-not-offered");
    return registration;
  };
  const signInOf = (tier: keyof Registrations): EntraSignIn => {
    const registration = registered(tier);
    const known = signIns.get(registration);
    const signIn = known ?? entraSignIn(registration, { authority, redirectUri: redirectUris.signIn, now, ...asking });
    signIns.set(registration, signIn);
    return signIn;
  };

  return {
    clientId: (tier) => registrations[tier]?.clientId ?? null,
    signInOrigin: new URL(authority).origin,
    signInUrl: async (tier, request) => signInOf(tier).authorizationUrl(request),
    redeem: async (tier, answer) => signInOf(tier).redeem(answer),
    adminConsentUrl: (tier, tid, state) =>
      adminConsentUrl({
        authority,
        tid,
        clientId: registered(tier).clientId,
        redirectUri: redirectUris.consent,
        state,
        resource,
      }),
    roles: (tier, tid) => options.tokens.roles(tier, tid, { fresh: true }),
    organization: options.organization,
  };
};
