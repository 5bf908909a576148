/**
 * The change log and the access log as files, in bounded parts one after the other: what a part holds is read, opened and answered,
 * and kept nowhere. CSV is for people, one row for each field; JSON Lines have everything, with the stored documents
 * themselves, so that whoever has the file can follow the chain without asking anybody (`npm run verify-audit`).
 */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import { daysBetween, findAnchors, statementOf } from "../audit/anchors.ts";
import { chainNext, entriesOf } from "../audit/change-log.ts";
import { csvRow } from "../audit/csv.ts";
import type { Actor } from "../audit/entries.ts";
import { entriesBetween } from "../audit/moments.ts";
import { longestLogSeconds } from "../audit/retention.ts";
import { readHead } from "../connections/change.ts";
import type { Caller } from "../context.ts";
import type { SecretStore } from "../store/ports.ts";
import { type AccessEntry, type AccessFilter, type AccessTrailNeeds, readAccess } from "./access-trail.ts";
import { type AuditEntry, type AuditFilter, asAuditEntry, rangeOf, timeFilter } from "./audit.ts";
import { changeViews } from "./changes.ts";
import { openReadable, type PageRequest, type ViewNeeds } from "./readable.ts";

const exportFormats = ["csv", "jsonl"] as const;
export type ExportFormat = (typeof exportFormats)[number];
export const exportQuery = { ...timeFilter, format: z.enum(exportFormats).default("csv") };

/** A part of a file. Parts put together in order are the file. */
export const ExportPart = z.strictObject({
  mediaType: z.string(),
  fileName: z.string(),
  text: z.string(),
  /** Entries in it. */
  count: z.int(),
  next: z.string().nullable(),
});
export type ExportPart = z.infer<typeof ExportPart>;

export interface ExportNeeds extends ViewNeeds {
  ambient: Pick<Ambient, "now" | "randomBytes">;
  secrets: SecretStore;
}

const mediaTypes: Record<ExportFormat, string> = { csv: "text/csv; charset=utf-8", jsonl: "application/jsonl" };
const documentsPerQuery = 4;
/** Of a part, beside the entries asked for; a document that has begun is in it whole. */
const maxBodyBytes = 4_000_000;

export const exportAudit =
  (needs: ExportNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    { format, ...times }: Pick<AuditFilter, "from" | "to"> & { format: ExportFormat },
    page: PageRequest,
  ): Promise<ExportPart> => {
    const { store } = needs;
    const range = rangeOf(times);
    const opened = await openReadable(needs)(caller.workspaceId, connectionId);
    const head = await readHead(store, connectionId);
    const isFirst = page.after === undefined;
    const bounds = isFirst ? await entriesBetween(store, head, range) : boundsIn(page.after ?? "");
    const lines: string[] = [];
    let place: { sequence: number; chain: string } | null = null;
    let [at, count, bytes] = [bounds.after, 0, 0];
    let isOver = at >= bounds.through;
    while (!isOver && count < page.limit && bytes < maxBodyBytes) {
      const docs = await store.log(connectionId, at, documentsPerQuery);
      if (docs.length === 0) isOver = true;
      for (const doc of docs) {
        if (doc.first > bounds.through) isOver = true;
        if (isOver || count >= page.limit || bytes >= maxBodyBytes) break;
        if (isFirst && place === null) lines.push(...(await opening(needs, connectionId, format, range, doc)));
        const views = await changeViews(store, opened, entriesOf(doc), caller.permissions);
        const entries = views.map(asAuditEntry);
        const { first, last, prev, at: recordedAt, body } = doc;
        if (format === "jsonl") lines.push(line("log", { first, last, prev, at: recordedAt, body }));
        lines.push(...entries.flatMap(format === "csv" ? auditRows : (entry) => [line("entry", entry)]));
        place = { sequence: last, chain: chainNext(prev, first, last, body) };
        at = last;
        count += entries.length;
        bytes += body.length;
        isOver = at >= bounds.through;
      }
    }
    if (isFirst && place === null) lines.push(...(await opening(needs, connectionId, format, range, null)));
    if (isOver && format === "jsonl") lines.push(line("end", place ?? { sequence: at }));
    return {
      ...partOf(format, `audit-${connectionId}`, lines, count),
      next: isOver ? null : `${at}.${bounds.through}`,
    };
  };

