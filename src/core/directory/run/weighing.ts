/**
 * Weighing: what only the whole picture tells. People whom a full read did not mention are asked for one by one before they
 * count as gone; people whom changed settings no longer admit leave. Then the plan has its totals and its hash.
 *
 * No evidence, no removal: a refused or failed look-up, a first sync - both keep what is stored.
 */
import type { PersonDoc, Stored } from "../../store/documents.ts";
import { weighGuard } from "../guard.ts";
import { type KnownPerson, planHash, planLeaving, planWithoutFormer } from "../plan.ts";
import { factsOf } from "../records.ts";
import { inScope } from "../scope.ts";
import { knownPerson, underSettings } from "./known.ts";
import { markersOf } from "./markers.ts";
import { breathe, type Round, setAside } from "./round.ts";

const idsPerPage = 500;

export const weigh = async (round: Round): Promise<void> => {
  const { cursor } = round;
  if (cursor.at.phase !== "weighing") return;
  // A run that failed has left people behind: the first sync removes nobody, the round after it does.
  if (cursor.first && round.head.counters.people + round.head.counters.groups > 0) cursor.suspect = true;
  if ((cursor.full.users || cursor.again.users) && !cursor.first) await lookAtUnmet(round);
  // How often objects were met depends on how Graph cut its pages and repeated itself: no part of what would change.
  const {
    peopleRead: _people,
    groupsRead: _groups,
    graphRequests: _requests,
    documentsWritten: _written,
    moved: _moved,
    ...counts
  } = round.counts;
  round.planHash = planHash(round.doc.settingsVersion, counts, round.staging.sum);
  round.findings = weighGuard(round.connection.settings.guard, round.head, round.counts, round.needs.ambient.now());
  cursor.at = { phase: "applying", pass: 0, chunk: 0 };
};

/** Everybody who is stored and whom this round has not met. */
const lookAtUnmet = async (round: Round): Promise<void> => {
  const { needs, connection, staging, cursor } = round;
  const { connectionId, ring } = connection;
  for (let after = cursor.at.phase === "weighing" ? cursor.at.after : ""; ; ) {
    const page = await needs.store.listIds(connectionId, "person", { after, limit: idsPerPage });
    const unmet = page.filter((id) => !staging.met("users", id.slice(2)));
    const docs = await needs.store.load(connectionId, "person", unmet);
    const people = [...docs.values()]
      .filter(({ state }) => state === "active")
      .map((doc) => ({ doc, id: doc.id.slice(2), known: underSettings(round, knownPerson(ring, doc)) }));
    const there = await presence(round, people);
    const refused = await refusals(round, people);
    for (const { id, known, doc } of people) {
      const absent = cursor.full.users && !known.left && there.get(known.record?.oid ?? "") === false;
      const evidence = absent ? "confirmed-absent" : known.left ? doc.reason : refused.get(id);
      const former = evidence ? null : planWithoutFormer(ring, id, known);
      const change = evidence ? planLeaving(connection.settings, id, known, evidence) : former;
      if (change) staging.plan("users", id, change, null, absent);
      // What the field holds now, the next round reads.
      if (former) cursor.suspect = true;
    }
    if (page.length < idsPerPage) return;
    after = page.at(-1) as string;
    cursor.at = { phase: "weighing", after };
    await breathe(round);
  }
};

interface Unmet {
  doc: Stored<PersonDoc>;
  id: string;
  known: KnownPerson;
}

/** By object id. Whoever is kept although he has left may be gone: that is why. */
const presence = async (round: Round, people: readonly Unmet[]): Promise<Map<string, boolean>> => {
  const { needs, connection, cursor } = round;
  if (!cursor.full.users) return new Map();
  const asked = people.flatMap(({ id, known }) => (known.record && !known.left ? [{ id, oid: known.record.oid }] : []));
  const there = await needs.source.present(
    connection,
    "users",
    asked.map(({ oid }) => oid),
  );
  for (const { id, oid } of asked) {
    if (there.has(oid)) continue;
    // Stays, and is listed; no later delta would speak of it, so the next round reads everything again.
    setAside(round, "absence-not-confirmed", id);
    cursor.suspect = true;
  }
  return there;
};

/** By person id: why the scope no longer admits them, as far as what is stored of them tells. */
const refusals = async (round: Round, people: readonly Unmet[]): Promise<Map<string, string>> => {
  const asked = people.map(({ id }) => id);
  const members = await round.members.among(asked);
  const markers = await markersOf(round, asked);
  const { settings, blacklist } = await round.rules();
  const refused = new Map<string, string>();
  for (const { id, known } of people) {
    if (!known.record) continue;
    const standing = { marker: markers.get(id) ?? null, isMember: members.has(id) };
    const { admitted, rule } = inScope(factsOf(known.record), settings, blacklist, standing);
    if (!admitted) refused.set(id, `scope: ${rule}`);
  }
  return refused;
};
