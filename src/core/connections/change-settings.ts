/**
 * Reads and replaces the settings, with the e-mail blacklist that belongs to them. "Off" is true when this has returned: the epoch
 * has moved, and an older run commits nothing. Each change is a version that can be gone back to.
 */
import { responsibleOf } from "../access/asserted.ts";
import { iso } from "../ambient.ts";
import { actorOf, type FieldChange } from "../audit/entries.ts";
import { logSecondsOf } from "../audit/retention.ts";
import type { Caller, ConnectionContext } from "../context.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import type { Keys } from "../crypto/keys.ts";
import { open, type Place, type Sealed, seal } from "../crypto/seal.ts";
import { retirementAfter } from "../directory/retire.ts";
import { isInTrouble } from "../directory/run/trouble.ts";
import { nextDue, scheduleOf, wakeAfter } from "../directory/schedule.ts";
import { AppError, isAppError } from "../errors.ts";
import { wantsNotifications } from "../notifications/wanted.ts";
import { type BlacklistVersion, type ConnectionDoc, type Head, ids, type Stored } from "../store/documents.ts";
import type { DirectoryStore, Expiry, HintQueue, Write } from "../store/ports.ts";
import { blacklistDocs, listChanges, openEntries, partIds } from "./blacklist.ts";
import {
  type ChangedConnection,
  type ChangeNeeds,
  changeConnection,
  entryOf,
  requireMatch,
  requireOpen,
} from "./change.ts";
import { directoryTenant, openConnection } from "./open.ts";
import { openProductGroups } from "./product-groups.ts";
import { longestGuardPauseMilliseconds, type Settings } from "./settings.ts";
import { settingsDoc } from "./settings-doc.ts";

export interface SettingsView extends Settings {
  version: number;
  etag: string;
}

export interface SettingsNeeds extends ChangeNeeds {
  store: Pick<DirectoryStore, "read" | "load" | "write">;
  keys: Pick<Keys, "ring">;
  hints: HintQueue;
}

export const readSettings =
  (needs: { store: Pick<DirectoryStore, "read">; keys: Pick<Keys, "ring"> }) =>
  async (caller: Caller, connectionId: string): Promise<SettingsView> =>
    settingsView((await openConnection(needs)(caller.workspaceId, connectionId)).doc);

export const changeSettings =
  (needs: SettingsNeeds) =>
  async (caller: Caller, connectionId: string, ifMatch: string | undefined, input: Settings): Promise<SettingsView> => {
    const { doc } = await applyChange(needs)(caller, connectionId, (current) => {
      requireMatch(ifMatch, settingsEtag(current));
      return { settings: input };
    });
    return settingsView(doc);
  };

/** What is to be in force; what is left out stays. */
export interface Proposal {
  settings?: Settings;
  /** The whole list, in order and without repeats. */
  blacklist?: readonly string[];
  /** The version that these are again. */
  restoredFrom?: number;
}

/** `propose` is asked again when somebody else was faster, and throws what the caller is to be told. */
export const applyChange =
  (needs: SettingsNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    propose: (current: Stored<ConnectionDoc>, ring: KeyRing) => Proposal | Promise<Proposal>,
  ): Promise<ChangedConnection> => {
    const { ambient } = needs;
    const { doc: opened, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const changed = await changeConnection(needs)(opened, async (current) => {
      const { settings = current.settings, blacklist, restoredFrom = null } = await propose(current, context.ring);
      requireOpen(current);
      await requireAcceptable(needs, context, current, settings);
      const listed = blacklist ? await newBlacklist(needs, context, current, blacklist) : null;
      const changes = [...differences(current.settings, settings), ...(listed?.changes ?? [])];
      if (changes.length === 0) return null;
      const doc: ConnectionDoc = {
        ...current,
        settings,
        settingsVersion: current.settingsVersion + 1,
        settingsBy: seal(ambient, context.ring.sealing, settingsByPlace(connectionId), responsibleOf(caller)),
        blacklist: listed?.version ?? current.blacklist,
      };
      const version = settingsDoc(ambient, context.ring, doc, {
        at: iso(ambient.now()),
        by: actorOf(caller),
        fields: changes.map(({ field }) => field).filter((field) => !field.startsWith("blacklist.")),
        restoredFrom,
      });
      // A connection that is older than versions has none of its first settings.
      const superseded = await needs.store.read(connectionId, "settings", ids.settings(current.settingsVersion));
      const from = restoredFrom === null ? [] : [{ field: "restoredFrom", before: null, after: restoredFrom }];
      return {
        doc,
        writes: [
          { op: "create", doc: version },
          ...(superseded ? [{ op: "expire" as const, id: superseded.id, ttlSeconds: logSecondsOf(ambient) }] : []),
          ...(listed?.writes ?? []),
        ],
        entries: [
          entryOf(ambient, context, caller, {
            kind: "settings",
            op: "updated",
            object: "connection",
            changes: [...changes, ...from],
          }),
        ],
        advance: (before) => ({
          ...before,
          epoch: before.epoch + 1,
          ...retirementAfter(before, current.settings.leaving, settings.leaving, ambient.now()),
          ...(directoryTenant(current) === null
            ? {}
            : scheduleAfter(before, scheduleOf(current), scheduleOf(doc), ambient.now(), isInTrouble(current))),
        }),
      };
    });
    const { wakeAt } = changed.head;
    // A worker's turn enlists it.
    const begins = !wantsNotifications(opened) && wantsNotifications(changed.doc);
    if (begins || (wakeAt !== null && wakeAt <= ambient.now())) await hintNow(needs, connectionId);
    return changed;
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
  inTrouble = false,
): Pick<Head, "dueAt" | "wakeAt"> => {
  if (after.paused) return { dueAt: null, wakeAt: null };
  // A run that has written nothing yet is in nobody's head but its worker's: there only the time of its beginning tells of it.
  // A dry run is not made good for by a run that is none.
  const isVoided = (head.run !== null && head.run.mode !== "dry-run") || (head.dueAt !== null && head.dueAt <= now);
  // Somebody has looked at it: a connection in trouble is tried out at once.
  const isDue = before.paused || isVoided || inTrouble;
  const dueAt = after.automatic && isDue ? now : nextDue(head.connectionId, after, now);
  return { dueAt, wakeAt: wakeAfter({ run: head.run, requested: head.requested, dueAt }, now) };
};

/** The timer finds what is due also without a hint, so a queue that fails costs a minute and nothing else. */
export const hintIn = async (
  { ambient, hints }: Pick<SettingsNeeds, "ambient" | "hints">,
  connectionId: string,
  delaySeconds: number,
): Promise<void> => {
  try {
    await hints.send({ connectionId, receivedAt: ambient.now() }, delaySeconds);
  } catch (error) {
    if (!isAppError(error, "queue-unavailable")) throw error;
  }
};

export const hintNow = (needs: Pick<SettingsNeeds, "ambient" | "hints">, connectionId: string): Promise<void> =>
  hintIn(needs, connectionId, 0);

/** Of the settings and the blacklist together. */
export const settingsEtag = ({ settingsVersion }: Pick<ConnectionDoc, "settingsVersion">): string =>
  `"${settingsVersion}"`;

export const settingsView = (doc: ConnectionDoc): SettingsView => ({
  ...doc.settings,
  version: doc.settingsVersion,
  etag: settingsEtag(doc),
});

const settingsByPlace = (connectionId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.connection,
  fields: "settingsBy",
});

