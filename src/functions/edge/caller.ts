/**
 * Who calls: an access token of one of the product's issuers, verified in full. Tokens of our own sign-in broker, ID tokens and
 * tokens of programs that are not listed are not taken. A listed program says by headers for which workspace it acts, and whom it
 * works for; a person's token takes no such header.
 */
import { createRemoteJWKSet, decodeJwt, errors, jwtVerify } from "jose";
import type { TokenIssuer } from "../../config.ts";
import { type Identity, identityOf, isIdToken, isMachineToken } from "../../core/access/claims.ts";
import {
  actingRefusal,
  actorHeader,
  actorIpHeader,
  askedWorkspace,
  type Machine,
  type MachineClient,
  machineClientOf,
  machineOf,
  workspaceHeader,
} from "../../core/access/machine-clients.ts";
import type { Asserted, Caller } from "../../core/context.ts";
import { AppError } from "../../core/errors.ts";
import { addressIn, type HeaderSource } from "./client-ip.ts";

/** What a valid token stands for. */
export type Bearer = (Identity & { kind: "person" }) | Machine;

/** `authorization` as the header came. Throws `token-missing`, `token-invalid`, or that the issuer's keys cannot be read. */
export type CallerVerifier = (authorization: string | null) => Promise<Bearer>;

const algorithms = ["ES256", "RS256", "PS256", "EdDSA"];
const maxTokenLength = 16_384;
const maxLifetimeSeconds = 3600;
const clockToleranceSeconds = 30;
const keysTimeoutMs = 5000;

export const callerVerifier = (
  issuers: readonly TokenIssuer[],
  now: () => number,
  machineClients: readonly MachineClient[] = [],
): CallerVerifier => {
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
    if (exp - iat > maxLifetimeSeconds || isIdToken(payload)) throw new AppError("token-invalid");
    const client = machineClientOf(machineClients, issuer.issuer, payload);
    if (client) return machineOf(client, payload, issuer.claims);
    const identity = isMachineToken(payload) ? null : identityOf(payload, issuer.claims);
    if (!identity) throw new AppError("token-invalid");
    return { ...identity, kind: "person" };
  };
};

/** `refusal`: why nothing may be done with this token and these headers, in a workspace whose record it belongs into. */
export const callerFrom = (
  bearer: Bearer,
  headers: HeaderSource,
  request: { ip: string; correlationId: string },
): { caller: Caller; refusal: AppError | null } => {
  const { subject, permissions, roles } = bearer;
  const shared = { subject, permissions, roles, ...request };
  if (bearer.kind === "person") {
    const { workspaceId, signedInAt } = bearer;
    const speaksForOthers = [workspaceHeader, actorHeader, actorIpHeader].some((name) => headers.get(name) !== null);
    const detail = "Only a listed program names a workspace, or a person it works for.";
    return {
      caller: { ...shared, workspaceId, ...(signedInAt === undefined ? {} : { signedInAt }) },
      refusal: speaksForOthers ? new AppError("permission-missing", { detail }) : null,
    };
  }
  const workspaceId = askedWorkspace(headers.get(workspaceHeader));
  const asserted = assertedIn(headers);
  return {
    caller: { ...shared, workspaceId, machine: true, ...(asserted ? { asserted } : {}) },
    refusal: actingRefusal(bearer, workspaceId),
  };
};

/** Visible ASCII: header values are no place for anything else. */
const actorPattern = /^[!-~](?:[ -~]{0,253}[!-~])?$/;

const assertedIn = (headers: HeaderSource): Asserted | null => {
  const subject = headers.get(actorHeader);
  const address = headers.get(actorIpHeader);
  if (subject === null && address === null) return null;
  if (subject !== null && !actorPattern.test(subject))
    throw new AppError("invalid-request", { field: "X-Actor-Id", detail: "1 to 255 visible characters of ASCII." });
  const ip = addressIn(address);
  if (address !== null && ip === null)
    throw new AppError("invalid-request", { field: "X-Actor-IP", detail: "This is no IP address." });
  return { ...(subject === null ? {} : { subject }), ...(ip === null ? {} : { ip }) };
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
