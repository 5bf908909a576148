/**
 * What makes real directories awkward: each entry changes a share of the people, and is certain to meet one of them as soon
 * as a directory has some dozens. An oddity returns new properties; those it leaves out were never set.
 */
import type { Properties } from "./entra-rules.ts";
import type { PersonMaker } from "./person-maker.ts";
import type { Random } from "./random.ts";

interface Oddity {
  share: number;
  bend(person: Properties, random: Random, tag: string, maker: PersonMaker): Properties;
}

function without(properties: Properties, ...names: string[]): Properties {
  const left: Properties = {};
  for (const name of Object.keys(properties)) if (!names.includes(name)) left[name] = properties[name];
  return left;
}

const set = (share: number, properties: Properties): Oddity => ({
  share,
  bend: (person) => ({ ...person, ...properties }),
});

const neverSet = (share: number, ...names: string[]): Oddity => ({
  share,
  bend: (person) => without(person, ...names),
});

const rewriteName = (share: number, rewrite: (displayName: string) => string): Oddity => ({
  share,
  bend: (person) => ({ ...person, displayName: rewrite(String(person.displayName)) }),
});

const rightToLeftEmbedding = "\u202b";
const popDirection = "\u202c";
const combiningAcute = "\u0301";

/** anna.neil.tag@host -> anna.o'neil.tag@host */
const moved = (address: unknown): string => String(address).replace(/[._](?=[^._]+\.[^.@]+@)/, "$&o'");

const apostrophe = (person: Properties): Properties => {
  const surname = `O'${String(person.surname)}`;
  const [mail, userPrincipalName] = [moved(person.mail), moved(person.userPrincipalName)];
  return {
    ...person,
    surname,
    displayName: `${String(person.givenName)} ${surname}`,
    mail,
    userPrincipalName,
    proxyAddresses: [`SMTP:${mail}`],
  };
};

const onPremises = (person: Properties, random: Random, tag: string, synced: boolean): Properties => ({
  ...person,
  onPremisesSyncEnabled: synced,
  onPremisesImmutableId: Buffer.from(`anchor-${tag}`).toString("base64"),
  onPremisesSamAccountName: `u${tag}`.slice(0, 20),
  onPremisesDomainName: "corp.internal",
  onPremisesDistinguishedName: `CN=u${tag},OU=Staff,DC=corp,DC=internal`,
  onPremisesLastSyncDateTime: new Date(Date.UTC(2026, 0, 1) + 1000 * random.below(1e7)).toISOString(),
});

/** They are meant for employees: rooms and guests are odd enough. */
export const oddities: Oddity[] = [
  set(0.04, { accountEnabled: false }),
  { share: 0.03, bend: (person) => ({ ...person, mail: null, proxyAddresses: [] }) },
  neverSet(0.01, "mail", "proxyAddresses"),
  neverSet(0.08, "employeeId"),
  set(0.02, { employeeId: null }),
  set(0.002, { employeeId: "0" }),
  set(0.02, { department: null }),
  set(0.01, { jobTitle: "", companyName: "" }),
  set(0.01, { officeLocation: " \t", mobilePhone: "\u00a0" }),
  { share: 0.01, bend: (person) => ({ ...person, jobTitle: `${String(person.jobTitle)} ` }) },
  { share: 0.12, bend: (person, _random, tag, maker) => ({ ...person, otherMails: [maker.privateAddress(tag)] }) },
  { share: 0.25, bend: (person, random, tag) => onPremises(person, random, tag, true) },
  { share: 0.02, bend: (person, random, tag) => onPremises(person, random, tag, false) },
  set(0.01, { userType: null }),
  set(0.004, { "@odata.type": "#microsoft.graph.agentUser" }),
  rewriteName(0.005, (name) => `${name} 🚀👩🏽‍💻`),
  rewriteName(0.005, (name) => `𠮷${name}`),
  rewriteName(0.01, (name) => `${name.charAt(0)}${combiningAcute}${name.slice(1)}`.normalize("NFD")),
  rewriteName(0.005, (name) => `${rightToLeftEmbedding}${name}${popDirection}`),
  rewriteName(0.002, (name) => `${name} ${"(Stellvertretung) ".repeat(20)}`.slice(0, 256)),
  { share: 0.01, bend: apostrophe },
  {
    share: 0.02,
    bend: (person) => ({
      ...person,
      userPrincipalName: String(person.userPrincipalName).replace(/^[a-z]/, (a) => a.toUpperCase()),
    }),
  },
  {
    share: 0.01,
    bend: ({ displayName, userPrincipalName, accountEnabled }) => ({ displayName, userPrincipalName, accountEnabled }),
  },
];
