/**
 * Groups that begin to matter - newly selected, newly nested in a selected one, standing for a product group - are read one by
 * one: the feed does not speak of what has not changed, and before now they were nobody's business.
 */

import { ids } from "../../store/documents.ts";
import type { Closures } from "../group-roles.ts";
import { filterId, mayBeShown, roleOf } from "../group-roles.ts";
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
    const first = (["group", "role", "kind"] as const).find((wanted) => open.some(({ lacks }) => lacks === wanted));
    const next = open.filter(({ lacks }) => lacks === first);
    if (next.length === 0) return;
    for (const { group, lacks } of next) {
      await admitGroup(round, closures, group);
      round.cursor.admitted.push(group, mark(group, lacks));
      await breathe(round);
    }
  }
};

interface OpenGroup {
  group: string;
  /** It matters and is not held; it is not held in the right role; it is not held, and may be one to be shown. */
  lacks: "group" | "role" | "kind";
}

const mark = (group: string, lacks: OpenGroup["lacks"]): string => `${group} ${lacks}`;

const openGroups = async (round: Round, closures: Closures): Promise<OpenGroup[]> => {
  const tried = new Set(round.cursor.admitted);
  const { unknown } = round.cursor;
  const all = [...new Set([...closures.scope, ...closures.sources, ...unknown])].toSorted();
  const docs = await documentsOf(round, all);
  const open: OpenGroup[] = [];
  for (const group of all) {
    const lack = round.nesting.isGone(group) ? null : await lackOf(round, closures, docs, group);
    const lacks = lack === "group" && !closures.scope.has(group) && !closures.sources.has(group) ? "kind" : lack;
    if (lacks && !tried.has(mark(group, lacks))) open.push({ group, lacks });
  }
  return open;
};

const lackOf = async (
  { connection, staging, nesting, cursor, links }: Round,
  closures: Closures,
  docs: Awaited<ReturnType<typeof documentsOf>>,
  group: string,
): Promise<OpenGroup["lacks"] | null> => {
  const { settings, ring } = connection;
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
