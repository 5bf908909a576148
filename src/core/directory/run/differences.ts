/** What a change did to a record, field by field: the content of its log entry. */
import type { FieldChange } from "../../audit/entries.ts";
import { type FieldValue, type PersonRecord, sameValue } from "../records.ts";

/** Sorted by name; a field that is not there is null. */
export const fieldDifference = (
  before: Readonly<Record<string, FieldValue>>,
  after: Readonly<Record<string, FieldValue>>,
): FieldChange[] => {
  const changes: FieldChange[] = [];
  const added = Object.keys(after).filter((field) => !Object.hasOwn(before, field));
  for (const field of [...Object.keys(before), ...added].toSorted())
    if (!sameValue(before[field], after[field]))
      changes.push({ field, before: before[field] ?? null, after: after[field] ?? null });
  return changes;
};

export const personDifference = (before: PersonRecord | null, after: PersonRecord): FieldChange[] => {
  const changes = fieldDifference(before?.fields ?? {}, after.fields);
  if ((before?.manager ?? null) !== after.manager)
    changes.push({ field: "manager", before: before?.manager ?? null, after: after.manager });
  return changes;
};
