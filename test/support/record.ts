/** What is stored, held against the record of processing. */
import containers from "../../infra/containers.json" with { type: "json" };
import { logDayLimits } from "../../src/core/audit/retention.ts";
import { type StoredPlace, storedPlaces } from "../../src/core/privacy/record-places.ts";
import { documentsIn, type StoredDocument } from "./traces.ts";

/** Name in `storedPlaces`. */
export const placeOf = ({ container, partitionKey, document }: StoredDocument): string => {
  const kind = typeof document.kind === "string" ? document.kind : null;
  const { id } = document;
  const [prefix = ""] = partitionKey.split(":");
  switch (container) {
    case "connections":
      return id.startsWith("n:") ? "connections name" : "connections row";
    case "access":
      return "access record";
    case "handshakes":
      return `handshakes ${kind ?? "claim"}`;
    case "state":
      return prefix === "mail" && partitionKey !== "mail" ? "state mails of a day" : `state ${prefix}`;
    case "shared":
      return id === "pause" ? "shared pause" : `shared ${prefix}`;
    default:
      return `${container} ${kind ?? "?"}`;
  }
};

/** What a test has written past the product, to see that it would be found. */
export const plantedId = "planted";

const formFields = new Set(["id", "kind", "connectionId", "v", "ttl"]);

/** One line for each document that the record does not name, has a field that it does not, or lives longer than it says. */
export const recordFaults = (dump: string, logDays: number = logDayLimits.usual): string[] => {
  const faults = documentsIn(dump).flatMap((stored) => {
    if (stored.document.id.startsWith(plantedId)) return [];
    const name = placeOf(stored);
    const place = storedPlaces[name];
    if (!place) return [`${name} is not in the record`];
    const unknown = Object.keys(stored.document).filter(
      (field) => !field.startsWith("_") && !formFields.has(field) && !(field in place.fields),
    );
    return [
      ...unknown.map((field) => `${name}.${field} is not in the record`),
      ...lifeFaults(name, place, stored, logDays),
    ];
  });
  return [...new Set(faults)];
};

const lifeFaults = (
  name: string,
  { ttl, superseded }: StoredPlace,
  { container, document }: StoredDocument,
  logDays: number,
): string[] => {
  if (ttl === null || (superseded && document.ttl === undefined)) return [];
  const most = ttl === "log" ? logDays * 86_400 : ttl;
  const byDefault = containers.containers.find(({ id }) => id === container)?.defaultTtl ?? -1;
  const seconds = typeof document.ttl === "number" ? document.ttl : byDefault;
  const isRight = ttl === "log" ? seconds === most : seconds > 0 && seconds <= most;
  return isRight ? [] : [`${name} lives ${seconds} seconds, and the record says ${most}`];
};
