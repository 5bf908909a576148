/**
 * The change log as an audit trail, newest first: who did what, from where, when, to whom, with every field before and after, why
 * it is known to be so, in which run. It is the same log that the product replays; here it is looked through by filter.
 */
import { z } from "zod";
import { entriesOf } from "../audit/change-log.ts";
import { Actor, personIn } from "../audit/entries.ts";
import { entriesBetween } from "../audit/moments.ts";
import { readHead } from "../connections/change.ts";
import type { OpenedConnection } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import { AppError } from "../errors.ts";
import type { DocOf, Stored } from "../store/documents.ts";
import { ChangeView, changeViews } from "./changes.ts";
import { openReadable, type PageRequest, type ViewNeeds } from "./readable.ts";

export const AuditEntry = ChangeView.omit({ matchHints: true, blocked: true, actor: true }).extend({
  /** Null: the system did it, or it is withheld. */
  actor: Actor.nullable(),
});
export type AuditEntry = z.infer<typeof AuditEntry>;

/** A page of a log of which most is sealed: what a filter asks for is known when it has been opened. */
export const pageOf = <E extends z.ZodType>(entry: E) =>
  z.strictObject({
    /** May be empty with more to come: a page is looked through only so far. */
    items: z.array(entry),
    next: z.string().nullable(),
    /** Entries that were looked at for this page. */
    scanned: z.int(),
  });

export const AuditPage = pageOf(AuditEntry);
export type AuditPage = z.infer<typeof AuditPage>;

const instant = z.iso.datetime({ offset: true });
const word = z.string().min(1).max(200);
/** Addresses of requests are logged by whoever stands between, so none of a person may be in them. */
export const subjectFilter = word.refine(
  (text) => !text.includes("@"),
  "is an address of a person, which no URL may hold",
);

/** Recorded at `from` or later, and before `to`. */
export const timeFilter = { from: instant.optional(), to: instant.optional() };

export const auditFilter = {
  ...timeFilter,
  kind: ChangeView.shape.kind.optional(),
  op: ChangeView.shape.op.optional(),
  /** Id of a person, group or run, or a tier. */
  object: word.optional(),
  /** Id of a person: found by index, in whatever kind of entry it is the person's own. */
  person: word.optional(),
  /** Subject of who did it. Actors are sealed: each of those looked at is opened and compared. */
  actor: subjectFilter.optional(),
};
/** For a body, which no log of addresses has: there a person may be named, and an address. */
export const actorSearch = {
  actor: word.optional(),
  /** The client's, or the one that a program named, as the entries show it. */
  ip: z.union([z.ipv4(), z.ipv6()]).optional(),
};
export const AuditSearch = z.strictObject({ ...auditFilter, ...actorSearch });
export type AuditFilter = z.infer<typeof AuditSearch>;

const millisecondsOf = (time: string | undefined): number | null => (time === undefined ? null : Date.parse(time));

/** Throws `invalid-request` for a range that ends before it begins. */
export const rangeOf = ({ from, to }: Pick<AuditFilter, "from" | "to">): { from: number | null; to: number | null } => {
  const range = { from: millisecondsOf(from), to: millisecondsOf(to) };
  if (range.from !== null && range.to !== null && range.to < range.from)
    throw new AppError("invalid-request", { field: "to", detail: "It lies before `from`." });
  return range;
};

/** A document can hold two megabytes. */
const documentsPerQuery = 4;
const maxDocuments = 60;
const maxBytes = 16_000_000;

/** Entries after `after`, down from those of the document that ends at `through`, and there below `below`. */
interface Position {
  after: number;
  through: number;
  below: number;
}

export const readAudit =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string, filter: AuditFilter, page: PageRequest): Promise<AuditPage> => {
    const { store } = needs;
    const range = rangeOf(filter);
    const opened = await openReadable(needs)(caller.workspaceId, connectionId);
    const begin = async (): Promise<Position> => {
      const { after, through } = await entriesBetween(store, await readHead(store, connectionId), range);
      return { after, through, below: through + 1 };
    };
    let at: Position | null = page.after === undefined ? await begin() : positionIn(page.after);
    const items: AuditEntry[] = [];
    let [scanned, documents, bytes] = [0, 0, 0];
    while (at && items.length < page.limit && documents < maxDocuments && bytes < maxBytes) {
      const { person } = filter;
      const docs: Stored<DocOf<"log">>[] = await store.logBackwards(connectionId, {
        through: at.through,
        limit: documentsPerQuery,
        ...(person === undefined ? {} : { person }),
      });
      if (docs.length === 0) at = null;
      for (const doc of docs) {
        if (!at || items.length >= page.limit) break;
        documents++;
        bytes += doc.body.length;
        const looked = await lookThrough(needs, opened, caller, { doc, at, filter, wanted: page.limit - items.length });
        items.push(...looked.items);
        scanned += looked.scanned;
        at = looked.next;
      }
    }
    return { items, next: at && `${at.after}.${at.through}.${at.below}`, scanned };
  };

type Entry = ReturnType<typeof entriesOf>[number];

/** One document, newest entry first; `next` is where to go on, null when nothing of the range lies before it. */
const lookThrough = async (
  { store }: ViewNeeds,
  opened: OpenedConnection,
  { permissions }: Caller,
  { doc, at, filter, wanted }: { doc: Stored<DocOf<"log">>; at: Position; filter: AuditFilter; wanted: number },
): Promise<{ items: AuditEntry[]; scanned: number; next: Position | null }> => {
  const inRange = ({ sequence }: Entry): boolean => sequence > at.after && sequence < at.below;
  const before: Position | null = doc.first - 1 > at.after ? { ...at, through: doc.first - 1 } : null;
  const entries = entriesOf(doc).filter(inRange).toReversed();
  const candidates = entries.filter((entry) => matches(entry, filter));
  // Of whom an actor is looked for, more may have to be opened than are shown.
  const first = asksWho(filter) ? candidates : candidates.slice(0, wanted);
  const views = (await changeViews(store, opened, first, permissions)).map(asAuditEntry);
  const found = views.filter(({ actor }) => isBy(actor, filter));
  const items = found.slice(0, wanted);
  const last = items.at(-1);
  const isFull = items.length === wanted && last !== undefined;
  return {
    items,
    scanned: isFull ? entries.filter(({ sequence }) => sequence >= last.sequence).length : entries.length,
    next: isFull && last.sequence > doc.first ? { ...at, through: doc.last, below: last.sequence } : before,
  };
};

export const asAuditEntry = ({
  matchHints: _hints,
  blocked: _blocked,
  actor = null,
  ...view
}: ChangeView): AuditEntry => ({
  ...view,
  actor,
});

const matches = (entry: Entry, { kind, op, object, person, ...who }: AuditFilter): boolean =>
  (kind === undefined || entry.kind === kind) &&
  (op === undefined || entry.op === op) &&
  (object === undefined || entry.object === object) &&
  (person === undefined || personIn(entry) === person) &&
  (!asksWho(who) || entry.actor !== undefined);

type Who = Pick<AuditFilter, "actor" | "ip">;
const asksWho = ({ actor, ip }: Who): boolean => actor !== undefined || ip !== undefined;

/** Also the person for whom a program acted. */
export const isBy = (by: Actor | null, { actor, ip }: Who): boolean =>
  (actor === undefined || by?.subject === actor || by?.asserted?.subject === actor) &&
  (ip === undefined || by?.ip === ip.toLowerCase() || by?.asserted?.ip === ip.toLowerCase());

const positionIn = (text: string): Position => {
  const [after = 0, through = 0, below = 0] = text.split(".").map(Number);
  return { after, through, below };
};
