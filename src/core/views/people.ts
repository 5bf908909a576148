/** What the API shows of people. A manager is shown only while that person is synchronised as well. */
import { z } from "zod";
import type { Caller, ConnectionContext } from "../context.ts";
import { openPersonKey } from "../crypto/key-ring.ts";
import { open } from "../crypto/seal.ts";
import { productUserPlace } from "../directory/places.ts";
import { knownPerson } from "../directory/run/known.ts";
import { AppError } from "../errors.ts";
import { ids, type PersonDoc, personOf, type Stored } from "../store/documents.ts";
import type { DirectoryStore, Page } from "../store/ports.ts";
import { ambiguousPeople } from "./ambiguous-people.ts";
import { from, openReadable, type PageRequest, pageOf, type ViewNeeds } from "./readable.ts";

export const PersonStateName = z.enum(["active", "deactivated", "removed", "erased"]);

export const Attributes = z.record(z.string(), z.union([z.string(), z.boolean(), z.array(z.string())]));

export const PersonView = z.strictObject({
  id: z.string(),
  state: PersonStateName,
  /** Why the person is not active. */
  reason: z.string().nullable(),
  /** Null when nothing but the id is kept. */
  attributes: Attributes.nullable(),
  /** Who is the source of truth for every attribute: what the product changes in its own copy is overwritten. */
  managedBy: z.literal("entra"),
  manager: z.string().nullable(),
  productUserId: z.string().nullable(),
  changedAt: z.iso.datetime(),
  etag: z.string(),
});
export type PersonView = z.infer<typeof PersonView>;

export const PersonDetails = PersonView.extend({ groups: z.array(z.string()) });
export type PersonDetails = z.infer<typeof PersonDetails>;

/** `ambiguous`: unmatched, and somebody else has the same address. */
export const LinkStateName = z.enum(["linked", "unmatched", "ambiguous"]);

export interface PeopleFilter {
  state?: z.infer<typeof PersonStateName> | undefined;
  link?: z.infer<typeof LinkStateName> | undefined;
}

export const listPeople =
  (needs: ViewNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    { state = "active", link, after, limit }: PageRequest & PeopleFilter,
  ): Promise<Page<PersonView>> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    if (link === "ambiguous") {
      if (state !== "active") return { items: [], next: null };
      const { shown, next } = await ambiguousPeople(needs.store, connectionId, { ...from(after), limit });
      return { items: await personViews(needs.store, context, shown), next };
    }
    const found = await needs.store.list(connectionId, "person", {
      ...from(after),
      limit: limit + 1,
      state,
      ...(link === undefined ? {} : { link }),
    });
    const { shown, next } = pageOf(found, limit);
    return { items: await personViews(needs.store, context, shown), next };
  };

export const readPerson =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, personId: string): Promise<PersonDetails> => {
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    return personDetails(needs.store, context, await personDoc(needs.store, connectionId, personId));
  };

export const personIdPattern = /^[A-Za-z0-9_-]{22}$/;

export const personDoc = async (
  store: Pick<DirectoryStore, "read">,
  connectionId: string,
  personId: string,
): Promise<Stored<PersonDoc>> => {
  const doc = personIdPattern.test(personId) ? await store.read(connectionId, "person", ids.person(personId)) : null;
  if (!doc) throw new AppError("person-not-found");
  return doc;
};

const personDetails = async (
  store: DirectoryStore,
  context: ConnectionContext,
  doc: Stored<PersonDoc>,
): Promise<PersonDetails> => {
  const [view] = await personViews(store, context, [doc]);
  if (!view) throw new AppError("person-not-found");
  return { ...view, groups: doc.state === "active" ? await storedGroupsOf(store, context, view.id) : [] };
};

/** Shards of a group that is being removed may still be there for a moment. */
const storedGroupsOf = async (
  store: DirectoryStore,
  { connectionId }: ConnectionContext,
  personId: string,
): Promise<string[]> => {
  const groupIds = await store.groupsOf(connectionId, personId);
  const stored = await store.load(connectionId, "group", groupIds.map(ids.group));
  return groupIds.filter((groupId) => stored.get(ids.group(groupId))?.shown).toSorted();
};

export const personViews = async (
  store: DirectoryStore,
  { connectionId, ring }: ConnectionContext,
  docs: readonly Stored<PersonDoc>[],
): Promise<PersonView[]> => {
  const opened = docs.map((doc) => {
    // Of people who were removed or erased a stub is left; its content, if there is any, is not to be opened.
    const kept = doc.state === "active" || doc.state === "deactivated";
    return { doc, record: kept ? knownPerson(ring, doc).record : null };
  });
  const managers = opened.flatMap(({ record }) => (record?.manager ? [ids.person(record.manager)] : []));
  const states = managers.length > 0 ? await store.personStates(connectionId, managers) : new Map<string, string>();
  return opened.map(({ doc, record }) => {
    const manager = record?.manager ?? null;
    return {
      id: personOf(doc.id),
      state: doc.state,
      reason: doc.reason,
      attributes: record?.fields ?? null,
      managedBy: "entra",
      manager: manager !== null && states.get(ids.person(manager)) === "active" ? manager : null,
      productUserId: record ? productUserOf({ connectionId, ring }, doc) : null,
      changedAt: doc.changedAt,
      etag: doc._etag,
    };
  });
};

export const productUserOf = (
  { connectionId, ring }: Pick<ConnectionContext, "connectionId" | "ring">,
  doc: PersonDoc,
): string | null => {
  if (!doc.productUser) return null;
  const personId = personOf(doc.id);
  const key = openPersonKey(ring, connectionId, personId, doc.key);
  return open(key, productUserPlace(connectionId, personId), doc.productUser.value);
};
