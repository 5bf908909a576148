/**
 * Writes the record of processing into docs/privacy.md, between its two marks. A test fails while the document is another.
 *
 *   node scripts/privacy-record.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { logDayLimits } from "../src/core/audit/retention.ts";
import { recordItems } from "../src/core/privacy/record.ts";
import { saysSomething, storedPlaces } from "../src/core/privacy/record-places.ts";
import { pseudonyms } from "../src/core/privacy/record-rows.ts";

const documentPath = join(resolve(import.meta.dirname, ".."), "docs/privacy.md");
const begin = "<!-- made by scripts/privacy-record.ts: begin -->";
const end = "<!-- end -->";

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const endOf = ({ ttl, superseded }: (typeof storedPlaces)[string]): string => {
  const time = ttl === "log" ? "`LOG_DAYS`" : ttl === null ? null : durationOf(ttl);
  if (time === null) return "until it is deleted";
  return superseded ? `${time} after something newer has taken its place` : `${time} at most`;
};

const durationOf = (seconds: number): string => {
  if (seconds === 86_400) return "a day";
  if (seconds % 86_400 === 0) return `${seconds / 86_400} days`;
  return seconds % 3600 === 0 ? `${seconds / 3600} hours` : `${seconds / 60} minutes`;
};

const recordSection = (): string => {
  const items = recordItems(logDayLimits.usual);
  const places = Object.entries(storedPlaces).map(([name, place]) => {
    const rows = [...new Set(Object.values(place.fields).filter(saysSomething))];
    return [`\`${name}\``, rows.join(", ") || "nothing", endOf(place)];
  });
  return [
    table(
      ["row", "of whom", "what", "why", "how", "how long", "who sees it"],
      items.map(({ id, of, data, purpose, form, kept, readers }) => [id, of, data, purpose, form, kept, readers]),
    ),
    "",
    "Where it lies:",
    "",
    table(
      ["row", "container, kind of document, fields"],
      items.map(({ id, places: found }) => [id, found.map((place) => `\`${place}\``).join("; ")]),
    ),
    "",
    "How long each kind of document lives, whatever it says:",
    "",
    table(["container, kind of document", "rows", "time to live"], places),
    "",
    "What each pseudonym reveals to somebody who can read the database and holds no key:",
    "",
    table(
      ["value", "reveals"],
      pseudonyms.map(({ value, reveals }) => [value, reveals]),
    ),
  ].join("\n");
};

/** The document with the section as the code has it now. */
export const withRecord = (text: string): string => {
  const [before, rest] = text.split(`${begin}\n`);
  const after = rest?.split(`\n${end}`)[1];
  if (before === undefined || after === undefined) throw new RangeError("docs/privacy.md lacks the marks.");
  return `${before}${begin}\n${recordSection()}\n${end}${after}`;
};

if (import.meta.main) writeFileSync(documentPath, withRecord(readFileSync(documentPath, "utf8")));
