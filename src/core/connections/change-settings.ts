/** Reads and replaces the settings. "Off" is true when this has returned: the epoch has moved, and an older run commits nothing. */
import type { FieldChange } from "../audit/entries.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { nextDue, wakeAfter } from "../directory/schedule.ts";
import { isAppError } from "../errors.ts";
import type { ConnectionDoc, Head } from "../store/documents.ts";
import type { HintQueue } from "../store/ports.ts";
import { type ChangeNeeds, changeConnection, entryOf, requireMatch, requireOpen } from "./change.ts";
import { openConnection } from "./open.ts";
import { Settings } from "./settings.ts";

export interface SettingsView extends Settings {
  version: number;
  etag: string;
}

export interface SettingsNeeds extends ChangeNeeds {
  keys: Pick<Keys, "ring">;
  hints: HintQueue;
}

export const readSettings =
  (needs: Pick<SettingsNeeds, "keys" | "store">) =>
  async (caller: Caller, connectionId: string): Promise<SettingsView> =>
    settingsView((await openConnection(needs)(caller.workspaceId, connectionId)).doc);

export const changeSettings =
  (needs: SettingsNeeds) =>
  async (caller: Caller, connectionId: string, ifMatch: string | undefined, input: Settings): Promise<SettingsView> => {
    const { ambient } = needs;
    const { doc: opened, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const { doc, head } = await changeConnection(needs)(opened, (current) => {
      requireMatch(ifMatch, settingsView(current).etag);
      requireOpen(current);
      const changes = differences(current.settings, input);
      if (changes.length === 0) return null;
      const scheduled = current.state === "active" || current.state === "needs-attention";
      return {
        doc: { ...current, settings: input, settingsVersion: current.settingsVersion + 1 },
        entries: [
          entryOf(ambient, context, caller, { kind: "settings", op: "updated", object: "connection", changes }),
        ],
        advance: (before) => ({
          ...before,
          epoch: before.epoch + 1,
          ...(scheduled ? scheduleAfter(before, current.settings, input, ambient.now()) : {}),
        }),
      };
    });
    if (head.wakeAt !== null && head.wakeAt <= ambient.now()) await hintNow(needs, connectionId);
    return settingsView(doc);
  };

/**
 * A run under way is void, because the epoch has moved: it is due again, and so is one that was asked for. A pause stops these
 * as well, and when it ends the connection is due at once.
 */
export const scheduleAfter = (
  head: Pick<Head, "connectionId" | "run" | "requested">,
  before: Settings,
  after: Settings,
  now: number,
): Pick<Head, "dueAt" | "wakeAt"> => {
  if (after.paused) return { dueAt: null, wakeAt: null };
  const dueAt = after.automatic && before.paused ? now : nextDue(head.connectionId, after, now);
  return { dueAt, wakeAt: wakeAfter({ run: head.run, requested: head.requested, dueAt }, now) };
};

/** The timer finds what is due also without a hint, so a queue that fails costs a minute and nothing else. */
export const hintNow = async (
  { ambient, hints }: Pick<SettingsNeeds, "ambient" | "hints">,
  connectionId: string,
): Promise<void> => {
  try {
    await hints.send({ connectionId, receivedAt: ambient.now() });
  } catch (error) {
    if (!isAppError(error, "queue-unavailable")) throw error;
  }
};

const settingsView = ({ settings, settingsVersion }: ConnectionDoc): SettingsView => ({
  ...settings,
  version: settingsVersion,
  etag: `"${settingsVersion}"`,
});

const differences = (before: Settings, after: Settings): FieldChange[] =>
  Settings.keyof()
    .options.filter((field) => before[field] !== after[field])
    .map((field) => ({ field, before: before[field], after: after[field] }));