/** Of a file's first part: head of the table, or where the chain begins and which places the vault has kept. */
const opening = async (
  needs: ExportNeeds,
  connection: string,
  format: ExportFormat,
  range: { from: number | null; to: number | null },
  first: { first: number; prev: string } | null,
): Promise<string[]> => {
  if (format === "csv") return [csvRow(auditColumns)];
  const now = needs.ambient.now();
  const from = Math.max(range.from ?? 0, now - longestLogSeconds * 1000);
  // The anchor after the end is the first that covers it.
  const to = Math.min((range.to ?? now) + 86_400_000, now);
  const { anchors, keys } = await findAnchors(needs)(connection, daysBetween(from, to));
  return [
    line("start", {
      connection,
      exportedAt: iso(now),
      ...(first ? { after: { sequence: first.first - 1, chain: first.prev } } : {}),
    }),
    ...anchors.map((anchor) => line("anchor", { statement: statementOf(keys, connection, anchor) })),
  ];
};

export const exportAccess =
  (needs: AccessTrailNeeds) =>
  async (
    caller: Caller,
    { format, ...filter }: Pick<AccessFilter, "from" | "to"> & { format: ExportFormat },
    page: PageRequest,
  ): Promise<ExportPart> => {
    const { items, next } = await readAccess(needs)(caller, filter, page);
    const head = page.after === undefined && format === "csv" ? [csvRow(accessColumns)] : [];
    const rows = items.map((entry) => (format === "csv" ? accessRow(entry) : line("access", entry)));
    return { ...partOf(format, "access", [...head, ...rows], items.length), next };
  };

const partOf = (format: ExportFormat, name: string, lines: readonly string[], count: number) => ({
  mediaType: mediaTypes[format],
  fileName: `${name}.${format}`,
  text: lines.join(""),
  count,
});

const line = (record: string, content: object): string => `${JSON.stringify({ record, ...content })}\n`;

const actorColumns = ["actor", "ip", "machine", "assertedActor", "assertedIp"];
const clearColumns = ["sequence", "at", "kind", "op", "object", "cause", "run", "correlationId", "evidence"];
const auditColumns = [...clearColumns, ...actorColumns, "content", "field", "before", "after"];

/** A row for each field; what an entry has beside fields - memberships, groups - has rows as well. */
const auditRows = (entry: AuditEntry): string[] => {
  const { sequence, at, kind, op, object, cause, run, correlationId, evidence, actor, content } = entry;
  const start = [sequence, at, kind, op, object, cause, run ?? "", correlationId ?? "", evidence ?? ""];
  const who = [...actorCells(actor), content];
  const fields = [
    ...entry.changes.map(({ field, before, after }) => [field, cellOf(before), cellOf(after)]),
    ...listed("members", entry.removed, entry.added),
    ...listed("memberGroups", entry.childrenRemoved, entry.childrenAdded),
    ...listed("groups", undefined, entry.groups),
    ...(entry.productGroup === undefined ? [] : [["productGroup", "", entry.productGroup]]),
  ];
  return (fields.length > 0 ? fields : [["", "", ""]]).map((cells) => csvRow([...start, ...who, ...cells]));
};

const listed = (field: string, before: readonly string[] = [], after: readonly string[] = []): string[][] =>
  before.length + after.length > 0 ? [[field, before.join(" "), after.join(" ")]] : [];

const actorCells = (actor: Actor | null): string[] => [
  actor?.subject ?? "",
  actor?.ip ?? "",
  actor?.machine ? "yes" : "",
  actor?.asserted?.subject ?? "",
  actor?.asserted?.ip ?? "",
];

const cellOf = (value: unknown): string => {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
};

const referenceColumns = ["connection", "count", "objects", "refusal", "receipt", "correlationId"];
const accessColumns = ["at", "id", "what", "route", ...actorColumns, ...referenceColumns];

const accessRow = ({ at, id, what, route, actor, ...entry }: AccessEntry): string => {
  const { connection, count, objects, refusal, receipt, correlationId } = entry;
  const references = [connection, count, objects.join(" "), refusal, cellOf(receipt), correlationId];
  return csvRow([at, id, what, route, ...actorCells(actor), ...references]);
};

const boundsIn = (text: string): { after: number; through: number } => {
  const [after = 0, through = 0] = text.split(".").map(Number);
  return { after, through };
};
