/**
 * The record of processing: what is held of people, why, in which form, how long, and who sees it. Where it lies, field by field, is
 * in `record-places.ts`; the API and docs/privacy.md are made from both.
 */
interface Row {
  of: string;
  data: string;
  purpose: string;
  form: string;
  kept: string;
  readers: string;
}

const row = (of: string, parts: Omit<Row, "of">): Row => ({ of, ...parts });

/** In these texts: how long the logs are kept, by the setting of the installation. */
export const logPeriod = "{log}";

export const recordRows = {
  attributes: row("people who are synchronised", {
    data: "the attributes that the settings map to a field of the product, the object id, who the manager is, and what the sync scope decides by",
    purpose: "the product's users stay up to date",
    form: "sealed, under a key of each person",
    kept: "while they belong to the sync scope; then as the settings say: kept, deactivated, or removed after so many days",
    readers: "`directory:read`",
  }),
  lookUps: row("people who are synchronised", {
    data: "keyed hashes of the record, of the address and of the sign-in name",
    purpose: "to see whether something has changed, and to find somebody by address without storing it readable",
    form: "pseudonyms",
    kept: "as long as the attributes",
    readers: "nobody",
  }),
  link: row("people who are linked to a user of the product", {
    data: "the product's id of the user, and a keyed hash of it",
    purpose: "the product recognises the person",
    form: "sealed, under a key of each person; pseudonym",
    kept: "until the link is ended, or the person is erased",
    readers: "`directory:read`",
  }),
  standing: row("people who are or were synchronised", {
    data: "a pseudonym, the wrapped key, state, reason, times",
    purpose: "whoever comes back is the same person, and what the log holds can be read",
    form: "clear, beside a pseudonym; the key wrapped",
    kept: "while they belong to the sync scope; of people who were removed three years, which is longer than any log; of people who were erased a pseudonym, state and time until the connection is deleted",
    readers: "`directory:read`",
  }),
  decision: row("people who were switched on, off or erased by hand", {
    data: "a pseudonym, the decision, a time",
    purpose: "the decision holds",
    form: "clear, beside a pseudonym",
    kept: "until the connection is deleted",
    readers: "`directory:read`",
  }),
  membership: row("members of groups, also those who are not synchronised", {
    data: "pseudonyms, by group",
    purpose:
      "Microsoft names a membership once; a person who is admitted later would miss groups, and who comes into a selected group would not be seen",
    form: "pseudonyms",
    kept: "while they are members, or the settings need the group",
    readers: "`directory:read` for people who are synchronised; else nobody",
  }),
  groups: row("groups, whose names may name people", {
    data: "names, descriptions and addresses of groups, and of the groups of the product",
    purpose: "memberships mean something to the product",
    form: "sealed, under the connection's keys",
    kept: "while the settings need the group",
    readers: "`directory:read`",
  }),
  history: row("everybody named above", {
    data: "every field before and after, the pseudonyms of members who came and went, and why it is known",
    purpose: "each change can be explained and replayed",
    form: "content sealed as where it is stored; pseudonyms, kinds and times clear",
    kept: "{log}",
    readers: "`directory:read`; addresses on the e-mail blacklist `integration:setup`, rights `integration:secure`",
  }),
  actors: row("people and programs who use the API", {
    data: "the product's subject and the client's address, in records of what they changed; of a program also whom it names as the person it works for",
    purpose: "who changed what, from where; whoever asked for a run may be kept from approving it",
    form: "sealed, under the connection's keys",
    kept: "{log}; who changed the settings last and who may do what, while the connection is there",
    readers: "`audit:read`",
  }),
  rights: row("people, roles and programs with rights on a connection", {
    data: "the product's subjects and roles, and what each may do",
    purpose: "rights on one connection",
    form: "sealed, under the connection's keys",
    kept: "until they are taken out of the list; in the log {log}",
    readers: "`integration:secure`",
  }),
  reads: row("people and programs who use the API, or sign in", {
    data: "subject, client's address, what was asked for or refused, ids of whom was named",
    purpose: "who read what, from where; receipts of erasures and deletions",
    form: "sealed, under the platform key",
    kept: "{log}",
    readers: "`audit:read`",
  }),
  administrators: row("administrators who approved access", {
    data: "object id, name, address as Microsoft's token said",
    purpose: "who approved what; the mail of a dry run goes to the one who approved reading",
    form: "sealed, under the connection's keys",
    kept: "while the approval holds; what nobody has confirmed, 20 minutes",
    readers: "`audit:read`",
  }),
  blacklist: row("people on the e-mail blacklist", {
    data: "the address",
    purpose: "who is to be left out can only be recognised by it",
    form: "sealed, under the connection's keys",
    kept: "until taken off; earlier lists and the log {log}",
    readers: "`integration:setup`",
  }),
  typed: row("whoever is named in what administrators type", {
    data: "the name of the connection",
    purpose: "administrators find the connection",
    form: "sealed, under the connection's keys; a keyed hash keeps it unique",
    kept: "until the connection is deleted; in the log {log}",
    readers: "`integration:read`",
  }),
  plans: row("people whom a run would create, change or take away", {
    data: "of a run that will apply: the records; of a dry run: pseudonyms, reasons and keyed hashes; of everybody met: 16 bytes of a keyed hash",
    purpose: "a plan is weighed before it is applied, and can be looked at",
    form: "sealed, under a key of the run; pseudonyms",
    kept: "until the run ends; of a dry run 96 hours; gone when anybody of the connection is erased",
    readers: "`directory:read`; of people who are not stored `directory:read-all`",
  }),
  runs: row("people whom a run has set aside, or is about", {
    data: "pseudonyms in warnings and in what is under way",
    purpose: "why something was not done; an erasure is finished also after a crash",
    form: "pseudonyms",
    kept: "{log} after the run; what is under way for moments",
    readers: "`integration:read`",
  }),
  operations: row("people whom an operation on Microsoft 365 is about", {
    data: "a pseudonym, and what finding out whether it was done takes",
    purpose: "no operation is left without its outcome in the record",
    form: "pseudonym; sealed, under the connection's keys",
    kept: "until the outcome is known, a day at most",
    readers: "nobody",
  }),
  approvals: row("administrators and product users in the middle of an approval", {
    data: "the product's subject who asked; object id, name and address of the administrator between sign-in and approval",
    purpose: "an approval is bound to who began it",
    form: "sealed, under the platform key",
    kept: "15 minutes",
    readers: "nobody",
  }),
  signIns: row("people in the middle of a sign-in", {
    data: "subject, tenant and object id, name, sign-in name and address as Microsoft's token said",
    purpose: "the application is told who signed in",
    form: "sealed, under the platform key",
    kept: "15 minutes",
    readers: "the application, with its code",
  }),
  mails: row("groups, whose names may name people", {
    data: "names of at most 300 groups that the plan of a dry run touches",
    purpose: "the mail of a dry run",
    form: "sealed, under the connection's keys",
    kept: "until the mail is sent; 3 days after the run",
    readers: "the administrator who approved the connection, by mail",
  }),
  ledger: row("people who were erased", {
    data: "pseudonyms and times, in the vault",
    purpose: "a backup of the database that is put back brings nobody back",
    form: "pseudonyms",
    kept: "8 days",
    readers: "nobody",
  }),
} as const satisfies Record<string, Row>;

