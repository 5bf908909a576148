/**
 * Four eyes: where the settings demand it, a plan that the guard has stopped is let go on by somebody else than who asked for the
 * run or changed the settings last. Who that was is kept sealed, beside what was asked or changed.
 */
import { isResponsible } from "../access/asserted.ts";
import type { Ambient } from "../ambient.ts";
import type { Caller } from "../context.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { open, type Place, type Sealed, seal } from "../crypto/seal.ts";
import { AppError } from "../errors.ts";
import { type ConnectionDoc, ids, type RunDoc } from "../store/documents.ts";
import { openSettingsBy } from "./change-settings.ts";

export const runSubject = (connectionId: string, runId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.run(runId),
  fields: "requestedBy",
});

export const sealSubject = (ambient: Ambient, ring: KeyRing, place: Place, subject: string): Sealed<string> =>
  seal(ambient, ring.sealing, place, subject);

/** The product's subject; null for a run that nobody asked for. */
export const requesterOf = (ring: KeyRing, { connectionId, id, requestedBy }: RunDoc): string | null =>
  requestedBy && open(ring.sealing, runSubject(connectionId, id.slice(2)), requestedBy);

/** Throws `second-person-required`. A change of settings voids every plan, so the settings are those of the plan. */
export const requireSecondPerson = (ring: KeyRing, doc: ConnectionDoc, run: RunDoc, caller: Caller): void => {
  if (!doc.settings.guard.secondPerson) return;
  if ([openSettingsBy(ring, doc), requesterOf(ring, run)].some((known) => isResponsible(known, caller)))
    throw new AppError("second-person-required");
};
