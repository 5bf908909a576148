/**
 * Admin consent: an administrator grants every application permission of a registration in a tenant. The redirect back
 * proves nothing - it carries no code and no signature - and what was approved may reach tokens later.
 */
import type { SimRequest, SimResponse } from "../http.ts";
import type { AppRegistration, Tenant, World } from "../world.ts";
import { graphResource } from "./access-tokens.ts";
import {
  type Authority,
  accountKey,
  displayNameOf,
  ensureServicePrincipal,
  type Person,
  peopleAt,
  principalNameOf,
  registrationOf,
  resolveAuthority,
  signedInPerson,
} from "./authority.ts";
import { oidcScopes } from "./grants.ts";
import { consentPage } from "./pages.ts";
import { errorDescription, Refusal, type Trace } from "./refusal.ts";
import type { EntraSwitches } from "./switches.ts";

export interface AdminConsents {
  /** GET shows the page, POST is the administrator's click on it. `version` 1 is the endpoint without `scope`. */
  answer(tenantPath: string, version: 1 | 2, request: SimRequest, trace: Trace): SimResponse;
  /** Permissions that tokens of the application carry now, sorted. */
  grantedPermissions(tenant: Tenant, clientId: string): string[];
}

const globalAdministrator = "62e90394-69f5-4237-9190-012177145e10";
const privilegedRoleAdministrator = "e8611ab8-c189-46e8-94e1-60213ab1f814";
const cloudApplicationAdministrator = "158c047a-c907-4556-b7ef-446551a6b5f7";
const applicationAdministrator = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3";

/** Application administrators may approve delegated permissions, but no application permission of Graph. */
const approvers = ({ applicationPermissions }: AppRegistration): string[] =>
  applicationPermissions.length > 0
    ? [globalAdministrator, privilegedRoleAdministrator]
    : [globalAdministrator, privilegedRoleAdministrator, cloudApplicationAdministrator, applicationAdministrator];

interface ConsentRequest {
  version: 1 | 2;
  authority: Authority;
  registration: AppRegistration;
  redirectUri: string;
  scope: string | null;
  state: string | null;
}

export const createAdminConsents = (
  world: World,
  switches: EntraSwitches,
  granted: (tid: string) => void,
): AdminConsents => {
  /** Approved, but not yet seen by the token service; lost when the grants they belong to are removed or replaced. */
  let travelling: { grants: Set<string>; permission: string; arrivesAt: number }[] = [];

  const approve = (tenant: Tenant, registration: AppRegistration): void => {
    const before = ensureServicePrincipal(tenant, registration.clientId);
    const asked = registration.applicationPermissions.filter((name) => !switches.withheldPermissions.includes(name));
    const late = switches.grantDelaySeconds > 0 ? asked.filter((permission) => !before.has(permission)) : [];
    // What the registration no longer lists is gone from the tenant with this consent.
    const grants = new Set(asked.filter((permission) => !late.includes(permission)));
    tenant.grants.set(registration.clientId, grants);
    const arrivesAt = world.now() + switches.grantDelaySeconds * 1000;
    travelling.push(...late.map((permission) => ({ grants, permission, arrivesAt })));
    granted(tenant.tid);
  };

  const answer: AdminConsents["answer"] = (tenantPath, version, request, trace) => {
    const consent = readRequest(world, tenantPath, version, request.url.searchParams);
    const scopes = (consent.scope ?? `${graphResource}/.default`).split(" ").filter(Boolean);
    const named = scopes.filter((scope) => !oidcScopes.has(scope));
    const everything = named.includes(`${graphResource}/.default`);
    if (everything && named.length > 1)
      return declined(
        consent,
        new Refusal(70011, { text: "'.default' cannot be combined with other permissions." }),
        trace,
        "invalid_scope",
      );

    if (request.method === "GET")
      return consentPage(
        consent.registration.displayName,
        everything ? consent.registration.applicationPermissions : named,
        `${request.url.pathname}${request.url.search}`,
        peopleAt(world, consent.authority).map((person) => ({
          account: accountKey(person),
          label: displayNameOf(person),
          note: `${principalNameOf(person)} - ${person.tenant.displayName}`,
        })),
      );

    const form = new URLSearchParams(request.body);
    if (form.get("action") === "cancel") {
      const error = version === 1 ? "permission_denied" : switches.consentDenial;
      return declined(consent, new Refusal(65004), trace, error);
    }
    const person = signedInPerson(world, consent.authority, form.get("account") ?? "");
    if (!mayApprove(person, consent.registration)) throw new Refusal(90094, { status: 200 });
    const tenant =
      switches.approvingTenant === null ? person.tenant : resolveAuthority(world, switches.approvingTenant).tenant;
    if (!tenant) throw new Refusal(90002);
    // Single application permissions cannot be asked for by name: such a consent succeeds and grants none of them.
    if (everything) approve(tenant, consent.registration);
    else ensureServicePrincipal(tenant, consent.registration.clientId);
    return back(consent, {
      admin_consent: "True",
      tenant: tenant.tid,
      ...(consent.scope === null ? {} : { scope: consent.scope }),
    });
  };

  return {
    answer,
    grantedPermissions: (tenant, clientId) => {
      const grants = tenant.grants.get(clientId) ?? new Set<string>();
      const arrived = travelling.filter((one) => one.grants === grants && one.arrivesAt <= world.now());
      travelling = travelling.filter((one) => !arrived.includes(one));
      for (const { permission } of arrived) grants.add(permission);
      if (arrived.length > 0) granted(tenant.tid);
      return [...grants].toSorted();
    },
  };
};

const mayApprove = (person: Person, registration: AppRegistration): boolean =>
  person.account.directoryRoles.some((role) => approvers(registration).includes(role));

/** Everything refused in here stays on Microsoft's page: without a registered redirect URI there is nobody to tell. */
const readRequest = (world: World, tenantPath: string, version: 1 | 2, query: URLSearchParams): ConsentRequest => {
  const authority = resolveAuthority(world, tenantPath);
  if (version === 2 && authority.path === "common") throw new Refusal(50059);
  const registration = registrationOf(world, query.get("client_id"));
  const redirectUri = query.get("redirect_uri");
  if (!redirectUri) throw new Refusal(900144, { text: "The parameter 'redirect_uri' is missing." });
  if (!registration.redirectUris.includes(redirectUri)) throw new Refusal(50011);
  const scope = version === 2 ? query.get("scope") : null;
  if (version === 2 && !scope) throw new Refusal(900144, { text: "The parameter 'scope' is missing." });
  return { version, authority, registration, redirectUri, scope, state: query.get("state") };
};

/** A declined consent carries `admin_consent=True` on the v2 endpoint as well, and names no tenant. */
const declined = (consent: ConsentRequest, refusal: Refusal, trace: Trace, error: string): SimResponse =>
  back(consent, {
    error,
    error_description: errorDescription(refusal, trace),
    ...(consent.version === 2 ? { admin_consent: "True" } : {}),
  });

const back = ({ redirectUri, state }: ConsentRequest, parameters: Record<string, string>): SimResponse => {
  const location = new URL(redirectUri);
  for (const [name, value] of Object.entries(parameters)) location.searchParams.append(name, value);
  // Entra strips markup from a state and otherwise leaves it alone.
  if (state !== null) location.searchParams.append("state", state.replace(/<[^>]*>/g, ""));
  return { status: 302, headers: { location: location.href, "cache-control": "no-store, no-cache" } };
};
