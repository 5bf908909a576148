/**
 * What a person who is new in the feed may be recognised by. Equal addresses prove nothing: they are given to somebody else, or
 * typed by whoever manages a tenant. The product decides, and says so by a link of its own; nothing here ever makes one.
 */
import { z } from "zod";
import type { FieldChange } from "../audit/entries.ts";

export const MatchHints = z.strictObject({
  mail: z.string().nullable(),
  userPrincipalName: z.string().nullable(),
  employeeId: z.string().nullable(),
  proof: z.literal(false),
});
export type MatchHints = z.infer<typeof MatchHints>;

/** From the content of the entry itself, so they are gone when that is. */
export const matchHintsOf = (changes: readonly FieldChange[]): MatchHints => {
  const after = new Map(changes.map((change) => [change.field, change.after]));
  const textOf = (field: string): string | null => {
    const value = after.get(field);
    return typeof value === "string" ? value : null;
  };
  return {
    mail: textOf("mail"),
    userPrincipalName: textOf("userPrincipalName"),
    employeeId: textOf("employeeId"),
    proof: false,
  };
};
