/** `POST /{tenant}/oauth2/v2.0/token`: application tokens, authorization codes and refresh tokens. */
import type { SimRequest, SimResponse } from "../http.ts";
import type { AppRegistration, Tenant, World } from "../world.ts";
import { type AccessTokens, graphResource } from "./access-tokens.ts";
import type { AdminConsents } from "./admin-consent.ts";
import { type Authority, livingPerson, registrationOf, resolveAuthority } from "./authority.ts";
import { authenticateClient, basicCredentials, type ClientProof } from "./client-authentication.ts";
import { type Grant, type Grants, oidcScopes } from "./grants.ts";
import { issueIdToken } from "./id-token.ts";
import { Refusal } from "./refusal.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { EntraSwitches, TokenFault } from "./switches.ts";

/** One line of the record that tests read: who asked for what, and what came of it. */
export interface TokenRequest {
  tenantPath: string;
  clientId: string | null;
  grantType: string | null;
  /** `issued`, an AADSTS number, or the status of a scripted HTML answer. */
  outcome: "issued" | number;
}

export interface TokenEndpointNeeds {
  world: World;
  keys: SigningKeys;
  grants: Grants;
  accessTokens: AccessTokens;
  consents: AdminConsents;
  switches: EntraSwitches;
  origin: () => string;
  record: (entry: TokenRequest) => void;
}

export const answerTokenRequest = async (
  needs: TokenEndpointNeeds,
  tenantPath: string,
  request: SimRequest,
): Promise<SimResponse> => {
  const form = new URLSearchParams(request.body);
  const clientId = form.get("client_id") ?? basicCredentials(request)?.clientId ?? null;
  const grantType = form.get("grant_type");
  const record = (outcome: TokenRequest["outcome"]) => needs.record({ tenantPath, clientId, grantType, outcome });
  try {
    const fault = takeFault(needs.switches.tokenFaults, tenantPath, clientId, grantType);
    if (fault) {
      if (fault.aadsts !== undefined) throw new Refusal(fault.aadsts, detailOf(fault));
      record(fault.status ?? 502);
      return {
        status: fault.status ?? 502,
        headers: {
          "content-type": "text/html",
          ...(fault.retryAfterSeconds === undefined ? {} : { "retry-after": String(fault.retryAfterSeconds) }),
        },
        body: "<html><body><h1>Our services aren't available right now</h1></body></html>",
      };
    }
    const authority = resolveAuthority(needs.world, tenantPath);
    const registration = registrationOf(needs.world, clientId);
    const answer = await dispatch(needs, { authority, registration, request, form });
    record("issued");
    return { status: 200, headers: { "cache-control": "no-store, no-cache", pragma: "no-cache" }, body: answer };
  } catch (error) {
    if (error instanceof Refusal) record(error.aadsts);
    throw error;
  }
};

const takeFault = (faults: TokenFault[], tenantPath: string, clientId: string | null, grantType: string | null) => {
  const fault = faults.find(
    (candidate) =>
      candidate.times !== 0 &&
      (candidate.tid === undefined || candidate.tid === tenantPath.toLowerCase()) &&
      (candidate.clientId === undefined || candidate.clientId === clientId) &&
      (candidate.grantType === undefined || candidate.grantType === grantType),
  );
  if (fault?.times !== undefined) fault.times -= 1;
  return fault;
};

const detailOf = ({ status, suberror, claims, retryAfterSeconds }: TokenFault) => ({
  ...(status === undefined ? {} : { status }),
  ...(suberror === undefined ? {} : { suberror }),
  ...(claims === undefined ? {} : { claims }),
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
});

interface Attempt extends ClientProof {
  authority: Authority;
}

/** The audience that a client's assertion has to name. */
const tokenEndpoint = (needs: TokenEndpointNeeds, { request }: Attempt): string =>
  `${needs.origin()}${request.url.pathname}`;

const dispatch = async (needs: TokenEndpointNeeds, attempt: Attempt): Promise<object> => {
  const { registration, form } = attempt;
  const grantType = form.get("grant_type");
  if (grantType === null) throw new Refusal(900144, { text: "The parameter 'grant_type' is missing." });
  if (!["client_credentials", "authorization_code", "refresh_token"].includes(grantType)) throw new Refusal(70003);
  if (grantType === "client_credentials") return applicationToken(needs, attempt);

  await authenticateClient(attempt, tokenEndpoint(needs, attempt), needs.switches);
  if (grantType === "authorization_code") {
    const grant = needs.grants.redeemCode(required(form, "code"), {
      clientId: registration.clientId,
      authorityPath: attempt.authority.path,
      redirectUri: form.get("redirect_uri"),
      codeVerifier: form.get("code_verifier"),
    });
    return personTokens(needs, attempt, grant, grant);
  }
  const tid = attempt.authority.tenant?.tid ?? null;
  const grant = needs.grants.useRefreshToken(required(form, "refresh_token"), registration.clientId, tid);
  return personTokens(needs, attempt, grant, { scopes: narrowed(grant.scopes, form.get("scope")), nonce: null });
};

