/**
 * Groups that begin to matter - newly selected, newly nested in a selected one, standing for a product group - are read one by
 * one: the feed does not speak of what has not changed, and before now they were nobody's business.
 */

import { ids } from "../../store/documents.ts";
import type { Closures } from "../group-roles.ts";
import { filterId, mayBeShown, roleOf } from "../group-roles.ts";
import { type Lack, lacks } from "./group-notes.ts";
import { knownGroup } from "./known.ts";
import { liveMembers } from "./live-members.ts";
import { documentsOf, readGroup } from "./read-groups.ts";
import { breathe, keepTurn, type Round, setAside } from "./round.ts";

export const admitGroups = async (round: Round): Promise<void> => {
  if (round.nesting.isFlat) return;
  for (;;) {
    const closures = await round.nesting.closures();
    const open = await openGroups(round, closures);
    // Whoever is not held may bring more groups; which role is right, and who matters to nobody, is known when all are there.
    const first = lacks.find((wanted) => open.some(({ lack }) => lack === wanted));
    if (first === undefined) return;
    for (const { group, lack } of open) {
      if (lack !== first) continue;
      await admitGroup(round, closures, group);
      round.staging.notes.add(lack, group);
      await breathe(round);
    }
  }
};

interface OpenGroup {
  group: string;
  lack: Lack;
}

const openGroups = async (round: Round, closures: Closures): Promise<OpenGroup[]> => {
  const { notes } = round.staging;
  const all = [...new Set([...closures.scope, ...closures.sources, ...notes.unknown])].toSorted();
  await round.nesting.load(all);
  const open: OpenGroup[] = [];
  for (const group of all) {
    const found = round.nesting.isGone(group) ? null : await lackOf(round, closures, group);
    const lack = found === "group" && !closures.scope.has(group) && !closures.sources.has(group) ? "kind" : found;
    if (lack && !notes.has(lack, group)) open.push({ group, lack });
  }
  return open;
};

const lackOf = async (
  { connection, staging, nesting, cursor, links }: Round,
  closures: Closures,
  group: string,
): Promise<Lack | null> => {
  const { settings, ring } = connection;
  const docs = new Map((await nesting.documentsOf(group)).map((doc) => [doc.id, doc]));
  const isHeld = (id: string): boolean => {
    const said = staging.said("groups", id);
    return said === "there" || (said === null && docs.has(ids.group(id)));
  };
  const filter = filterId(ring, group);
  if (isHeld(group)) {
    const planned = await staging.changeOf("groups", group);
    const doc = docs.get(ids.group(group));
    const stored = doc ? knownGroup(ring, doc).record : null;
    const record = planned?.kind === "group" && planned.record ? planned.record : stored;
    return roleOf(settings, closures, group, record?.fields ?? {}) === "shown" ? null : "role";
  }
  if (!isHeld(filter)) return "group";
  // Held for the sake of others before it was among the selected ones: of what kind it is was not kept. A full read may have told
  // of it before it told that it lies in a selected one.
  const isNew =
    cursor.full.groups ||
    (await staging.changeOf("groups", filter))?.op === "create" ||
    !(links && mayBeShown(links.basis, { scope: await nesting.scopeBefore(), sources: new Set() }, group));
  return isNew && mayBeShown(settings, closures, group) ? "role" : null;
};

const admitGroup = async (round: Round, closures: Closures, group: string): Promise<void> => {
  const { needs, connection } = round;
  await keepTurn(round);
  const found = await needs.source.groups(connection, [group]);
  const object = found.get(group);
  if (object === undefined) {
    setAside(round, "group-not-readable", group);
    round.cursor.suspect = true;
  }
  if (!object) return;
  const { visibility } = object.properties;
  const hidden = typeof visibility === "string" && visibility.toLowerCase() === "hiddenmembership";
  const list = hidden ? null : await liveMembers(round, group);
  if (hidden) setAside(round, "membership-not-readable", group);
  const members = list?.map((member) => ({ ...member, removed: false })) ?? [];
  await readGroup(round, closures, await documentsOf(round, [group]), { ...object, members }, true);
};
