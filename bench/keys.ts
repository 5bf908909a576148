/** Sealing as the sync does it, on a record of ordinary size: key, place and JSON included; and the bare cipher beside it. */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, randomBytes } from "node:crypto";
import { monotonicFactory } from "ulid";
import type { Ambient } from "../src/core/ambient.ts";
import { keyRing, mac, newPersonKey, newRingContent, openPersonKey } from "../src/core/crypto/key-ring.ts";
import { pooledRandomBytes, randomFraction } from "../src/core/crypto/random-bytes.ts";
import { open, seal } from "../src/core/crypto/seal.ts";
import { personPlace } from "../src/core/directory/places.ts";
import { spent } from "./cpu.ts";

export interface Rates {
  seals: number;
  opens: number;
  macs: number;
}

export interface KeysResult {
  recordBytes: number;
  perSecond: Rates & { personKeysMade: number; personKeysOpened: number };
  /** `node:crypto` on the same bytes in the same run, with everything laid ready. */
  bare: Rates;
}

const record = {
  oid: "6ea91a8d-e32e-41a1-b7bd-d2d185eed0e0",
  manager: "J1vXq5m0vYtT3bq0vXh1Ig",
  fields: {
    displayName: "Conchita Ramírez Ñández",
    givenName: "Conchita",
    surname: "Ramírez Ñández",
    mail: "conchita.ramirez@contoso.example",
    userPrincipalName: "conchita.ramirez@contoso.example",
    jobTitle: "Leiterin Qualitätssicherung",
    department: "Research & Development",
    companyName: "Contoso Deutschland GmbH",
    officeLocation: "Haus 4, Zimmer 217",
    mobilePhone: "+49 170 0000000",
    businessPhones: ["+49 30 000000-217"],
    employeeId: "104217",
    usageLocation: "DE",
    preferredLanguage: "de-DE",
    streetAddress: "Beispielstraße 12",
    city: "Berlin",
    postalCode: "10115",
    country: "Germany",
    accountEnabled: true,
    userType: "Member",
    proxyAddresses: ["SMTP:conchita.ramirez@contoso.example", "smtp:c.ramirez@contoso.example"],
  },
};

export const benchKeys = async (repetitions = 50_000): Promise<KeysResult> => {
  const pooled = pooledRandomBytes();
  const ulid = monotonicFactory(randomFraction(pooled));
  const ambient: Ambient = { now: Date.now, randomBytes: pooled, ulid: () => ulid().toLowerCase() };
  const ring = keyRing(newRingContent(ambient));
  const connectionId = ambient.ulid();
  const person = "q1vXq5m0vYtT3bq0vXh1Ig";
  const { key, wrapped } = newPersonKey(ambient, ring, connectionId, person);
  const place = personPlace(connectionId, person);
  const sealed = seal(ambient, key, place, record);
  const text = JSON.stringify(record);
  const perSecond = async (once: () => unknown): Promise<number> => {
    for (let warmUp = 0; warmUp < repetitions / 10; warmUp++) once();
    const { app } = await spent([], () => {
      for (let repetition = 0; repetition < repetitions; repetition++) once();
    });
    return Math.round((repetitions / app) * 1000);
  };
  return {
    recordBytes: Buffer.byteLength(text),
    perSecond: {
      seals: await perSecond(() => seal(ambient, key, place, record)),
      opens: await perSecond(() => open(key, place, sealed)),
      personKeysMade: await perSecond(() => newPersonKey(ambient, ring, connectionId, person)),
      personKeysOpened: await perSecond(() => openPersonKey(ring, connectionId, person, wrapped)),
      macs: await perSecond(() => mac(ring, "content", text)),
    },
    bare: await bareRates(perSecond, text),
  };
};

const bareRates = async (perSecond: (once: () => unknown) => Promise<number>, text: string): Promise<Rates> => {
  const [key, iv, place] = [createSecretKey(randomBytes(32)), randomBytes(12), randomBytes(80)];
  const length = { authTagLength: 16 };
  const sealing = () => {
    const cipher = createCipheriv("aes-256-gcm", key, iv, length).setAAD(place);
    return { bytes: Buffer.concat([cipher.update(text, "utf8"), cipher.final()]), tag: cipher.getAuthTag() };
  };
  const { bytes, tag } = sealing();
  const opening = () => {
    const decipher = createDecipheriv("aes-256-gcm", key, iv, length).setAAD(place).setAuthTag(tag);
    return Buffer.concat([decipher.update(bytes), decipher.final()]);
  };
  return {
    seals: await perSecond(sealing),
    opens: await perSecond(opening),
    macs: await perSecond(() => createHmac("sha256", key).update(text).digest()),
  };
};
