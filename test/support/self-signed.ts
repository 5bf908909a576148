/** A self-signed certificate with its RSA key: as a registration lists it, and as an application shows it. */
import { createHash, webcrypto } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

/** Valid from a minute ago for a year, unless told otherwise (ms). */
export const selfSigned = async ({
  from = Date.now() - 60_000,
  to = from + 365 * 86_400_000,
}: {
  from?: number;
  to?: number;
} = {}) => {
  const algorithm = {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 2048,
  };
  const { privateKey, publicKey } = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=app",
    notBefore: new Date(from),
    notAfter: new Date(to),
    keys: { privateKey, publicKey },
    signingAlgorithm: algorithm,
  });
  const certificatePem = certificate.toString("pem");
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", privateKey), "PRIVATE KEY");
  return {
    privateKey,
    /** Key and certificate in one. */
    pemWithKey: `${key}\n${certificatePem}\n`,
    listed: {
      thumbprintSha256: createHash("sha256").update(Buffer.from(certificate.rawData)).digest("base64url"),
      certificatePem,
    },
  };
};
