/** What this issuer offers, and nothing that it does not. https://openid.net/specs/openid-connect-discovery-1_0.html */
import { prompts, scopes } from "./request.ts";

/** Algorithms with which an application may sign its assertion. */
export const assertionAlgorithms = ["ES256", "PS256", "RS256", "EdDSA"] as const;

const protocolClaims = ["iss", "sub", "aud", "exp", "iat", "nonce", "auth_time"] as const;

export const providerMetadata = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/sso/authorize`,
  token_endpoint: `${issuer}/sso/token`,
  userinfo_endpoint: `${issuer}/sso/userinfo`,
  jwks_uri: `${issuer}/sso/jwks.json`,
  end_session_endpoint: `${issuer}/sso/logout`,
  response_types_supported: ["code"],
  response_modes_supported: ["query"],
  grant_types_supported: ["authorization_code"],
  subject_types_supported: ["public"],
  id_token_signing_alg_values_supported: ["ES256"],
  scopes_supported: [...scopes],
  prompt_values_supported: [...prompts],
  token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "private_key_jwt"],
  token_endpoint_auth_signing_alg_values_supported: [...assertionAlgorithms],
  code_challenge_methods_supported: ["S256"],
  claims_supported: [
    ...protocolClaims,
    "workspace",
    "connection",
    "person",
    "product_user",
    "tid",
    "oid",
    "name",
    "preferred_username",
    "email",
    "email_verified",
  ],
  authorization_response_iss_parameter_supported: true,
  claims_parameter_supported: false,
  request_parameter_supported: false,
  request_uri_parameter_supported: false,
});
