/**
 * The e-mail blacklist as the sync scope asks it. An address matches every address of a person; `*@domain` matches the primary
 * address and the sign-in name only, since an alias in another domain is no reason to leave somebody out. Pure.
 */
import type { Facts } from "./scope.ts";

export interface Blacklist {
  /** The entry that names the person, or null. */
  entryFor(facts: Facts): string | null;
}

export const emptyBlacklist: Blacklist = { entryFor: () => null };

/** @param entries addresses and `*@domain`, in any case. */
export const blacklistOf = (entries: Iterable<string>): Blacklist => {
  const listed = new Set([...entries].map(normalised));
  if (listed.size === 0) return emptyBlacklist;
  return {
    entryFor: (facts) => {
      const address = [...addressesOf(facts)].find((each) => listed.has(each));
      if (address !== undefined) return address;
      const domains = [facts.mail, facts.userPrincipalName].flatMap((each) => domainEntry(each));
      return domains.find((entry) => listed.has(entry)) ?? null;
    },
  };
};

export const normalised = (text: string): string => text.normalize("NFKC").trim().toLowerCase();

function* addressesOf({ mail, userPrincipalName, otherMails, proxyAddresses }: Facts): Iterable<string> {
  for (const text of [mail, userPrincipalName, ...list(otherMails)])
    if (typeof text === "string") yield normalised(text);
  // `SMTP:` is the primary address, `smtp:` an alias; other schemes are no e-mail.
  for (const text of list(proxyAddresses)) if (/^smtp:/i.test(text)) yield normalised(text.slice(5));
}

const list = (value: Facts[keyof Facts]): readonly string[] => (Array.isArray(value) ? value : []);

const domainEntry = (address: Facts[keyof Facts]): string[] => {
  const at = typeof address === "string" ? address.lastIndexOf("@") : -1;
  return typeof address === "string" && at >= 0 ? [`*${normalised(address.slice(at))}`] : [];
};
