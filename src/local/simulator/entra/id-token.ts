/** ID tokens as Entra's v2.0 endpoint makes them, and the broken ones that a careful application refuses. */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import type { AppRegistration, OptionalClaim, World } from "../world.ts";
import { consumerTid, displayNameOf, homeOf, isGuest, mailOf, type Person, principalNameOf } from "./authority.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { IdTokenFault } from "./switches.ts";

export interface SignIn {
  person: Person;
  scopes: string[];
  nonce: string | null;
  /** Milliseconds. */
  authenticatedAt: number;
}

/** Template ids that `wids` carries for everybody: trusting the mere presence of a role admits ordinary people. */
const defaultUserRole = "b79fbf4d-3ef9-4689-8143-76b194e85509";
const guestUserRole = "10dae51f-b6af-4016-8d66-8c2a99b929b3";

const lifetimeSeconds = 3600;

const claimsOf = (
  world: World,
  registration: AppRegistration,
  signIn: SignIn,
  origin: string,
): Record<string, unknown> => {
  const { person, scopes } = signIn;
  const { tid } = person.tenant;
  const now = Math.floor(world.now() / 1000);
  const home = homeOf(world, person);
  const guest = isGuest(person);
  const emits = (claim: OptionalClaim) => registration.optionalClaims.includes(claim);
  return {
    aud: registration.clientId,
    iss: `${origin}/${tid}/v2.0`,
    iat: now,
    nbf: now,
    exp: now + lifetimeSeconds,
    sub: createHash("sha256").update(`${registration.clientId} ${tid} ${person.user.id}`).digest("base64url"),
    tid,
    uti: randomBytes(16).toString("base64url"),
    ver: "2.0",
    ...(signIn.nonce === null ? {} : { nonce: signIn.nonce }),
    ...(scopes.includes("profile")
      ? { oid: person.user.id, name: displayNameOf(person), preferred_username: principalNameOf(person) }
      : {}),
    ...(scopes.includes("email") && mailOf(person)
      ? { email: mailOf(person), ...(emits("xms_edov") ? { xms_edov: ownsDomain(person) } : {}) }
      : {}),
    ...(guest ? { idp: `https://sts.windows.net/${home && home !== person ? home.tenant.tid : consumerTid}/` } : {}),
    ...(registration.emitsDirectoryRoles
      ? { wids: [...person.account.directoryRoles, guest ? guestUserRole : defaultUserRole] }
      : {}),
    ...(emits("acct") ? { acct: guest ? 1 : 0 } : {}),
    ...(emits("auth_time") ? { auth_time: Math.floor(signIn.authenticatedAt / 1000) } : {}),
  };
};

const ownsDomain = (person: Person): boolean => {
  const mail = mailOf(person).toLowerCase();
  return person.tenant.verifiedDomains.some((domain) => mail.endsWith(`@${domain.toLowerCase()}`));
};

/** What a fault does to the claims; faults of the signature are done where it is made. */
const broken = (
  claims: Record<string, unknown>,
  fault: IdTokenFault | null,
  origin: string,
): Record<string, unknown> => {
  const now = Number(claims.iat);
  switch (fault) {
    case "wrong-audience":
      return { ...claims, aud: randomUUID() };
    case "wrong-issuer":
      return { ...claims, iss: `https://login.example.org/${String(claims.tid)}/v2.0` };
    case "other-tenant": {
      const tid = randomUUID();
      return { ...claims, tid, iss: `${origin}/${tid}/v2.0` };
    }
    case "issuer-tid-mismatch":
      return { ...claims, tid: randomUUID() };
    case "expired":
      return { ...claims, iat: now - 7200, nbf: now - 7200, exp: now - 3600 };
    case "not-yet-valid":
      return { ...claims, nbf: now + 3600, exp: now + 7200 };
    case "wrong-nonce":
      return { ...claims, nonce: randomUUID() };
    case "no-nonce":
      return without(claims, "nonce");
    case "no-oid":
      return without(claims, "oid");
    case "version-1":
      return { ...claims, ver: "1.0", iss: `https://sts.windows.net/${String(claims.tid)}/` };
    default:
      return claims;
  }
};

const without = (claims: Record<string, unknown>, name: string): Record<string, unknown> =>
  Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name));

export const issueIdToken = async (
  needs: { world: World; keys: SigningKeys; origin: string; fault: IdTokenFault | null },
  registration: AppRegistration,
  signIn: SignIn,
): Promise<string> => {
  const { keys, fault, origin } = needs;
  const claims = broken(claimsOf(needs.world, registration, signIn, origin), fault, origin);
  const current = await keys.current();
  const sign = (header: { alg: string; kid: string }, key: Parameters<SignJWT["sign"]>[0]) =>
    new SignJWT(claims).setProtectedHeader({ typ: "JWT", ...header }).sign(key);
  switch (fault) {
    case "alg-none":
      return `${encode({ typ: "JWT", alg: "none" })}.${encode(claims)}.`;
    case "alg-hs256":
      return sign(
        { alg: "HS256", kid: current.kid },
        Buffer.from(current.publicKey.export({ type: "spki", format: "pem" })),
      );
    case "foreign-signature":
      return sign({ alg: "RS256", kid: current.kid }, (await keys.foreign()).privateKey);
    case "unknown-kid": {
      const foreign = await keys.foreign();
      return sign({ alg: "RS256", kid: foreign.kid }, foreign.privateKey);
    }
    case "key-issuer-mismatch": {
      const consumer = await keys.consumer();
      return sign({ alg: "RS256", kid: consumer.kid }, consumer.privateKey);
    }
    default:
      return sign({ alg: "RS256", kid: current.kid }, current.privateKey);
  }
};

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
