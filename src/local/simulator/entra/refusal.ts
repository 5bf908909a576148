/** The ways Entra says no: AADSTS numbers with their OAuth error and status, and the shapes in which they are answered. */
import { randomUUID } from "node:crypto";
import type { SimRequest, SimResponse } from "../http.ts";

export interface RefusalDetail {
  /** Replaces the catalogue's sentence. */
  text?: string;
  error?: string;
  status?: number;
  suberror?: string;
  claims?: string;
  retryAfterSeconds?: number;
}

export class Refusal extends Error {
  readonly aadsts: number;
  readonly detail: RefusalDetail;
  constructor(aadsts: number, detail: RefusalDetail = {}) {
    super(`AADSTS${aadsts}`);
    this.aadsts = aadsts;
    this.detail = detail;
  }
}

/** Number -> [OAuth error, HTTP status at the token endpoint, sentence in our own words]. */
const catalogue: Record<number, [error: string, status: number, text: string]> = {
  16000: ["interaction_required", 400, "The chosen account does not exist in this tenant."],
  50011: ["invalid_request", 400, "The redirect URI of the request is not registered for the application."],
  50012: ["invalid_client", 401, "The client could not be authenticated."],
  50013: ["invalid_client", 401, "The signature of the federated assertion could not be verified."],
  50020: ["access_denied", 400, "The account is not a member or guest of this tenant."],
  50034: ["invalid_grant", 400, "The account does not exist in the directory."],
  50053: ["invalid_grant", 400, "The account is locked."],
  50055: ["invalid_grant", 400, "The password has expired."],
  50057: ["invalid_grant", 400, "The account is disabled."],
  50058: ["login_required", 400, "A silent sign-in was asked for, but nobody is signed in."],
  50059: ["invalid_request", 400, "The request names no tenant."],
  50076: ["interaction_required", 400, "Multifactor authentication is needed."],
  50079: ["interaction_required", 400, "The user has to enrol for multifactor authentication."],
  50105: ["access_denied", 400, "The user is not assigned to the application."],
  50173: ["invalid_grant", 400, "The grant was revoked, a fresh sign-in is needed."],
  50194: ["unauthorized_client", 400, "The application is not configured for several tenants."],
  50196: ["invalid_request", 400, "The client repeats the same request in a loop."],
  53000: ["interaction_required", 400, "The device is not compliant."],
  53003: ["invalid_grant", 400, "Access is blocked by a Conditional Access policy."],
  54005: ["invalid_grant", 400, "The authorization code was already redeemed."],
  65001: ["invalid_grant", 400, "Nobody has consented to the application's use of this permission."],
  65004: ["access_denied", 400, "The person declined to consent."],
  65005: ["invalid_client", 400, "The application asks for a resource that its registration does not list."],
  70000: ["invalid_grant", 400, "The grant is not valid."],
  70003: ["unsupported_grant_type", 400, "The grant type is not supported."],
  70005: ["unsupported_response_type", 400, "The response type is not supported."],
  70008: ["invalid_grant", 400, "The code or refresh token has expired."],
  70011: ["invalid_scope", 400, "The scope is not valid."],
  70043: ["invalid_grant", 400, "The refresh token has expired because of a sign-in frequency policy."],
  90002: ["invalid_request", 400, "The tenant was not found."],
  90024: ["temporarily_unavailable", 503, "The request budget is used up."],
  90033: ["temporarily_unavailable", 503, "A temporary error occurred."],
  90093: ["access_denied", 400, "The permission can be granted only by an administrator."],
  90094: ["access_denied", 400, "An administrator has to approve the application."],
  90095: ["access_denied", 400, "The approval of an administrator was requested."],
  90099: ["access_denied", 400, "The tenant has not authorised the application for partner administration."],
  500021: ["access_denied", 400, "A tenant restriction blocks the access."],
  500022: ["access_denied", 400, "A tenant restriction blocks the access of this application."],
  500212: ["access_denied", 400, "The tenant's outbound access policy does not admit the resource tenant."],
  500213: ["access_denied", 400, "The tenant's inbound access policy does not admit this access."],
  500011: ["invalid_resource", 400, "The resource does not exist in the tenant."],
  500112: ["invalid_grant", 400, "The redirect URI differs from the one the code was issued for."],
  501481: ["invalid_grant", 400, "The code verifier does not match the code challenge."],
  700005: ["invalid_grant", 400, "The code was issued for another tenant."],
  700016: ["unauthorized_client", 400, "The application was not found in the tenant."],
  700021: ["invalid_client", 401, "The client assertion names another application than the request."],
  700023: ["invalid_client", 401, "The audience of the client assertion is not this token endpoint."],
  700024: ["invalid_client", 401, "The client assertion is outside its period of validity."],
  700027: ["invalid_client", 401, "The client assertion is not signed by a registered certificate."],
  700082: ["invalid_grant", 400, "The refresh token has expired because it was not used."],
  700211: ["invalid_client", 401, "No federated credential has the issuer of the assertion."],
  700212: ["invalid_client", 401, "No federated credential has the audience of the assertion."],
  700213: ["invalid_client", 401, "No federated credential has the subject of the assertion."],
  700229: ["invalid_client", 401, "Only an application's own token can be a federated assertion."],
  900144: ["invalid_request", 400, "A required parameter is missing."],
  1002012: ["invalid_scope", 400, "The client credentials flow needs the .default scope of one resource."],
  7000112: ["unauthorized_client", 400, "The application is disabled in the tenant."],
  7000215: ["invalid_client", 401, "The client secret is wrong; its value is needed, not its id."],
  7000218: ["invalid_client", 401, "The request carries neither a client secret nor a client assertion."],
  7000222: ["invalid_client", 401, "The client secret has expired."],
  9002313: ["invalid_request", 400, "The request is malformed."],
  9002346: ["invalid_request", 400, "The application does not accept personal accounts."],
};

