/**
 * People whom a dry run would create. Of them the plan has pseudonyms, which cannot be turned back: all users are gone through in
 * Microsoft 365, a few pages for each answer, and those whom the plan creates are shown as they are now, with whether the same
 * would be planned of that. Nothing is stored; where to go on is in the caller's sealed cursor.
 */
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import { openEntries } from "../connections/blacklist.ts";
import { directoryTenant, type OpenedConnection } from "../connections/open.ts";
import type { ConnectionContext } from "../context.ts";
import { personId } from "../crypto/key-ring.ts";
import { blacklistOf } from "../directory/blacklist.ts";
import { type PersonChange, planPerson, planTerm, type Rules } from "../directory/plan.ts";
import { CursorExpired, type DirectorySource, type RawObject } from "../directory/ports.ts";
import { overlayPerson } from "../directory/records.ts";
import type { OpenPlan } from "../directory/run/kept-plan.ts";
import type { Standing } from "../directory/scope.ts";
import { type StandingNeeds, standingOf } from "../directory/standing.ts";
import { AppError } from "../errors.ts";
import { ids } from "../store/documents.ts";
import { type PlanItem, shownPerson, textOf } from "./plan-items.ts";
import type { ViewNeeds } from "./readable.ts";

export interface CreatedNeeds extends ViewNeeds, StandingNeeds {
  store: ViewNeeds["store"];
  ambient: Ambient;
  source: Pick<DirectorySource, "page" | "people">;
}

/** The page that `link` gives (null: the first), and how many of its objects have been looked at. */
export const CreatedPlace = z.strictObject({ link: z.string().nullable(), at: z.int() });
export type CreatedPlace = z.infer<typeof CreatedPlace>;

const pagesPerAnswer = 3;

export const readCreated = async (
  needs: CreatedNeeds,
  { doc, context }: OpenedConnection,
  plan: OpenPlan,
  { place, limit }: { place: CreatedPlace; limit: number },
): Promise<{ items: PlanItem[]; next: CreatedPlace | null }> => {
  if (directoryTenant(doc) === null)
    throw new AppError("state-conflict", { detail: "Reading the directory is not approved on this connection." });
  const connection = { ...context, settings: plan.settings };
  const entries = await openEntries(needs)(context.connectionId, plan.blacklist, context.ring);
  const rules: Rules = { settings: plan.settings, blacklist: blacklistOf(entries) };
  const items: PlanItem[] = [];
  // Graph repeats people from page to page; over several answers one may still be shown twice.
  const shown = new Set<string>();
  let { link, at } = place;
  for (let pages = 0; pages < pagesPerAnswer && items.length < limit; pages++) {
    const page = await usersPage(needs, connection, link);
    const created: Created[] = [];
    for (; at < page.objects.length && items.length + created.length < limit; at++) {
      const found = await createdBy(plan, connection, page.objects[at] as RawObject);
      if (!found || shown.has(found.change.id)) continue;
      shown.add(found.change.id);
      created.push(found);
    }
    items.push(...(await itemsOf(needs, connection, rules, created)));
    if (at < page.objects.length) return { items, next: { link, at } };
    if (page.next === null) return { items, next: null };
    link = page.next;
    at = 0;
  }
  return { items, next: { link, at } };
};

/** The name is asked for, whether or not a field of the product is filled from it. */
const named = (connection: ConnectionContext): ConnectionContext => {
  const { settings } = connection;
  const name = { from: "displayName", clear: false } as const;
  return { ...connection, settings: { ...settings, attributes: { ...settings.attributes, [shownName]: name } } };
};
/** No field of the product is called so. */
const shownName = " ";

const usersPage = async ({ source }: CreatedNeeds, connection: ConnectionContext, link: string | null) => {
  try {
    return await source.page(named(connection), "users", link);
  } catch (error) {
    if (error instanceof CursorExpired) throw new AppError("invalid-cursor", { field: "cursor", cause: error });
    throw error;
  }
};

interface Created {
  change: PersonChange;
  object: RawObject;
}

const createdBy = async (
  { staging }: OpenPlan,
  { ring }: ConnectionContext,
  object: RawObject,
): Promise<Created | null> => {
  const id = personId(ring, object.id);
  if (object.removed || staging.passOf("users", id) !== "people+") return null;
  const change = await staging.changeOf("users", id);
  return change?.kind === "person" && change.op === "create" ? { change, object } : null;
};

const itemsOf = async (
  needs: CreatedNeeds,
  connection: ConnectionContext,
  rules: Rules,
  created: readonly Created[],
): Promise<PlanItem[]> => {
  if (created.length === 0) return [];
  const { connectionId, ring } = connection;
  const people = created.map(({ change, object }) => ({ id: change.id, oid: object.id }));
  const [standings, stored] = await Promise.all([
    standingOf(needs)(connection, people),
    needs.store.personStates(
      connectionId,
      people.map(({ id }) => ids.person(id)),
    ),
  ]);
  const isAsPlanned = ({ change }: Created, object: RawObject): boolean => {
    const standing: Standing | undefined = standings.get(change.id);
    const now = standing ? planPerson(ring, rules, standing, null, object, true).change : null;
    return now !== null && planTerm(ring, now).equals(planTerm(ring, change));
  };
  // A page may hold a part of what there is of a person: who seems to differ is asked for by himself.
  const differing = created.filter((one) => !isAsPlanned(one, one.object)).map(({ object }) => object.id);
  const asked =
    differing.length > 0
      ? await needs.source.people(named(connection), differing)
      : new Map<string, RawObject | null>();
  return created.map((one) => {
    const { id, op, evidence } = one.change;
    const live = asked.get(one.object.id);
    const object = live ? asTold(live, one.object) : one.object;
    const state = stored.get(ids.person(id));
    return {
      kind: "people",
      op,
      id,
      reason: evidence ?? null,
      group: null,
      memberGroup: null,
      person: live === null ? null : livePerson(rules, object),
      asPlanned: live !== null && isAsPlanned(one, object),
      moved: state !== undefined,
    };
  });
};

/** A live object leaves out a manager who is soft-deleted; the list of users names them. */
const asTold = (live: RawObject, { manager }: RawObject): RawObject =>
  (live.manager ?? []).length === 0 && manager ? { ...live, manager } : live;

const livePerson = ({ settings }: Rules, { properties }: RawObject): PlanItem["person"] => {
  const { fields } = overlayPerson(settings.attributes, null, properties, true);
  return {
    ...shownPerson(settings.attributes, fields, null),
    displayName: textOf(properties.displayName),
    mail: textOf(properties.mail),
  };
};
