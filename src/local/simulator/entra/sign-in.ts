/** `GET /{tenant}/oauth2/v2.0/authorize` shows the accounts, `POST /{tenant}/login` is the click on one of them. */
import { randomBytes, randomUUID } from "node:crypto";
import type { SimRequest, SimResponse } from "../http.ts";
import type { AppRegistration, World } from "../world.ts";
import {
  type Authority,
  accountKey,
  displayNameOf,
  ensureServicePrincipal,
  peopleAt,
  principalNameOf,
  registrationOf,
  resolveAuthority,
  signedInPerson,
} from "./authority.ts";
import type { CodeGrant, Grants } from "./grants.ts";
import { formPostPage, signInPage } from "./pages.ts";
import { errorDescription, meaningOf, Refusal, type Trace } from "./refusal.ts";
import type { EntraSwitches } from "./switches.ts";

export interface SignInNeeds {
  world: World;
  grants: Grants;
  switches: EntraSwitches;
  /** Called when a first sign-in created the application's service principal in a tenant. */
  granted: (tid: string) => void;
}

interface AuthorizationRequest {
  authority: Authority;
  registration: AppRegistration;
  redirectUri: string;
  responseMode: "query" | "fragment" | "form_post";
  state: string | null;
  scopes: string[];
  nonce: string | null;
  challenge: CodeGrant["challenge"];
  prompt: string | null;
  loginHint: string | null;
  maxAgeSeconds: number | null;
}

export const answerSignIn = (
  needs: SignInNeeds,
  tenantPath: string,
  request: SimRequest,
  trace: Trace,
): SimResponse => {
  const query = request.url.searchParams;
  const target = readTarget(needs.world, tenantPath, query);
  try {
    const authorization = { ...target, ...readParameters(query) };
    return request.method === "GET"
      ? accountPage(needs, authorization, tenantPath, request.url.search)
      : accountChosen(needs, authorization, new URLSearchParams(request.body), trace);
  } catch (error) {
    if (error instanceof RedirectedRefusal) return sendBack(target, error.refusal, trace);
    throw error;
  }
};

/** A refusal that the application is told of, by redirect; a plain `Refusal` stays on Microsoft's page. */
class RedirectedRefusal extends Error {
  readonly refusal: Refusal;
  constructor(aadsts: number, text?: string) {
    super(`AADSTS${aadsts}`);
    this.refusal = new Refusal(aadsts, text === undefined ? {} : { text });
  }
}

type Target = Pick<AuthorizationRequest, "authority" | "registration" | "redirectUri" | "responseMode" | "state">;

const readTarget = (world: World, tenantPath: string, query: URLSearchParams): Target => {
  const authority = resolveAuthority(world, tenantPath);
  const registration = registrationOf(world, query.get("client_id"));
  const redirectUri = query.get("redirect_uri") ?? "";
  if (!registration.redirectUris.includes(redirectUri)) throw new Refusal(50011);
  const responseMode = query.get("response_mode") ?? "query";
  if (responseMode !== "query" && responseMode !== "fragment" && responseMode !== "form_post")
    throw new Refusal(9002313);
  return { authority, registration, redirectUri, responseMode, state: query.get("state") };
};

const prompts = ["login", "none", "consent", "select_account"];

const readParameters = (query: URLSearchParams): Omit<AuthorizationRequest, keyof Target> => {
  if (query.get("response_type") !== "code") throw new RedirectedRefusal(70005);
  const scopes = (query.get("scope") ?? "").split(" ").filter(Boolean);
  if (scopes.length === 0) throw new RedirectedRefusal(900144, "The parameter 'scope' is missing.");
  const prompt = query.get("prompt");
  const loginHint = query.get("login_hint");
  if (prompt !== null && !prompts.includes(prompt)) throw new RedirectedRefusal(9002313);
  if (prompt === "select_account" && loginHint !== null) throw new RedirectedRefusal(9002313);
  if (prompt === "none") throw new RedirectedRefusal(50058);
  const maxAge = query.get("max_age");
  if (maxAge !== null && !/^\d+$/.test(maxAge)) throw new RedirectedRefusal(9002313);
  return {
    scopes,
    nonce: query.get("nonce"),
    challenge: readChallenge(query),
    prompt,
    loginHint,
    maxAgeSeconds: maxAge === null ? null : Number(maxAge),
  };
};

