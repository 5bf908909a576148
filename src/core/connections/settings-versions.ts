/**
 * Earlier settings: listed, read, and put into force again. Going back is a change like any other and makes a new version; the
 * directory itself is never rolled back, since Entra ID stays the source of truth.
 */
import { z } from "zod";
import { Actor } from "../audit/entries.ts";
import type { Caller } from "../context.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError } from "../errors.ts";
import { ids, type SettingsDoc, type Stored } from "../store/documents.ts";
import type { DirectoryStore, Page } from "../store/ports.ts";
import { openEntries } from "./blacklist.ts";
import { requireMatch } from "./change.ts";
import { applyChange, type SettingsNeeds, type SettingsView, settingsEtag, settingsView } from "./change-settings.ts";
import { openConnection } from "./open.ts";
import { Settings } from "./settings.ts";
import { openBy } from "./settings-doc.ts";

export const SettingsVersion = z.strictObject({
  version: z.int(),
  at: z.iso.datetime(),
  /** What differs from the version before. */
  fields: z.array(z.string()),
  /** The earlier version that these are again. */
  restoredFrom: z.int().nullable(),
  blacklist: z.strictObject({ version: z.int(), entries: z.int() }),
  /** For callers with `audit:read`: who made it. */
  by: Actor.optional(),
});
export type SettingsVersion = z.infer<typeof SettingsVersion>;

export const SettingsVersionDetails = SettingsVersion.extend({ settings: Settings });
export type SettingsVersionDetails = z.infer<typeof SettingsVersionDetails>;

export interface VersionNeeds {
  store: Pick<DirectoryStore, "read" | "list">;
  keys: Pick<Keys, "ring">;
}

/** Newest first. */
export const listSettingsVersions =
  (needs: VersionNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    { limit, ...after }: { after?: string; limit: number },
  ): Promise<Page<SettingsVersion>> => {
    const { context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const found = await needs.store.list(connectionId, "settings", { ...after, limit: limit + 1 });
    const shown = found.slice(0, limit);
    return {
      items: shown.map((doc) => versionView(doc, context.ring, caller)),
      next: found.length > limit ? (shown.at(-1)?.id ?? null) : null,
    };
  };

export const readSettingsVersion =
  (needs: Pick<VersionNeeds, "keys"> & { store: Pick<DirectoryStore, "read"> }) =>
  async (caller: Caller, connectionId: string, version: string): Promise<SettingsVersionDetails> => {
    const { context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const doc = await versionDoc(needs.store, connectionId, version);
    return { ...versionView(doc, context.ring, caller), settings: doc.settings };
  };

/** With its blacklist. */
export const restoreSettings =
  (needs: SettingsNeeds) =>
  async (caller: Caller, connectionId: string, ifMatch: string | undefined, version: string): Promise<SettingsView> => {
    const { doc } = await applyChange(needs)(caller, connectionId, async (current, ring) => {
      requireMatch(ifMatch, settingsEtag(current));
      const earlier = await versionDoc(needs.store, connectionId, version);
      const isListed = earlier.blacklist.version === current.blacklist.version;
      return {
        settings: stillKnown(earlier.settings),
        ...(isListed ? {} : { blacklist: await openEntries(needs)(connectionId, earlier.blacklist, ring) }),
        restoredFrom: earlier.settingsVersion,
      };
    });
    return settingsView(doc);
  };

const versionDoc = async (
  store: Pick<DirectoryStore, "read">,
  connectionId: string,
  version: string,
): Promise<Stored<SettingsDoc>> => {
  const doc = /^[1-9]\d{0,9}$/.test(version)
    ? await store.read(connectionId, "settings", ids.settings(Number(version)))
    : null;
  if (!doc) throw new AppError("settings-version-not-found");
  return doc;
};

/** They may be from a time before a release that knows other settings. */
const stillKnown = (settings: Settings): Settings => {
  const result = Settings.safeParse(settings);
  if (result.success) return result.data;
  throw new AppError("invalid-request", {
    field: result.error.issues[0]?.path.map(String).join(".") ?? "settings",
    detail: "This version has settings that no longer exist.",
  });
};

const versionView = (doc: SettingsDoc, ring: KeyRing, caller: Caller): SettingsVersion => ({
  version: doc.settingsVersion,
  at: doc.at,
  fields: doc.fields,
  restoredFrom: doc.restoredFrom,
  blacklist: doc.blacklist,
  ...(caller.permissions.has("audit:read") ? { by: openBy(ring, doc) } : {}),
});
