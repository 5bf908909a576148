/**
 * Where the vault has the platform key: `platform-k<n>`, one secret for each generation, and `platform-generations`, which says
 * which there are and when each was made. A new one seals only when every instance has had time to learn of it.
 * `platform-names` is another key, for hashes that are compared for as long as there are connections; it is never replaced.
 */
import { createHash, createSecretKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import { AppError } from "../errors.ts";
import type { HandshakeStore, SecretStore } from "../store/ports.ts";
import { newKeyText } from "./key-ring.ts";
import { type PlatformKeys, platformKeys } from "./platform-key.ts";

export interface PlatformNeeds {
  ambient: Pick<Ambient, "now" | "randomBytes">;
  secrets: Pick<SecretStore, "get" | "set">;
  handshakes: Pick<HandshakeStore, "claim">;
}

/** Three times as long as an instance remembers keys. */
export const leadMilliseconds = 1_800_000;

const listName = "platform-generations";
const namesName = "platform-names";
export const platformSecretName = (n: number): string => `platform-k${n}`;

const Generations = z.strictObject({
  v: z.literal(1),
  /** In the order in which they were made, ms. */
  generations: z.array(z.strictObject({ n: z.int().min(1), madeAt: z.int() })).min(1),
});
export type Generation = z.infer<typeof Generations>["generations"][number];

/** Pure: the newest that everybody knows by now. */
const sealingGeneration = (generations: readonly Generation[], now: number): number =>
  (generations.findLast(({ madeAt }) => madeAt + leadMilliseconds <= now) ?? generations[0])?.n ?? 1;

/** Null: there has been only the first one. */
export const readGenerations = async (secrets: Pick<SecretStore, "get">): Promise<Generation[] | null> => {
  const text = await secrets.get(listName);
  if (text === null) return null;
  const parsed = Generations.safeParse(jsonIn(text));
  if (!parsed.success) throw new AppError("keys-unavailable", { detail: `Secret ${listName} holds no list.` });
  return parsed.data.generations;
};

export const writeGenerations = (secrets: Pick<SecretStore, "set">, generations: Generation[]): Promise<void> =>
  secrets.set(listName, JSON.stringify({ v: 1, generations } satisfies z.infer<typeof Generations>));

export const loadPlatformKeys = async (needs: PlatformNeeds): Promise<PlatformKeys> => {
  const { ambient, secrets } = needs;
  const listed = await readGenerations(secrets);
  if (listed === null) return platformKeys(new Map([[1, await madeOnce(needs, platformSecretName(1))]]));
  const current = sealingGeneration(listed, ambient.now());
  const found = new Map<number, Buffer>();
  for (const { n } of listed) {
    const name = platformSecretName(n);
    const value = await secrets.get(name);
    // Older ones may be gone while the list still names them: they are deleted first.
    if (value !== null) found.set(n, keyBytes(name, value));
    else if (n >= current) throw new AppError("keys-unavailable", { detail: `Secret ${name} is not there.` });
  }
  return platformKeys(found, current);
};

export const loadNameKey = async (needs: PlatformNeeds): Promise<KeyObject> =>
  createSecretKey(await madeOnce(needs, namesName));

/** Whoever changes what is in the vault under this name has this long before somebody else may. */
const makingSeconds = 60;

/** The vault keeps the last of two values and knows no condition, so only one instance may be at it. */
const mayChange = ({ handshakes }: Pick<PlatformNeeds, "handshakes">, name: string): Promise<boolean> =>
  handshakes.claim(createHash("sha256").update(name).digest("hex"), makingSeconds);

export const mayChangeGenerations = (needs: Pick<PlatformNeeds, "handshakes">): Promise<boolean> =>
  mayChange(needs, listName);

const madeOnce = async (needs: PlatformNeeds, name: string): Promise<Buffer> => {
  const { ambient, secrets } = needs;
  const known = await secrets.get(name);
  if (known !== null) return keyBytes(name, known);
  if (await mayChange(needs, name)) {
    // Whoever had the turn before may have just made it.
    if ((await secrets.get(name)) === null) await secrets.set(name, newKeyText(ambient));
    const made = await secrets.get(name);
    if (made !== null) return keyBytes(name, made);
  }
  throw new AppError("keys-unavailable", { detail: `Secret ${name} is being made.`, retryAfterSeconds: 1 });
};

/** An operator may have put something else under the name of a key. */
export const keyBytes = (name: string, value: string): Buffer => {
  const bytes = Buffer.from(value, "base64url");
  if (bytes.length !== 32) throw new AppError("keys-unavailable", { detail: `Secret ${name} holds no key.` });
  return bytes;
};

const jsonIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
