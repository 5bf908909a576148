/**
 * The kill signal: after which events somebody may no longer sign in. A product that let the person in on the strength of the account
 * ends his sessions; whether he may come in again is asked at the next sign-in.
 */
import type { EntryDraft } from "../audit/entries.ts";
import { accountDisabled } from "../directory/plan.ts";

const ends: ReadonlySet<EntryDraft["op"]> = new Set(["deactivated", "kept", "excluded", "removed", "erased"]);

export const isBlocked = ({ kind, op, evidence }: Pick<EntryDraft, "kind" | "op" | "evidence">): boolean =>
  kind === "person" && (ends.has(op) || evidence === accountDisabled);
