/**
 * The mail that tells what a dry run has found: numbers, groups by name, warnings; nobody by name. Subject and words are ours,
 * always the same; names come from the directory and are made harmless. Pure.
 */
import type { RunDoc } from "../store/documents.ts";
import { type GroupNames } from "./group-names.ts";
import type { Mail } from "./ports.ts";
import { escaped, guardedTexts, harmless, minuteOf, warningText } from "./words.ts";

export interface ResultOf {
  connectionName: string;
  run: Pick<RunDoc, "counts" | "warnings" | "guard" | "planHash" | "startedAt" | "endedAt">;
  groups: GroupNames;
  productUrl: string;
}

interface Section {
  title: string;
  rows?: readonly (readonly [label: string, value: string])[];
  items?: readonly string[];
}

const subject = "Result of the test synchronization with Microsoft 365";
const introduction =
  "This is what a synchronization would do now. It was a test: nothing was changed in your product, and nothing in Microsoft 365.";
const ending = "The details are shown in your product. You get this mail because you approved the connection.";

export const resultMail = (result: ResultOf): Pick<Mail, "subject" | "text" | "html"> => {
  const sections = sectionsOf(result);
  return { subject, text: asText(sections, result.productUrl), html: asHtml(sections, result.productUrl) };
};

const number = (count: number): string => count.toLocaleString("en");

const sectionsOf = ({ connectionName, run, groups }: ResultOf): Section[] => {
  const { counts } = run;
  const sections: Section[] = [
    {
      title: "Test",
      rows: [
        ["Connection", harmless(connectionName)],
        ["Begun", run.startedAt === null ? "" : minuteOf(run.startedAt)],
        ["Ended", run.endedAt === null ? "" : minuteOf(run.endedAt)],
        ["Plan", run.planHash ?? ""],
      ],
    },
    {
      title: "What was found",
      rows: [
        ["People read", number(counts.peopleRead)],
        ["Groups read", number(counts.groupsRead)],
      ],
    },
    {
      title: "What a synchronization would do",
      rows: [
        ["People added", number(counts.peopleCreated)],
        ["People changed", number(counts.peopleUpdated)],
        ["People who come back", number(counts.peopleRevived)],
        ["People deactivated", number(counts.peopleDeactivated)],
        ["Groups added", number(counts.groupsCreated)],
        ["Groups changed", number(counts.groupsUpdated)],
        ["Groups removed", number(counts.groupsRemoved)],
        ["Memberships added", number(counts.membershipsAdded)],
        ["Memberships removed", number(counts.membershipsRemoved)],
        ["Values kept although empty in Microsoft 365", number(counts.keptThoughCleared)],
        ["Objects set aside", number(counts.skipped)],
      ],
    },
    named("Groups added", groups.created, counts.groupsCreated),
    named("Groups changed", groups.updated, counts.groupsUpdated),
    named("Groups removed", groups.removed, counts.groupsRemoved),
    { title: "Warnings", items: warnings(run) },
  ];
  return sections.filter(({ rows, items }) => (rows ?? items ?? []).length > 0);
};

const named = (title: string, names: readonly string[], total: number): Section => {
  const shown = names.map((name) => harmless(name) || "(without a name)");
  const rest = total - shown.length;
  return { title, items: rest > 0 && shown.length > 0 ? [...shown, `and ${number(rest)} more`] : shown };
};

const warnings = ({ warnings: found, guard }: ResultOf["run"]): string[] => {
  const byCode = Map.groupBy(found, ({ code }) => code);
  return [
    ...guard.map(
      ({ kind, planned, recent, limit }) =>
        `${planned} ${guardedTexts[kind]} would be taken away, after ${recent} in the last days; more than ${limit} wait for approval.`,
    ),
    ...[...byCode].map(([code, each]) => `${warningText(code)} (${each.length})`),
  ];
};

const asText = (sections: readonly Section[], productUrl: string): string =>
  [
    introduction,
    ...sections.map(({ title, rows = [], items = [] }) =>
      [title, ...rows.map(([label, value]) => `  ${label}: ${value}`), ...items.map((item) => `  - ${item}`)].join(
        "\n",
      ),
    ),
    productUrl,
    ending,
  ].join("\n\n");

const asHtml = (sections: readonly Section[], productUrl: string): string =>
  [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(subject)}</title></head>`,
    `<body style="font-family:sans-serif"><p>${escaped(introduction)}</p>`,
    ...sections.map(
      ({ title, rows = [], items = [] }) =>
        `<h2 style="font-size:1.1em">${escaped(title)}</h2>${table(rows)}${list(items)}`,
    ),
    `<p><a href="${escaped(productUrl)}">Open your product</a></p><p>${escaped(ending)}</p></body></html>`,
  ].join("\n");

const table = (rows: NonNullable<Section["rows"]>): string =>
  rows.length === 0
    ? ""
    : `<table>${rows.map(([label, value]) => `<tr><td>${escaped(label)}</td><td>${escaped(value)}</td></tr>`).join("")}</table>`;

const list = (items: readonly string[]): string =>
  items.length === 0 ? "" : `<ul>${items.map((item) => `<li>${escaped(item)}</li>`).join("")}</ul>`;
