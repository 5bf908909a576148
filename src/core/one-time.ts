/**
 * Secrets of 256 bits that are handed to somebody outside and work once. Kept is the SHA-256 of each, as the id of a document;
 * what has to be remembered is sealed in it. A secret opens only the step it was made for, and only until it expires.
 */
import { createHash } from "node:crypto";
import type { Ambient } from "./ambient.ts";
import type { Keys } from "./crypto/keys.ts";
import { platformGeneration } from "./crypto/platform-key.ts";
import { open, type Place, SealBroken, type Sealed, seal, sealedUnder } from "./crypto/seal.ts";
import { AppError, type ProblemCode } from "./errors.ts";
import type { Stored } from "./store/documents.ts";
import type { HandshakeDoc, HandshakeStore } from "./store/ports.ts";

export interface OneTimeNeeds {
  ambient: Ambient;
  keys: Pick<Keys, "platform">;
  handshakes: Pick<HandshakeStore, "create" | "read" | "replace">;
}

export interface Found<C> {
  doc: Stored<HandshakeDoc>;
  content: C;
}

const secretPattern = /^[A-Za-z0-9_-]{43}$/;

export const newSecret = (ambient: Pick<Ambient, "randomBytes">): string =>
  ambient.randomBytes(32).toString("base64url");

export const isSecret = (text: string): boolean => secretPattern.test(text);

export const hashOf = (secret: string): string => createHash("sha256").update(secret).digest("hex");

/** The database cleans up a little later than the code refuses. */
const sweepSeconds = 300;

interface Kind<S> {
  kind: (step: S) => HandshakeDoc["kind"];
  milliseconds: (step: S) => number;
  /** What is thrown alike for what is unknown, expired, used, or meant for another step. */
  unusable: ProblemCode;
}

const placeOf = (id: string, step: string): Place => ({
  container: "handshakes",
  partition: id,
  document: id,
  fields: step,
});

/** Neither used nor expired. */
export const isOpen = ({ ambient }: Pick<OneTimeNeeds, "ambient">, { doc }: Found<unknown>): boolean =>
  doc.state === "open" && doc.expiresAt > ambient.now();

/** `Steps` maps the name of each step to what it remembers. */
export const oneTime = <Steps extends object>({ kind, milliseconds, unusable }: Kind<keyof Steps & string>) => {
  type Step = keyof Steps & string;

  const begin =
    ({ ambient, keys, handshakes }: OneTimeNeeds) =>
    async <S extends Step>(step: S, content: Steps[S]): Promise<{ secret: string; id: string; expiresAt: number }> => {
      const secret = newSecret(ambient);
      const id = hashOf(secret);
      const platform = await keys.platform();
      const expiresAt = ambient.now() + milliseconds(step);
      await handshakes.create({
        id,
        kind: kind(step),
        expiresAt,
        state: "open",
        content: seal(ambient, platform.derive("handshake", platform.current), placeOf(id, step), content),
        ttl: Math.ceil(milliseconds(step) / 1000) + sweepSeconds,
      });
      return { secret, id, expiresAt };
    };

  /** Also what was used or has expired, as long as it is there; null for everything else. */
  const look =
    ({ keys, handshakes }: OneTimeNeeds) =>
    async <S extends Step>(step: S, secret: string): Promise<Found<Steps[S]> | null> => {
      const doc = isSecret(secret) ? await handshakes.read(hashOf(secret)) : null;
      const generation = doc && platformGeneration(sealedUnder(doc.content), "handshake");
      if (doc === null || generation === null) return null;
      const key = (await keys.platform()).derive("handshake", generation);
      try {
        return { doc, content: open(key, placeOf(doc.id, step), doc.content as Sealed<Steps[S]>) };
      } catch (error) {
        if (error instanceof SealBroken) return null;
        throw error;
      }
    };

  const find =
    (needs: OneTimeNeeds) =>
    async <S extends Step>(step: S, secret: string): Promise<Found<Steps[S]>> => {
      const found = await look(needs)(step, secret);
      if (!found || !isOpen(needs, found)) throw new AppError(unusable);
      return found;
    };

  /** Of several that found the same secret at once, one passes. */
  const consume =
    ({ handshakes }: Pick<OneTimeNeeds, "handshakes">) =>
    async ({ doc }: Found<unknown>): Promise<void> => {
      if (!(await handshakes.replace({ ...doc, state: "used" }))) throw new AppError(unusable);
    };

  return { begin, look, find, consume };
};
