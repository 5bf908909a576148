/** The items of a plan as it was staged, with what is stored of the people and groups they are about. */
import { z } from "zod";
import type { AttributeSettings } from "../connections/settings.ts";
import type { ConnectionContext } from "../context.ts";
import { isShown } from "../directory/group-roles.ts";
import { type GroupChange, type MembersChange, type PersonChange, versionOf } from "../directory/plan.ts";
import type { FieldValue, GroupRecord } from "../directory/records.ts";
import { type Pass, passes } from "../directory/run/cursor.ts";
import type { OpenPlan } from "../directory/run/kept-plan.ts";
import { knownGroup } from "../directory/run/known.ts";
import type { Staging } from "../directory/run/staging.ts";
import { byLeaf } from "../directory/shards.ts";
import { type GroupDoc, ids, type PersonDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { Attributes, PersonStateName, type PersonView, personViews } from "./people.ts";

export const planKinds = ["people", "groups", "members"] as const;
export const planOperations = ["create", "update", "revive", "deactivate", "keep", "remove", "add"] as const;
export type PlanOperation = (typeof planOperations)[number];

/** In the order in which a run applies them. */
export const operationsIn: Record<Pass, readonly PlanOperation[]> = {
  "groups+": ["create", "update"],
  "people+": ["create", "update", "revive"],
  "members+": ["add"],
  "members-": ["remove"],
  "people-": ["deactivate", "keep"],
  "groups-": ["remove"],
};

const PlannedGroup = z.strictObject({
  id: z.string(),
  displayName: z.string().nullable(),
  /** The group of the product that it is; null: a group of the tenant. */
  productGroup: z.string().nullable(),
});
type PlannedGroup = z.infer<typeof PlannedGroup>;

export const PlannedPerson = z.strictObject({
  /** Null: not stored. */
  state: PersonStateName.nullable(),
  /** Null, too, where the settings fill no field from it. */
  displayName: z.string().nullable(),
  mail: z.string().nullable(),
  /** Null when nothing but the id is kept. */
  attributes: Attributes.nullable(),
});
export type PlannedPerson = z.infer<typeof PlannedPerson>;

export const PlanItem = z.strictObject({
  kind: z.enum(planKinds),
  op: z.enum(planOperations),
  /** Of the person or the group; of `members`: of the one who comes or goes. */
  id: z.string(),
  reason: z.string().nullable(),
  /** Of `groups` the group itself, of `members` the one they are in. */
  group: PlannedGroup.nullable(),
  /** Of `members`, when it is a group that comes or goes. */
  memberGroup: PlannedGroup.nullable(),
  /** Null of somebody who is not stored and was not read live. */
  person: PlannedPerson.nullable(),
  /** Of people who are read live: whether the plan would be the same with what Microsoft 365 has of them now. */
  asPlanned: z.boolean().nullable(),
  /** What is stored is no longer what this was planned from. */
  moved: z.boolean(),
});
export type PlanItem = z.infer<typeof PlanItem>;

/** A place in the staged plan; `at` counts what a chunk holds, shown or not. */
export const StagedPlace = z.strictObject({ pass: z.int(), chunk: z.int(), at: z.int() });
export type StagedPlace = z.infer<typeof StagedPlace>;

/** The smallest thing that is planned: a person, a group, or one membership. */
type Atom =
  | { change: PersonChange }
  | { change: GroupChange }
  | { change: MembersChange; person: string }
  | { change: MembersChange; child: string };

/** What is looked at for one answer; a page may be short where little is shown of much. */
const maxAtoms = 4000;
const maxChunks = 40;
const atomsAtOnce = 200;

export const readStaged = async (
  store: DirectoryStore,
  context: ConnectionContext,
  plan: OpenPlan,
  request: {
    place: StagedPlace;
    limit: number;
    wanted: readonly Pass[];
    op: PlanOperation | undefined;
    /** People who are not stored are shown, too. */
    readsAll: boolean;
  },
): Promise<{ items: PlanItem[]; next: StagedPlace | null }> => {
  const { staging } = plan;
  const { limit, wanted, op, readsAll } = request;
  const items: PlanItem[] = [];
  let [atoms, chunks] = [0, 0];
  for (let place = onwards(staging, wanted, request.place); place; ) {
    const pass = passes[place.pass] as Pass;
    const all = await atomsOf(staging, pass, place.chunk, op);
    chunks++;
    let { at } = place;
    while (at < all.length && items.length < limit && atoms < maxAtoms) {
      const looked = all.slice(at, at + atomsAtOnce);
      const about = await lookUp(store, context, plan, looked);
      for (const atom of looked) {
        if (items.length === limit) break;
        const item = itemOf(context, plan, about, atom, readsAll);
        if (item) items.push(item);
        at++;
        atoms++;
      }
    }
    place = onwards(staging, wanted, at < all.length ? { ...place, at } : { ...place, chunk: place.chunk + 1, at: 0 });
    if (items.length === limit || atoms >= maxAtoms || chunks >= maxChunks) return { items, next: place };
  }
  return { items, next: null };
};

/** The next place at which there may be something; null = the end. */
const onwards = (staging: Staging, wanted: readonly Pass[], from: StagedPlace): StagedPlace | null => {
  for (let { pass, chunk, at } = from; ; pass++, chunk = 0, at = 0) {
    const name = passes[pass];
    if (name === undefined) return null;
    if (wanted.includes(name) && chunk < staging.chunks(name)) return { pass, chunk, at };
  }
};

const atomsOf = async (staging: Staging, pass: Pass, chunk: number, op: PlanOperation | undefined): Promise<Atom[]> => {
  const changes = await staging.chunk(pass, chunk);
  return changes
    .filter((change) => (op === undefined || change.op === op) && staging.current(change, pass, chunk))
    .flatMap((change): Atom[] => {
      // What only the sync itself needs is nothing that the product will see.
      if (change.kind === "person") return change.silent ? [] : [{ change }];
      if (change.kind === "group") return isShown(change.role) ? [{ change }] : [];
      return [
        ...change.people.map((person) => ({ change, person })),
        ...change.children.map((child) => ({ change, child })),
      ];
    });
};

interface About {
  people: ReadonlyMap<string, Stored<PersonDoc>>;
  views: ReadonlyMap<string, PersonView>;
  groups: ReadonlyMap<string, Stored<GroupDoc>>;
  /** What the plan makes of groups. */
  planned: ReadonlyMap<string, GroupChange>;
  /** `<group> <person>` of the memberships that are stored. */
  members: ReadonlySet<string>;
}

const lookUp = async (
  store: DirectoryStore,
  context: ConnectionContext,
  { staging }: OpenPlan,
  atoms: readonly Atom[],
): Promise<About> => {
  const { connectionId } = context;
  const groupIds = new Set<string>();
  const personIds = new Set<string>();
  const membersOf = new Map<string, string[]>();
  for (const atom of atoms) {
    const { change } = atom;
    if (change.kind === "person") personIds.add(change.id);
    else groupIds.add(change.kind === "group" ? change.id : change.group);
    if ("child" in atom) groupIds.add(atom.child);
    if (!("person" in atom)) continue;
    personIds.add(atom.person);
    membersOf.set(atom.change.group, [...(membersOf.get(atom.change.group) ?? []), atom.person]);
  }
  const people = await store.load(connectionId, "person", [...personIds].map(ids.person));
  const groups = await store.load(connectionId, "group", [...groupIds].map(ids.group));
  const views = await personViews(store, context, [...people.values()]);
  const planned = new Map<string, GroupChange>();
  for (const id of groupIds) {
    const change = await staging.changeOf("groups", id);
    if (change?.kind === "group") planned.set(id, change);
  }
  const shards = [...membersOf].flatMap(([group, wanted]) =>
    [...byLeaf(groups.get(ids.group(group))?.leaves ?? [], wanted).keys()].map((leaf) => ids.shard(group, leaf)),
  );
  const stored = await store.load(connectionId, "members", shards);
  const members = new Set<string>();
  for (const shard of stored.values()) for (const person of shard.members) members.add(`${shard.groupId} ${person}`);
  return { people, views: new Map(views.map((view) => [view.id, view])), groups, planned, members };
};

/** Null: nothing that this reader is shown. */
const itemOf = (
  { ring }: ConnectionContext,
  plan: OpenPlan,
  about: About,
  atom: Atom,
  readsAll: boolean,
): PlanItem | null => {
  const { change } = atom;
  const reason = change.evidence ?? null;
  const item = { group: null, memberGroup: null, person: null, asPlanned: null };
  const groupOf = (id: string): PlannedGroup | null => plannedGroup(ring, about, id);
  const storedPerson = (id: string): PlannedPerson | null => {
    const view = about.views.get(id);
    return view ? shownPerson(plan.settings.attributes, view.attributes, view.state) : null;
  };
  if (change.kind === "person") {
    const { op, id, from, record } = change;
    const doc = about.people.get(ids.person(id));
    if (!doc && !readsAll) return null;
    const fresh = record ? shownPerson(plan.settings.attributes, record.fields, null) : null;
    const moved = (doc ? versionOf(doc) : null) !== from;
    return { ...item, kind: "people", op, id, reason, person: storedPerson(id) ?? fresh, moved };
  }
  if (change.kind === "group") {
    const { op, id, from } = change;
    const moved = (about.groups.get(ids.group(id))?.hash ?? null) !== from;
    return { ...item, kind: "groups", op, id, reason, group: groupOf(id), moved };
  }
  const group = groupOf(change.group);
  if (!group) return null;
  const adding = change.op === "add";
  const shared = { ...item, kind: "members" as const, op: change.op, reason, group };
  if ("child" in atom) {
    const children = about.groups.get(ids.group(change.group))?.children ?? [];
    const memberGroup = groupOf(atom.child) ?? { id: atom.child, displayName: null, productGroup: null };
    return { ...shared, id: atom.child, memberGroup, moved: children.includes(atom.child) === adding };
  }
  if (!("person" in atom)) return null;
  const { person: id } = atom;
  const doc = about.people.get(ids.person(id));
  // Shards hold ids of others as well; nobody is shown them.
  const willBeActive = doc?.state === "active" || plan.staging.passOf("users", id) === "people+";
  if (!willBeActive || (!doc && !readsAll)) return null;
  return { ...shared, id, person: storedPerson(id), moved: about.members.has(`${change.group} ${id}`) === adding };
};

/** As the plan leaves it; null: not a group that is shown. */
const plannedGroup = (ring: ConnectionContext["ring"], { groups, planned }: About, id: string): PlannedGroup | null => {
  const change = planned.get(id);
  const doc = groups.get(ids.group(id));
  const { role, of } = change ?? doc ?? {};
  if (role === undefined || !isShown(role)) return null;
  const record: GroupRecord | null = change?.record ?? (doc ? knownGroup(ring, doc).record : null);
  return {
    id,
    displayName: textOf(record?.fields.displayName),
    productGroup: role === "product" ? (of ?? null) : null,
  };
};

/** With what the settings of the plan call the fields. */
export const shownPerson = (
  attributes: AttributeSettings,
  fields: Readonly<Record<string, FieldValue>> | null,
  state: PlannedPerson["state"],
): PlannedPerson => {
  const filledFrom = (property: string): string | null => {
    const field = Object.keys(attributes).find((name) => attributes[name]?.from === property);
    return field === undefined ? null : textOf(fields?.[field]);
  };
  return {
    state,
    displayName: filledFrom("displayName"),
    mail: filledFrom("mail"),
    attributes: fields && { ...fields },
  };
};

export const textOf = (value: unknown): string | null =>
  typeof value === "string" && value.trim() !== "" ? value : null;
