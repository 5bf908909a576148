/**
 * The published list of what can be read of a person: Graph property, type, the permission that gives it, how fresh it is. Only
 * what the settings ask for, and what the sync scope decides by, is ever selected.
 * https://learn.microsoft.com/graph/api/resources/user
 */
export type AttributeType = "string" | "strings" | "boolean";

export interface CatalogueEntry {
  type: AttributeType;
  /** In a new connection's settings, under its own name. */
  byDefault: boolean;
  description: string;
}

const text = (description: string, byDefault = true): CatalogueEntry => ({ type: "string", byDefault, description });

export const attributeCatalogue = {
  displayName: text("Name as it is shown"),
  givenName: text("First name"),
  surname: text("Last name"),
  mail: text("Primary e-mail address"),
  userPrincipalName: text("Name the person signs in with"),
  jobTitle: text("Job title"),
  department: text("Department"),
  companyName: text("Company"),
  officeLocation: text("Office"),
  mobilePhone: text("Mobile phone"),
  businessPhones: { type: "strings", byDefault: true, description: "Business phones" },
  employeeId: text("Employee number"),
  employeeType: text("Kind of employment"),
  usageLocation: text("Country where services are used, two letters"),
  preferredLanguage: text("Preferred language"),
  streetAddress: text("Street"),
  city: text("City"),
  state: text("State or province"),
  postalCode: text("Postal code"),
  country: text("Country"),
  accountEnabled: { type: "boolean", byDefault: true, description: "Whether the account may sign in" },
  userType: text("Member or Guest"),
  otherMails: { type: "strings", byDefault: true, description: "Further e-mail addresses" },
  proxyAddresses: { type: "strings", byDefault: true, description: "Addresses of the mailbox, with aliases" },
  mailNickname: text("Mail alias", false),
  faxNumber: text("Fax", false),
  employeeHireDate: text("Date of hire, ISO 8601", false),
  createdDateTime: text("When the account was made, ISO 8601", false),
  externalUserState: text("Of a guest: whether the invitation was accepted", false),
  onPremisesSamAccountName: text("Account name in Active Directory", false),
  onPremisesUserPrincipalName: text("Sign-in name in Active Directory", false),
  onPremisesImmutableId: text("Anchor of the account in Active Directory", false),
  onPremisesSyncEnabled: {
    type: "boolean",
    byDefault: false,
    description: "Whether Active Directory manages the account",
  },
} as const satisfies Record<string, CatalogueEntry>;

export type CatalogueName = keyof typeof attributeCatalogue;

/** What the sync scope decides by; read of everybody, stored of people who are synchronised. */
export const decisive = [
  "accountEnabled",
  "mail",
  "otherMails",
  "proxyAddresses",
  "userPrincipalName",
  "userType",
] as const satisfies readonly CatalogueName[];
export type Decisive = (typeof decisive)[number];

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
