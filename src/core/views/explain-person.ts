/**
 * Why a person is in or out: the rule that decides, the way through groups, what would have to change. Of people who are
 * synchronised it tells what the last run has read; of others Graph is asked, and nothing of the answer is kept.
 */
import { z } from "zod";
import { iso } from "../ambient.ts";
import { openBlacklist } from "../connections/blacklist.ts";
import { readHead } from "../connections/change.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import { blindIndex, personId } from "../crypto/key-ring.ts";
import { groupPath } from "../directory/group-path.ts";
import { filterId, scopeRoots } from "../directory/group-roles.ts";
import type { FoundObject, PersonKey } from "../directory/ports.ts";
import { factsOf, overlayPerson } from "../directory/records.ts";
import { openRef } from "../directory/ref.ts";
import { knownPerson } from "../directory/run/known.ts";
import { type Facts, inScope, scopeRules } from "../directory/scope.ts";
import { standingOf } from "../directory/standing.ts";
import { AppError } from "../errors.ts";
import { type Head, ids, type PersonDoc, personOf, type Stored } from "../store/documents.ts";
import { openLive } from "./live.ts";
import { PersonStateName, personIdPattern } from "./people.ts";
import { isSynchronised, livePersonProperties, type SearchNeeds } from "./search-people.ts";

const Address = z.string().max(320).regex(/\S/, "is empty");

export const ExplainPerson = z
  .strictObject({
    person: z.string().max(100).optional(),
    ref: z.string().max(2000).optional(),
    mail: Address.optional(),
    userPrincipalName: Address.optional(),
  })
  .refine((named) => Object.values(named).filter((value) => value !== undefined).length === 1, {
    error: "names the person by one of person, ref, mail and userPrincipalName",
  });
export type ExplainPerson = z.infer<typeof ExplainPerson>;

const rules = [...scopeRules, "not-in-directory"] as const;
type Rule = (typeof rules)[number];

export const Explanation = z.strictObject({
  id: z.string(),
  /** Null: not stored. */
  state: PersonStateName.nullable(),
  reason: z.string().nullable(),
  synchronised: z.boolean(),
  /** `stored`: as a run has read it; `live`: as Microsoft 365 has it now. */
  basis: z.enum(["stored", "live"]),
  /** What the next run decides, as things are. */
  decision: z.strictObject({ admitted: z.boolean(), rule: z.enum(rules) }),
  /** Object ids, from a selected group to the one that the person is in. Null: in none, none are selected, or the way is not known yet. */
  path: z.array(z.string()).nullable(),
  /** Entry of the blacklist that names the person; only for `integration:setup`. */
  blacklistEntry: z.string().nullable(),
  settingsVersion: z.int(),
  lastRun: z
    .strictObject({
      startedAt: z.iso.datetime(),
      endedAt: z.iso.datetime(),
      cause: z.enum(["schedule", "manual", "notification", "settings"]),
      outcome: z.enum(["done", "nothing", "dry-run", "rejected", "expired", "cancelled", "failed"]),
    })
    .nullable(),
  /** What would have to change for it to be otherwise. */
  change: z.string(),
});
export type Explanation = z.infer<typeof Explanation>;

/** More than one only for an address that several people have. */
const mostPeople = 10;

export const explainPerson =
  (needs: SearchNeeds) =>
  async (caller: Caller, connectionId: string, named: ExplainPerson): Promise<{ items: Explanation[] }> => {
    const { doc, context } = await openLive(needs)(caller, connectionId);
    const people = await meant(needs, caller, context, named);
    if (people.length === 0) throw new AppError("person-not-found");
    const [blacklist, standings, head] = await Promise.all([
      openBlacklist(needs)(doc, context.ring),
      standingOf(needs)(context, people),
      readHead(needs.store, connectionId),
    ]);
    const items: Explanation[] = [];
    for (const person of people) {
      const { id, stored, facts, basis } = person;
      const standing = standings.get(id);
      const isThere = standing !== undefined && !(basis === "stored" && hasGone(stored));
      const decision: Explanation["decision"] = isThere
        ? inScope(facts, context.settings, blacklist, standing)
        : { admitted: false, rule: "not-in-directory" };
      const synchronised = isSynchronised(stored);
      items.push({
        id,
        state: stored?.state ?? null,
        reason: stored?.reason ?? null,
        synchronised,
        basis,
        decision,
        path: isThere && standing.isMember ? await pathTo(needs, context, person) : null,
        blacklistEntry: caller.permissions.has("integration:setup") ? blacklist.entryFor(facts) : null,
        settingsVersion: doc.settingsVersion,
        lastRun: lastRunOf(head),
        change: changeFor(decision, synchronised),
      });
    }
    return { items };
  };

interface Meant {
  id: string;
  oid: string;
  stored: Stored<PersonDoc> | null;
  facts: Facts;
  basis: "stored" | "live";
}

const meant = async (
  needs: SearchNeeds,
  caller: Caller,
  context: ConnectionContext,
  named: ExplainPerson,
): Promise<Meant[]> => {
  const oid = named.ref === undefined ? null : openRef(needs.ambient, context, named.ref);
  const kept = (await storedAs(needs, context, named, oid)).flatMap((doc) => storedPerson(context, doc));
  const key = keyOf(named, oid);
  if (kept.length > 0 || key === null) return kept;
  // Without this right it must not even show whether there is somebody.
  if (!caller.permissions.has("directory:read-all"))
    throw new AppError("permission-missing", { detail: "Of people who are not stored it takes directory:read-all." });
  const found = await needs.search.named(context, key, livePersonProperties(context));
  const people = found.map((object) => ({ object, id: personId(context.ring, object.id) }));
  const docs = await needs.store.load(
    context.connectionId,
    "person",
    people.map(({ id }) => ids.person(id)),
  );
  return people.map(({ object, id }) => livePerson(context, object, docs.get(ids.person(id)) ?? null));
};

