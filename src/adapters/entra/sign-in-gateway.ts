/** The sign-in's view of Microsoft: the registration of the tier `signIn`, on the pages of one tenant. */
import { AppError } from "../../core/errors.ts";
import type { SignedInPerson, SignInGateway } from "../../core/sso/ports.ts";
import type { IdTokenClaims } from "./id-token.ts";
import type { Registration } from "./registration.ts";
import { entraSignIn } from "./sign-in.ts";

export interface SignInGatewayOptions {
  /** Of the tier; absent: nobody can sign in. */
  registration: Registration | undefined;
  /** `https://login.microsoftonline.com`, without a tenant. */
  authority: string;
  /** Registered with Microsoft for this purpose alone. */
  redirectUri: string;
  now: () => number;
}

/** Anybody may ask for domains: each is looked up once in a while, and of so many at once is kept. */
const domainMs = 600_000;
const maxDomains = 1000;

export const signInGateway = ({ registration, ...options }: SignInGatewayOptions): SignInGateway => {
  const signIn = registration && entraSignIn(registration, options);
  const offered = (): NonNullable<typeof signIn> => {
    if (!signIn) throw new AppError("tier-not-offered");
    return signIn;
  };
  const tenants = new Map<string, { until: number; tid: Promise<string | null> }>();

  return {
    tenantOf: (domain) => {
      const known = tenants.get(domain);
      if (known && known.until > options.now()) return known.tid;
      const entry = { until: options.now() + domainMs, tid: offered().tenantOf(domain) };
      tenants.delete(domain);
      tenants.set(domain, entry);
      for (const oldest of tenants.keys()) if (tenants.size > maxDomains) tenants.delete(oldest);
      entry.tid.catch(() => {
        if (tenants.get(domain) === entry) tenants.delete(domain);
      });
      return entry.tid;
    },
    signInUrl: async ({ tid, state, nonce, verifier, prompt, loginHint, maxAgeSeconds }) => {
      const url = await offered().authorizationUrl({
        tid,
        state,
        nonce,
        verifier,
        scope: "openid profile email",
        ...(prompt === null ? {} : { prompt }),
        // Microsoft refuses the two together.
        ...(loginHint === null || prompt === "select_account" ? {} : { loginHint }),
        ...(maxAgeSeconds === null ? {} : { maxAge: maxAgeSeconds }),
      });
      return url.href;
    },
    redeem: async (answer) => signedInPerson(await offered().claims(answer)),
    signOutUrl: async ({ postLogoutRedirectUri, state, logoutHint }) => {
      const url = await offered().signOutUrl({
        ...(postLogoutRedirectUri === null ? {} : { post_logout_redirect_uri: postLogoutRedirectUri }),
        ...(state === null ? {} : { state }),
        ...(logoutHint === null ? {} : { logout_hint: logoutHint }),
      });
      return url.href;
    },
  };
};

const signedInPerson = (claims: IdTokenClaims): SignedInPerson => ({
  tid: claims.tid.toLowerCase(),
  oid: claims.oid.toLowerCase(),
  name: claims.name,
  preferredUsername: claims.preferred_username,
  email: claims.email,
  emailVerified: claims.email !== null && isVerified(claims.xms_edov),
  // A guest's token names the issuer of the home tenant.
  isGuest: claims.acct === 1 || (claims.idp !== null && claims.idp !== claims.iss),
  authTime: claims.auth_time,
});

const isVerified = (owned: IdTokenClaims["xms_edov"]): boolean =>
  owned === true || owned === 1 || owned === "1" || owned === "true";
