/** One person outside a run: planned from what Graph says now by the rules of a run, and written in the form of a run. */
import type { Ambient } from "../ambient.ts";
import type { EntryDraft } from "../audit/entries.ts";
import { openBlacklist } from "../connections/blacklist.ts";
import type { OpenedConnection } from "../connections/open.ts";
import type { ConnectionContext } from "../context.ts";
import { AppError } from "../errors.ts";
import type { PersonDoc, Stored } from "../store/documents.ts";
import type { DirectoryStore, Write } from "../store/ports.ts";
import { type KnownPerson, type PersonChange, planPerson } from "./plan.ts";
import type { DirectorySource } from "./ports.ts";
import { factsOf, overlayPerson } from "./records.ts";
import { type Facts, inScope, type Marker, type ScopeDecision } from "./scope.ts";
import { type Identified, type StandingNeeds, standingOf } from "./standing.ts";
import { changedPerson, createdPerson, type Origin, shownGroupsOf, type WrittenPerson } from "./write-person.ts";

export interface LiveNeeds extends StandingNeeds {
  source: Pick<DirectorySource, "people">;
}

export interface LivePlan {
  facts: Facts;
  decision: ScopeDecision;
  change: PersonChange | null;
}

/**
 * Null: Graph knows nobody by this id. Throws `graph-unavailable`, and what is said of Graph.
 * @param marker what is about to be decided by hand; otherwise what has been.
 */
export const planLive =
  (needs: LiveNeeds) =>
  async (
    { context, doc }: OpenedConnection,
    { id, oid }: Identified,
    known: KnownPerson | null,
    marker?: Marker,
  ): Promise<LivePlan | null> => {
    const { ring, settings } = context;
    const object = (await needs.source.people(context, [oid])).get(oid);
    if (object === undefined) throw new AppError("graph-unavailable");
    const found = object && (await standingOf(needs)(context, [{ id, oid }])).get(id);
    if (!object || !found) return null;
    const standing = marker ? { ...found, marker } : found;
    const blacklist = await openBlacklist(needs)(doc, ring);
    const facts = factsOf(overlayPerson(settings.attributes, null, object.properties, true));
    const { change } = planPerson(ring, { settings, blacklist }, standing, known, object, true);
    return { facts, decision: inScope(facts, settings, blacklist, standing), change };
  };

export interface PersonWrite {
  write: Write;
  entry: EntryDraft | null;
  state: PersonDoc["state"];
  /** People more, or fewer, who are active afterwards: 1, 0 or -1. */
  adds: number;
}

/** Null when nothing is to be written. */
export const personWrite = async (
  { ambient, store }: { ambient: Ambient; store: Pick<DirectoryStore, "groupsOf" | "load"> },
  connection: ConnectionContext,
  origin: Origin,
  { change, stored }: { change: PersonChange; stored: Stored<PersonDoc> | null },
): Promise<PersonWrite | null> => {
  const written = writtenPerson({ ambient, connection, origin }, change, stored);
  if (!written) return null;
  const { doc, entry } = written;
  const wasActive = stored?.state === "active";
  const isActive = doc.state === "active";
  // Memberships may have been stored before the person was: nobody would tell of them later.
  const groups = isActive && !wasActive ? await shownGroupsOf(store, connection.connectionId, change.id) : [];
  return {
    write: stored ? { op: "replace", doc, etag: stored._etag } : { op: "create", doc },
    entry: entry && groups.length > 0 ? { ...entry, groups } : entry,
    state: doc.state,
    adds: Number(isActive) - Number(wasActive),
  };
};

const writtenPerson = (
  writing: Parameters<typeof createdPerson>[0],
  change: PersonChange,
  stored: Stored<PersonDoc> | null,
): WrittenPerson | null => {
  if (stored && stored.state !== "erased") return changedPerson(writing, change, stored);
  return change.record ? createdPerson(writing, change, change.record) : null;
};