const storedAs = async (
  { store }: SearchNeeds,
  { connectionId, ring }: ConnectionContext,
  { person, mail, userPrincipalName }: ExplainPerson,
  oid: string | null,
): Promise<Stored<PersonDoc>[]> => {
  if (mail !== undefined)
    return store.peopleByIndex(connectionId, "mailIndex", blindIndex(ring, "mail", mail), mostPeople);
  if (userPrincipalName !== undefined)
    return store.peopleByIndex(connectionId, "upnIndex", blindIndex(ring, "upn", userPrincipalName), mostPeople);
  const id = oid === null ? (person ?? "") : personId(ring, oid);
  const doc = personIdPattern.test(id) ? await store.read(connectionId, "person", ids.person(id)) : null;
  return doc ? [doc] : [];
};

/** A person id alone asks nothing of Graph. */
const keyOf = ({ mail, userPrincipalName }: ExplainPerson, oid: string | null): PersonKey | null => {
  if (oid !== null) return { oid };
  if (mail !== undefined) return { mail };
  return userPrincipalName === undefined ? null : { userPrincipalName };
};

/** Nobody for a stub: what could decide is no longer there. */
const storedPerson = ({ ring }: ConnectionContext, doc: Stored<PersonDoc>): Meant[] => {
  const { record } = doc.state === "active" || doc.state === "deactivated" ? knownPerson(ring, doc) : { record: null };
  return record
    ? [{ id: personOf(doc.id), oid: record.oid, stored: doc, facts: factsOf(record), basis: "stored" }]
    : [];
};

const livePerson = (
  { ring, settings }: ConnectionContext,
  { id: oid, properties }: FoundObject,
  stored: Stored<PersonDoc> | null,
): Meant => {
  const facts = factsOf(overlayPerson(settings.attributes, null, properties, true));
  return { id: personId(ring, oid), oid, stored, facts, basis: "live" };
};

/** Left because the account is gone, and not because the settings refuse the person. */
const hasGone = (doc: PersonDoc | null): boolean =>
  doc !== null && !isSynchronised(doc) && doc.reason !== null && !doc.reason.startsWith("scope: ");

/** Along what is stored of the groups; who holds the person is asked of Graph where it is not known yet. */
const pathTo = async (
  { store, search }: SearchNeeds,
  context: ConnectionContext,
  { id, oid }: Meant,
): Promise<string[] | null> => {
  const { connectionId, ring, settings } = context;
  const documentsOf = (group: string): string[] => [group, filterId(ring, group)];
  const graph = {
    roots: scopeRoots(settings),
    membership: settings.people.membership,
    childrenOf: async (groups: readonly string[]) => {
      const docs = await store.load(connectionId, "group", groups.flatMap(documentsOf).map(ids.group));
      return new Map(
        groups.map((group) => [
          group,
          documentsOf(group).flatMap((document) => docs.get(ids.group(document))?.children ?? []),
        ]),
      );
    },
  };
  const stored = new Set(await store.groupsOf(connectionId, id));
  const known = await groupPath({ ...graph, holds: (group) => documentsOf(group).some((each) => stored.has(each)) });
  if (known) return known;
  const live = (await search.groupsOf(context, [oid], "direct")).get(oid);
  return live ? groupPath({ ...graph, holds: (group) => live.has(group) }) : null;
};

const lastRunOf = ({ lastRound }: Head): Explanation["lastRun"] =>
  lastRound && {
    startedAt: iso(lastRound.startedAt),
    endedAt: iso(lastRound.endedAt),
    cause: lastRound.cause,
    outcome: lastRound.outcome,
  };

const toEnter: Record<Exclude<Rule, "in-groups" | "everybody">, string> = {
  erased: "Nothing: the person has been erased, and stays out.",
  excluded: "Somebody has to end the exclusion of this person.",
  "not-enabled": "Somebody has to enable this person, or the settings have to admit people without that.",
  blacklisted: "The entry of the e-mail blacklist that names the person has to go.",
  guest: "The settings have to admit guests.",
  member: "The settings have to admit members of the organisation.",
  disabled: "The account has to be enabled in Microsoft 365, or the settings have to admit disabled accounts.",
  "without-mail":
    "The account has to get an e-mail address in Microsoft 365, or the settings have to admit people without one.",
  "not-in-groups":
    "The person has to become a member of a selected group in Microsoft 365, or one of the person's groups has to be selected.",
  "not-in-directory": "The account has to come back in Microsoft 365.",
};

const toLeave = {
  everybody: "The person has to be excluded, or the settings have to admit fewer people.",
  "in-groups":
    "The person has to leave the selected groups in Microsoft 365 or be excluded, or the settings have to admit fewer people.",
} as const;

const changeFor = ({ admitted, rule }: Explanation["decision"], synchronised: boolean): string => {
  const nextRun =
    admitted === synchronised
      ? ""
      : admitted
        ? "The next run admits the person. "
        : "The next run lets the person go. ";
  if (rule === "everybody" || rule === "in-groups") return `${nextRun}To be left out: ${toLeave[rule]}`;
  return `${nextRun}To be admitted: ${toEnter[rule]}`;
};
