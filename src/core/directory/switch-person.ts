/**
 * Switches one person's synchronisation on or off, by hand. It is planned and written like a run does it, for this one person
 * and at once: whoever was switched on is there when this answers, and whoever was switched off has left.
 */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import type { EntryDraft } from "../audit/entries.ts";
import { openBlacklist } from "../connections/blacklist.ts";
import { entryOf, readHead } from "../connections/change.ts";
import { hintNow, scheduleAfter } from "../connections/change-settings.ts";
import { directoryTenant, type OpenedConnection, openConnection } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import { type Head, ids, type MarkerDoc, type PersonDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore, HintQueue, Write } from "../store/ports.ts";
import { type PersonChange, planLeaving, planPerson } from "./plan.ts";
import type { DirectorySource, RawObject } from "./ports.ts";
import { factsOf, overlayPerson } from "./records.ts";
import { openRef } from "./ref.ts";
import { retiresAt } from "./retire.ts";
import { knownPerson } from "./run/known.ts";
import { isInTrouble } from "./run/trouble.ts";
import { scheduleOf } from "./schedule.ts";
import { inScope, type ScopeDecision, type ScopeRule, scopeRules } from "./scope.ts";
import { type StandingNeeds, standingOf } from "./standing.ts";
import { changedPerson, createdPerson, shownGroupsOf, type Writing, type WrittenPerson } from "./write-person.ts";

export const SwitchPerson = z.strictObject({
  enabled: z.boolean(),
  /** As live search gave it; needed for somebody who is not stored. */
  ref: z.string().min(1).max(2000).optional(),
});
export type SwitchPerson = z.infer<typeof SwitchPerson>;

export const PersonSwitch = z.strictObject({
  id: z.string(),
  enabled: z.boolean(),
  synchronised: z.boolean(),
  /** The rule of the settings that decided; somebody who is switched on may still be refused by another. */
  rule: z.enum(scopeRules),
});
export type PersonSwitch = z.infer<typeof PersonSwitch>;

export interface SwitchNeeds extends StandingNeeds {
  ambient: Ambient;
  store: DirectoryStore;
  keys: Pick<Keys, "ring">;
  source: Pick<DirectorySource, "people">;
  hints: HintQueue;
}

const maxAttempts = 5;

/** Throws `person-not-found` when Graph does not know the person any more, `invalid-ref`, and what is said of Graph. */
export const switchPerson =
  (needs: SwitchNeeds) =>
  async (caller: Caller, connectionId: string, personId: string, input: SwitchPerson): Promise<PersonSwitch> => {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const head = await readHead(needs.store, connectionId);
      const opened = await openConnection(needs)(caller.workspaceId, connectionId);
      requireFlowing(opened);
      const plan = input.enabled
        ? await planOn(needs, opened, personId, input.ref)
        : await planOff(needs, opened, personId);
      if (await write(needs, caller, opened, head, personId, plan))
        return { id: personId, enabled: input.enabled, synchronised: plan.synchronised, rule: plan.rule };
    }
    throw new AppError("changed-meanwhile");
  };

/** Off means that nothing flows, and that includes one person. */
const requireFlowing = ({ doc }: OpenedConnection): void => {
  if (directoryTenant(doc) === null)
    throw new AppError("state-conflict", { detail: "The connection reads no directory." });
  if (doc.settings.paused) throw new AppError("state-conflict", { detail: "The connection is paused." });
};

interface Plan {
  enabled: boolean;
  stored: Stored<PersonDoc> | null;
  change: PersonChange | null;
  synchronised: boolean;
  rule: ScopeRule;
}

const personPattern = /^[A-Za-z0-9_-]{22}$/;

const storedPerson = async (
  { store }: SwitchNeeds,
  { context }: OpenedConnection,
  personId: string,
): Promise<Stored<PersonDoc> | null> => {
  if (!personPattern.test(personId)) throw new AppError("person-not-found");
  return store.read(context.connectionId, "person", ids.person(personId));
};

const planOff = async (needs: SwitchNeeds, opened: OpenedConnection, personId: string): Promise<Plan> => {
  const { ring, settings } = opened.context;
  const stored = await storedPerson(needs, opened, personId);
  const change = planLeaving(settings, personId, stored && knownPerson(ring, stored), "scope: excluded");
  return { enabled: false, stored, change, synchronised: false, rule: "excluded" };
};

const planOn = async (
  needs: SwitchNeeds,
  opened: OpenedConnection,
  personId: string,
  ref: string | undefined,
): Promise<Plan> => {
  const { context, doc } = opened;
  const { ring, settings } = context;
  const stored = await storedPerson(needs, opened, personId);
  // Whoever was erased comes back as somebody new.
  const known = stored && stored.state !== "erased" ? knownPerson(ring, stored) : null;
  if (!known?.record && ref === undefined)
    throw new AppError(stored ? "invalid-request" : "person-not-found", stored ? { field: "ref" } : {});
  const oid = ref === undefined ? (known?.record?.oid ?? "") : openRef(needs.ambient, context, ref, personId);
  const object = (await needs.source.people(context, [oid])).get(oid);
  if (object === undefined) throw new AppError("graph-unavailable");
  if (object === null) throw new AppError("person-not-found");
  const members = await standingOf(needs)(context, [{ id: personId, oid }]);
  const member = members.get(personId);
  if (!member) throw new AppError("person-not-found");
  const standing = { ...member, marker: "enabled" as const };
  const rules = { settings, blacklist: await openBlacklist(needs)(doc, ring) };
  const { change } = planPerson(ring, rules, standing, known, object, true);
  const decision = decide(object, rules, standing);
  return { enabled: true, stored, change, synchronised: decision.admitted, rule: decision.rule };
};

