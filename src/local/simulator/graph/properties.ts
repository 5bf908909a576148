/**
 * The properties of Graph's users, groups and organisations as far as the simulator knows them, and what `$select` may ask for.
 * Types are those of the v1.0 metadata of August 2026.
 */
import { badRequest, GraphError } from "./errors.ts";

/**
 * default: returned without `$select`; select: only with it; single: only with it and for one object; outside: kept in other
 * services, so refused on collections; never: usable in filters only; related: a navigation, no data of its own outside delta.
 */
type Returned = "default" | "select" | "single" | "outside" | "never" | "related";

interface Property {
  name: string;
  returned: Returned;
  /** A collection that is never null: [] when it was never set. */
  collection: boolean;
}

export interface EntityType {
  name: "user" | "group" | "organization" | "directoryObject";
  /** By lower-case name: Graph does not mind the case of property names. */
  properties: ReadonlyMap<string, Property>;
  defaults: readonly string[];
}

/** Where a `$select` stands. */
export type Place = "collection" | "single" | "delta";

/** Names ending in `[]` are collections that are never null. */
const entityType = (name: EntityType["name"], names: Partial<Record<Returned, string>>): EntityType => {
  const properties = new Map<string, Property>();
  for (const returned of ["default", "select", "single", "outside", "never", "related"] as const) {
    for (const word of (names[returned] ?? "").split(/\s+/).filter(Boolean)) {
      const property = { name: word.replace("[]", ""), returned, collection: word.endsWith("[]") };
      properties.set(property.name.toLowerCase(), property);
    }
  }
  const defaults = [...properties.values()].filter((each) => each.returned === "default").map((each) => each.name);
  return { name, properties, defaults };
};

export const userType = entityType("user", {
  default:
    "businessPhones[] displayName givenName id jobTitle mail mobilePhone officeLocation preferredLanguage surname userPrincipalName",
  select: `accountEnabled ageGroup assignedLicenses[] assignedPlans[] city companyName consentProvidedForMinor country
    createdDateTime creationType deletedDateTime department employeeHireDate employeeId employeeLeaveDateTime employeeOrgData
    employeeType externalUserState externalUserStateChangeDateTime faxNumber identities imAddresses isManagementRestricted
    isResourceAccount lastPasswordChangeDateTime legalAgeGroupClassification licenseAssignmentStates mailNickname
    onPremisesDistinguishedName onPremisesDomainName onPremisesExtensionAttributes onPremisesImmutableId
    onPremisesLastSyncDateTime onPremisesProvisioningErrors onPremisesSamAccountName onPremisesSecurityIdentifier
    onPremisesSyncEnabled onPremisesUserPrincipalName otherMails[] passwordPolicies passwordProfile postalCode
    preferredDataLocation provisionedPlans[] proxyAddresses[] securityIdentifier serviceProvisioningErrors
    showInAddressList signInActivity signInSessionsValidFromDateTime state streetAddress usageLocation userType`,
  outside:
    "aboutMe birthday hireDate interests mySite pastProjects preferredName responsibilities schools skills mailboxSettings",
  related: "manager directReports memberOf transitiveMemberOf ownedObjects",
});

export const groupType = entityType("group", {
  default: `id classification createdDateTime deletedDateTime description displayName expirationDateTime
    groupTypes[] isAssignableToRole mail mailEnabled mailNickname membershipRule membershipRuleProcessingState
    onPremisesDomainName onPremisesLastSyncDateTime onPremisesNetBiosName onPremisesProvisioningErrors
    onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled preferredDataLocation preferredLanguage
    proxyAddresses[] renewedDateTime resourceBehaviorOptions[] resourceProvisioningOptions[] securityEnabled
    securityIdentifier theme uniqueName visibility`,
  select:
    "assignedLabels assignedLicenses isArchived isManagementRestricted licenseProcessingState serviceProvisioningErrors",
  single: `allowExternalSenders autoSubscribeNewMembers hideFromAddressLists hideFromOutlookClients isSubscribedByMail
    unseenCount`,
  never: "hasMembersWithLicenseErrors",
  related: "members owners memberOf transitiveMembers transitiveMemberOf",
});

export const organizationType = entityType("organization", {
  default: `assignedPlans[] businessPhones[] city country countryLetterCode createdDateTime defaultUsageLocation
    deletedDateTime displayName id marketingNotificationEmails[] onPremisesLastSyncDateTime onPremisesSyncEnabled
    partnerTenantType postalCode preferredLanguage privacyProfile provisionedPlans[] securityComplianceNotificationMails[]
    securityComplianceNotificationPhones[] state street technicalNotificationMails[] tenantType verifiedDomains[]`,
});

/** What a mixed collection (members, memberOf) may be asked for: anything that one of its types has. */
export const directoryObjectType: EntityType = {
  name: "directoryObject",
  properties: new Map([...groupType.properties, ...userType.properties]),
  defaults: ["id"],
};

/** The names in `$select` in their own spelling, or the default set. Throws what Graph answers to names it cannot give. */
export const selected = (raw: string | null, type: EntityType, place: Place): string[] => {
  if (raw === null) return [...type.defaults];
  const names = new Set<string>();
  for (const word of raw.split(",").map((each) => each.trim())) {
    if (word === "*") for (const name of type.defaults) names.add(name);
    else names.add(selectable(word, type, place).name);
  }
  return [...names];
};

const selectable = (word: string, type: EntityType, place: Place): Property => {
  const property = type.properties.get(word.toLowerCase());
  if (!property) {
    throw badRequest(
      `Parsing OData Select and Expand failed: Could not find a property named '${word}' on type 'microsoft.graph.${type.name}'.`,
    );
  }
  if (place !== "single" && property.returned === "outside") {
    throw new GraphError(501, "NotImplemented", `The property '${property.name}' is not supported on a collection.`);
  }
  if (place !== "single" && property.returned === "single") {
    throw badRequest(`The property '${property.name}' can only be selected for a single object.`);
  }
  if (place === "delta" && property.name === "signInActivity") {
    throw badRequest("Tracking changes of 'signInActivity' is not supported.");
  }
  return property;
};

/** A plain read: what was never set is null, or [] for a collection. Only what was selected, so the id only when selected. */
export const readProjection = (
  type: EntityType,
  id: string,
  properties: Record<string, unknown>,
  names: readonly string[],
): Record<string, unknown> => {
  const answer: Record<string, unknown> = derivedType(properties);
  for (const name of names) {
    const property = type.properties.get(name.toLowerCase());
    if (name === "id") answer["id"] = id;
    else if (property && property.returned !== "related" && property.returned !== "never") {
      answer[name] = properties[name] ?? (property.collection ? [] : null);
    }
  }
  return answer;
};

/** A delta entry: always the id; what was never set is absent, what was cleared is null. `only` narrows to changed names. */
export const deltaProjection = (
  id: string,
  properties: Record<string, unknown>,
  names: readonly string[],
  only: ReadonlySet<string> | null,
): Record<string, unknown> => {
  const answer: Record<string, unknown> = { ...derivedType(properties), id };
  for (const name of names) {
    if (name !== "id" && (only === null || only.has(name)) && properties[name] !== undefined) {
      answer[name] = properties[name];
    }
  }
  return answer;
};

/** Accounts of AI agents are of a type derived from user and say so. */
const derivedType = (properties: Record<string, unknown>): Record<string, unknown> => {
  const type = properties["@odata.type"];
  return typeof type === "string" ? { "@odata.type": type } : {};
};
