/**
 * The sync scope: whom the settings admit. Pure, and the only place where that is decided - for a run, a preview, a sign-in
 * and an explanation alike.
 */
import type { Settings } from "../connections/settings.ts";
import type { PersonRecord } from "./records.ts";

/** Object ids of the selected groups (or groups nested in them) that the person is in. */
export interface Membership {
  groups: ReadonlySet<string>;
}

/** The rule that decided. */
export type ScopeRule = "everybody";

export interface ScopeDecision {
  admitted: boolean;
  rule: ScopeRule;
}

/** Today's settings admit everybody; the inputs are those that every later rule needs. */
export const inScope = (_person: PersonRecord, _settings: Settings, _membership: Membership): ScopeDecision => ({
  admitted: true,
  rule: "everybody",
});

export const noMembership: Membership = { groups: new Set() };
