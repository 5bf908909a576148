/** How a confidential client proves itself at the token endpoint: secret, certificate, or the token of a trusted workload. */
import { X509Certificate } from "node:crypto";
import {
  compactVerify,
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
  type ProtectedHeaderParameters,
} from "jose";
import type { SimRequest } from "../http.ts";
import type { AppRegistration } from "../world.ts";
import { Refusal } from "./refusal.ts";
import type { EntraSwitches } from "./switches.ts";

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** Assertions carry the time of the machine that made them, so they are judged by the real clock, not by the world's. */
const nowSeconds = () => Date.now() / 1000;
const clockSkewSeconds = 300;

export interface ClientProof {
  registration: AppRegistration;
  request: SimRequest;
  form: URLSearchParams;
}

interface BasicCredentials {
  clientId: string;
  secret: string;
}

/** RFC 6749 2.3.1: both halves are form-encoded before they are joined. */
export const basicCredentials = (request: SimRequest): BasicCredentials | null => {
  const encoded = /^Basic (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (!encoded) return null;
  const [clientId = "", ...secret] = Buffer.from(encoded, "base64").toString().split(":");
  try {
    return { clientId: formDecoded(clientId), secret: formDecoded(secret.join(":")) };
  } catch {
    throw new Refusal(9002313);
  }
};

const formDecoded = (part: string): string => decodeURIComponent(part.replaceAll("+", " "));

export const authenticateClient = async (
  { registration, request, form }: ClientProof,
  tokenEndpoint: string,
  switches: EntraSwitches,
): Promise<void> => {
  const assertion = form.get("client_assertion");
  const secret = form.get("client_secret") ?? basicCredentials(request)?.secret;
  if (assertion) {
    if (form.get("client_assertion_type") !== jwtBearer)
      throw new Refusal(900144, { text: "The parameter 'client_assertion_type' is missing or unknown." });
    await verifyAssertion(registration, assertion, tokenEndpoint, switches);
  } else if (secret) {
    if (!registration.secrets.includes(secret)) throw new Refusal(7000215);
    if (switches.expiredSecrets.includes(secret)) throw new Refusal(7000222);
  } else throw new Refusal(7000218);
};

const verifyAssertion = async (
  registration: AppRegistration,
  assertion: string,
  tokenEndpoint: string,
  switches: EntraSwitches,
): Promise<void> => {
  const { header, claims } = decoded(assertion);
  // An application vouches for itself by certificate; everybody else needs a federated credential.
  if (claims.iss === registration.clientId)
    await verifyCertificateAssertion(registration, { assertion, header, claims }, tokenEndpoint);
  else await verifyFederatedAssertion(registration, assertion, claims, switches);
  if (claims.exp === undefined || claims.exp < nowSeconds() - clockSkewSeconds) throw new Refusal(700024);
  if (claims.nbf !== undefined && claims.nbf > nowSeconds() + clockSkewSeconds) throw new Refusal(700024);
};

const decoded = (assertion: string): { header: ProtectedHeaderParameters; claims: JWTPayload } => {
  try {
    return { header: decodeProtectedHeader(assertion), claims: decodeJwt(assertion) };
  } catch {
    throw new Refusal(700027, { text: "The client assertion is not a JWT." });
  }
};

const verifyCertificateAssertion = async (
  registration: AppRegistration,
  { assertion, header, claims }: { assertion: string; header: ProtectedHeaderParameters; claims: JWTPayload },
  tokenEndpoint: string,
): Promise<void> => {
  const certificate = registration.certificates
    .map(({ thumbprintSha256, certificatePem }) => ({ thumbprintSha256, x509: new X509Certificate(certificatePem) }))
    .find(({ thumbprintSha256, x509 }) =>
      header["x5t#S256"] === undefined ? header.x5t === sha1Thumbprint(x509) : header["x5t#S256"] === thumbprintSha256,
    );
  if (!certificate) throw new Refusal(700027);
  const { validFromDate, validToDate } = certificate.x509;
  if (Date.now() > validToDate.getTime() || Date.now() < validFromDate.getTime())
    throw new Refusal(700027, { text: "The certificate of the client assertion is outside its period of validity." });
  try {
    await compactVerify(assertion, certificate.x509.publicKey, { algorithms: ["PS256", "RS256"] });
  } catch {
    throw new Refusal(700027);
  }
  if (claims.sub !== registration.clientId) throw new Refusal(700021);
  if (claims.aud !== tokenEndpoint) throw new Refusal(700023);
};

const verifyFederatedAssertion = async (
  registration: AppRegistration,
  assertion: string,
  claims: JWTPayload,
  switches: EntraSwitches,
): Promise<void> => {
  const sameIssuer = registration.federatedCredentials.filter(({ issuer }) => issuer === claims.iss);
  if (sameIssuer.length === 0) throw new Refusal(700211);
  const sameSubject = sameIssuer.filter(({ subject }) => subject === claims.sub);
  if (sameSubject.length === 0) throw new Refusal(700213);
  const audiences = [claims.aud].flat();
  if (!sameSubject.some(({ audience }) => audiences.includes(audience))) throw new Refusal(700212);
  // A token with `scp` was issued for a person; Entra takes only an application's own.
  if (claims.scp !== undefined) throw new Refusal(700229);
  try {
    const keys = createLocalJWKSet({ keys: switches.federatedKeys[claims.iss ?? ""] ?? [] });
    await jwtVerify(assertion, keys, { algorithms: ["RS256", "ES256"], clockTolerance: clockSkewSeconds });
  } catch (error) {
    if (error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed)
      throw new Refusal(700024);
    throw new Refusal(50013);
  }
};

const sha1Thumbprint = (certificate: X509Certificate): string =>
  Buffer.from(certificate.fingerprint.replaceAll(":", ""), "hex").toString("base64url");
