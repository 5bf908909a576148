/** Stored groups that no feed has spoken of: are they still there, and does the scope still want them? */
import { type GroupDoc, ids, type Stored } from "../../store/documents.ts";
import { type Closures, derivedGroups, documentId, filterId, roleOf } from "../group-roles.ts";
import { planGroupRemoval } from "../plan.ts";
import { knownGroup } from "./known.ts";
import { breathe, type Round, setAside } from "./round.ts";

const documentsPerPage = 200;

/** After a full read: whoever was not mentioned is asked for one by one, and only a proven absence counts. */
export const removeAbsentGroups = async (round: Round): Promise<void> => {
  const { needs, connection, staging, cursor } = round;
  if (!cursor.full.groups || cursor.first) return;
  await eachStored(round, "absent-groups", async (docs) => {
    const unseen = docs.filter((doc) => isOfTenant(doc) && staging.said("groups", doc.id.slice(2)) === null);
    const there = await needs.source.present(connection, "groups", unseen.map(groupOf));
    for (const doc of unseen) {
      const present = there.get(groupOf(doc));
      // Stays, and is listed; no later delta would speak of it, so the next round reads everything again.
      if (present === undefined) {
        setAside(round, "absence-not-confirmed", groupOf(doc));
        cursor.suspect = true;
      }
      if (present === false) await planRemoval(round, doc, "confirmed-absent");
    }
  });
};

/**
 * Groups that the settings no longer want, or that lie no longer in the group for whose sake they were held. Known when the
 * memberships are netted; nothing is asked of Graph for that.
 */
export const removeUnwantedGroups = async (round: Round): Promise<void> => {
  const { nesting, connection, needs, cursor } = round;
  if (cursor.again.groups) await eachStored(round, "unwanted-groups", (docs) => removeUnwanted(round, docs));
  if (nesting.isFlat || (round.counts.groupsRead === 0 && !cursor.again.groups)) return;
  const { scope, sources } = await nesting.closures();
  const mentioned = [...(await nesting.mentioned())];
  const outside = mentioned.filter((group) => !scope.has(group) && !sources.has(group));
  const documents = outside.flatMap((group) => [group, filterId(connection.ring, group)]).map(ids.group);
  const docs = await needs.store.load(connection.connectionId, "group", documents);
  await removeUnwanted(round, [...docs.values()]);
  for (const group of mentioned) await forgetNew(round, group, { scope, sources });
};

/** It was read in this round for the sake of a group that it turned out not to lie in. */
const forgetNew = async (round: Round, group: string, closures: Closures): Promise<void> => {
  const { staging, connection, cursor } = round;
  for (const id of [group, filterId(connection.ring, group)]) {
    const planned = await staging.changeOf("groups", id);
    if (planned?.kind !== "group" || planned.op !== "create") continue;
    const role = roleOf(connection.settings, closures, group, planned.record?.fields ?? {});
    if (role !== null && role !== planned.role && planned.role === "shown") cursor.suspect = true;
    if (role !== null) continue;
    await staging.forgetMembers(id, planned.role === "shown");
    staging.plan("groups", id, null, planned, true);
  }
};

const removeUnwanted = async (round: Round, docs: readonly Stored<GroupDoc>[]): Promise<void> => {
  const { connection, staging, nesting } = round;
  const { settings, ring } = connection;
  const closures = await nesting.closures();
  const derived = new Set(derivedGroups(ring, settings).map(({ id }) => id));
  for (const doc of docs) {
    const id = doc.id.slice(2);
    if (staging.said("groups", id) === "gone") continue;
    if (!isOfTenant(doc)) {
      if (!derived.has(id)) await planRemoval(round, doc, "scope: group");
      continue;
    }
    const role = roleOf(settings, closures, groupOf(doc), knownGroup(ring, doc).record.fields);
    // What is only a filter does not know of what kind the group is: a wider choice of kinds reads all groups.
    const wanted = role !== null && (doc.role === "filter" || documentId(ring, role, groupOf(doc)) === id);
    // It lies in no selected group any more and stands for a product group still: the next round holds it as what it is.
    if (role !== null && !wanted) round.cursor.suspect = true;
    else if (!wanted) await planRemoval(round, doc, "scope: group");
  }
};

const planRemoval = async ({ staging, connection }: Round, doc: Stored<GroupDoc>, evidence: string): Promise<void> => {
  const id = doc.id.slice(2);
  const change = planGroupRemoval({ id, role: doc.role, of: doc.of }, knownGroup(connection.ring, doc), evidence);
  await staging.forgetMembers(id, doc.shown);
  staging.plan("groups", id, change, await staging.changeOf("groups", id), true);
};

const isOfTenant = ({ role }: GroupDoc): boolean => role === "shown" || role === "filter";

/** Object id of the group in the tenant. */
const groupOf = (doc: GroupDoc): string => doc.of ?? doc.id.slice(2);

const eachStored = async (
  round: Round,
  step: "absent-groups" | "unwanted-groups",
  look: (docs: Stored<GroupDoc>[]) => Promise<void>,
): Promise<void> => {
  const { needs, connection, cursor } = round;
  for (let after = (("step" in cursor.at) && cursor.at.after) || ""; ; ) {
    const docs = await needs.store.list(connection.connectionId, "group", { after, limit: documentsPerPage });
    await look(docs);
    if (docs.length < documentsPerPage) return;
    after = docs.at(-1)?.id ?? after;
    cursor.at = { phase: "reading", step, after };
    await breathe(round);
  }
};
