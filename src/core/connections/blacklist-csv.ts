/**
 * The e-mail blacklist as a file that somebody has saved from a table: one entry a line, perhaps in quotes, perhaps under the head
 * `email`. Faults are told by line number and never repeat what stands there. Pure.
 */
import { entryOfText, maxEntryLength, notAnEntry } from "./blacklist.ts";

export interface LineFault {
  /** Counted from 1, blank lines and the head included. */
  line: number;
  detail: string;
}

export interface ParsedList {
  entries: string[];
  faults: LineFault[];
}

/** More than these help nobody. */
export const maxFaults = 100;

export const parseBlacklist = (text: string): ParsedList => {
  const entries: string[] = [];
  const faults: LineFault[] = [];
  let beforeHead = true;
  for (const [index, line] of linesOf(text).entries()) {
    const field = fieldOf(line);
    if (field === "") continue;
    const isHead = beforeHead && field !== null && /^e-?mail$/i.test(field);
    beforeHead = false;
    if (isHead) continue;
    const entry = field === null ? null : entryOfText(field);
    if (entry !== null) entries.push(entry);
    else if (faults.push({ line: index + 1, detail: faultOf(field) }) === maxFaults) break;
  }
  return { entries, faults };
};

const linesOf = (text: string): string[] => text.replace(/^\ufeff/, "").split(/\r\n|\n|\r/);

const isQuoted = /^"(?:[^"]|"")*"$/;
const maxLineLength = maxEntryLength + 2;

/** Without quotes and the space around; null when the quotes do not close. */
const fieldOf = (line: string): string | null => {
  const trimmed = line.trim();
  if (!trimmed.startsWith('"') || trimmed.length > maxLineLength) return trimmed;
  return isQuoted.test(trimmed) ? trimmed.slice(1, -1).replaceAll('""', '"').trim() : null;
};

const faultOf = (field: string | null): string => {
  if (field === null) return "The quotes are not closed, or something follows them.";
  return field.length > maxEntryLength ? `Longer than ${maxEntryLength} characters.` : notAnEntry;
};
