/** One version of the settings as a document. Who made it is sealed. */
import type { Ambient } from "../ambient.ts";
import type { Actor } from "../audit/entries.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { open, type Place, seal } from "../crypto/seal.ts";
import { type ConnectionDoc, ids, type SettingsDoc } from "../store/documents.ts";

const byPlace = (connectionId: string, settingsVersion: number): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.settings(settingsVersion),
  fields: "by",
});

/** `doc`: the connection with these settings. */
export const settingsDoc = (
  ambient: Ambient,
  ring: KeyRing,
  doc: Pick<ConnectionDoc, "connectionId" | "settings" | "settingsVersion" | "blacklist">,
  { by, ...made }: Pick<SettingsDoc, "at" | "fields" | "restoredFrom"> & { by: Actor },
): SettingsDoc => {
  const { connectionId, settings, settingsVersion, blacklist } = doc;
  return {
    id: ids.settings(settingsVersion),
    kind: "settings",
    connectionId,
    v: 1,
    settings,
    settingsVersion,
    blacklist,
    ...made,
    by: seal(ambient, ring.sealing, byPlace(connectionId, settingsVersion), by),
  };
};

export const openBy = (ring: KeyRing, { connectionId, settingsVersion, by }: SettingsDoc): Actor =>
  open(ring.sealing, byPlace(connectionId, settingsVersion), by);
