/** The app registrations of the development stack: for the tiers `read` and `signIn`, which prove themselves by one certificate. */
import { randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { tierPermissions } from "../../core/consent/permissions.ts";
import type { SimulatorCommand } from "../simulator/process.ts";

/** Not secret, and the same everywhere: it names the application of the simulated Entra ID. */
export const developmentClientId = "5b0f7c1e-6a52-4c1d-9a3e-2f4d8e6b7a90";
export const developmentSignInClientId = "5b0f7c1e-6a52-4c1d-9a3e-2f4d8e6b7a91";

const day = 86_400_000;

/** A PEM file with certificate and RSA key; it stays, so that a running host keeps a valid credential over restarts. */
export const registrationCertificate = async (dataDir: string): Promise<string> => {
  const path = join(dataDir, "registration.pem");
  if (existsSync(path) && stillValid(readFileSync(path, "utf8"))) return path;
  const signing = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(
    { ...signing, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
    true,
    ["sign", "verify"],
  );
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: `01${randomBytes(15).toString("hex")}`,
    name: "CN=m365-sync development registration",
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 365 * day),
    signingAlgorithm: signing,
    keys,
  });
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  writeFileSync(path, `${certificate.toString("pem")}\n${key}\n`, { mode: 0o600 });
  return path;
};

const stillValid = (pem: string): boolean => new X509Certificate(pem).validToDate.getTime() > Date.now() + day;

/** Makes the simulated Entra ID know the registrations. Microsoft sends browsers back below `publicBaseUrl`. */
export const registerApplications = async (
  command: SimulatorCommand,
  { certificatePath, publicBaseUrl }: { certificatePath: string; publicBaseUrl: string },
): Promise<void> => {
  const certificate = new X509Certificate(readFileSync(certificatePath));
  const thumbprint = Buffer.from(certificate.fingerprint256.replaceAll(":", ""), "hex").toString("base64url");
  const consent = ["/connect/callback/sign-in", "/connect/callback/consent"];
  const register = (clientId: string, tier: string, paths: string[], applicationPermissions: readonly string[]) =>
    command("register-app", {
      clientId,
      displayName: `m365-sync (development, ${tier})`,
      certificates: [{ thumbprintSha256: thumbprint, certificatePem: certificate.toString() }],
      redirectUris: paths.map((path) => new URL(path, publicBaseUrl).href),
      applicationPermissions: [...applicationPermissions],
      optionalClaims: ["acct", "auth_time", "xms_edov"],
    });
  await register(developmentClientId, "read", consent, tierPermissions.read.application);
  await register(developmentSignInClientId, "sign-in", [...consent, "/sso/callback/entra"], []);
};
