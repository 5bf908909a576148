/** Names of the groups that a plan touches: what the mail shows of a directory. They are sealed with the job, and go with it. */
import { open, type Place } from "../crypto/seal.ts";
import { type GroupRole, isShown } from "../directory/group-roles.ts";
import { groupPlace } from "../directory/places.ts";
import type { GroupRecord } from "../directory/records.ts";
import type { Pass } from "../directory/run/cursor.ts";
import type { Round } from "../directory/run/round.ts";
import { ids } from "../store/documents.ts";
import type { MailName } from "./ports.ts";

/** Without a name: the group has none. */
export type GroupNames = Record<"created" | "updated" | "removed", string[]>;

/** A mail is to be read: of each kind so many names, the rest as a number. */
const namesShown = 100;

export const mailPartition = "mail";
export const mailJobId = ({ connectionId, runId }: MailName): string => `${connectionId}:${runId}`;

export const groupNamesPlace = (name: MailName): Place => ({
  container: "state",
  partition: mailPartition,
  document: mailJobId(name),
  fields: "groups",
});

/** From the plan of a run that has been weighed, in memory or staged. */
export const plannedGroupNames = async (round: Round): Promise<GroupNames> => {
  const names: GroupNames = { created: [], updated: [], removed: [] };
  const removed: string[] = [];
  for await (const change of groupChanges(round)) {
    if (change.op === "remove") removed.push(change.id);
    else names[change.op === "create" ? "created" : "updated"].push(nameOf(change, change.record));
  }
  // A removal carries no record: the name is the one that is stored.
  names.removed = await storedNames(round, removed.slice(0, namesShown));
  return { created: firstOf(names.created), updated: firstOf(names.updated), removed: firstOf(names.removed) };
};

const groupPasses: readonly Pass[] = ["groups+", "groups-"];

async function* groupChanges({ staging }: Round) {
  for (const pass of groupPasses)
    for (let chunk = 0; chunk < staging.chunks(pass); chunk++)
      for (const change of await staging.chunk(pass, chunk))
        if (change.kind === "group" && isShown(change.role) && staging.current(change, pass, chunk)) yield change;
}

const storedNames = async ({ needs, connection }: Round, groupIds: readonly string[]): Promise<string[]> => {
  if (groupIds.length === 0) return [];
  const { connectionId, ring } = connection;
  const docs = await needs.store.load(connectionId, "group", groupIds.map(ids.group));
  return groupIds.map((id) => {
    const doc = docs.get(ids.group(id));
    return doc ? nameOf(doc, open(ring.sealing, groupPlace(connectionId, id), doc.record)) : "";
  });
};

/** A group of the product has the id that the product gave it. */
const nameOf = ({ role, of }: { role: GroupRole; of: string | null }, record: GroupRecord | undefined): string => {
  const name = role === "product" ? of : record?.fields.displayName;
  return typeof name === "string" ? name : "";
};

const firstOf = (names: readonly string[]): string[] =>
  names.toSorted((a, b) => a.localeCompare(b, "en")).slice(0, namesShown);
