/**
 * What the product keeps of a person and of a group, and how a Graph object becomes a record.
 *
 * A record holds only fields with data. Empty is: absent, null, "", only white space, []. `false` and `0` are data.
 * An empty value replaces data only in a field for which the settings say so.
 */
import type { AttributeSettings } from "../connections/settings.ts";
import {
  type AttributeType,
  attributeCatalogue,
  type CatalogueName,
  type Decisive,
  decisive,
  groupAttributes,
} from "./attributes.ts";
import type { Facts } from "./scope.ts";

export type FieldValue = string | boolean | string[];

type Properties = Readonly<Record<string, unknown>>;
type Fields = Record<string, FieldValue>;

/** The manager is a relationship, not an attribute: null flows. */
export interface PersonRecord {
  oid: string;
  /** Person id of the manager; shown only while that person is synchronised. */
  manager: string | null;
  /** By field of the product. */
  fields: Fields;
  /** What the sync scope decides by, where it is not what the field of the same name holds. Never shown. */
  known: Partial<Facts>;
}

export interface GroupRecord {
  fields: Fields;
}

/** The value when it is data of the expected type, else null. */
const data = (type: AttributeType, value: unknown): FieldValue | null => {
  if (type === "boolean") return typeof value === "boolean" ? value : null;
  if (type === "string") return typeof value === "string" && value.trim() !== "" ? value : null;
  if (!Array.isArray(value)) return null;
  const texts = value.filter((item): item is string => typeof item === "string" && item.trim() !== "");
  return texts.length > 0 ? texts : null;
};

interface Overlay {
  fields: Fields;
  /** How many fields Graph now gives as empty that keep their old data. */
  kept: number;
}

interface FieldSource {
  field: string;
  from: string;
  type: AttributeType;
  clear: boolean;
}

const overlay = (
  sources: Iterable<FieldSource>,
  known: Fields | undefined,
  object: Properties,
  complete: boolean,
): Overlay => {
  const fields: Fields = {};
  let kept = 0;
  for (const { field, from, type, clear } of sources) {
    const before = known?.[field];
    const fresh = data(type, object[from]);
    if (fresh !== null) fields[field] = fresh;
    else if (before !== undefined && !(clear && (from in object || complete))) {
      fields[field] = before;
      if (from in object) kept++;
    }
  }
  return { fields, kept };
};

/** Of settings that were asked about before. */
const sourcesOf = new WeakMap<AttributeSettings, FieldSource[]>();

/** By name of the field, so that a record is in canonical order from the start. */
const personSources = (attributes: AttributeSettings): FieldSource[] => {
  const known = sourcesOf.get(attributes);
  if (known) return known;
  const sources = Object.entries(attributes)
    .map(([field, { from, clear }]) => ({ field, from, clear, type: attributeCatalogue[from].type }))
    .toSorted((one, other) => (one.field < other.field ? -1 : 1));
  sourcesOf.set(attributes, sources);
  return sources;
};

const groupSources: readonly FieldSource[] = Object.entries(groupAttributes).map(([name, type]) => ({
  field: name,
  from: name,
  type,
  clear: false,
}));

/** @param complete everything that Graph has is in `object`: what is not mentioned is empty. */
export const overlayPerson = (
  attributes: AttributeSettings,
  known: Pick<PersonRecord, "fields" | "known"> | null,
  object: Properties,
  complete: boolean,
): Overlay & Pick<PersonRecord, "known"> => {
  const { fields, kept } = overlay(personSources(attributes), known?.fields, object, complete);
  const before = known && !complete ? factsOf(known) : null;
  const factNow = (name: Decisive): FieldValue | null =>
    name in object ? data(attributeCatalogue[name].type, object[name]) : (before?.[name] ?? null);
  return { fields, known: besides(factsBy(factNow), fields), kept };
};

export const overlayGroup = (known: Fields | undefined, object: Properties): Overlay =>
  overlay(groupSources, known, object, false);

export const factOf = ({ fields, known }: Pick<PersonRecord, "fields" | "known">, name: Decisive): FieldValue | null =>
  name in known ? (known[name] ?? null) : (fields[name] ?? null);

export const factsOf = (record: Pick<PersonRecord, "fields" | "known">): Facts =>
  factsBy((name) => factOf(record, name));

const factsBy = (fact: (name: Decisive) => FieldValue | null): Facts => ({
  accountEnabled: fact("accountEnabled"),
  mail: fact("mail"),
  otherMails: fact("otherMails"),
  proxyAddresses: fact("proxyAddresses"),
  userPrincipalName: fact("userPrincipalName"),
  userType: fact("userType"),
});

export const sameValue = (one: FieldValue | null | undefined, other: FieldValue | null | undefined): boolean =>
  one === other || (Array.isArray(one) && Array.isArray(other) && JSON.stringify(one) === JSON.stringify(other));

/** Without the fields that came from another property then: its value is no older value of the one that they come from now. */
export const underAttributes = (
  record: PersonRecord,
  before: AttributeSettings,
  now: AttributeSettings,
): PersonRecord => {
  const left = Object.entries(record.fields).filter(([field]) => before[field]?.from === now[field]?.from);
  const fields: Fields = Object.fromEntries(left);
  return { ...record, fields, known: besides(factsOf(record), fields) };
};

/** What no field of the same name tells of the facts. */
const besides = (facts: Facts, fields: Fields): Partial<Facts> => {
  const known: Partial<Facts> = {};
  for (const name of decisive) if (!sameValue(facts[name], fields[name] ?? null)) known[name] = facts[name];
  return known;
};

/** What has to be asked of Graph for these fields; in the order of the catalogue, so that the same fields give the same question. */
export const propertiesFor = (attributes: AttributeSettings): CatalogueName[] => {
  const wanted = new Set<string>([...decisive, ...Object.values(attributes).map(({ from }) => from)]);
  return (Object.keys(attributeCatalogue) as CatalogueName[]).filter((name) => wanted.has(name));
};
