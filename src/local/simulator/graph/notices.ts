/** What is told of an alteration of a directory, and in which form. */
import type { DirectoryState, Mutation } from "../directory/state.ts";
import type { Subscription } from "../world.ts";

export interface Notice {
  feed: Subscription["feed"];
  /** A new object, a restored one and one that is in the bin are `updated`; `deleted` is gone for good. */
  changeType: "updated" | "deleted";
  id: string;
  /** The members that changed. A removed one is marked by a text, unlike in a delta. */
  members?: { id: string; "@removed"?: "deleted" }[];
}

/** Null: nothing is told. A purge says nothing to the groups of the purged person. */
export const noticeOf = (mutation: Mutation, directory: DirectoryState, tellsManagers: boolean): Notice | null => {
  const user = (id: string, changeType: Notice["changeType"] = "updated"): Notice => ({
    feed: "users",
    changeType,
    id,
  });
  const group = (id: string, more: Partial<Notice> = {}): Notice => ({
    feed: "groups",
    changeType: "updated",
    id,
    ...more,
  });
  switch (mutation.op) {
    case "create-user":
      return user(mutation.user.id);
    case "update-user":
    case "delete-user":
    case "restore-user":
      return user(mutation.id);
    case "set-manager":
      return tellsManagers ? user(mutation.id) : null;
    case "purge-user":
      return user(mutation.id, "deleted");
    case "create-group":
      return group(mutation.group.id);
    case "update-group":
    case "restore-group":
      return group(mutation.id);
    case "delete-group":
      // Only some kinds of groups have a bin.
      return group(mutation.id, directory.deletedGroups.has(mutation.id) ? {} : { changeType: "deleted" });
    case "purge-group":
      return group(mutation.id, { changeType: "deleted" });
    case "add-member":
      return group(mutation.groupId, { members: [{ id: mutation.memberId }] });
    default:
      return group(mutation.groupId, { members: [{ id: mutation.memberId, "@removed": "deleted" }] });
  }
};

/** `order` makes the sequence number, which is larger than what JavaScript counts exactly. */
export const changeItem = (
  subscription: Subscription,
  tid: string,
  notice: Notice,
  { now, order }: { now: number; order: number },
): string => {
  const { feed, changeType, id, members } = notice;
  const [type, path] = feed === "users" ? ["User", `Users/${id}`] : ["Group", `Groups/${id}`];
  const item = {
    changeType,
    ...envelope(subscription, tid),
    resource: path,
    resourceData: {
      "@odata.type": `#Microsoft.Graph.${type}`,
      "@odata.id": path,
      id,
      organizationId: tid,
      eventTime: new Date(now).toISOString().replace("Z", "0000Z"),
      sequenceNumber: sequenceMark,
      ...(members === undefined ? {} : { "members@delta": members }),
    },
  };
  // JSON.stringify has no way to write such a number.
  return JSON.stringify(item).replace(`"${sequenceMark}"`, String(firstSequence + BigInt(order)));
};

const sequenceMark = "sequence number";
const firstSequence = 638_784_480_202_455_801n;

export const lifecycleEvents = ["reauthorizationRequired", "subscriptionRemoved", "missed"] as const;
export type LifecycleEvent = (typeof lifecycleEvents)[number];

export const lifecycleItem = (subscription: Subscription, tid: string, lifecycleEvent: LifecycleEvent): string =>
  JSON.stringify({ ...envelope(subscription, tid), lifecycleEvent });

const envelope = ({ id, clientState, expiresAt }: Subscription, tid: string) => ({
  subscriptionId: id,
  subscriptionExpirationDateTime: new Date(expiresAt).toISOString(),
  tenantId: tid,
  clientState,
});
