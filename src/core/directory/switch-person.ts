/**
 * Switches one person's synchronisation on or off, by hand. It is planned and written like a run does it, for this one person
 * and at once: whoever was switched on is there when this answers, and whoever was switched off has left.
 */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import { actorOf, type EntryDraft } from "../audit/entries.ts";
import { entryOf, readHead } from "../connections/change.ts";
import { hintNow, scheduleAfter } from "../connections/change-settings.ts";
import { directoryTenant, type OpenedConnection, openConnection } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import { type Head, ids, type MarkerDoc, type PersonDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore, HintQueue, Write } from "../store/ports.ts";
import { type LiveNeeds, type PersonWrite, personWrite, planLive } from "./one-person.ts";
import { type PersonChange, planLeaving } from "./plan.ts";
import { openRef } from "./ref.ts";
import { retiresAt } from "./retire.ts";
import { earlier } from "./run/batch.ts";
import { knownPerson } from "./run/known.ts";
import { isInTrouble } from "./run/trouble.ts";
import { scheduleOf } from "./schedule.ts";
import { type ScopeRule, scopeRules } from "./scope.ts";

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

export interface SwitchNeeds extends LiveNeeds {
  ambient: Ambient;
  store: DirectoryStore;
  keys: Pick<Keys, "ring">;
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
  const { context } = opened;
  const { ring } = context;
  const stored = await storedPerson(needs, opened, personId);
  // Whoever was erased comes back as somebody new.
  const known = stored && stored.state !== "erased" ? knownPerson(ring, stored) : null;
  if (!known?.record && ref === undefined)
    throw new AppError(stored ? "invalid-request" : "person-not-found", stored ? { field: "ref" } : {});
  const oid = ref === undefined ? (known?.record?.oid ?? "") : openRef(needs.ambient, context, ref, personId);
  const live = await planLive(needs)(opened, { id: personId, oid }, known, "enabled");
  if (!live) throw new AppError("person-not-found");
  const { change, decision } = live;
  return { enabled: true, stored, change, synchronised: decision.admitted, rule: decision.rule };
};

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
  const person = await changeOf(needs, caller, context, plan);
  const isBack = marker?.wasErased === true;
  const now = ambient.now();
  const again = marker && !person && plan.enabled && plan.stored ? writtenAgain(plan.stored, now) : null;
  const writes = [marker?.write, person?.write, again].flatMap((each) => (each ? [each] : []));
  if (writes.length === 0) return true;
  const op = plan.enabled ? "enabled" : "excluded";
  const entries: EntryDraft[] = [
    ...(marker ? [entryOf(ambient, context, caller, { kind: "person", op, object: personId })] : []),
    ...(person?.entry ? [person.entry] : []),
  ];
  const leftAt = person?.state === "deactivated" ? Date.parse(plan.stored?.leftAt ?? iso(now)) : null;
  const plain = scheduleOf(doc);
  const result = await commit(needs, head, {
    writes,
    entries,
    advance: (fresh) => ({
      ...withoutErasureOf(personId, fresh),
      marked: true,
      counters: { ...fresh.counters, people: fresh.counters.people + (person?.adds ?? 0) },
      // Whoever was kept until now has left long ago.
      retireAt: earlier(fresh.retireAt, leftAt === null ? null : retiresAt(settings, leftAt)),
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

/** A run may be about to let the person go: it looks at the marker again when the document it planned from is another. */
const writtenAgain = ({ _etag: etag, ...doc }: Stored<PersonDoc>, now: number): Write => ({
  op: "replace",
  doc: { ...doc, changedAt: iso(now) },
  etag,
});

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

/** A stub that says `erased` would keep the person out for ever; the marker says what holds now. */
const changeOf = async (
  needs: SwitchNeeds,
  caller: Caller,
  context: OpenedConnection["context"],
  { change, stored }: Plan,
): Promise<PersonWrite | null> => {
  if (!change && stored?.state === "erased")
    return { write: { op: "delete", id: stored.id, etag: stored._etag }, entry: null, state: "erased", adds: 0 };
  const origin = { cause: "api", correlationId: caller.correlationId, actor: actorOf(caller) };
  return change && personWrite(needs, context, origin, { change, stored });
};
