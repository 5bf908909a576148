/** Permissions in words: Microsoft's own, as its consent page shows them, and what of ours stops without each. */
import type { Tier } from "../connections/tiers.ts";
import { tierPermissions } from "./permissions.ts";

export interface PermissionText {
  value: string;
  type: "application" | "delegated";
  /** Microsoft's title. */
  wording: string;
  /** What stops working without it. */
  without: string;
}

const texts: Readonly<Record<string, Pick<PermissionText, "wording" | "without">>> = {
  "User.Read.All": {
    wording: "Read all users' full profiles",
    without: "Nobody is synchronised or found by a search; who is known stays as he is.",
  },
  "GroupMember.Read.All": {
    wording: "Read all group memberships",
    without: "Groups and memberships stay as they are, and nobody is synchronised by a group.",
  },
  "Organization.Read.All": {
    wording: "Read organization information",
    without: "No approval can be verified, and no mail is sent, since the organisation's own domains are not known.",
  },
  "User.ReadWrite.All": {
    wording: "Read and write all users' full profiles",
    without: "No person can be changed in Microsoft 365.",
  },
  "Group.ReadWrite.All": {
    wording: "Read and write all groups",
    without: "No group and no membership can be changed in Microsoft 365.",
  },
  "LicenseAssignment.ReadWrite.All": {
    wording: "Manage all license assignments",
    without: "No licence can be assigned or removed.",
  },
  "Calendars.ReadWrite": {
    wording: "Have full access to user calendars",
    without: "No calendar can be connected, and those that were are no longer kept level.",
  },
  openid: { wording: "Sign users in", without: "Nobody can sign in with the work account." },
  profile: {
    wording: "View users' basic profile",
    without: "Nobody can sign in: it is not told which account of which organisation it is.",
  },
  email: {
    wording: "View users' email address",
    without: "Applications are not told the address of who signs in.",
  },
  offline_access: {
    wording: "Maintain access to data you have given it access to",
    without: "A connected calendar is kept level for about an hour and no longer.",
  },
};

export const permissionTexts = (tier: Tier): PermissionText[] =>
  (["application", "delegated"] as const).flatMap((type) =>
    tierPermissions[tier][type].map((value) => ({
      value,
      type,
      ...(texts[value] ?? { wording: value, without: "" }),
    })),
  );
