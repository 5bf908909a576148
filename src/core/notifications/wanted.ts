/** Who hears of changes: connections whose schedule starts rounds by itself. Everybody else is looked at when somebody asks. */
import { directoryTenant } from "../connections/open.ts";
import { isInTrouble } from "../directory/run/trouble.ts";
import { scheduleOf } from "../directory/schedule.ts";
import type { ConnectionDoc } from "../store/documents.ts";
import { feedKey, feedResources } from "./feed.ts";

export const wantsNotifications = (doc: ConnectionDoc): boolean => {
  const { automatic, paused } = scheduleOf(doc);
  return automatic && !paused && !isInTrouble(doc) && directoryTenant(doc) !== null;
};

/** Keys of the feeds that a connection wants to be enlisted for. */
export const feedsOf = (doc: ConnectionDoc, clientId: string): string[] => {
  const tenantId = directoryTenant(doc)?.toLowerCase();
  if (tenantId === undefined || !wantsNotifications(doc)) return [];
  return feedResources.map((resource) => feedKey({ clientId: clientId.toLowerCase(), tenantId, resource }));
};
