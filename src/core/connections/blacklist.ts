/**
 * The e-mail blacklist as it is kept: addresses and `*@domain`, sealed under the ring, in parts. A version is never changed: the
 * connection's document names the one in force, and whoever has read that reads its very entries.
 */
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import type { FieldChange } from "../audit/entries.ts";
import type { ConnectionContext } from "../context.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { open, type Place, seal } from "../crypto/seal.ts";
import { type Blacklist, blacklistOf, normalised } from "../directory/blacklist.ts";
import { AppError } from "../errors.ts";
import { type BlacklistDoc, type BlacklistVersion, type ConnectionDoc, ids } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";

export const maxEntryLength = 320;
export const maxEntries = 10_000;
/** Of the JSON text of a whole list: sealed, with its record and the settings, it still fits into one transaction. */
const maxListBytes = 1_000_000;
const entriesPerPart = 2000;

const withoutAmbiguity = /^[^\s\p{C}@*<>()[\]\\,;:"]+$/u;
const domainLabel = /^(?!-)[\p{L}\p{M}\p{N}-]{1,63}(?<!-)$/u;

/** Not every address that the standards allow, but every one that an account of Microsoft 365 can have, sign-in names of guests included; of any script. */
const isEntry = (text: string): boolean => {
  const at = text.lastIndexOf("@");
  const [name, domain] = [text.slice(0, at), text.slice(at + 1)];
  const labels = domain.split(".");
  return (
    text.length <= maxEntryLength &&
    (name === "*" || (name.length <= 256 && withoutAmbiguity.test(name))) &&
    domain.length <= 255 &&
    labels.length >= 2 &&
    labels.every((label) => domainLabel.test(label))
  );
};

/** As the sync scope compares it; null: neither an address nor `*@domain`. */
export const entryOfText = (text: string): string | null => {
  if (text.length > maxEntryLength) return null;
  const entry = normalised(text);
  return isEntry(entry) ? entry : null;
};

export const notAnEntry = "Neither an address nor `*@domain`.";

const BlacklistEntry = z.string().transform((text, context) => {
  const entry = entryOfText(text);
  if (entry !== null) return entry;
  context.addIssue({ code: "custom", message: notAnEntry });
  return z.NEVER;
});

const tooMany = `At most ${maxEntries} entries in all.`;

export const BlacklistEntries = z.array(BlacklistEntry).max(maxEntries, tooMany);

/** Sorted and without repeats. Throws when it is more than can be kept; `field` is where it came from. */
export const wholeList = (entries: Iterable<string>, field: string): string[] => {
  const list = [...new Set(entries)].toSorted();
  if (list.length > maxEntries) throw new AppError("invalid-request", { field, detail: tooMany });
  requireRoom(list, field);
  return list;
};

export const requireRoom = (list: readonly unknown[], field: string): void => {
  if (Buffer.byteLength(JSON.stringify(list)) > maxListBytes)
    throw new AppError("invalid-request", { field, detail: `At most ${maxListBytes} bytes in all.` });
};

const place = (connectionId: string, document: string): Place => ({
  container: "directory",
  partition: connectionId,
  document,
  fields: "entries",
});

export const partIds = ({ version, entries }: BlacklistVersion): string[] =>
  Array.from({ length: Math.ceil(entries / entriesPerPart) }, (_, part) => ids.blacklist(version, part));

export const blacklistDocs = (
  ambient: Ambient,
  { ring, connectionId }: Pick<ConnectionContext, "connectionId" | "ring">,
  version: number,
  list: readonly string[],
): BlacklistDoc[] =>
  partIds({ version, entries: list.length }).map((id, part) => {
    const entries = list.slice(part * entriesPerPart, (part + 1) * entriesPerPart);
    const sealed = seal(ambient, ring.sealing, place(connectionId, id), entries);
    return { id, kind: "blacklist", connectionId, v: 1, entries: sealed };
  });

export interface BlacklistNeeds {
  store: Pick<DirectoryStore, "load">;
}

/** In order. A part that is missing is no shorter list: it would admit people who are listed. */
export const openEntries =
  ({ store }: BlacklistNeeds) =>
  async (connectionId: string, version: BlacklistVersion, ring: KeyRing): Promise<string[]> => {
    const wanted = partIds(version);
    if (wanted.length === 0) return [];
    const docs = await store.load(connectionId, "blacklist", wanted);
    return wanted.flatMap((id) => {
      const doc = docs.get(id);
      if (!doc) throw new AppError("store-unavailable", { detail: "This version of the blacklist is not there." });
      return open(ring.sealing, place(connectionId, id), doc.entries);
    });
  };

/** The list in force, for the sync scope. */
export const openBlacklist =
  (needs: BlacklistNeeds) =>
  async (
    { connectionId, blacklist }: Pick<ConnectionDoc, "connectionId" | "blacklist">,
    ring: KeyRing,
  ): Promise<Blacklist> =>
    blacklistOf(await openEntries(needs)(connectionId, blacklist, ring));

/**
 * What the log says of a list that was replaced: counts, and by name as many as fit. The rest is in the versions themselves, which
 * are kept for as long as the entry.
 */
const maxNamedBytes = 100_000;

export interface Named {
  count: number;
  names: string[];
}

export const named = (list: readonly string[]): Named => {
  let bytes = 0;
  const names = list.filter((name) => (bytes += Buffer.byteLength(name) + 3) <= maxNamedBytes);
  return { count: list.length, names };
};

export const listChanges = (field: string, before: readonly string[], after: readonly string[]): FieldChange[] => {
  const [earlier, later] = [new Set(before), new Set(after)];
  const added = after.filter((each) => !earlier.has(each));
  const removed = before.filter((each) => !later.has(each));
  return [
    ...(added.length > 0 ? [{ field: `${field}.added`, before: null, after: named(added) }] : []),
    ...(removed.length > 0 ? [{ field: `${field}.removed`, before: named(removed), after: null }] : []),
  ];
};

/** For whoever may not read the blacklist: how many came and went, and not who. */
export const withoutAddresses = ({ field, before, after }: FieldChange): FieldChange =>
  field.startsWith("blacklist.")
    ? { field, before: countOnly(before), after: countOnly(after) }
    : { field, before, after };

const Counted = z.object({ count: z.int() });
const countOnly = (side: unknown): unknown => Counted.safeParse(side).data ?? null;
