/** The sentences of an export: what was found, and what is not in it. */
import type { PersonExport } from "./export-person.ts";

export const notInExport: PersonExport["notIncluded"] = [
  { what: "Who the manager is.", why: "That is another person; the export says only that there is one." },
  {
    what: "Who changed, switched, linked or erased something.",
    why: "These are other people. Whoever may see them has them in the audit log.",
  },
  {
    what: "Entries of the change log about groups.",
    why: "They name the person by id among the members and are not found by person. The groups of today are listed.",
  },
  {
    what: "The access log: who was shown the person.",
    why: "Its records are sealed as a whole, so that finding one person means opening all of a workspace's. They hold the person's id and are kept 400 days.",
  },
  {
    what: "The person as an administrator or user of the product: approvals, settings made, requests sent.",
    why: "These are records of what somebody did; they name the account that did it and not this synchronised person.",
  },
  {
    what: "An entry of the e-mail blacklist that may name an address of the person.",
    why: "It was typed by an administrator and has no connection to the person's data.",
  },
  { what: "Backups of the database.", why: "They hold earlier states of the same and expire after seven days." },
];

type Found = Omit<PersonExport, "summary" | "notIncluded">;

const markers = {
  enabled: "The synchronisation was switched on by hand",
  excluded: "The synchronisation was switched off by hand",
  erased: "The person was erased",
};

export const summaryOf = ({ id, exportedAt, person, marker, groups, log }: Found): string[] => [
  person
    ? `On ${exportedAt} the person ${id} is held as ${person.state}, last changed on ${person.changedAt}.`
    : `On ${exportedAt} there is no record of the person ${id}.`,
  ...(person?.leftAt
    ? [`The person left the synchronisation on ${person.leftAt} (${person.reason ?? "no reason"}).`]
    : []),
  ...(person?.record
    ? [
        `Held are the object id of the account in Microsoft 365, ${count(Object.keys(person.record.attributes).length, "attribute")}${
          person.record.manager === null ? "" : " and who the manager is"
        }: ${Object.keys(person.record.attributes).toSorted().join(", ") || "none"}.`,
      ]
    : []),
  ...(person && person.unreadable.length > 0
    ? [
        `Stored texts of the person were altered and cannot be opened any more (${person.unreadable.join(", ")}): what they held is missing here.`,
      ]
    : []),
  person?.productUserId
    ? `The person is linked to the user ${person.productUserId} of the product.`
    : "There is no link to a user of the product.",
  ...(marker ? [`${markers[marker.marker]} on ${marker.changedAt}.`] : []),
  groups.length === 0
    ? "The person is in no group that is stored."
    : `The person is in ${count(groups.length, "stored group")}: ${groups.map(named).toSorted().join(", ")}.`,
  `The change log has ${log.next === null ? "" : "more than "}${count(log.entries.length, "entry", "entries")} about the person${without(log.entries)}.`,
  ...(log.next === null ? [] : [`Earlier entries follow when the export is asked for with through = ${log.next}.`]),
];

const count = (number: number, one: string, many = `${one}s`): string => `${number} ${number === 1 ? one : many}`;

const named = ({ role, id, name }: Found["groups"][number]): string =>
  role === "scope" ? "all selected groups" : (name ?? `${role} ${id ?? ""}`);

const without = (entries: Found["log"]["entries"]): string => {
  const told = { erased: "without content since an erasure", unreadable: "altered since they were recorded" } as const;
  return (["erased", "unreadable"] as const)
    .map((content) => ({ content, number: entries.filter((entry) => entry.content === content).length }))
    .filter(({ number }) => number > 0)
    .map(({ content, number }) => `, ${number} of them ${told[content]}`)
    .join("");
};
