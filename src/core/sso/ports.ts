/** What the sign-in needs of Microsoft: pages of one tenant, and what its token says of a person. */

/** From a validated ID token. Account key is (`tid`, `oid`), lower case; everything else is an attribute that changes hands. */
export interface SignedInPerson {
  tid: string;
  oid: string;
  name: string;
  preferredUsername: string;
  email: string | null;
  /** Microsoft vouches that the domain's owner verified it. */
  emailVerified: boolean;
  isGuest: boolean;
  /** Seconds since 1970; null when the registration does not emit it. */
  authTime: number | null;
}

export interface UpstreamRequest {
  tid: string;
  state: string;
  nonce: string;
  verifier: string;
  prompt: string | null;
  loginHint: string | null;
  maxAgeSeconds: number | null;
}

export interface SignInGateway {
  /** The tenant that owns a domain, as Microsoft tells everybody; null: none. Throws `sign-in-unavailable`. */
  tenantOf(domain: string): Promise<string | null>;
  signInUrl(request: UpstreamRequest): Promise<string>;
  /** Throws `consent-sign-in-failed` when anything about the answer is wrong, also when it is another tenant's. */
  redeem(answer: {
    tid: string;
    query: URLSearchParams;
    state: string;
    nonce: string;
    verifier: string;
  }): Promise<SignedInPerson>;
  signOutUrl(request: {
    postLogoutRedirectUri: string | null;
    state: string | null;
    logoutHint: string | null;
  }): Promise<string>;
}
