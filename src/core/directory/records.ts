/**
 * What the product keeps of a person and of a group, and how a Graph object becomes a record.
 *
 * A record holds only fields with data. Empty is: absent, null, "", only white space, []. `false` and `0` are data.
 * An empty value never replaces data, so a record is the overlay of everything that was ever seen.
 */
export type FieldValue = string | boolean | string[];

/** Object id, and the attributes that have data. The manager is a relationship, not an attribute: null flows. */
export interface PersonRecord {
  oid: string;
  /** Person id of the manager; shown only while that person is synchronised. */
  manager: string | null;
  fields: Record<string, FieldValue>;
}

export interface GroupRecord {
  fields: Record<string, FieldValue>;
}

/** Graph property -> type. The order is the order in `$select`. */
export const personAttributes = {
  displayName: "string",
  givenName: "string",
  surname: "string",
  mail: "string",
  userPrincipalName: "string",
  jobTitle: "string",
  department: "string",
  companyName: "string",
  officeLocation: "string",
  mobilePhone: "string",
  businessPhones: "strings",
  employeeId: "string",
  employeeType: "string",
  usageLocation: "string",
  preferredLanguage: "string",
  streetAddress: "string",
  city: "string",
  state: "string",
  postalCode: "string",
  country: "string",
  accountEnabled: "boolean",
  userType: "string",
  otherMails: "strings",
  proxyAddresses: "strings",
} as const satisfies Record<string, AttributeType>;

export const groupAttributes = {
  displayName: "string",
  description: "string",
  mail: "string",
  mailEnabled: "boolean",
  mailNickname: "string",
  securityEnabled: "boolean",
  groupTypes: "strings",
  visibility: "string",
  isAssignableToRole: "boolean",
  onPremisesSyncEnabled: "boolean",
} as const satisfies Record<string, AttributeType>;

type AttributeType = "string" | "strings" | "boolean";

/** The value when it is data of the expected type, else null. */
const data = (type: AttributeType, value: unknown): FieldValue | null => {
  if (type === "boolean") return typeof value === "boolean" ? value : null;
  if (type === "string") return typeof value === "string" && value.trim() !== "" ? value : null;
  if (!Array.isArray(value)) return null;
  const texts = value.filter((item): item is string => typeof item === "string" && item.trim() !== "");
  return texts.length > 0 ? texts : null;
};

export interface Overlay {
  fields: Record<string, FieldValue>;
  /** Names of fields that Graph now gives as empty and that keep their old data. */
  kept: string[];
}

/** `known` with every field of `object` that has data laid over it. */
export const overlay = (
  attributes: Readonly<Record<string, AttributeType>>,
  known: Readonly<Record<string, FieldValue>> | undefined,
  object: Readonly<Record<string, unknown>>,
): Overlay => {
  const fields: Record<string, FieldValue> = {};
  const kept: string[] = [];
  for (const [name, type] of Object.entries(attributes)) {
    const before = known?.[name];
    const fresh = data(type, object[name]);
    if (fresh !== null) fields[name] = fresh;
    else if (before !== undefined) {
      fields[name] = before;
      if (name in object) kept.push(name);
    }
  }
  return { fields, kept };
};