const required = (form: URLSearchParams, name: string): string => {
  const value = form.get(name);
  if (!value) throw new Refusal(900144, { text: `The parameter '${name}' is missing.` });
  return value;
};

const applicationToken = async (needs: TokenEndpointNeeds, attempt: Attempt): Promise<object> => {
  const { registration, authority, form } = attempt;
  const { tenant } = authority;
  if (!tenant) throw new Refusal(50059);
  const scopes = required(form, "scope").split(" ").filter(Boolean);
  if (scopes.length !== 1) throw new Refusal(70011);
  const [scope = ""] = scopes;
  if (!scope.endsWith("/.default")) throw new Refusal(1002012);
  if (scope !== `${graphResource}/.default`) throw new Refusal(500011);
  usableIn(tenant, registration);
  await authenticateClient(attempt, tokenEndpoint(needs, attempt), needs.switches);
  const roles = needs.consents.grantedPermissions(tenant, registration.clientId);
  const { token, expiresInSeconds } = await needs.accessTokens.issue({
    tid: tenant.tid,
    clientId: registration.clientId,
    roles,
  });
  return {
    token_type: "Bearer",
    expires_in: expiresInSeconds,
    ext_expires_in: expiresInSeconds,
    access_token: token,
  };
};

/** The enterprise application must exist in the tenant and be switched on; it need not hold any permission. */
const usableIn = (tenant: Tenant, { clientId }: AppRegistration): void => {
  if (!tenant.grants.has(clientId))
    throw new Refusal(700016, {
      text: `Application '${clientId}' was not found in the directory '${tenant.displayName}'.`,
    });
  if (tenant.disabledApps.has(clientId)) throw new Refusal(7000112);
};

const personTokens = async (
  needs: TokenEndpointNeeds,
  { registration, form }: Attempt,
  grant: Grant,
  { scopes, nonce }: { scopes: string[]; nonce: string | null },
): Promise<object> => {
  const { world, keys, switches } = needs;
  const person = livingPerson(world, grant.tid, grant.oid);
  const { tenant } = person;
  // Who removed the enterprise application removed every consent with it.
  if (!tenant.grants.has(registration.clientId)) throw new Refusal(65001, { suberror: "consent_required" });
  if (tenant.disabledApps.has(registration.clientId)) throw new Refusal(7000112);
  const permissions = scopes.filter((scope) => !oidcScopes.has(scope));
  const { token, expiresInSeconds } = await needs.accessTokens.issue(
    { tid: tenant.tid, clientId: registration.clientId, roles: [] },
    { oid: grant.oid, scopes: permissions.map((scope) => scope.slice(scope.lastIndexOf("/") + 1)) },
  );
  const idToken = scopes.includes("openid")
    ? await issueIdToken({ world, keys, origin: needs.origin(), fault: switches.idTokenFault }, registration, {
        person,
        scopes,
        nonce,
        authenticatedAt: grant.authenticatedAt,
      })
    : undefined;
  return {
    token_type: "Bearer",
    scope: scopes.filter((scope) => scope !== "offline_access").join(" "),
    expires_in: expiresInSeconds,
    ext_expires_in: expiresInSeconds,
    access_token: token,
    ...(scopes.includes("offline_access") ? { refresh_token: needs.grants.issueRefreshToken(grant) } : {}),
    ...(idToken === undefined ? {} : { id_token: idToken }),
    ...(form.get("client_info") === "1"
      ? { client_info: Buffer.from(JSON.stringify({ uid: grant.oid, utid: grant.tid })).toString("base64url") }
      : {}),
  };
};

/** A refresh may ask for less than was consented, never for more. */
const narrowed = (consented: string[], asked: string | null): string[] => {
  if (asked === null) return consented;
  const scopes = asked.split(" ").filter(Boolean);
  const extra = scopes.find((scope) => !consented.includes(scope));
  if (extra !== undefined) throw new Refusal(65001, { suberror: "consent_required" });
  return consented.filter((scope) => scopes.includes(scope) || scope === "offline_access");
};
