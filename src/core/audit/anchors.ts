/**
 * Anchors: once a day, how far every connection's log has come and what its chain is, signed, in the vault. Whoever can write to
 * the database can compute a chain anew; he cannot make it lead to the places that are kept elsewhere.
 *
 * Secret `anchor-<day>-<part>`: a compact JWS. A secret holds 25 KB, so a part has the heads of so many connections, in the order of
 * their ids. Part 0 is written last: it says that the day is complete.
 */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import type { DirectoryStore, SecretStore } from "../store/ports.ts";
import { type AnchorKeys, loadAnchorKeys, type PublicKey, verifiedPayload } from "./anchor-keys.ts";
import { logDayLimits } from "./retention.ts";
import type { ChainPlace } from "./walk.ts";

export interface AnchorNeeds {
  ambient: Pick<Ambient, "now" | "randomBytes" | "logDays">;
  secrets: SecretStore;
  store: Pick<DirectoryStore, "heads">;
}

/** A place in a connection's log that the vault has kept. */
export interface Anchor extends ChainPlace {
  /** `2026-11-22`, UTC. */
  day: string;
  at: string;
  /** What is recorded after this time is kept for so many days. */
  logDays: number;
}

const Part = z.object({
  day: z.string(),
  at: z.string(),
  part: z.int(),
  parts: z.int(),
  /** Connection, sequence, chain as base64url; in the order of the connections. */
  heads: z.array(z.tuple([z.string(), z.int(), z.string()])),
  logDays: z.int().default(logDayLimits.usual),
});
type Part = z.infer<typeof Part>;

const partType = "m365-sync-anchor-part";
const headsPerPart = 180;
const dayMilliseconds = 86_400_000;
/** As long as any log that they are for, and a month: so nothing has to be done when the setting changes. */
const keptDays = logDayLimits.most + 30;
/** Days at the end of that time that are looked for, so that a day on which nothing ran leaves nothing behind. */
const sweptDays = 7;

const nameOf = (day: string, part: number): string => `anchor-${day}-${part}`;
export const dayOf = (milliseconds: number): string => iso(milliseconds).slice(0, 10);

/** The timer's work; how many connections the day's anchor has, or null when it was there already. */
export const writeAnchor =
  ({ ambient, secrets, store }: AnchorNeeds) =>
  async (): Promise<number | null> => {
    const now = ambient.now();
    const day = dayOf(now);
    if ((await secrets.get(nameOf(day, 0))) !== null) return null;
    const keys = await loadAnchorKeys(secrets, ambient);
    const heads = (await store.heads()).toSorted((one, other) => (one.connectionId < other.connectionId ? -1 : 1));
    const parts = Math.max(1, Math.ceil(heads.length / headsPerPart));
    for (let part = parts - 1; part >= 0; part--) {
      const here = heads.slice(part * headsPerPart, (part + 1) * headsPerPart);
      const rows = here.map(({ connectionId, sequence, chain }): Part["heads"][number] => [
        connectionId,
        sequence,
        Buffer.from(chain, "hex").toString("base64url"),
      ]);
      const content: Part = {
        day,
        at: iso(now),
        part,
        parts,
        heads: rows,
        logDays: ambient.logDays ?? logDayLimits.usual,
      };
      await secrets.set(nameOf(day, part), keys.sign(partType, content));
    }
    for (let back = 0; back < sweptDays; back++)
      await forget(secrets, dayOf(now - (keptDays + back) * dayMilliseconds));
    return heads.length;
  };

const forget = async (secrets: SecretStore, day: string): Promise<void> => {
  const jws = await secrets.get(nameOf(day, 0));
  if (jws === null) return;
  for (let part = unverifiedParts(jws) - 1; part >= 0; part--) await secrets.delete(nameOf(day, part));
};

/** Only to know how many there are to be deleted. */
const unverifiedParts = (jws: string): number => {
  try {
    return Part.parse(JSON.parse(Buffer.from(jws.split(".")[1] ?? "", "base64url").toString("utf8"))).parts;
  } catch {
    return 1;
  }
};

export interface AnchorsFound {
  anchors: Anchor[];
  /** Days whose anchor is there and was not signed by a known key. */
  broken: string[];
  keys: AnchorKeys;
}

const askedAtOnce = 16;

/** What the vault has kept of a connection on these days; days without an anchor are left out. */
export const findAnchors =
  ({ ambient, secrets }: Pick<AnchorNeeds, "ambient" | "secrets">) =>
  async (connectionId: string, days: readonly string[]): Promise<AnchorsFound> => {
    const keys = await loadAnchorKeys(secrets, ambient);
    const found: (Anchor | "broken" | null)[] = [];
    for (let at = 0; at < days.length; at += askedAtOnce)
      found.push(
        ...(await Promise.all(
          days.slice(at, at + askedAtOnce).map((day) => anchorOn(secrets, keys.published, connectionId, day)),
        )),
      );
    return {
      anchors: found.filter((one) => one !== null && one !== "broken"),
      broken: days.filter((_day, index) => found[index] === "broken"),
      keys,
    };
  };

const anchorOn = async (
  secrets: SecretStore,
  published: readonly PublicKey[],
  connectionId: string,
  day: string,
): Promise<Anchor | "broken" | null> => {
  let [low, high] = [0, 0];
  for (let part = 0; low <= high; part = Math.floor((low + high) / 2)) {
    const jws = await secrets.get(nameOf(day, part));
    if (jws === null) return part === 0 ? null : "broken";
    const read = Part.safeParse(verifiedPayload(published, partType, jws));
    // Signed, and put under the name of another day or part.
    if (!read.success || read.data.day !== day || read.data.part !== part) return "broken";
    const { at, parts, heads, logDays } = read.data;
    const row = heads.find(([id]) => id === connectionId);
    if (row) return { day, at, logDays, sequence: row[1], chain: Buffer.from(row[2], "base64url").toString("hex") };
    if (part === 0) high = parts - 1;
    const [first, last] = [heads[0]?.[0], heads.at(-1)?.[0]];
    if (first === undefined || last === undefined) return null;
    if (connectionId < first) high = part - 1;
    else if (connectionId > last) low = part + 1;
    else return null;
  }
  return null;
};

/** Days from one time to another, both included. */
export const daysBetween = (from: number, to: number): string[] => {
  const days: string[] = [];
  for (let day = Math.floor(from / dayMilliseconds); day <= Math.floor(to / dayMilliseconds); day++)
    days.push(dayOf(day * dayMilliseconds));
  return days;
};

const statementType = "m365-sync-anchor";

/** What an export takes along of an anchor: the same statement about one connection alone, signed anew. */
export const Statement = z.object({
  connection: z.string(),
  day: z.string(),
  at: z.string(),
  sequence: z.int(),
  chain: z.string(),
});
export type Statement = z.infer<typeof Statement>;

export const statementOf = (
  keys: AnchorKeys,
  connection: string,
  { day, at, sequence, chain }: Omit<Anchor, "logDays">,
): string => keys.sign(statementType, { connection, day, at, sequence, chain } satisfies Statement);

/** Throws nothing: null for whatever no known key has signed. */
export const readStatement = (published: readonly PublicKey[], jws: string): Statement | null => {
  const read = Statement.safeParse(verifiedPayload(published, statementType, jws));
  return read.success ? read.data : null;
};
