/** Where the sealed records of people and groups stand; part of what is authenticated. */
import type { Place } from "../crypto/seal.ts";
import { ids } from "../store/documents.ts";

export const personPlace = (connectionId: string, personId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.person(personId),
  fields: "record",
});

export const groupPlace = (connectionId: string, groupId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.group(groupId),
  fields: "record",
});

export const productUserPlace = (connectionId: string, personId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.person(personId),
  fields: "product-user",
});
