/** What the demonstration has to say in the end: a table for people, one JSON object for programs, and what to try next. */
import type { Stack } from "../stack.ts";
import { table } from "./console.ts";
import { type Run, secondsOf } from "./runs.ts";

export interface RunSummary {
  mode: Run["mode"];
  outcome: Run["outcome"];
  people: { created: number; updated: number; deactivated: number };
  groups: { created: number; updated: number; removed: number };
  memberships: { added: number; removed: number };
  graphRequests: number;
  documentsWritten: number;
  seconds: number;
}

export interface Check {
  /** Null: a real directory, for which nobody can say what is right. */
  equalsTenant: boolean | null;
  /** Replaying the change feed from its beginning gives what the API shows. */
  replayEqual: boolean;
  /** Null: a database that opens to no key, and so not to an auditor here. */
  chainVerified: boolean | null;
  sequence: number;
  chain: string;
  people: number;
  groups: number;
  memberships: number;
  /** Some of what differs, shortened. */
  differences: string[];
}

export interface Summary {
  ok: boolean;
  connectionId: string;
  tid: string | null;
  /** The connection of an earlier start was found again. */
  resumed: boolean;
  /** Null when an earlier start did it. */
  firstSync: RunSummary | null;
  delta: RunSummary;
  /** Mutations made in the simulated tenant between the two. */
  changesMade: number;
  check: Check;
  url: string;
  tlsUrl: string;
}

export const summaryOf = (run: Run): RunSummary => {
  const { counts } = run;
  return {
    mode: run.mode,
    outcome: run.outcome,
    people: {
      created: counts.peopleCreated,
      updated: counts.peopleUpdated + counts.peopleRevived,
      deactivated: counts.peopleDeactivated,
    },
    groups: { created: counts.groupsCreated, updated: counts.groupsUpdated, removed: counts.groupsRemoved },
    memberships: { added: counts.membershipsAdded, removed: counts.membershipsRemoved },
    graphRequests: counts.graphRequests,
    documentsWritten: counts.documentsWritten,
    seconds: secondsOf(run),
  };
};

const rows: [string, (run: RunSummary) => number][] = [
  ["people created", ({ people }) => people.created],
  ["people updated", ({ people }) => people.updated],
  ["people deactivated", ({ people }) => people.deactivated],
  ["groups created", ({ groups }) => groups.created],
  ["groups updated", ({ groups }) => groups.updated],
  ["groups removed", ({ groups }) => groups.removed],
  ["memberships added", ({ memberships }) => memberships.added],
  ["memberships removed", ({ memberships }) => memberships.removed],
  ["Graph requests", ({ graphRequests }) => graphRequests],
  ["documents written", ({ documentsWritten }) => documentsWritten],
  ["seconds", ({ seconds }) => seconds],
];

const count = (value: number): string => value.toLocaleString("en");

export const summaryLines = ({ firstSync, delta, check }: Summary): string[] => {
  const columns = [...(firstSync ? [{ title: "first sync", run: firstSync }] : []), { title: "delta", run: delta }];
  const shown = table([
    ["", ...columns.map(({ title }) => title)],
    ...rows.map(([name, value]) => [name, ...columns.map(({ run }) => count(value(run)))]),
  ]);
  const verdict =
    check.equalsTenant === null
      ? []
      : [check.equalsTenant ? "The store equals the tenant." : "The store differs from the tenant:"];
  return [
    ...shown,
    "",
    `${count(check.people)} people, ${count(check.groups)} groups, ${count(check.memberships)} memberships.`,
    ...verdict,
    check.replayEqual
      ? `The change log, replayed from zero, gives the same directory: ${count(check.sequence)} entries.`
      : "The change log, replayed from zero, does not give what the API shows:",
    ...(check.chainVerified === null
      ? []
      : [check.chainVerified ? "The chain over the change log holds." : "The chain over the change log is broken."]),
    ...check.differences.map((line) => `  ${line}`),
  ];
};

const permissionsOfReader = ["integration:setup", "integration:read", "directory:read"];

/** Ready to paste into a POSIX shell. */
export const whatNext = (stack: Stack, workspace: string, summary: Summary | null): string[] => {
  const { url, tlsUrl, caFile, tokens, simulator } = stack;
  if (!tokens) return [];
  const claims = JSON.stringify({ workspace, subject: "you", permissions: permissionsOfReader });
  const path = summary ? `/api/v1/connections/${summary.connectionId}` : "/api/v1/connections";
  const post = `-X POST -H 'Content-Type: application/json'`;
  const change =
    simulator && summary?.tid
      ? [
          "# change something in the simulated tenant, then synchronise",
          `curl -sS -X POST -H 'x-control-secret: ${simulator.controlSecret}' -d ${quoted(JSON.stringify({ tid: summary.tid, seed: Date.now() % 100_000, count: 10 }))} ${simulator.controlUrl}/random-changes >/dev/null`,
        ]
      : [];
  return [
    "# a token for an hour",
    `TOKEN=$(curl -sS -X POST -H 'Authorization: Bearer ${tokens.secret}' -d ${quoted(claims)} ${tokens.issuer}/token | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')`,
    ...(summary
      ? [
          "# people, groups and what has changed",
          curl(quoted(`${url}${path}/people?limit=2`)),
          curl(quoted(`${url}${path}/groups?limit=2`)),
          curl(quoted(`${url}${path}/changes?after=${Math.max(0, summary.check.sequence - 2)}`)),
          ...change,
          curl(`${post} -d '{"mode":"delta"}' ${quoted(`${url}${path}/runs`)}`),
        ]
      : ["# the connections of the workspace", curl(quoted(`${url}${path}`))]),
    "# the same over https",
    curl(`--cacert ${quoted(caFile)} ${quoted(`${tlsUrl}${path}`)}`),
  ];
};

const curl = (rest: string): string => `curl -sS -w '\\n' -H "Authorization: Bearer $TOKEN" ${rest}`;

/** Single quotes keep everything; one of their own is closed, escaped and opened again. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
