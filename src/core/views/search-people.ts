/**
 * Finds people in the directory of the tenant, now, and tells of each whether he is synchronised, whether the settings admit him,
 * and by which rule. Nothing is stored; the `ref` of a hit addresses somebody who is not stored either.
 */
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import { openBlacklist } from "../connections/blacklist.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import { personId } from "../crypto/key-ring.ts";
import type { Blacklist } from "../directory/blacklist.ts";
import type { DirectorySearch, FoundObject } from "../directory/ports.ts";
import { factsOf, overlayPerson, propertiesFor } from "../directory/records.ts";
import { sealRef } from "../directory/ref.ts";
import { inScope, type Standing, scopeRules } from "../directory/scope.ts";
import { type StandingNeeds, standingOf } from "../directory/standing.ts";
import { ids, type PersonDoc } from "../store/documents.ts";
import { openLive, type SearchRequest } from "./live.ts";
import { Attributes, PersonStateName, productUserOf } from "./people.ts";
import type { ViewNeeds } from "./readable.ts";

export const PersonHit = z.strictObject({
  id: z.string(),
  /** Good for an hour, on this connection. */
  ref: z.string(),
  displayName: z.string().nullable(),
  mail: z.string().nullable(),
  /** As the settings map them. */
  attributes: Attributes,
  /** Null: not stored. */
  state: PersonStateName.nullable(),
  synchronised: z.boolean(),
  /** What the settings say of the person as he is now; a run carries it out. */
  decision: z.strictObject({ admitted: z.boolean(), rule: z.enum(scopeRules) }),
  productUserId: z.string().nullable(),
});
export type PersonHit = z.infer<typeof PersonHit>;

/** `more`: there are others than those shown; a longer text finds fewer. */
export const PeopleFound = z.strictObject({ items: z.array(PersonHit), more: z.boolean() });
export type PeopleFound = z.infer<typeof PeopleFound>;

export interface SearchNeeds extends ViewNeeds, StandingNeeds {
  store: ViewNeeds["store"];
  ambient: Ambient;
  search: DirectorySearch;
}

export const searchPeople =
  (needs: SearchNeeds) =>
  async (caller: Caller, connectionId: string, { text, limit }: SearchRequest): Promise<PeopleFound> => {
    const { doc, context } = await openLive(needs)(caller, connectionId);
    const properties = livePersonProperties(context);
    const found = await needs.search.people(context, { text, limit: limit + 1, properties });
    const people = found
      .slice(0, limit)
      .map((object) => ({ id: personId(context.ring, object.id), oid: object.id, object }));
    const [stored, blacklist, standings] = await Promise.all([
      people.length === 0
        ? new Map<string, PersonDoc>()
        : needs.store.load(
            connectionId,
            "person",
            people.map(({ id }) => ids.person(id)),
          ),
      openBlacklist(needs)(doc, context.ring),
      standingOf(needs)(context, people),
    ]);
    const items = people.flatMap(({ id, object }) => {
      const standing = standings.get(id);
      // The index of searches lags: whom Graph does not know by his id has gone meanwhile.
      return standing ? [hitOf(needs, context, object, stored.get(ids.person(id)) ?? null, blacklist, standing)] : [];
    });
    return { items, more: found.length > limit };
  };

/** What a decision and a hit take. */
export const livePersonProperties = ({ settings }: Pick<ConnectionContext, "settings">): string[] => [
  ...new Set(["displayName", "mail", ...propertiesFor(settings.attributes)]),
];

const hitOf = (
  { ambient }: Pick<SearchNeeds, "ambient">,
  context: ConnectionContext,
  object: FoundObject,
  doc: PersonDoc | null,
  blacklist: Blacklist,
  standing: Standing,
): PersonHit => {
  const { fields, known } = overlayPerson(context.settings.attributes, null, object.properties, true);
  return {
    id: personId(context.ring, object.id),
    ref: sealRef(ambient, context, object.id),
    displayName: textOf(object.properties.displayName),
    mail: textOf(object.properties.mail),
    attributes: fields,
    state: doc?.state ?? null,
    synchronised: isSynchronised(doc),
    decision: inScope(factsOf({ fields, known }), context.settings, blacklist, standing),
    productUserId: doc?.state === "active" || doc?.state === "deactivated" ? productUserOf(context, doc) : null,
  };
};

/** Somebody who has left may be kept as he was: his data no longer follow. */
export const isSynchronised = (doc: PersonDoc | null): boolean => doc?.state === "active" && doc.leftAt === null;

const textOf = (value: unknown): string | null => (typeof value === "string" && value.trim() !== "" ? value : null);
