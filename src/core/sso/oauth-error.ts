/** Refusals in the words of OAuth 2.0 and OpenID Connect, for the applications that speak it. */
import { isAppError, type ProblemCode } from "../errors.ts";

export type OAuthErrorCode =
  | "invalid_request"
  | "invalid_client"
  | "invalid_grant"
  | "invalid_scope"
  | "invalid_token"
  | "unauthorized_client"
  | "unsupported_grant_type"
  | "unsupported_response_type"
  | "request_not_supported"
  | "request_uri_not_supported"
  | "registration_not_supported"
  | "access_denied"
  | "login_required"
  | "interaction_required"
  | "consent_required"
  | "account_selection_required"
  | "server_error"
  | "temporarily_unavailable";

export class OAuthError extends Error {
  readonly error: OAuthErrorCode;
  /** For developers, in ASCII. */
  readonly description: string;
  constructor(error: OAuthErrorCode, description: string, cause?: unknown) {
    super(`${error}: ${description}`, cause === undefined ? {} : { cause });
    this.name = "OAuthError";
    this.error = error;
    this.description = description;
  }
}

/** The only value of a parameter; undefined when it is absent or empty, which is the same (RFC 6749, 3.1). */
export const only = (parameters: URLSearchParams, name: string): string | undefined => {
  const values = parameters.getAll(name);
  if (values.length > 1) throw new OAuthError("invalid_request", `${name} is given more than once`);
  return values[0] || undefined;
};

export const required = (parameters: URLSearchParams, name: string): string => {
  const value = only(parameters, name);
  if (value === undefined) throw new OAuthError("invalid_request", `${name} is missing`);
  return value;
};

/** The application learns the code of what went wrong; of what is ours or a service's fault only that. What is unknown is thrown on. */
export const asOAuthError = (error: unknown): OAuthError => {
  if (error instanceof OAuthError) return error;
  if (!isAppError(error)) throw error;
  const { kind, code } = error;
  if (kind === "forbidden") return new OAuthError("access_denied", code, error);
  if (code === "consent-sign-in-failed")
    return new OAuthError("access_denied", "sign-in-failed" satisfies ProblemCode, error);
  if (kind === "upstream-unavailable" || kind === "throttled" || code === "changed-meanwhile")
    return new OAuthError("temporarily_unavailable", code, error);
  return new OAuthError("server_error", code, error);
};
