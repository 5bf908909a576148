/**
 * Keys that sign anchors: ES256, private JWKs in vault secrets `anchor-k<n>`. The newest signs, all verify, so that an anchor of
 * last year can still be read after the key was replaced.
 */
import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import { AppError } from "../errors.ts";
import type { SecretStore } from "../store/ports.ts";

export const PublicKey = z.object({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: z.string(),
  y: z.string(),
  kid: z.string(),
  alg: z.literal("ES256"),
  use: z.literal("sig"),
});
export type PublicKey = z.infer<typeof PublicKey>;

export interface AnchorKeys {
  /** Compact JWS. `typ` says what the payload is, so that none is taken for another. */
  sign(typ: string, payload: object): string;
  readonly published: PublicKey[];
}

const PrivateKey = z.object({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: z.string(),
  y: z.string(),
  d: z.string(),
});
const Header = z.object({ alg: z.literal("ES256"), kid: z.string(), typ: z.string() });

const nameOf = (generation: number): string => `anchor-k${generation}`;

export const loadAnchorKeys = async (
  secrets: SecretStore,
  ambient: Pick<Ambient, "randomBytes">,
): Promise<AnchorKeys> => {
  const published: PublicKey[] = [];
  let newest: { kid: string; key: KeyObject } | null = null;
  const take = (kid: string, text: string): void => {
    const jwk = keyIn(kid, text);
    newest = { kid, key: createPrivateKey({ key: jwk, format: "jwk" }) };
    const { kty, crv, x, y } = jwk;
    published.push({ kty, crv, x, y, kid, alg: "ES256", use: "sig" });
  };
  for (let generation = 1; ; generation++) {
    const text = await secrets.get(nameOf(generation));
    if (text === null) break;
    take(nameOf(generation), text);
  }
  if (published.length === 0) {
    // Read back, because the vault keeps the last value of two.
    await secrets.set(nameOf(1), JSON.stringify(newKey(ambient)));
    const settled = await secrets.get(nameOf(1));
    if (settled === null) throw new AppError("keys-unavailable");
    take(nameOf(1), settled);
  }
  return {
    published,
    sign: (typ, payload) => {
      if (!newest) throw new AppError("keys-unavailable");
      const text = `${encoded({ alg: "ES256", kid: newest.kid, typ })}.${encoded(payload)}`;
      const signature = sign("sha256", Buffer.from(text), { key: newest.key, dsaEncoding: "ieee-p1363" });
      return `${text}.${signature.toString("base64url")}`;
    },
  };
};

/** The payload, or null when no known key has signed it as a text of this type. */
export const verifiedPayload = (published: readonly PublicKey[], typ: string, jws: string): unknown => {
  const [head = "", payload = "", signature = "", ...rest] = jws.split(".");
  const header = Header.safeParse(decoded(head));
  const jwk =
    header.success && header.data.typ === typ ? published.find(({ kid }) => kid === header.data.kid) : undefined;
  if (!jwk || rest.length > 0) return null;
  const { kty, crv, x, y } = jwk;
  const key = createPublicKey({ key: { kty, crv, x, y } satisfies JsonWebKey, format: "jwk" });
  const holds = verify(
    "sha256",
    Buffer.from(`${head}.${payload}`),
    { key, dsaEncoding: "ieee-p1363" },
    Buffer.from(signature, "base64url"),
  );
  return holds ? decoded(payload) : null;
};

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

const decoded = (text: string): unknown => {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    return null;
  }
};

/** An operator may have put something else under the name of a key. */
const keyIn = (name: string, text: string): z.infer<typeof PrivateKey> => {
  try {
    return PrivateKey.parse(JSON.parse(text));
  } catch {
    throw new AppError("keys-unavailable", { detail: `Secret ${name} holds no key.` });
  }
};

const newKey = ({ randomBytes }: Pick<Ambient, "randomBytes">): z.infer<typeof PrivateKey> => {
  const pair = createECDH("prime256v1");
  const secret = randomBytes(32);
  pair.setPrivateKey(secret);
  /** 0x04, then the coordinates. */
  const point = pair.getPublicKey();
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((bytes) => bytes.toString("base64url"));
  return { kty: "EC", crv: "P-256", x: x ?? "", y: y ?? "", d: secret.toString("base64url") };
};
