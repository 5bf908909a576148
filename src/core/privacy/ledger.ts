/**
 * Who was erased while backups that still hold them can be put back: kept outside the database, in the vault secret
 * `erasures-<connection>`. Only whoever has the turn (`erasing` in head) writes it: the vault keeps the last of two values.
 */
import { z } from "zod";
import { AppError } from "../errors.ts";
import type { SecretStore } from "../store/ports.ts";

/** Age of the oldest backup of the database. */
export const backupMilliseconds = 7 * 86_400_000;
/** Longer than backups are kept: putting one back takes a while. */
const keptMilliseconds = backupMilliseconds + 86_400_000;
/** A secret holds 25,000 characters; one entry takes 41 of them. */
export const maxLedgerEntries = 500;

export interface LedgerEntry {
  /** Person id. */
  person: string;
  /** When the erasure was asked for, ms. */
  at: number;
}

const Ledger = z.strictObject({ v: z.literal(1), erased: z.array(z.tuple([z.string(), z.int()])) });

export const ledgerName = (connectionId: string): string => `erasures-${connectionId}`;

/** Oldest first. Throws `keys-unavailable` also when somebody has put something else there: then nobody can tell who was erased. */
export const readLedger = async (
  secrets: Pick<SecretStore, "get">,
  connectionId: string,
  now: number,
): Promise<LedgerEntry[]> => {
  const name = ledgerName(connectionId);
  const text = await secrets.get(name);
  if (text === null) return [];
  const parsed = Ledger.safeParse(jsonIn(text));
  if (!parsed.success) throw new AppError("keys-unavailable", { detail: `Secret ${name} holds no list of erasures.` });
  return parsed.data.erased
    .map(([person, at]) => ({ person, at }))
    .filter(({ at }) => at > now - keptMilliseconds)
    .toSorted((one, other) => one.at - other.at);
};

/** Throws `too-many-erasures` when there is no room until an older entry has expired. */
export const enterInLedger = async (
  secrets: Pick<SecretStore, "get" | "set">,
  connectionId: string,
  entry: LedgerEntry,
  now: number,
): Promise<void> => {
  const others = (await readLedger(secrets, connectionId, now)).filter(({ person }) => person !== entry.person);
  const [oldest] = others;
  if (oldest && others.length >= maxLedgerEntries)
    throw new AppError("too-many-erasures", {
      retryAfterSeconds: Math.ceil((oldest.at + keptMilliseconds - now) / 1000),
    });
  const erased = [...others, entry].map(({ person, at }): [string, number] => [person, at]);
  await secrets.set(ledgerName(connectionId), JSON.stringify({ v: 1, erased } satisfies z.infer<typeof Ledger>));
};

const jsonIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
