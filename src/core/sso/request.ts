/**
 * What an application asks for at the authorization endpoint. Pure. Before client and redirect address are known to belong
 * together nothing is sent anywhere; after that the application is told by redirect.
 * https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest
 */
import { AppError } from "../errors.ts";
import type { SsoClient } from "./clients.ts";
import { OAuthError, only } from "./oauth-error.ts";

export const scopes = ["openid", "profile", "email"] as const;
export type Scope = (typeof scopes)[number];

export const prompts = ["none", "login", "consent", "select_account"] as const;
export type Prompt = (typeof prompts)[number];

/** Where the answer goes. */
export interface Recipient {
  client: SsoClient;
  redirectUri: string;
  state: string | null;
}

export interface SignInRequest {
  nonce: string | null;
  /** Of the method S256. */
  challenge: string;
  scopes: Scope[];
  target: { connection: string } | { domain: string };
  prompt: Prompt | null;
  loginHint: string | null;
  maxAgeSeconds: number | null;
}

/** Throws `sign-in-request-invalid` when there is nobody who may be answered. */
export const readRecipient = (clients: readonly SsoClient[], parameters: URLSearchParams): Recipient => {
  const single = (name: string): string | null => {
    const values = parameters.getAll(name);
    return values.length === 1 ? (values[0] ?? null) : null;
  };
  const client = clients.find(({ clientId }) => clientId === single("client_id"));
  const redirectUri = single("redirect_uri");
  if (!client || redirectUri === null || !client.redirectUris.includes(redirectUri))
    throw new AppError("sign-in-request-invalid");
  return { client, redirectUri, state: single("state") || null };
};

const challengePattern = /^[A-Za-z0-9_-]{43}$/;
/** With a dot, so that none of Microsoft's own words for tenants, and no tenant id, is one. */
const domainPattern = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/;
const longest = { state: 2000, nonce: 500, login_hint: 320 } as const;
const longestMaxAgeSeconds = 365 * 86_400;

/** Throws an `OAuthError` that the recipient is to be told. Parameters that are not known are ignored, as the specification wants. */
export const readRequest = (parameters: URLSearchParams): SignInRequest => {
  const get = (name: string): string | undefined => only(parameters, name);
  const bounded = (name: keyof typeof longest): string | null => {
    const value = get(name) ?? null;
    if (value !== null && value.length > longest[name]) throw new OAuthError("invalid_request", `${name} is too long`);
    return value;
  };
  bounded("state");
  if (get("request") !== undefined) throw new OAuthError("request_not_supported", "request");
  if (get("request_uri") !== undefined) throw new OAuthError("request_uri_not_supported", "request_uri");
  if (get("registration") !== undefined) throw new OAuthError("registration_not_supported", "registration");
  const responseType = get("response_type");
  if (responseType === undefined) throw new OAuthError("invalid_request", "response_type is missing");
  if (responseType !== "code") throw new OAuthError("unsupported_response_type", "only code is answered");
  if ((get("response_mode") ?? "query") !== "query")
    throw new OAuthError("invalid_request", "response_mode is not query");
  const asked = (get("scope") ?? "").split(" ");
  if (!asked.includes("openid")) throw new OAuthError("invalid_scope", "scope lacks openid");
  const challenge = get("code_challenge") ?? "";
  if (get("code_challenge_method") !== "S256" || !challengePattern.test(challenge))
    throw new OAuthError("invalid_request", "PKCE with S256 is required");
  const loginHint = bounded("login_hint");
  if (loginHint !== null && /[\p{Cc}\p{Cs}]/u.test(loginHint))
    throw new OAuthError("invalid_request", "login_hint holds control characters");
  return {
    nonce: bounded("nonce"),
    challenge,
    scopes: scopes.filter((scope) => asked.includes(scope)),
    target: readTarget(get("connection"), get("domain")),
    prompt: readPrompt(get("prompt")),
    loginHint,
    maxAgeSeconds: readMaxAge(get("max_age")),
  };
};

const readTarget = (connection: string | undefined, domain: string | undefined): SignInRequest["target"] => {
  if ((connection === undefined) === (domain === undefined))
    throw new OAuthError("invalid_request", "connection or domain is needed, and not both");
  if (connection !== undefined) return { connection };
  const name = (domain ?? "").toLowerCase();
  if (!domainPattern.test(name)) throw new OAuthError("invalid_request", "domain is not a domain name");
  return { domain: name };
};

const readPrompt = (text: string | undefined): Prompt | null => {
  if (text === undefined) return null;
  const prompt = prompts.find((known) => known === text);
  if (prompt === undefined) throw new OAuthError("invalid_request", "prompt is not one that is supported");
  return prompt;
};

const readMaxAge = (text: string | undefined): number | null => {
  if (text === undefined) return null;
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= longestMaxAgeSeconds)) throw new OAuthError("invalid_request", "max_age is not a number of seconds");
  return seconds;
};

/** Names the issuer, so that an application with several cannot be made to mix them up (RFC 9207). */
export const answerTo = (
  { redirectUri, state }: Pick<Recipient, "redirectUri" | "state">,
  issuer: string,
  answer: Readonly<Record<string, string>>,
): string => {
  const url = new URL(redirectUri);
  for (const [name, value] of Object.entries(answer)) url.searchParams.set(name, value);
  if (state !== null) url.searchParams.set("state", state);
  url.searchParams.set("iss", issuer);
  return url.href;
};

export const refusalTo = (
  recipient: Pick<Recipient, "redirectUri" | "state">,
  issuer: string,
  { error, description }: OAuthError,
): string => answerTo(recipient, issuer, { error, error_description: description });