const decide = (
  { properties }: RawObject,
  { settings, blacklist }: Parameters<typeof planPerson>[1],
  standing: Parameters<typeof planPerson>[2],
): ScopeDecision =>
  inScope(factsOf(overlayPerson(settings.attributes, null, properties, true)), settings, blacklist, standing);

/** False: somebody else was faster, and everything has to be looked at again. */
const write = async (
  needs: SwitchNeeds,
  caller: Caller,
  { doc, context }: OpenedConnection,
  head: Stored<Head>,
  personId: string,
  plan: Plan,
): Promise<boolean> => {
  const { ambient } = needs;
  const { connectionId, settings } = context;
  const marker = await markerWrite(needs, connectionId, personId, plan.enabled);
  const person = await personWrite(needs, caller, context, plan);
  const isBack = marker?.wasErased === true;
  const writes = [marker?.write, person?.write].flatMap((each) => (each ? [each] : []));
  if (writes.length === 0) return true;
  const op = plan.enabled ? "enabled" : "excluded";
  const entries: EntryDraft[] = [
    ...(marker ? [entryOf(ambient, context, caller, { kind: "person", op, object: personId })] : []),
    ...(person?.entry ? [person.entry] : []),
  ];
  const now = ambient.now();
  const active = (plan.stored?.state === "active" ? -1 : 0) + (person?.state === "active" ? 1 : 0);
  const plain = scheduleOf(doc);
  const result = await commit(needs, head, {
    writes,
    entries,
    advance: (fresh) => ({
      ...withoutErasureOf(personId, fresh),
      marked: true,
      counters: { ...fresh.counters, people: fresh.counters.people + (person ? active : 0) },
      retireAt: person?.state === "deactivated" ? (fresh.retireAt ?? retiresAt(settings, now)) : fresh.retireAt,
      // The memberships went with the erasure, and no delta tells of them again.
      suspect: fresh.suspect || isBack,
      // A run under way may have planned this person the other way round.
      ...(plan.enabled && !isBack
        ? {}
        : { epoch: fresh.epoch + 1, ...scheduleAfter(fresh, plain, plain, now, isInTrouble(doc)) }),
    }),
  });
  if (result.outcome !== "committed") return false;
  if (!plan.enabled || isBack) await hintNow(needs, connectionId);
  return true;
};

/** What is left of an erasure would be done to somebody who has just come back. */
const withoutErasureOf = (personId: string, head: Head): Head => {
  if (head.erasing?.entry.object === personId) throw new AppError("changed-meanwhile");
  return head;
};

/** Null: that is how it is already. */
const markerWrite = async (
  { ambient, store }: SwitchNeeds,
  connectionId: string,
  personId: string,
  enabled: boolean,
): Promise<{ write: Write; wasErased: boolean } | null> => {
  const id = ids.marker(personId);
  const stored = await store.read(connectionId, "marker", id);
  const marker = enabled ? "enabled" : "excluded";
  if (stored?.marker === marker) return null;
  const wasErased = stored?.marker === "erased";
  if (wasErased && !enabled) throw new AppError("state-conflict", { detail: "The person was erased." });
  // Younger than what it replaces, whatever the clocks say: the ledger of erasures is compared with it.
  const changedAt = iso(Math.max(ambient.now(), stored ? Date.parse(stored.changedAt) + 1 : 0));
  const doc: MarkerDoc = { id, kind: "marker", connectionId, v: 1, marker, changedAt };
  return { write: stored ? { op: "replace", doc, etag: stored._etag } : { op: "create", doc }, wasErased };
};

interface PersonWrite {
  write: Write;
  entry: EntryDraft | null;
  state: PersonDoc["state"];
}

const personWrite = async (
  { ambient, store }: SwitchNeeds,
  caller: Caller,
  context: OpenedConnection["context"],
  { change, stored }: Plan,
): Promise<PersonWrite | null> => {
  // A stub that says `erased` would keep the person out for ever; the marker says what holds now.
  if (!change && stored?.state === "erased")
    return { write: { op: "delete", id: stored.id, etag: stored._etag }, entry: null, state: "erased" };
  if (!change) return null;
  const { subject, ip, correlationId } = caller;
  const writing: Writing = {
    ambient,
    connection: context,
    origin: { cause: "api", correlationId, actor: { subject, ip } },
  };
  const written = writtenPerson(writing, change, stored);
  if (!written) return null;
  const { doc, entry } = written;
  const becomesActive = doc.state === "active" && stored?.state !== "active";
  const groups = becomesActive ? await shownGroupsOf(store, context.connectionId, change.id) : [];
  return {
    write: stored ? { op: "replace", doc, etag: stored._etag } : { op: "create", doc },
    entry: entry && groups.length > 0 ? { ...entry, groups } : entry,
    state: doc.state,
  };
};

const writtenPerson = (
  writing: Writing,
  change: PersonChange,
  stored: Stored<PersonDoc> | null,
): WrittenPerson | null => {
  if (stored && stored.state !== "erased") return changedPerson(writing, change, stored);
  return change.record ? createdPerson(writing, change, change.record) : null;
};
