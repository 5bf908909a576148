/** People without a product user whose address somebody else has as well: by address alone a product cannot tell them apart. */
import { type DocOf, ids, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import type { PageRequest } from "./readable.ts";

const peoplePerQuery = 200;
const queriesPerPage = 5;

type Person = Stored<DocOf<"person">>;

/** A page may hold fewer than were asked for, also none, and not be the last: so many are looked at and no more. */
export const ambiguousPeople = async (
  store: Pick<DirectoryStore, "list" | "countByIndex">,
  connectionId: string,
  { after, limit }: PageRequest,
): Promise<{ shown: Person[]; next: string | null }> => {
  const shown: Person[] = [];
  let place = after ?? ids.person("");
  for (let query = 0; query < queriesPerPage; query++) {
    const people = await store.list(connectionId, "person", {
      after: place,
      limit: peoplePerQuery,
      state: "active",
      link: "unmatched",
    });
    const shared = await sharing(store, connectionId, people);
    for (const person of people) {
      place = person.id;
      if (shared.has(person.id)) shown.push(person);
      if (shown.length === limit) return { shown, next: place };
    }
    if (people.length < peoplePerQuery) return { shown, next: null };
  }
  return { shown, next: place };
};

const sharing = async (
  store: Pick<DirectoryStore, "countByIndex">,
  connectionId: string,
  people: readonly Person[],
): Promise<Set<string>> => {
  const found = new Set<string>();
  for (const index of ["mailIndex", "upnIndex"] as const) {
    const values = new Set(people.flatMap((person) => person[index] ?? []));
    const counts = await store.countByIndex(connectionId, index, [...values]);
    for (const person of people) if ((counts.get(person[index] ?? "") ?? 0) > 1) found.add(person.id);
  }
  return found;
};