export type RowId = keyof typeof recordRows;

export const pseudonyms: readonly { value: string; reveals: string }[] = [
  {
    value: "person id",
    reveals:
      "that the same person is meant, inside one connection only: the same Microsoft user has unrelated ids in two connections. The shape of memberships: sizes of groups, who shares groups, when that changed",
  },
  {
    value: "person ids in groups of role `filter` and `scope`",
    reveals:
      "more than the product is shown: who is in a group that only chooses people, and - by comparing with the documents `u:` - which pseudonyms are in a selected group and yet not synchronised, how many they are and which groups they share. Not who they are, nor which rule leaves them out",
  },
  {
    value: "ids of groups of role `filter`, `product`, `scope`",
    reveals: "nothing that `role` and `of` beside them do not say",
  },
  { value: "a document `x:`", reveals: "that somebody has switched this pseudonym on or off, or erased it" },
  {
    value: "`mailIndex`, `upnIndex`",
    reveals: "that two people of a connection have the same address (after normalisation)",
  },
  { value: "`productUser.index`", reveals: "that a link exists and whether it is the same as before" },
  { value: "`hash` of a person or group", reveals: "that a record has returned to an earlier content" },
  {
    value: "`nameIndex`",
    reveals: "that two connections of one workspace would have the same name, which is what it prevents",
  },
  { value: "plan hash, terms in the set of objects met", reveals: "that two plans are equal" },
  {
    value: "`about` of an operation, `person` and `group` of its entries",
    reveals: "that an operation was about this pseudonym or group, and when",
  },
  { value: "person ids in the vault's `erasures-...`", reveals: "that this pseudonym was erased, and when" },
  { value: "handshake id", reveals: "nothing: hash of a random value" },
];
