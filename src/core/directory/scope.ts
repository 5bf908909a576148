/**
 * The sync scope: whom the settings admit. Pure, and the only place where that is decided - for a run, a preview, a sign-in
 * and an explanation alike.
 */
import type { Settings } from "../connections/settings.ts";
import type { Decisive } from "./attributes.ts";
import type { Blacklist } from "./blacklist.ts";
import type { FieldValue } from "./records.ts";

/** What somebody has decided about one person by hand. `erased`: by the person's own wish. */
export type Marker = "enabled" | "excluded" | "erased";

/** What Graph says of a person, as far as the scope decides by it; null = empty. */
export type Facts = Record<Decisive, FieldValue | null>;

export interface Standing {
  marker: Marker | null;
  /** In one of the selected groups, or in one nested in them when the settings say so. Means nothing where everybody is meant. */
  isMember: boolean;
}

/** The rule that decided; the first that refuses, in this order. */
export const scopeRules = [
  "erased",
  "excluded",
  "not-enabled",
  "blacklisted",
  "guest",
  "member",
  "disabled",
  "without-mail",
  "not-in-groups",
  "in-groups",
  "everybody",
] as const;
export type ScopeRule = (typeof scopeRules)[number];

export interface ScopeDecision {
  admitted: boolean;
  rule: ScopeRule;
}

export const inScope = (
  facts: Facts,
  { people }: Settings,
  blacklist: Blacklist,
  standing: Standing,
): ScopeDecision => {
  const refused = refusal(facts, people, blacklist, standing);
  if (refused) return { admitted: false, rule: refused };
  return { admitted: true, rule: people.from === "everybody" ? "everybody" : "in-groups" };
};

const refusal = (
  facts: Facts,
  people: Settings["people"],
  blacklist: Blacklist,
  { marker, isMember }: Standing,
): ScopeRule | null => {
  if (marker === "erased" || marker === "excluded") return marker;
  if (people.oneByOne && marker !== "enabled") return "not-enabled";
  if (blacklist.entryFor(facts) !== null) return "blacklisted";
  const guest = isGuest(facts);
  if (guest && !people.kinds.guests) return "guest";
  if (!guest && !people.kinds.members) return "member";
  // Not known to be enabled is not known to be disabled.
  if (facts.accountEnabled === false && !people.kinds.disabled) return "disabled";
  if (facts.mail === null && !people.kinds.withoutMail) return "without-mail";
  return people.from === "groups" && !isMember ? "not-in-groups" : null;
};

/** Accounts from before 2014 have no `userType`; the names of invited ones tell. */
const isGuest = ({ userType, userPrincipalName }: Facts): boolean =>
  typeof userType === "string"
    ? userType.toLowerCase() === "guest"
    : typeof userPrincipalName === "string" && /#ext#@/i.test(userPrincipalName);

/** By https://learn.microsoft.com/graph/api/resources/groups-overview: Graph names no kind, its three properties together do. */
export type GroupKind = keyof Settings["groups"]["kinds"];

export const groupKind = (fields: Readonly<Record<string, unknown>>): GroupKind | null => {
  const types = Array.isArray(fields.groupTypes) ? fields.groupTypes : [];
  if (types.some((type) => String(type).toLowerCase() === "unified")) return "microsoft365";
  if (fields.mailEnabled === true) return fields.securityEnabled === true ? "mailEnabledSecurity" : "distribution";
  return fields.securityEnabled === true ? "security" : null;
};
