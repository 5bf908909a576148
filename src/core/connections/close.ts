/** Deletion is scheduled: reads and syncs stop at once, everything is deleted after seven days, and until then it can be undone. */
import { z } from "zod";
import { iso } from "../ambient.ts";
import type { AccessLog } from "../audit/access-log.ts";
import { actorOf } from "../audit/entries.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { scheduleOf } from "../directory/schedule.ts";
import { AppError } from "../errors.ts";
import type { ConnectionDoc, ConnectionState } from "../store/documents.ts";
import { type ChangeNeeds, changeConnection, entryOf } from "./change.ts";
import { DisplayName, openName } from "./name.ts";
import { directoryTenant, openConnection } from "./open.ts";
import { isRedeemed, tiers } from "./tiers.ts";
import { type ConnectionView, connectionView } from "./views.ts";

export const graceMilliseconds = 7 * 86_400_000;
/** Nothing is deleted before this has passed as well: the clocks of two instances may disagree on whether it is too late to undo. */
export const marginMilliseconds = 300_000;

/** The name is repeated, so that nobody deletes what he did not mean. */
export const CloseConnection = z.strictObject({ displayName: DisplayName });
export type CloseConnection = z.infer<typeof CloseConnection>;

export interface CloseNeeds extends ChangeNeeds {
  keys: Pick<Keys, "ring">;
  access: AccessLog;
}

export const closeConnection =
  (needs: CloseNeeds) =>
  async (caller: Caller, connectionId: string, input: CloseConnection): Promise<ConnectionView> => {
    const { doc: opened, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    if (input.displayName !== openName(context.ring, opened))
      throw new AppError("invalid-request", {
        field: "displayName",
        detail: "It must repeat the name of the connection.",
      });
    const { doc, head } = await changeConnection(needs)(opened, (current) => {
      if (current.state === "closing") return null;
      const closesAt = needs.ambient.now() + graceMilliseconds;
      const dueAt = closesAt + marginMilliseconds;
      const after: ConnectionDoc = { ...current, state: "closing", closesAt: iso(closesAt) };
      return {
        doc: after,
        entries: [entryOf(needs.ambient, context, caller, stateChanged(current, after))],
        // A run that was asked for stays asked for: when the deletion is undone, it is done.
        advance: (before) => ({
          ...before,
          epoch: before.epoch + 1,
          dueAt,
          wakeAt: dueAt,
          reviewAt: null,
          // Everybody goes, or it is caught up on when the deletion is undone.
          retireAt: null,
        }),
      };
    });
    await needs.access.record(caller.workspaceId, {
      what: "connection-deleted",
      route: "connections.close",
      ...actorOf(caller),
      connectionId,
      correlationId: caller.correlationId,
    });
    return connectionView(doc, head, context.ring);
  };

export const restoreConnection =
  (needs: CloseNeeds) =>
  async (caller: Caller, connectionId: string): Promise<ConnectionView> => {
    const { doc: opened, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const { doc, head } = await changeConnection(needs)(opened, (current) => {
      const now = needs.ambient.now();
      if (current.state !== "closing" || current.closesAt === null || Date.parse(current.closesAt) <= now)
        throw new AppError("state-conflict", { detail: "There is no deletion that could be undone." });
      const after: ConnectionDoc = { ...current, state: stateBeforeClosing(current), closesAt: null };
      const resumes = directoryTenant(after) !== null && !after.settings.paused && scheduleOf(after).automatic;
      return {
        doc: after,
        entries: [entryOf(needs.ambient, context, caller, stateChanged(current, after))],
        // A run that was asked for is still to be done, and one that was under way to be put away: no other begins before.
        advance: (before) => ({
          ...before,
          epoch: before.epoch + 1,
          dueAt: resumes ? now : null,
          reviewAt: tiers.some((tier) => isRedeemed(after.tiers[tier])) ? now : null,
          retireAt: now,
          wakeAt: resumes || before.run || before.requested ? now : null,
        }),
      };
    });
    return connectionView(doc, head, context.ring);
  };

const stateBeforeClosing = (doc: ConnectionDoc): ConnectionState => {
  if (doc.tid === null) return "draft";
  if (doc.attention !== null) return "needs-attention";
  return tiers.some((tier) => isRedeemed(doc.tiers[tier])) ? "active" : "proven";
};

const stateChanged = (before: ConnectionDoc, after: ConnectionDoc): Parameters<typeof entryOf>[3] => ({
  kind: "connection",
  op: "updated",
  object: "connection",
  changes: [
    { field: "state", before: before.state, after: after.state },
    { field: "closesAt", before: before.closesAt, after: after.closesAt },
  ],
});
