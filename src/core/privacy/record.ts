/** The record of processing of one connection: what is held of people because of it, why, where, how long, who sees it. */
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import { logDayLimits } from "../audit/retention.ts";
import { type OpenNeeds, openConnection } from "../connections/open.ts";
import { LeavingSettings } from "../connections/settings.ts";
import type { Caller } from "../context.ts";
import { publishedAttributes } from "../views/attributes-list.ts";
import { backupMilliseconds } from "./ledger.ts";
import { placesOf } from "./record-places.ts";
import { logPeriod, pseudonyms, type RowId, recordRows } from "./record-rows.ts";

export const PrivacyRecord = z.strictObject({
  /** Nothing of people is stored that none of these names. */
  items: z.array(
    z.strictObject({
      id: z.string(),
      of: z.string(),
      data: z.string(),
      purpose: z.string(),
      form: z.string(),
      kept: z.string(),
      readers: z.string(),
      /** Container and kind of document, with the fields. */
      places: z.array(z.string()),
    }),
  ),
  /** Of people who are synchronised, by the settings of this connection. */
  attributes: z.array(
    z.strictObject({
      name: z.string(),
      description: z.string(),
      /** Fields of the product that are filled from it. */
      fields: z.array(z.string()),
      /** The sync scope decides by it. */
      decides: z.boolean(),
    }),
  ),
  leaving: LeavingSettings,
  pseudonyms: z.array(z.strictObject({ value: z.string(), reveals: z.string() })),
  logDays: z.int(),
  /** So long backups of the database hold earlier states of all this. */
  backupDays: z.int(),
});
export type PrivacyRecord = z.infer<typeof PrivacyRecord>;

export const recordItems = (logDays: number): PrivacyRecord["items"] =>
  (Object.keys(recordRows) as RowId[]).map((id) => ({
    id,
    ...recordRows[id],
    kept: recordRows[id].kept.replaceAll(logPeriod, `${logDays} days`),
    places: placesOf(id),
  }));

export const readPrivacyRecord =
  (needs: OpenNeeds & { ambient: Pick<Ambient, "logDays"> }) =>
  async (caller: Caller, connectionId: string): Promise<PrivacyRecord> => {
    const { doc } = await openConnection(needs)(caller.workspaceId, connectionId);
    const { logDays = logDayLimits.usual } = needs.ambient;
    const mapped = Object.entries(doc.settings.attributes);
    const attributes = publishedAttributes.map(({ name, description, decisive }) => ({
      name,
      description,
      fields: mapped.flatMap(([field, { from }]) => (from === name ? [field] : [])),
      decides: decisive,
    }));
    return {
      items: recordItems(logDays),
      attributes: attributes.filter(({ fields, decides }) => decides || fields.length > 0),
      leaving: doc.settings.leaving,
      pseudonyms: [...pseudonyms],
      logDays,
      backupDays: backupMilliseconds / 86_400_000,
    };
  };
