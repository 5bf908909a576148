/** Makes the user objects of a tenant: employees, guests, rooms, shared mailboxes. */
import { hash } from "node:crypto";
import { asciiOf, type Culture, departments, drawCultures } from "./cultures.ts";
import type { Properties } from "./entra-rules.ts";
import type { Random } from "./random.ts";

export type PersonKind = "employee" | "guest" | "room" | "shared-mailbox";

export interface PersonMaker {
  /**
   * `tag` goes into every address and number, so that no other object has the same; letters, digits and "-" only.
   * The result has no manager and no oddities.
   */
  make(kind: PersonKind, tag: string): Properties;
  /** A private address of a person, outside the tenant's domain. */
  privateAddress(tag: string): string;
}

const partners = ["fabrikam", "litware", "proseware", "adatum"];
const employeeTypes = ["Employee", "Employee", "Employee", "Contractor", "Intern", "Vendor"];

export function createPersonMaker(random: Random, domain: string, seed: number): PersonMaker {
  const cultures = drawCultures(domain, seed);
  /** Hosts outside the tenant are its own too: two tenants must not know the same guest address. */
  const tenantMark = hash("sha256", domain.toLowerCase(), "hex").slice(0, 10);

  function nameParts(culture: Culture): { given: string; surname: string; local: string } {
    const given = random.pick(culture.givenNames);
    const surname = random.pick(culture.surnames);
    const latin = (name: string, substitutes: readonly string[]): string => {
      const ascii = asciiOf(name);
      return ascii.length > 1 ? ascii : asciiOf(random.pick(substitutes));
    };
    const { givenNames, surnames } = cultures.romanised;
    return { given, surname, local: `${latin(given, givenNames)}.${latin(surname, surnames)}` };
  }

  const digits = (count: number): string => String(random.below(10 ** count)).padStart(count, "0");
  const phone = (culture: Culture): string => `${culture.dialling} ${digits(2)} ${digits(4)} ${digits(4)}`;

  function createdDateTime(): string {
    const from = Date.UTC(2012, 0, 1);
    const until = Date.UTC(2025, 11, 31);
    return new Date(from + 1000 * random.below((until - from) / 1000)).toISOString().replace(".000Z", "Z");
  }

  function employee(tag: string): Properties {
    const culture = cultures.some(random);
    const { given, surname, local } = nameParts(culture);
    const place = random.pick(culture.places);
    const userPrincipalName = `${local}.${tag}@${domain}`;
    const mail = random.chance(0.9) ? userPrincipalName : `${local.replace(".", "_")}.${tag}@${domain}`;
    const proxyAddresses = [`SMTP:${mail}`];
    if (mail !== userPrincipalName) proxyAddresses.push(`smtp:${userPrincipalName}`);
    return {
      displayName: culture.fullName(given, surname),
      givenName: given,
      surname,
      mail,
      userPrincipalName,
      mailNickname: `${local}.${tag}`,
      jobTitle: random.pick(culture.jobTitles),
      department: random.pick(departments),
      companyName: random.pick(cultures.companies),
      officeLocation: `${random.below(9) + 1}/${digits(4)}`,
      mobilePhone: phone(culture),
      businessPhones: random.chance(0.6) ? [phone(culture)] : [],
      employeeId: `E${tag}`,
      employeeType: random.pick(employeeTypes),
      usageLocation: culture.country,
      preferredLanguage: culture.language,
      streetAddress: place.streetAddress,
      city: place.city,
      state: place.state,
      postalCode: place.postalCode,
      country: culture.countryName,
      accountEnabled: true,
      userType: "Member",
      otherMails: [],
      proxyAddresses,
      createdDateTime: createdDateTime(),
    };
  }

  function guest(tag: string): Properties {
    const culture = cultures.some(random);
    const { given, surname, local } = nameParts(culture);
    const external = `${local}.${tag}@${random.pick(partners)}-${tenantMark}.example`;
    const accepted = random.chance(0.7);
    return {
      displayName: culture.fullName(given, surname),
      givenName: accepted ? given : null,
      surname: accepted ? surname : null,
      mail: accepted || random.chance(0.5) ? external : null,
      userPrincipalName: `${external.replace("@", "_")}#EXT#@${domain}`,
      mailNickname: `${external.replace("@", "_")}#EXT#`,
      businessPhones: [],
      accountEnabled: true,
      userType: "Guest",
      otherMails: [external],
      proxyAddresses: accepted ? [`SMTP:${external}`] : [],
      createdDateTime: createdDateTime(),
      creationType: "Invitation",
      externalUserState: accepted ? "Accepted" : "PendingAcceptance",
      externalUserStateChangeDateTime: createdDateTime(),
    };
  }

  function mailbox(tag: string, name: string, prefix: string): Properties {
    const address = `${prefix}.${tag}@${domain}`;
    return {
      displayName: name,
      mail: address,
      userPrincipalName: address,
      mailNickname: `${prefix}.${tag}`,
      businessPhones: [],
      accountEnabled: false,
      userType: "Member",
      otherMails: [],
      proxyAddresses: [`SMTP:${address}`],
      createdDateTime: createdDateTime(),
    };
  }

  const someCity = (): string => random.pick(cultures.some(random).places).city;

  const make: Record<PersonKind, (tag: string) => Properties> = {
    employee,
    guest,
    room: (tag) => mailbox(tag, `Raum ${someCity()} ${random.below(40) + 1}`, "room"),
    "shared-mailbox": (tag) => mailbox(tag, `${random.pick(departments)} – ${someCity()}`, "shared"),
  };

  return {
    make: (kind, tag) => make[kind](tag),
    privateAddress: (tag) => `private.${tag}@mail-${tenantMark}.example`,
  };
}