/** `plain` is accepted and is what an omitted method means, as at Microsoft. */
const readChallenge = (query: URLSearchParams): CodeGrant["challenge"] => {
  const value = query.get("code_challenge");
  const method = query.get("code_challenge_method") ?? "plain";
  if (value === null) return null;
  if (method !== "S256" && method !== "plain") throw new RedirectedRefusal(9002313);
  if (!/^[A-Za-z0-9\-._~]{43,128}$/.test(value)) throw new RedirectedRefusal(9002313);
  return { value, method };
};

const accountPage = (
  needs: SignInNeeds,
  { authority, registration, loginHint }: AuthorizationRequest,
  tenantPath: string,
  search: string,
): SimResponse => {
  const choices = peopleAt(needs.world, authority).map((person) => ({
    account: accountKey(person),
    label: displayNameOf(person),
    note: `${principalNameOf(person)} - ${person.tenant.displayName}`,
    hinted: loginHint !== null && principalNameOf(person).toLowerCase() === loginHint.toLowerCase(),
  }));
  choices.sort((a, b) => Number(b.hinted) - Number(a.hinted));
  return signInPage(registration.displayName, `/${tenantPath}/login${search}`, choices);
};

const accountChosen = (
  needs: SignInNeeds,
  authorization: AuthorizationRequest,
  form: URLSearchParams,
  trace: Trace,
): SimResponse => {
  const { registration, authority } = authorization;
  if (form.get("action") === "cancel") throw new RedirectedRefusal(65004);
  if (needs.switches.signInError !== null) throw new Refusal(needs.switches.signInError);
  const person = signedInPerson(needs.world, authority, form.get("account") ?? "");
  const { tenant } = person;
  if (tenant.disabledApps.has(registration.clientId)) throw new Refusal(7000112);
  if (!tenant.grants.has(registration.clientId)) {
    ensureServicePrincipal(tenant, registration.clientId);
    needs.granted(tenant.tid);
  }
  const code = needs.grants.issueCode({
    clientId: registration.clientId,
    tid: tenant.tid,
    oid: person.user.id,
    scopes: authorization.scopes,
    nonce: authorization.nonce,
    authenticatedAt: authenticatedAt(needs, authorization),
    authorityPath: authority.path,
    redirectUri: authorization.redirectUri,
    challenge: authorization.challenge,
  });
  return deliver(authorization, { code, session_state: randomUUID() }, trace);
};

/** A browser session lives on unless the request insists on a fresh sign-in. */
const authenticatedAt = (needs: SignInNeeds, { prompt, maxAgeSeconds }: AuthorizationRequest): number => {
  const age = needs.switches.sessionAgeSeconds;
  const fresh = prompt === "login" || (maxAgeSeconds !== null && maxAgeSeconds < age);
  return needs.world.now() - (fresh ? 0 : age * 1000);
};

const sendBack = (target: Target, refusal: Refusal, trace: Trace): SimResponse =>
  deliver(target, { error: meaningOf(refusal).error, error_description: errorDescription(refusal, trace) }, trace);

const deliver = (target: Target, parameters: Record<string, string>, trace: Trace): SimResponse => {
  const fields = new URLSearchParams(parameters);
  if (target.state !== null) fields.set("state", target.state);
  const location = new URL(target.redirectUri);
  if (target.responseMode === "form_post")
    return formPostPage(location.href, fields, randomBytes(16).toString("base64"));
  if (target.responseMode === "fragment") location.hash = fields.toString();
  else for (const [name, value] of fields) location.searchParams.append(name, value);
  return {
    status: 302,
    headers: { location: location.href, "cache-control": "no-store, no-cache", "x-ms-request-id": trace.traceId },
  };
};
