/**
 * The steps of an attempt to connect. Each hands a secret of 256 bits to somebody outside and keeps its SHA-256 as the id of a
 * document; what has to be remembered is sealed in it. A secret works once, for ten minutes, and for its own step only.
 *
 *   ticket (link to our page) -> sign-in (state) -> consent (state) -> code (redeemed by the product)
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Ambient } from "../ambient.ts";
import type { Tier } from "../connections/tiers.ts";
import type { Keys } from "../crypto/keys.ts";
import { platformGeneration } from "../crypto/platform-key.ts";
import { open, type Place, type Sealed, seal, sealedUnder } from "../crypto/seal.ts";
import { AppError } from "../errors.ts";
import type { Stored } from "../store/documents.ts";
import type { HandshakeDoc, HandshakeStore } from "../store/ports.ts";

/** Who asked for which access, and where the browser goes in the end. */
export interface Asked {
  workspaceId: string;
  subject: string;
  connectionId: string;
  tier: Tier;
  returnUrl: string;
}

export interface Administrator {
  tid: string;
  oid: string;
  name: string;
  userPrincipalName: string;
}

export interface Steps {
  ticket: Asked;
  /** `browser` is the hash of the cookie; `repeated` = the sign-in was already asked to be a fresh one. */
  "sign-in": Asked & { browser: string; nonce: string; verifier: string; repeated: boolean };
  consent: Asked & { browser: string; administrator: Administrator };
  /** `provenAt` names the very approval this code stands for. */
  code: Omit<Asked, "returnUrl"> & { tid: string; provenAt: string };
}
export type Step = keyof Steps;

export interface HandshakeNeeds {
  ambient: Ambient;
  keys: Pick<Keys, "platform">;
  handshakes: HandshakeStore;
}

export interface Found<S extends Step> {
  doc: Stored<HandshakeDoc>;
  content: Steps[S];
}

export const handshakeMilliseconds = 600_000;
/** The database cleans up a little later than the code refuses. */
const ttlSeconds = handshakeMilliseconds / 1000 + 300;

const secretPattern = /^[A-Za-z0-9_-]{43}$/;

export const newSecret = (ambient: Pick<Ambient, "randomBytes">): string =>
  ambient.randomBytes(32).toString("base64url");

export const isSecret = (text: string): boolean => secretPattern.test(text);

export const hashOf = (secret: string): string => createHash("sha256").update(secret).digest("hex");

const placeOf = (id: string, step: Step): Place => ({
  container: "handshakes",
  partition: id,
  document: id,
  fields: step,
});

export const begin =
  ({ ambient, keys, handshakes }: HandshakeNeeds) =>
  async <S extends Step>(step: S, content: Steps[S]): Promise<{ secret: string; expiresAt: number }> => {
    const secret = newSecret(ambient);
    const id = hashOf(secret);
    const platform = await keys.platform();
    const expiresAt = ambient.now() + handshakeMilliseconds;
    await handshakes.create({
      id,
      kind: step === "code" ? "code" : "connect",
      expiresAt,
      state: "open",
      content: seal(ambient, platform.derive("handshake", platform.current), placeOf(id, step), content),
      ttl: ttlSeconds,
    });
    return { secret, expiresAt };
  };

/** Throws `consent-attempt-unusable` alike for what is unknown, expired, used, or meant for another step. */
export const find =
  ({ ambient, keys, handshakes }: HandshakeNeeds) =>
  async <S extends Step>(step: S, secret: string): Promise<Found<S>> => {
    const doc = isSecret(secret) ? await handshakes.read(hashOf(secret)) : null;
    if (!doc || doc.state !== "open" || doc.expiresAt <= ambient.now()) throw new AppError("consent-attempt-unusable");
    const generation = platformGeneration(sealedUnder(doc.content), "handshake");
    if (generation === null) throw new AppError("consent-attempt-unusable");
    const key = (await keys.platform()).derive("handshake", generation);
    try {
      return { doc, content: open(key, placeOf(doc.id, step), doc.content as Sealed<Steps[S]>) };
    } catch (cause) {
      throw new AppError("consent-attempt-unusable", { cause });
    }
  };

/** Of several that found the same handshake at once, one passes. */
export const consume =
  ({ handshakes }: Pick<HandshakeNeeds, "handshakes">) =>
  async ({ doc }: Found<Step>): Promise<void> => {
    if (!(await handshakes.replace({ ...doc, state: "used" }))) throw new AppError("consent-attempt-unusable");
  };

/** Whether the cookie that came with a request is the one the attempt began with. */
export const sameBrowser = (content: { browser: string }, cookie: string | undefined): boolean =>
  cookie !== undefined && timingSafeEqual(Buffer.from(hashOf(cookie), "hex"), Buffer.from(content.browser, "hex"));

/** Where the browser goes when the attempt has ended. */
export const backTo = (returnUrl: string, parameters: Readonly<Record<string, string>>): string => {
  const url = new URL(returnUrl);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
};
