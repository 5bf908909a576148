/**
 * Who calls: an access token of one of the product's issuers, verified in full. Tokens of our own sign-in broker, ID tokens and
 * tokens of programs are not taken.
 */
import { createRemoteJWKSet, decodeJwt, errors, jwtVerify } from "jose";
import type { TokenIssuer } from "../../config.ts";
import { type Identity, identityOf, isIdToken, isMachineToken } from "../../core/access/claims.ts";
import { AppError } from "../../core/errors.ts";

/** `authorization` as the header came. Throws `token-missing`, `token-invalid`, or that the issuer's keys cannot be read. */
export type CallerVerifier = (authorization: string | null) => Promise<Identity>;

const algorithms = ["ES256", "RS256", "PS256", "EdDSA"];
const maxTokenLength = 16_384;
const maxLifetimeSeconds = 3600;
const clockToleranceSeconds = 30;
const keysTimeoutMs = 5000;

export const callerVerifier = (issuers: readonly TokenIssuer[], now: () => number): CallerVerifier => {
  const known = new Map(
    issuers.map((issuer) => [
      issuer.issuer,
      { ...issuer, keys: createRemoteJWKSet(new URL(issuer.jwksUri), { timeoutDuration: keysTimeoutMs }) },
    ]),
  );
  return async (authorization) => {
    const token = bearer(authorization);
    const issuer = known.get(issuerOf(token));
    if (!issuer) throw new AppError("token-invalid");
    const { payload } = await jwtVerify(token, issuer.keys, {
      algorithms,
      issuer: issuer.issuer,
      audience: issuer.audience,
      typ: issuer.typ,
      requiredClaims: ["exp", "iat"],
      // Also refuses what was issued in the future.
      maxTokenAge: maxLifetimeSeconds,
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(now()),
    }).catch(refused);
    const { exp = Number.POSITIVE_INFINITY, iat = 0 } = payload;
    if (exp - iat > maxLifetimeSeconds || isIdToken(payload) || isMachineToken(payload))
      throw new AppError("token-invalid");
    const identity = identityOf(payload, issuer.claims);
    if (!identity) throw new AppError("token-invalid");
    return identity;
  };
};

const bearer = (authorization: string | null): string => {
  if (!authorization?.trim()) throw new AppError("token-missing");
  const token = /^Bearer +([A-Za-z0-9_.-]+)$/i.exec(authorization.trim())?.[1];
  if (token === undefined || token.length > maxTokenLength) throw new AppError("token-invalid");
  return token;
};

/** Only to choose the issuer whose keys are to be tried. */
const issuerOf = (token: string): string => {
  try {
    return decodeJwt(token).iss ?? "";
  } catch {
    throw new AppError("token-invalid");
  }
};

/** A key set that cannot be read is no fault of the token: the caller may keep it and try again. */
const refused = (error: unknown): never => {
  const keysUnreadable =
    !(error instanceof errors.JOSEError) ||
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    error.code === "ERR_JOSE_GENERIC";
  if (keysUnreadable) throw new AppError("issuer-unavailable");
  throw new AppError("token-invalid");
};
