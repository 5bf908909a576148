/**
 * The embedded stack's own certificate authority. Its key exists only in this process's memory and its certificate carries a
 * name constraint, so that a machine which trusts it trusts it for the loopback names alone.
 */
import { randomBytes, webcrypto } from "node:crypto";
import tls from "node:tls";
// The decorators of the certificate library need this registry loaded before it.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

export interface ServerCertificate {
  /** PKCS#8 PEM. */
  key: string;
  cert: string;
}

export interface CertificateAuthority {
  caPem: string;
  issueServerCertificate(): Promise<ServerCertificate>;
}

const signing = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const oneHour = 3600_000;
const lifetime = 30 * 24 * oneHour;

/** Subject names are plain text; `dns` and `ip` are the GeneralName kinds of RFC 5280. */
const loopbackNames = [
  { type: "dns", value: "localhost" },
  { type: "ip", value: "127.0.0.1" },
  { type: "ip", value: "::1" },
] as const;

export const createCertificateAuthority = async (): Promise<CertificateAuthority> => {
  const keys = await newKeyPair();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerialNumber(),
    name: "CN=m365-sync local stack",
    ...validity(),
    signingAlgorithm: signing,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      new x509.Extension("2.5.29.30", true, loopbackNameConstraints()),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    caPem: ca.toString("pem"),
    issueServerCertificate: async () => {
      const serverKeys = await newKeyPair();
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: newSerialNumber(),
        subject: "CN=localhost",
        issuer: ca.subject,
        ...validity(),
        signingAlgorithm: signing,
        publicKey: serverKeys.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.SubjectAlternativeNameExtension([...loopbackNames]),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ],
      });
      const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", serverKeys.privateKey);
      return { key: x509.PemConverter.encode(pkcs8, "PRIVATE KEY"), cert: certificate.toString("pem") };
    },
  };
};

/** Every `fetch`, `https` and SDK call of this process trusts the authority from now on. Child processes need NODE_EXTRA_CA_CERTS. */
export const trustInThisProcess = (caPem: string): void => {
  const trusted = tls.getCACertificates("default");
  if (!trusted.includes(caPem)) tls.setDefaultCACertificates([...trusted, caPem]);
};

const newKeyPair = () => webcrypto.subtle.generateKey(signing, true, ["sign", "verify"]);

/** Begins an hour ago: a container's clock may run behind its neighbours'. */
const validity = () => ({ notBefore: new Date(Date.now() - oneHour), notAfter: new Date(Date.now() + lifetime) });

/** Positive and never zero, as RFC 5280 4.1.2.2 asks. */
const newSerialNumber = (): string => {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
};

/**
 * NameConstraints ::= SEQUENCE { permittedSubtrees [0] SEQUENCE OF SEQUENCE { base GeneralName } }, RFC 5280 4.2.1.10.
 * An address constraint is the network followed by its mask. The library has no class for this extension.
 */
const loopbackNameConstraints = (): Buffer => {
  const dnsName = (name: string) => der(0x82, Buffer.from(name, "ascii"));
  const network = (address: number[], mask: number[]) => der(0x87, Buffer.from([...address, ...mask]));
  const permitted = [
    dnsName("localhost"),
    network([127, 0, 0, 0], [255, 0, 0, 0]),
    network([...Array<number>(15).fill(0), 1], Array<number>(16).fill(255)),
  ].map((base) => der(0x30, base));
  return der(0x30, der(0xa0, Buffer.concat(permitted)));
};

/** Lengths stay below 128 bytes here, where DER needs a single length byte. */
const der = (tag: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([tag, content.length]), content]);
