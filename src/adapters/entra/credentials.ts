/** The means by which a registration proves itself: key material read from disk, and the SDK's credentials made of it. */
import { webcrypto } from "node:crypto";
import {
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  ManagedIdentityCredential,
  type TokenCredentialOptions,
} from "@azure/identity";
import { AppError } from "../../core/errors.ts";
import { readValidCertificate } from "./certificate.ts";
import { exchangeAudience, isMicrosoftAuthority, type Registration } from "./registration.ts";

/** The part of the SDK's credentials that is used. */
export interface Credential {
  getToken(scope: string): Promise<{ token: string } | null>;
}

export interface CredentialOptions {
  /** `https://login.microsoftonline.com`, without a tenant. */
  authority: string;
  timeoutMs: number;
  now: () => number;
}

/** In the order in which they are to be tried. Files are read at the first use. */
export const credentialsOf = (
  { clientId, credential }: Registration,
  tid: string,
  options: CredentialOptions,
): Credential[] => {
  const known = isMicrosoftAuthority(options.authority);
  const policies = [timeLimit(options.timeoutMs), ...(known ? [] : [knownEndpoints(options.authority, tid)])];
  const transport = {
    authorityHost: options.authority,
    disableInstanceDiscovery: !known,
    // The caller backs off through the queue: nothing sleeps here.
    retryOptions: { maxRetries: 0 },
    additionalPolicies: policies.map((policy) => ({ policy, position: "perCall" as const })),
  };
  if (credential.kind === "secret") return [new ClientSecretCredential(tid, clientId, credential.secret, transport)];
  if (credential.kind === "federated") {
    const assertion = managedIdentityAssertion(credential.managedIdentityClientId, options.authority);
    return [new ClientAssertionCredential(tid, clientId, assertion, transport)];
  }
  const certificateOf = async (path: string) => (await readValidCertificate(path, options.now())).pem;
  return credential.paths.map((path) => certificateCredential(() => certificateOf(path), tid, clientId, transport));
};

/** One that cannot be read or has expired counts as a rejected credential, so that the other one is tried. */
const certificateCredential = (
  certificateNow: () => Promise<string>,
  tid: string,
  clientId: string,
  transport: ConstructorParameters<typeof ClientCertificateCredential>[3],
): Credential => {
  let made: Promise<ClientCertificateCredential> | null = null;
  const make = async () =>
    new ClientCertificateCredential(tid, clientId, { certificate: await certificateNow() }, transport);
  return { getToken: async (scope) => (await (made ??= make())).getToken(scope) };
};

type Policy = NonNullable<TokenCredentialOptions["additionalPolicies"]>[number]["policy"];

/** Over the whole exchange: the SDK's own limit ends with the headers. */
const timeLimit = (timeoutMs: number): Policy => ({
  name: "timeLimit",
  sendRequest: (request, next) => {
    request.abortSignal = AbortSignal.timeout(timeoutMs);
    return next(request);
  },
});

/**
 * The SDK knows the endpoints of Microsoft's authorities by heart and asks others for them, tenant by tenant; a tenant that is
 * gone would then fail without its number. A stand-in has the same endpoints, so it need not be asked either.
 */
const knownEndpoints = (authority: string, tid: string): Policy => ({
  name: "knownEndpoints",
  sendRequest: async (request, next) => {
    if (!request.url.includes("/.well-known/openid-configuration")) return next(request);
    const base = `${authority.replace(/\/+$/, "")}/${tid}`;
    const metadata = {
      issuer: `${base}/v2.0`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      token_endpoint: `${base}/oauth2/v2.0/token`,
      jwks_uri: `${base}/discovery/v2.0/keys`,
    };
    return { request, status: 200, headers: request.headers, bodyAsText: JSON.stringify(metadata) };
  },
});

const managedIdentities = new Map<string, ManagedIdentityCredential>();

/** The SDK asks for the assertion at every call, also when it holds a token: the shared credential answers from its cache. */
export const managedIdentityAssertion =
  (managedIdentityClientId: string, authority: string) => async (): Promise<string> => {
    const identity =
      managedIdentities.get(managedIdentityClientId) ??
      new ManagedIdentityCredential({ clientId: managedIdentityClientId });
    managedIdentities.set(managedIdentityClientId, identity);
    try {
      return (await identity.getToken(`${exchangeAudience(authority)}/.default`)).token;
    } catch (cause) {
      // Ours and nobody else's fault, so no connection is blamed for it.
      throw new AppError("credential-rejected", { detail: "The managed identity gave no token.", cause });
    }
  };

export interface SigningKey {
  key: webcrypto.CryptoKey;
  /** Base64url SHA-256 of the DER certificate, the header `x5t#S256`. */
  thumbprint: string;
}

export const signingKey = async (path: string, now: number): Promise<SigningKey> => {
  const { thumbprint, pkcs8 } = await readValidCertificate(path, now);
  const key = await webcrypto.subtle.importKey("pkcs8", pkcs8, { name: "RSA-PSS", hash: "SHA-256" }, false, ["sign"]);
  return { key, thumbprint };
};
