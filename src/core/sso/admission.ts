/**
 * Who may sign in through a connection: whom its sync scope admits, by the settings of this moment and not of the last run. On a
 * connection that reads no directory the token's own facts are held against the same rules. Nothing is stored here, and nobody is
 * found by an address.
 */
import { openBlacklist } from "../connections/blacklist.ts";
import { readHead } from "../connections/change.ts";
import { directoryTenant } from "../connections/open.ts";
import { createsPeople } from "../connections/settings.ts";
import { personId } from "../crypto/key-ring.ts";
import { type LiveNeeds, planLive } from "../directory/one-person.ts";
import type { KnownPerson, PersonChange } from "../directory/plan.ts";
import { factsOf } from "../directory/records.ts";
import { knownPerson } from "../directory/run/known.ts";
import { type Facts, inScope, type ScopeRule, type Standing } from "../directory/scope.ts";
import { standingOf } from "../directory/standing.ts";
import { AppError, type ProblemCode } from "../errors.ts";
import { type Head, ids, type PersonDoc, type Stored } from "../store/documents.ts";
import { productUserOf } from "../views/people.ts";
import type { SignedInPerson } from "./ports.ts";
import type { UsableConnection } from "./usable.ts";

export type AdmissionNeeds = LiveNeeds;

export type Refusal = Extract<
  ProblemCode,
  "sign-in-not-synchronised" | "sign-in-not-in-scope" | "sign-in-account-disabled"
>;

export interface Verdict {
  /** Pseudonym of the account in this connection. */
  person: string;
  synchronised: boolean;
  /** User of the product that the person is linked to. */
  productUser: string | null;
  refusal: Refusal | null;
  /** Admitted, and to be added first. */
  newcomer: Newcomer | null;
}

/** Somebody whom no sync has brought yet, or not again, as planned from `head` on. */
export interface Newcomer {
  head: Stored<Head>;
  stored: Stored<PersonDoc> | null;
  change: PersonChange;
}

export const admission =
  (needs: AdmissionNeeds) =>
  async (usable: UsableConnection, who: SignedInPerson): Promise<Verdict> => {
    const { doc, context } = usable;
    const { connectionId, ring, settings } = context;
    const person = personId(ring, who.oid);
    const readsDirectory = directoryTenant(doc) !== null;
    const stored = await needs.store.read(connectionId, "person", ids.person(person));
    // Of somebody who was erased there is nothing to open.
    const known = stored && stored.state !== "erased" ? knownPerson(ring, stored) : null;
    const record = known?.state === "active" && !known.left ? known.record : null;
    const productUser = stored && record ? productUserOf(context, stored) : null;
    const seen = { person, synchronised: record !== null, productUser, newcomer: null };
    if (readsDirectory && !record) {
      const newcomer = await newcomerOr(needs, usable, { id: person, oid: who.oid }, { stored, known });
      return typeof newcomer === "string" ? { ...seen, refusal: newcomer } : { ...seen, refusal: null, newcomer };
    }

    const facts = record ? factsOf(record) : factsOfToken(who);
    // Switched off in Entra ID keeps people out, also where the settings synchronise such accounts.
    if (facts.accountEnabled === false) return { ...seen, refusal: "sign-in-account-disabled" };
    const standing = readsDirectory
      ? (await standingOf(needs)(context, [{ id: person, oid: who.oid }])).get(person)
      : await standingByHand(needs, connectionId, person);
    const blacklist = await openBlacklist(needs)(doc, ring);
    const rule = standing ? inScope(facts, settings, blacklist, standing) : gone;
    return { ...seen, refusal: rule.admitted ? null : "sign-in-not-in-scope" };
  };

/** Where the settings let sign-ins add people: by what Graph says now, as a run would decide. */
const newcomerOr = async (
  needs: AdmissionNeeds,
  { doc, context }: UsableConnection,
  who: { id: string; oid: string },
  { stored, known }: { stored: Stored<PersonDoc> | null; known: KnownPerson | null },
): Promise<Newcomer | Refusal> => {
  const { connectionId, settings } = context;
  if (!createsPeople(settings) || settings.paused || stored?.state === "erased") return "sign-in-not-synchronised";
  // Whatever changes from here on moves head; what was read before has to be what holds now.
  const head = await readHead(needs.store, connectionId);
  const now = await needs.store.read(connectionId, "connection", ids.connection);
  if (now?._etag !== doc._etag) throw new AppError("changed-meanwhile");
  const live = await planLive(needs)({ doc, context }, who, known);
  if (!live) return "sign-in-not-synchronised";
  if (live.facts.accountEnabled === false) return "sign-in-account-disabled";
  return live.decision.admitted && live.change ? { head, stored, change: live.change } : "sign-in-not-in-scope";
};

/** Graph was asked and does not know the person. */
const gone: { admitted: boolean; rule: ScopeRule } = { admitted: false, rule: "not-in-groups" };

/** Without a directory nobody's groups are known: where the settings want some, nobody is in them. */
const standingByHand = async ({ store }: AdmissionNeeds, connectionId: string, person: string): Promise<Standing> => {
  const marker = await store.read(connectionId, "marker", ids.marker(person));
  return { marker: marker?.marker ?? null, isMember: false };
};

/** Microsoft has just signed the account in, so it is enabled. */
const factsOfToken = ({ email, preferredUsername, isGuest }: SignedInPerson): Facts => ({
  accountEnabled: true,
  userType: isGuest ? "Guest" : "Member",
  // Tokens may lack an address that the account has.
  mail: email ?? preferredUsername,
  userPrincipalName: preferredUsername,
  otherMails: null,
  proxyAddresses: null,
});
