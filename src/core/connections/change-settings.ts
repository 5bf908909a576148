/** Reads and replaces the settings. "Off" is true when this has returned: the epoch has moved, and an older run commits nothing. */
import type { FieldChange } from "../audit/entries.ts";
import type { Caller } from "../context.ts";
import type { Keys } from "../crypto/keys.ts";
import { nextDue, wakeAfter } from "../directory/schedule.ts";
import { AppError, isAppError } from "../errors.ts";
import type { ConnectionDoc, Head } from "../store/documents.ts";
import type { HintQueue } from "../store/ports.ts";
import { type ChangeNeeds, changeConnection, entryOf, requireMatch, requireOpen } from "./change.ts";
import { directoryTenant, openConnection } from "./open.ts";
import { longestGuardPauseMilliseconds, type Settings } from "./settings.ts";

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
      if (input.guard.offUntil !== current.settings.guard.offUntil) requireShortPause(input, ambient.now());
      const changes = differences(current.settings, input);
      if (changes.length === 0) return null;
      return {
        doc: { ...current, settings: input, settingsVersion: current.settingsVersion + 1 },
        entries: [
          entryOf(ambient, context, caller, { kind: "settings", op: "updated", object: "connection", changes }),
        ],
        advance: (before) => ({
          ...before,
          epoch: before.epoch + 1,
          ...(directoryTenant(current) === null ? {} : scheduleAfter(before, current.settings, input, ambient.now())),
        }),
      };
    });
    if (head.wakeAt !== null && head.wakeAt <= ambient.now()) await hintNow(needs, connectionId);
    return settingsView(doc);
  };

/**
 * A run under way is void, because the epoch has moved: where there is a schedule it is due again, and so is one that was asked
 * for and has not begun. A pause stops these as well, and when it ends the connection is due at once.
 */
export const scheduleAfter = (
  head: Pick<Head, "connectionId" | "run" | "requested" | "dueAt">,
  before: Settings,
  after: Settings,
  now: number,
): Pick<Head, "dueAt" | "wakeAt"> => {
  if (after.paused) return { dueAt: null, wakeAt: null };
  // A run that has written nothing yet is in nobody's head but its worker's: there only the time of its beginning tells of it.
  // A dry run is not made good for by a run that is none.
  const isVoided = (head.run !== null && head.run.mode !== "dry-run") || (head.dueAt !== null && head.dueAt <= now);
  const dueAt = after.automatic && (before.paused || isVoided) ? now : nextDue(head.connectionId, after, now);
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

/** Off for good is not offered: somebody would forget it. */
const requireShortPause = ({ guard }: Settings, now: number): void => {
  if (guard.offUntil !== null && Date.parse(guard.offUntil) > now + longestGuardPauseMilliseconds)
    throw new AppError("invalid-request", { field: "guard.offUntil", detail: "At most seven days ahead." });
};

const differences = (before: Settings, after: Settings): FieldChange[] =>
  [...fieldsOf(after)].flatMap(([field, value]) => {
    const earlier = fieldsOf(before).get(field) ?? null;
    return earlier === value ? [] : [{ field, before: earlier, after: value }];
  });

const fieldsOf = ({ guard, ...plain }: Settings): Map<string, unknown> =>
  new Map<string, unknown>([
    ...Object.entries(plain),
    ...Object.entries(guard).map(([name, value]): [string, unknown] => [`guard.${name}`, value]),
  ]);