/** Subject of who changed the settings or the blacklist last; null: nobody has since the connection was made. */
export const openSettingsBy = (
  ring: KeyRing,
  { connectionId, settingsBy }: { connectionId: string; settingsBy: Sealed<string> | null },
): string | null => settingsBy && open(ring.sealing, settingsByPlace(connectionId), settingsBy);

/** What no schema can tell. */
export const requireAcceptable = async (
  needs: Pick<SettingsNeeds, "ambient" | "store">,
  { ring }: ConnectionContext,
  current: ConnectionDoc,
  settings: Settings,
): Promise<void> => {
  const { offUntil } = settings.guard;
  // Off for good is not offered: somebody would forget it.
  const latest = needs.ambient.now() + longestGuardPauseMilliseconds;
  if (offUntil !== null && offUntil !== current.settings.guard.offUntil && Date.parse(offUntil) > latest)
    throw new AppError("invalid-request", { field: "guard.offUntil", detail: "At most seven days ahead." });

  if (settings.groups.mapping.length === 0) return;
  const offered = new Set((await openProductGroups(needs)(current, ring)).map(({ id }) => id));
  const unknown = settings.groups.mapping.findIndex(({ productGroup }) => !offered.has(productGroup));
  if (unknown >= 0)
    throw new AppError("invalid-request", {
      field: `groups.mapping.${unknown}.productGroup`,
      detail: "The product does not offer this group.",
    });
};

interface NewBlacklist {
  version: BlacklistVersion;
  writes: (Write | Expiry)[];
  changes: FieldChange[];
}

/** Null when it is the list that is in force. */
const newBlacklist = async (
  needs: Pick<SettingsNeeds, "ambient" | "store">,
  context: ConnectionContext,
  doc: ConnectionDoc,
  list: readonly string[],
): Promise<NewBlacklist | null> => {
  const current = doc.blacklist;
  const before = await openEntries(needs)(context.connectionId, current, context.ring);
  const changes = listChanges("blacklist", before, list);
  if (changes.length === 0) return null;
  const version: BlacklistVersion = { version: current.version + 1, entries: list.length };
  return {
    version,
    writes: [
      ...blacklistDocs(needs.ambient, context, version.version, list).map(
        (part): Write => ({ op: "create", doc: part }),
      ),
      ...partIds(current).map((id): Expiry => ({ op: "expire", id, ttlSeconds: logSecondsOf(needs.ambient) })),
    ],
    changes: [{ field: "blacklist", before: current, after: version }, ...changes],
  };
};

const differences = (before: Settings, after: Settings): FieldChange[] => {
  const [earlier, later] = [new Map(fieldsOf(before)), new Map(fieldsOf(after))];
  return [...new Set([...earlier.keys(), ...later.keys()])].flatMap((field) => {
    const [old, young] = [earlier.get(field) ?? null, later.get(field) ?? null];
    return JSON.stringify(old) === JSON.stringify(young) ? [] : [{ field, before: old, after: young }];
  });
};

/** Nested objects by dotted names; a list is one value. */
const fieldsOf = (value: object, path = ""): [string, unknown][] =>
  Object.entries(value).flatMap(([name, inside]: [string, unknown]) =>
    typeof inside === "object" && inside !== null && !Array.isArray(inside)
      ? fieldsOf(inside, `${path}${name}.`)
      : [[`${path}${name}`, inside] satisfies [string, unknown]],
  );
