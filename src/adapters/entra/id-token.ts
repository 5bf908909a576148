/**
 * Validation of an ID token of Entra ID, for one of our registrations and any tenant of work accounts. Nothing is trusted because
 * of the channel it came through. https://learn.microsoft.com/entra/identity-platform/claims-validation
 */
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify } from "jose";
import { z } from "zod";
import { isGuid } from "./registration.ts";

/** Personal Microsoft accounts live in this tenant. */
const consumerTenant = "9188040d-6c67-4c5b-b112-36a304b66dad";
const skewSeconds = 300;

const Claims = z.object({
  ver: z.literal("2.0"),
  iss: z.string(),
  aud: z.string(),
  azp: z.string().optional(),
  nonce: z.string(),
  iat: z.number(),
  tid: z.string().refine(isGuid),
  oid: z.string().refine(isGuid),
  name: z.string().default(""),
  preferred_username: z.string().default(""),
  wids: z.array(z.string()).nullable().default(null),
  acct: z
    .union([z.number(), z.string().regex(/^\d$/).transform(Number)])
    .nullable()
    .default(null),
  idp: z.string().nullable().default(null),
  auth_time: z.number().nullable().default(null),
  email: z.string().nullable().default(null),
  /** Of the domain of `email`; seen as a boolean, a number and a text. */
  xms_edov: z.union([z.boolean(), z.number(), z.string()]).optional(),
});
export type IdTokenClaims = z.output<typeof Claims>;

/** Why an ID token was refused: a rule's name, never a claim's value. */
export class IdTokenRefused extends Error {
  constructor(rule: string) {
    super(rule);
    this.name = "IdTokenRefused";
  }
}

export interface IdTokenIssuer {
  /** `https://login.microsoftonline.com/{tenantid}/v2.0` as the discovery document of `organizations` has it. */
  issuerTemplate: string;
  jwksUri: string;
  clientId: string;
  timeoutMs: number;
  now: () => number;
}

export const idTokenVerifier = ({ issuerTemplate, jwksUri, clientId, timeoutMs, now }: IdTokenIssuer) => {
  const keys = createRemoteJWKSet(new URL(jwksUri), { cacheMaxAge: 24 * 3600_000, timeoutDuration: timeoutMs });

  /**
   * @param expectedTid the only tenant that may answer; absent: any of work accounts
   * @throws IdTokenRefused, or an error of jose.
   */
  return async (idToken: string, nonce: string, expectedTid?: string): Promise<IdTokenClaims> => {
    const { tid } = unverified(idToken);
    if (!isGuid(tid)) throw new IdTokenRefused("tid");
    if (expectedTid !== undefined && tid.toLowerCase() !== expectedTid) throw new IdTokenRefused("other tenant");
    const { payload, protectedHeader } = await jwtVerify(idToken, keys, {
      algorithms: ["RS256"],
      issuer: issuerOf(issuerTemplate, tid),
      audience: clientId,
      clockTolerance: skewSeconds,
      currentDate: new Date(now()),
      requiredClaims: ["tid", "oid", "exp", "nbf", "iat", "nonce"],
    });
    // A key may be bound to one issuer: the key of personal accounts must not vouch for a work tenant.
    const key = keys.jwks()?.keys.find(({ kid }) => kid === protectedHeader.kid);
    const keyIssuer = key && "issuer" in key && typeof key.issuer === "string" ? key.issuer : "";
    if (issuerOf(keyIssuer, tid) !== payload.iss) throw new IdTokenRefused("key issuer");
    const claims = Claims.safeParse(payload);
    if (!claims.success) throw new IdTokenRefused(claims.error.issues[0]?.path.join(".") ?? "claims");
    if (claims.data.nonce !== nonce) throw new IdTokenRefused("nonce");
    if (claims.data.azp !== undefined && claims.data.azp !== clientId) throw new IdTokenRefused("azp");
    if (claims.data.iat > now() / 1000 + skewSeconds) throw new IdTokenRefused("iat");
    if (tid.toLowerCase() === consumerTenant) throw new IdTokenRefused("personal account");
    return claims.data;
  };
};

const issuerOf = (template: string, tid: string): string => template.replace("{tenantid}", tid);

/** Only to learn which issuer must have signed it. */
const unverified = (idToken: string): JWTPayload => {
  try {
    decodeProtectedHeader(idToken);
    return decodeJwt(idToken);
  } catch {
    throw new IdTokenRefused("form");
  }
};