export const meaningOf = (refusal: Refusal): { error: string; status: number; text: string } => {
  const [error, status, text] = catalogue[refusal.aadsts] ?? ["invalid_request", 400, "The request was refused."];
  const { detail } = refusal;
  return { error: detail.error ?? error, status: detail.status ?? status, text: detail.text ?? text };
};

/** What support at Microsoft asks for: a trace, the caller's correlation id and the time. */
export interface Trace {
  traceId: string;
  correlationId: string;
  /** `2026-01-31 09:15:00Z` */
  timestamp: string;
}

const guid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

export const traceOf = (request: SimRequest, now: number): Trace => {
  const given = request.url.searchParams.get("client-request-id") ?? request.headers["client-request-id"] ?? "";
  return {
    traceId: randomUUID(),
    correlationId: guid.test(given) ? given : randomUUID(),
    timestamp: `${new Date(now).toISOString().slice(0, 19).replace("T", " ")}Z`,
  };
};

export const errorDescription = (refusal: Refusal, trace: Trace): string =>
  `AADSTS${refusal.aadsts}: ${meaningOf(refusal).text} Trace ID: ${trace.traceId} Correlation ID: ${trace.correlationId} Timestamp: ${trace.timestamp}`;

export const refusalAsJson = (refusal: Refusal, trace: Trace, origin: string): SimResponse => {
  const { error, status } = meaningOf(refusal);
  const { suberror, claims, retryAfterSeconds } = refusal.detail;
  return {
    status,
    headers: {
      "cache-control": "no-store, no-cache",
      "x-ms-request-id": trace.traceId,
      ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
    },
    body: {
      error,
      error_description: errorDescription(refusal, trace),
      error_codes: [refusal.aadsts],
      timestamp: trace.timestamp,
      trace_id: trace.traceId,
      correlation_id: trace.correlationId,
      error_uri: `${origin}/error?code=${refusal.aadsts}`,
      ...(suberror === undefined ? {} : { suberror }),
      ...(claims === undefined ? {} : { claims }),
    },
  };
};
