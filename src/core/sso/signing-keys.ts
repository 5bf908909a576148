/**
 * The keys that sign ID tokens: vault secrets `sso-k<n>`, each a private JWK for ES256 with the time it was made.
 *
 * A key is published as soon as it is made and signs a day later, when every application has had time to learn it; its predecessor
 * stays published for another day. The very first key signs at once. A new one is made when the newest is 90 days old. An operator
 * withdraws a key by giving its secret the value `revoked`: within ten minutes it neither signs nor is published.
 */
import { createHash, createPrivateKey, generateKeyPairSync, sign, verify } from "node:crypto";
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import { AppError } from "../errors.ts";
import type { HandshakeStore, SecretStore } from "../store/ports.ts";

const day = 86_400_000;
export const rotationMilliseconds = 90 * day;
export const leadMilliseconds = day;
const overlapMilliseconds = day;
const cacheMilliseconds = 600_000;

const SigningKey = z.object({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: z.string(),
  y: z.string(),
  d: z.string(),
  createdAt: z.iso.datetime(),
});
export type SigningKey = z.output<typeof SigningKey> & { kid: string };

export interface PublicKey {
  kty: "EC";
  crv: "P-256";
  x: string;
  y: string;
  kid: string;
  use: "sig";
  alg: "ES256";
}

export interface Roles {
  signs: SigningKey | null;
  published: SigningKey[];
  /** A successor is due. */
  isDue: boolean;
}

/** Pure. `keys` in the order in which they were made. */
export const rolesAt = (keys: readonly SigningKey[], now: number): Roles => {
  const takesOverAt = ({ createdAt }: SigningKey): number => Date.parse(createdAt) + leadMilliseconds;
  const signs = keys.findLast((key) => takesOverAt(key) <= now) ?? keys[0] ?? null;
  const published = keys.filter((key, index) => {
    const successor = keys[index + 1];
    return !successor || takesOverAt(successor) + overlapMilliseconds > now;
  });
  const newest = keys.at(-1);
  return { signs, published, isDue: !newest || Date.parse(newest.createdAt) + rotationMilliseconds <= now };
};

export interface SigningKeys {
  published(): Promise<PublicKey[]>;
  /** A JWT of these claims. */
  sign(claims: object): Promise<string>;
  /** The claims of a JWT that one of the published keys signed, whatever its time; else null. */
  verified(token: string): Promise<Record<string, unknown> | null>;
}

export interface SigningNeeds {
  ambient: Ambient;
  secrets: Pick<SecretStore, "get" | "set">;
  handshakes: Pick<HandshakeStore, "claim">;
}

/** Whoever makes a key has this long before somebody else may. */
const makingSeconds = 60;

export const signingKeys = ({ ambient, secrets, handshakes }: SigningNeeds): SigningKeys => {
  let cached: { until: number; keys: Promise<SigningKey[]> } | null = null;

  const load = async (): Promise<SigningKey[]> => {
    const keys: SigningKey[] = [];
    let next = 1;
    for (let value: string | null; (value = await secrets.get(nameOf(next))) !== null; next++) {
      const key = keyIn(value, next);
      if (key) keys.push(key);
    }
    if (!rolesAt(keys, ambient.now()).isDue) return keys;
    // The vault keeps the last of several values: only one instance may make a key, or two would sign with the same name.
    if (!(await handshakes.claim(createHash("sha256").update(nameOf(next)).digest("hex"), makingSeconds))) {
      if (keys.length > 0) return keys;
      throw new AppError("keys-unavailable", { detail: "The first signing key is being made." });
    }
    if ((await secrets.get(nameOf(next))) !== null) return load();
    await secrets.set(nameOf(next), newKey(iso(ambient.now())));
    return load();
  };

  const current = (): Promise<SigningKey[]> => {
    if (cached && cached.until > ambient.now()) return cached.keys;
    const entry = { until: ambient.now() + cacheMilliseconds, keys: load() };
    cached = entry;
    entry.keys.catch(() => {
      if (cached === entry) cached = null;
    });
    return entry.keys;
  };

  return {
    published: async () => rolesAt(await current(), ambient.now()).published.map(publicOf),
    sign: async (claims) => {
      const { signs } = rolesAt(await current(), ambient.now());
      if (!signs) throw new AppError("keys-unavailable");
      const content = `${encoded({ alg: "ES256", typ: "JWT", kid: signs.kid })}.${encoded(claims)}`;
      return `${content}.${sign("sha256", Buffer.from(content), signerOf(signs)).toString("base64url")}`;
    },
    verified: async (token) => {
      const [header = "", claims = "", signature = "", ...rest] = token.split(".");
      if (rest.length > 0) return null;
      const content = Buffer.from(`${header}.${claims}`);
      const bytes = Buffer.from(signature, "base64url");
      for (const key of rolesAt(await current(), ambient.now()).published)
        if (bytes.length === 64 && verify("sha256", content, signerOf(key), bytes)) return decoded(claims);
      return null;
    },
  };
};

const nameOf = (n: number): string => `sso-k${n}`;

/** Null: withdrawn. */
const keyIn = (value: string, n: number): SigningKey | null => {
  if (value === "revoked") return null;
  const parsed = SigningKey.safeParse(objectIn(value));
  if (!parsed.success) throw new AppError("keys-unavailable", { detail: `Secret ${nameOf(n)} holds no signing key.` });
  const { crv, kty, x, y } = parsed.data;
  // RFC 7638.
  return { ...parsed.data, kid: createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url") };
};

const objectIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

const newKey = (createdAt: string): string =>
  JSON.stringify({
    ...generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }),
    createdAt,
  });

const publicOf = ({ kty, crv, x, y, kid }: SigningKey): PublicKey => ({
  kty,
  crv,
  x,
  y,
  kid,
  use: "sig",
  alg: "ES256",
});

const signerOf = ({ kty, crv, x, y, d }: SigningKey) => ({
  key: createPrivateKey({ key: { kty, crv, x, y, d }, format: "jwk" }),
  // JWS wants r and s side by side, not in DER.
  dsaEncoding: "ieee-p1363" as const,
});

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

const decoded = (text: string): Record<string, unknown> | null => {
  const value = z.record(z.string(), z.unknown()).safeParse(objectIn(Buffer.from(text, "base64url").toString("utf8")));
  return value.success ? value.data : null;
};
