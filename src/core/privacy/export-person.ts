/**
 * Everything that is held of one person, for the person. It is put together when it is asked for and kept nowhere. Of other
 * people it says no more than that there is one: a manager is a note, and who has done something is left out.
 */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import { entriesOf } from "../audit/change-log.ts";
import { contentOf, type PersonKey, personKeyOf, unlessBroken } from "../audit/content.ts";
import { type EntryDraft, type FieldChange, personIn } from "../audit/entries.ts";
import { readHead } from "../connections/change.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { openRef } from "../directory/ref.ts";
import { knownGroup, knownPerson } from "../directory/run/known.ts";
import { AppError } from "../errors.ts";
import { type GroupDoc, ids, type PersonDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { Attributes, PersonStateName, personIdPattern, productUserOf } from "../views/people.ts";
import { openReadable, type ViewNeeds } from "../views/readable.ts";
import { knownOf } from "./erasure.ts";
import { notInExport, summaryOf } from "./export-texts.ts";

export const ExportPerson = z.strictObject({
  /** To go on where an earlier answer ended: its `log.next`. */
  through: z.int().min(1).optional(),
  /** As live search gave it; needed for somebody of whom nothing is stored. */
  ref: z.string().min(1).max(2000).optional(),
});
export type ExportPerson = z.infer<typeof ExportPerson>;

const Value = z.unknown();
const instant = z.iso.datetime();

const ExportedEntry = z.strictObject({
  sequence: z.int(),
  at: instant,
  /** `<kind>.<op>`, as in the change feed. */
  type: z.string(),
  cause: z.string(),
  evidence: z.string().nullable(),
  run: z.string().nullable(),
  /** Ids of groups the person was in when the synchronisation began. */
  groups: z.array(z.string()),
  /** `erased`: there was content, and its key no longer exists. `unreadable`: it is there, and was altered after it was recorded. */
  content: z.enum(["open", "erased", "unreadable"]),
  changes: z.array(z.strictObject({ field: z.string(), before: Value, after: Value })),
});

export const PersonExport = z.strictObject({
  id: z.string(),
  exportedAt: instant,
  /** The rest in sentences. */
  summary: z.array(z.string()),
  /** Null: there is no document of the person. */
  person: z
    .strictObject({
      state: PersonStateName,
      reason: z.string().nullable(),
      leftAt: instant.nullable(),
      changedAt: instant,
      /** Stored texts that were altered and cannot be opened: what they held is missing here. */
      unreadable: z.array(z.enum(["record", "productUserId"])),
      /** Null: removed, erased or unreadable. */
      record: z
        .strictObject({
          objectId: z.string(),
          attributes: Attributes,
          /** What the sync scope decides by, where no attribute of the same name holds the same. */
          decisive: z.record(z.string(), Value),
          manager: z.enum(["another person"]).nullable(),
        })
        .nullable(),
      productUserId: z.string().nullable(),
      /** Keyed hashes by which the person is found. */
      pseudonyms: z.strictObject({
        content: z.string(),
        mail: z.string().nullable(),
        userPrincipalName: z.string().nullable(),
        productUser: z.string().nullable(),
      }),
    })
    .nullable(),
  /** What somebody has decided about the person by hand. */
  marker: z.strictObject({ marker: z.enum(["enabled", "excluded", "erased"]), changedAt: instant }).nullable(),
  groups: z.array(
    z.strictObject({
      role: z.enum(["shown", "filter", "product", "scope"]),
      /** Of the group in Microsoft 365 or, for `product`, of the product; null: everybody in the selected groups. */
      id: z.string().nullable(),
      name: z.string().nullable(),
    }),
  ),
  log: z.strictObject({
    /** Newest first. */
    entries: z.array(ExportedEntry),
    /** More entries are there up to this number; null: these are all. */
    next: z.int().nullable(),
  }),
  notIncluded: z.array(z.strictObject({ what: z.string(), why: z.string() })),
});
export type PersonExport = z.infer<typeof PersonExport>;

export interface ExportNeeds extends ViewNeeds {
  ambient: Ambient;
}

export const exportPerson =
  (needs: ExportNeeds) =>
  async (caller: Caller, connectionId: string, personId: string, input: ExportPerson): Promise<PersonExport> => {
    const { ambient, store } = needs;
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    if (!personIdPattern.test(personId)) throw new AppError("person-not-found");
    if (input.ref !== undefined) openRef(ambient, context, input.ref, personId);
    const { person, marker } = await knownOf(store, connectionId, personId);
    if (!person && !marker && input.ref === undefined) throw new AppError("person-not-found");
    const through = input.through ?? (await readHead(store, connectionId)).sequence;
    const found = {
      id: personId,
      exportedAt: iso(ambient.now()),
      person: person && exportedPerson(context, person),
      marker: marker && { marker: marker.marker, changedAt: marker.changedAt },
      groups: await groupsOf(store, context, personId),
      log: await logOf(store, context, personId, person, through),
    };
    return { ...found, summary: summaryOf(found), notIncluded: [...notInExport] };
  };

const exportedPerson = (context: ConnectionContext, doc: Stored<PersonDoc>): NonNullable<PersonExport["person"]> => {
  const opened = unlessBroken(() => knownPerson(context.ring, doc));
  const linked = unlessBroken(() => ({ productUserId: productUserOf(context, doc) }));
  const record = opened?.record;
  return {
    state: doc.state,
    reason: doc.reason,
    leftAt: doc.leftAt,
    changedAt: doc.changedAt,
    unreadable: [...(opened ? [] : ["record" as const]), ...(linked ? [] : ["productUserId" as const])],
    record: record
      ? {
          objectId: record.oid,
          attributes: record.fields,
          decisive: record.known,
          manager: record.manager === null ? null : "another person",
        }
      : null,
    productUserId: linked?.productUserId ?? null,
    pseudonyms: {
      content: doc.hash,
      mail: doc.mailIndex,
      userPrincipalName: doc.upnIndex,
      productUser: doc.productUser?.index ?? null,
    },
  };
};

const groupsOf = async (
  store: DirectoryStore,
  { connectionId, ring }: ConnectionContext,
  personId: string,
): Promise<PersonExport["groups"]> => {
  const stored = await store.load(connectionId, "group", (await store.groupsOf(connectionId, personId)).map(ids.group));
  return [...stored.values()]
    .map((doc) => ({ role: doc.role, id: idOf(doc), name: nameOf(ring, doc) }))
    .toSorted((one, other) => compare(one.role, other.role) || compare(one.id ?? "", other.id ?? ""));
};

const idOf = ({ role, of, id }: GroupDoc): string | null => (role === "shown" ? id.slice(2) : of);
/** Null also when it was altered and cannot be opened. */
const nameOf = (ring: KeyRing, doc: Stored<GroupDoc>): string | null =>
  textOf(unlessBroken(() => knownGroup(ring, doc))?.record.fields.displayName);
const textOf = (value: unknown): string | null => (typeof value === "string" ? value : null);
const compare = (one: string, other: string): number => (one < other ? -1 : Number(one > other));

/** A document of the log can hold two megabytes: few at a time, and so many at most for one answer. */
const documentsPerQuery = 4;
const maxDocuments = 40;
const maxEntries = 500;

const logOf = async (
  store: DirectoryStore,
  context: ConnectionContext,
  personId: string,
  doc: PersonDoc | null,
  through: number,
): Promise<PersonExport["log"]> => {
  const { connectionId, ring } = context;
  const key = personKeyOf(ring, connectionId, personId, doc);
  const entries: PersonExport["log"]["entries"] = [];
  let at = through;
  for (let read = 0; read < maxDocuments && entries.length < maxEntries; read += documentsPerQuery) {
    const docs = await store.logBackwards(connectionId, { through: at, limit: documentsPerQuery, person: personId });
    for (const part of docs)
      for (const entry of entriesOf(part).toReversed())
        if (personIn(entry) === personId) entries.push(exportedEntry(context, key, entry));
    const oldest = docs.at(-1);
    if (!oldest || docs.length < documentsPerQuery || oldest.first === 1) return { entries, next: null };
    at = oldest.first - 1;
  }
  return { entries, next: at };
};

const exportedEntry = (
  context: ConnectionContext,
  key: PersonKey,
  entry: EntryDraft & { sequence: number },
): PersonExport["log"]["entries"][number] => {
  const { sequence, at, kind, op, cause } = entry;
  const { content, changes } = contentOf(context, entry, key);
  return {
    sequence,
    at,
    type: `${kind}.${op}`,
    cause,
    evidence: entry.evidence ?? null,
    run: entry.run ?? null,
    groups: entry.groups ?? [],
    content,
    changes: changes.map(withoutOthers),
  };
};

const withoutOthers = ({ field, before, after }: FieldChange): FieldChange => {
  const shown = (value: unknown): unknown =>
    field === "manager" && value !== null && value !== undefined ? "another person" : (value ?? null);
  return { field, before: shown(before), after: shown(after) };
};
