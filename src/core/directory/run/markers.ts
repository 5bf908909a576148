/** What somebody has decided by hand about the people of a page. */
import { ids } from "../../store/documents.ts";
import type { Marker } from "../scope.ts";
import type { Round } from "./round.ts";

/** Whoever was erased is in no group, though Microsoft still lists the account. */
export const erasedAmong = async (round: Round, people: readonly string[]): Promise<string[]> =>
  [...(await markersOf(round, people))].flatMap(([id, marker]) => (marker === "erased" ? [id] : []));

/** By person id. Costs nothing where nobody has ever been marked. */
export const markersOf = async (
  { needs, connection, head }: Round,
  people: readonly string[],
): Promise<Map<string, Marker>> => {
  if (!head.marked || people.length === 0) return new Map();
  const docs = await needs.store.load(connection.connectionId, "marker", people.map(ids.marker));
  return new Map([...docs.values()].map((doc) => [doc.id.slice(2), doc.marker]));
};
