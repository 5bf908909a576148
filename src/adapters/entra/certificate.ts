/** A certificate of ours with its key, as a PEM file holds them, and how long it is valid. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Tier } from "../../core/connections/tiers.ts";
import { AppError } from "../../core/errors.ts";
import type { Registration } from "./registration.ts";

export interface Certificate {
  pem: string;
  /** Base64url SHA-256 of the DER certificate, the header `x5t#S256`. */
  thumbprint: string;
  pkcs8: Buffer;
  /** ms */
  validFrom: number;
  validTo: number;
}

/** Ours and nobody else's fault, so no connection is blamed for it. */
const unusable = (what: string, cause: unknown): AppError =>
  new AppError("credential-rejected", { detail: what, cause });

/** Throws `credential-rejected` for what is not there or does not fit together. */
const readCertificate = async (path: string): Promise<Certificate> => {
  const pem = await readFile(path, "utf8").catch((cause: unknown) => {
    throw unusable("A certificate file cannot be read.", cause);
  });
  try {
    const key = createPrivateKey(pem);
    const certificate = new X509Certificate(pem);
    if (key.asymmetricKeyType !== "rsa" || !certificate.checkPrivateKey(key)) throw new Error("not an RSA pair");
    return {
      pem,
      thumbprint: Buffer.from(certificate.fingerprint256.replaceAll(":", ""), "hex").toString("base64url"),
      pkcs8: key.export({ format: "der", type: "pkcs8" }),
      validFrom: certificate.validFromDate.getTime(),
      validTo: certificate.validToDate.getTime(),
    };
  } catch (cause) {
    throw unusable("A certificate file does not hold a certificate and its RSA key.", cause);
  }
};

const clockSkewMilliseconds = 300_000;

/** Entra ID would refuse the others with a number that says less. Throws `credential-expired` for one that is over. */
export const readValidCertificate = async (path: string, now: number): Promise<Certificate> => {
  const certificate = await readCertificate(path);
  if (now > certificate.validTo) throw new AppError("credential-expired", { detail: "A certificate has expired." });
  if (now < certificate.validFrom - clockSkewMilliseconds)
    throw new AppError("credential-rejected", { detail: "A certificate is not valid yet." });
  return certificate;
};

const dayMilliseconds = 86_400_000;
const warnDays = 30;

/** What everybody may know of a certificate: whose it is, never which. */
export interface CertificateState {
  tiers: Tier[];
  /** Whole days until it expires; negative: it has. Null: it cannot be used at all. */
  daysLeft: number | null;
  state: "green" | "yellow" | "red";
}

/** Each certificate of each registration. Files are read anew: one that was replaced counts at once. */
export const certificateStates =
  (registrations: Readonly<Partial<Record<Tier, Registration>>>, now: () => number) =>
  async (): Promise<CertificateState[]> => {
    const users = new Map<string, Tier[]>();
    for (const [tier, { credential }] of Object.entries(registrations) as [Tier, Registration][])
      if (credential.kind === "certificate")
        for (const path of credential.paths) users.set(path, [...(users.get(path) ?? []), tier]);
    return Promise.all([...users].map(async ([path, tiers]) => ({ tiers, ...(await stateOf(path, now())) })));
  };

const stateOf = async (path: string, now: number): Promise<Omit<CertificateState, "tiers">> => {
  const { validFrom, validTo } = await readCertificate(path).catch(() => ({ validFrom: 0, validTo: null }));
  if (validTo === null) return { daysLeft: null, state: "red" };
  const daysLeft = Math.floor((validTo - now) / dayMilliseconds);
  if (now > validTo || now < validFrom - clockSkewMilliseconds) return { daysLeft, state: "red" };
  return { daysLeft, state: daysLeft < warnDays ? "yellow" : "green" };
};

/** Tiers that have certificates, none of which can be used: nothing can be asked of Microsoft for them. */
export const tiersWithoutCertificate = (states: readonly CertificateState[]): Tier[] => {
  const all = new Set(states.flatMap(({ tiers }) => tiers));
  return [...all].filter((tier) => !states.some(({ tiers, state }) => tiers.includes(tier) && state !== "red"));
};
