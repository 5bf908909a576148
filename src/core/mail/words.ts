/** Plain words for what a run tells in codes, and foreign text in a form that does nothing in a mail. */
import { plainly } from "../connections/name.ts";
import type { Guarded } from "../directory/guard.ts";

/** In letters as people see them. */
const longestName = 120;
const letterwise = new Intl.Segmenter("en");

/** What mail programs make a link of, with or without being asked: schemes, `//host`, `\\server`, `www.`. */
const addresses =
  /(?:\b[a-z][a-z0-9+.-]*:)?(?:\/\/|\\\\)\S*|\bwww[.\u3002\uff0e\uff61]\S*|\b(?:mailto|tel|sms|javascript|vbscript|data|file|about|callto|sip):\S*/giu;
/** The dots that internet names know; one with something behind it may make a link of a mere name. */
const innerDots = /[.\u3002\uff0e\uff61](?=\S)/gu;

/** One line, without addresses, of a length to read. Still to be escaped where it becomes HTML. */
export const harmless = (text: string): string => {
  const line = plainly(text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " "))
    .replaceAll(addresses, "[address left out]")
    .replaceAll(innerDots, ". ")
    .trim();
  const letters = [...letterwise.segment(line)].map(({ segment }) => segment);
  return letters.length > longestName ? `${letters.slice(0, longestName - 1).join("")}…` : line;
};

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
export const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => entities[sign] ?? "");

const warningTexts: Readonly<Record<string, string>> = {
  "person-not-readable": "People that Microsoft 365 would not show were set aside.",
  "group-not-readable": "Groups that Microsoft 365 would not show were set aside.",
  "membership-not-readable": "The members of groups could not be read in full; nobody is taken out of them.",
  "membership-contradictory": "Microsoft 365 said two things about memberships; they stay as they are.",
  "absence-not-confirmed": "Objects were not listed, but nothing proves that they are gone; they stay.",
  "partition-full": "The connection has reached its size limit; what is new was set aside.",
};

export const warningText = (code: string): string =>
  warningTexts[code] ?? `Objects were set aside (${code.replaceAll(/[^a-z0-9-]/gi, "")}).`;

export const guardedTexts: Readonly<Record<Guarded, string>> = {
  people: "people",
  groups: "groups",
  memberships: "memberships",
};

/** `2026-01-31 14:05 UTC` */
export const minuteOf = (instant: string): string => `${instant.slice(0, 16).replace("T", " ")} UTC`;
