/** What Entra ID refuses, as far as a directory can tell from the objects alone. */
import type { MemberType } from "./state.ts";

export type Properties = Record<string, unknown>;

/** An alteration Entra would not carry out; `reason` says which kind of answer Graph would give (404, 400, 403). */
export class DirectoryRefusal extends Error {
  override readonly name = "DirectoryRefusal";
  readonly reason: "not-found" | "bad-request" | "forbidden";
  constructor(reason: "not-found" | "bad-request" | "forbidden", message: string) {
    super(message);
    this.reason = reason;
  }
}

const badRequest = (message: string): never => {
  throw new DirectoryRefusal("bad-request", message);
};

export type GroupKind = "microsoft-365" | "security" | "mail-enabled-security" | "distribution";

export const groupTypesOf = (group: Properties): unknown[] => (Array.isArray(group.groupTypes) ? group.groupTypes : []);

export function groupKind(group: Properties): GroupKind {
  if (groupTypesOf(group).includes("Unified")) return "microsoft-365";
  if (group.mailEnabled === true) return group.securityEnabled === true ? "mail-enabled-security" : "distribution";
  return "security";
}

export const isDynamic = (group: Properties): boolean => groupTypesOf(group).includes("DynamicMembership");

/** The wire spells it in several ways ("Hiddenmembership", "HiddenMembership"). */
export const hidesMembership = (group: Properties): boolean =>
  typeof group.visibility === "string" && group.visibility.toLowerCase() === "hiddenmembership";

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function checkNewId(id: string): void {
  if (!guid.test(id)) badRequest(`Not a lower-case GUID: ${id}`);
}

/** Collections of the schema that are never null; clearing them means an empty list. */
const collections = ["businessPhones", "otherMails", "proxyAddresses", "groupTypes", "resourceProvisioningOptions"];

function checkProperties(properties: Properties): void {
  if ("id" in properties) badRequest("The id is not a property that can be set");
  for (const name of collections) {
    if (name in properties && !Array.isArray(properties[name])) badRequest(`${name} must be a list`);
  }
  if ("displayName" in properties && (typeof properties.displayName !== "string" || properties.displayName === "")) {
    badRequest("displayName cannot be cleared");
  }
}

const isSignInName = (value: unknown): value is string => typeof value === "string" && /^[^@\s]+@[^@\s]+$/.test(value);

export function checkNewUser(properties: Properties): string {
  checkProperties(properties);
  if (!("displayName" in properties)) badRequest("A user needs a displayName");
  const { userPrincipalName } = properties;
  return isSignInName(userPrincipalName) ? userPrincipalName : badRequest("A user needs a userPrincipalName");
}

/** Returns the new sign-in name when the update holds one. */
export function checkUserUpdate(set: Properties): string | undefined {
  checkProperties(set);
  if (!("userPrincipalName" in set)) return undefined;
  const { userPrincipalName } = set;
  return isSignInName(userPrincipalName) ? userPrincipalName : badRequest("userPrincipalName cannot be cleared");
}

function checkGroup(group: Properties): void {
  checkProperties(group);
  const kind = groupKind(group);
  if (kind === "microsoft-365" && group.mailEnabled !== true) badRequest("A Microsoft 365 group is mail-enabled");
  if (kind === "security" && group.securityEnabled !== true)
    badRequest("A group is mail-enabled, security-enabled or both");
  if (hidesMembership(group) && kind !== "microsoft-365")
    badRequest("Only Microsoft 365 groups can hide their members");
  if (isDynamic(group)) {
    if (kind !== "microsoft-365" && kind !== "security") badRequest("Groups kept by Exchange are never dynamic");
    if (typeof group.membershipRule !== "string") badRequest("A dynamic group needs a membershipRule");
  }
  if (group.isAssignableToRole === true) {
    if (group.securityEnabled !== true) badRequest("A role-assignable group is security-enabled");
    if (isDynamic(group)) badRequest("A role-assignable group is never dynamic");
    if (group.visibility !== undefined && group.visibility !== "Private")
      badRequest("A role-assignable group is private");
  }
}

export function checkNewGroup(properties: Properties): void {
  for (const required of ["displayName", "mailEnabled", "mailNickname", "securityEnabled", "groupTypes"]) {
    if (!(required in properties)) badRequest(`A group needs ${required}`);
  }
  checkGroup(properties);
}

export function checkGroupUpdate(before: Properties, set: Properties): void {
  const after = { ...before, ...set };
  checkGroup(after);
  if (groupTypesOf(before).includes("Unified") !== groupTypesOf(after).includes("Unified")) {
    badRequest("A group never becomes, or stops being, a Microsoft 365 group");
  }
  if ("mailEnabled" in set && set.mailEnabled !== before.mailEnabled) badRequest("mailEnabled is fixed at creation");
  if ((before.isAssignableToRole === true) !== (after.isAssignableToRole === true)) {
    badRequest("isAssignableToRole is fixed at creation");
  }
  if (hidesMembership(before) !== hidesMembership(after)) badRequest("Hidden membership is fixed at creation");
}

/** `memberGroup` holds the properties of the group that is to be nested. */
export function checkMember(group: Properties, memberType: MemberType, memberGroup?: Properties): void {
  const kind = groupKind(group);
  if (kind === "microsoft-365" && memberType !== "user") badRequest("A Microsoft 365 group holds users only");
  if (memberGroup !== undefined && groupKind(memberGroup) === "microsoft-365") {
    badRequest("A Microsoft 365 group is never a member");
  }
  if (group.mailEnabled === true && (memberType === "device" || memberType === "servicePrincipal")) {
    badRequest("A mail-enabled group holds recipients only");
  }
}
