/** The keys of the simulated Entra ID: several published at once, each bound to an issuer by Microsoft's JWKS extension. */
import { createHash, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { consumerTid } from "./authority.ts";
import type { EntraSwitches } from "./switches.ts";

export interface SigningKey {
  kid: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
}

export interface SigningKeys {
  current(): Promise<SigningKey>;
  /** Published, but only for tokens of personal accounts. */
  consumer(): Promise<SigningKey>;
  /** Published nowhere. */
  foreign(): Promise<SigningKey>;
  /** Body of `/discovery/v2.0/keys`. */
  published(): Promise<{ keys: object[] }>;
}

export const createSigningKeys = (switches: EntraSwitches, origin: () => string): SigningKeys => {
  const made = new Map<string, Promise<SigningKey>>();
  const key = (name: string): Promise<SigningKey> => {
    const existing = made.get(name);
    if (existing) return existing;
    const created = createKey();
    made.set(name, created);
    return created;
  };
  const generation = (n: number) => key(`generation-${n}`);
  return {
    current: () => generation(switches.keyGeneration),
    consumer: () => key("consumer"),
    foreign: () => key("foreign"),
    published: async () => {
      const current = switches.keyGeneration;
      const work = `${origin()}/{tenantid}/v2.0`;
      return {
        keys: [
          ...(current > 1 ? [publicJwk(await generation(current - 1), work)] : []),
          publicJwk(await generation(current), work),
          publicJwk(await key("consumer"), `${origin()}/${consumerTid}/v2.0`),
        ],
      };
    },
  };
};

const createKey = async (): Promise<SigningKey> => {
  const { privateKey, publicKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  const kid = createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url")
    .slice(0, 27);
  return { kid, privateKey, publicKey };
};

const publicJwk = ({ kid, publicKey }: SigningKey, issuer: string): object => {
  const { kty, n, e } = publicKey.export({ format: "jwk" });
  return { kty, use: "sig", kid, x5t: kid, n, e, issuer };
};
