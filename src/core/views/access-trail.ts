/**
 * The access log of a workspace, newest first: who read what, who was refused, which connections came and went. It is no way round
 * the rights on a connection: where somebody may not read the audit, what is about that connection is left out. Nor does it name
 * whoever was only sent a link to approve.
 */
import { z } from "zod";
import { type Ambient, iso } from "../ambient.ts";
import { type AccessTrail, type FoundRecord, Receipt } from "../audit/access-log.ts";
import { Actor } from "../audit/entries.ts";
import { longestLogSeconds } from "../audit/retention.ts";
import { tenantInUse } from "../connections/open.ts";
import { callerOn } from "../connections/security.ts";
import { isAdministratorOf, isVisit } from "../consent/sign-in.ts";
import type { Caller } from "../context.ts";
import { isAppError } from "../errors.ts";
import { ids } from "../store/documents.ts";
import { actorSearch, isBy, pageOf, rangeOf, subjectFilter, timeFilter } from "./audit.ts";
import type { PageRequest, ViewNeeds } from "./readable.ts";

const accessKinds = [
  "read",
  "refused",
  "sign-in",
  "connection-created",
  "connection-deleted",
  "person-erased",
] as const;

export const AccessEntry = z.strictObject({
  id: z.string(),
  at: z.iso.datetime(),
  /** `unreadable`: it was altered, put there by somebody else, or its key is gone; nothing else of it is known. */
  what: z.enum([...accessKinds, "unreadable"]),
  route: z.string().nullable(),
  /** Null: it is unreadable, or withheld. */
  actor: Actor.nullable(),
  connection: z.string().nullable(),
  /** How many objects were answered. */
  count: z.int().nullable(),
  /** Person ids or group object ids that were asked for. */
  objects: z.array(z.string()),
  /** Problem code of a refusal. */
  refusal: z.string().nullable(),
  /** Of an erasure, or of a connection that was deleted: from when on what was destroyed is gone from where. */
  receipt: Receipt.nullable(),
  correlationId: z.string().nullable(),
});
export type AccessEntry = z.infer<typeof AccessEntry>;

export const AccessPage = pageOf(AccessEntry);
export type AccessPage = z.infer<typeof AccessPage>;

const word = z.string().min(1).max(200);
export const accessFilter = {
  ...timeFilter,
  what: z.enum([...accessKinds, "unreadable"]).optional(),
  connection: word.optional(),
  actor: subjectFilter.optional(),
};
export const AccessSearch = z.strictObject({ ...accessFilter, ...actorSearch });
export type AccessFilter = z.infer<typeof AccessSearch>;

export interface AccessTrailNeeds extends Pick<ViewNeeds, "keys"> {
  ambient: Pick<Ambient, "now">;
  store: Pick<ViewNeeds["store"], "read">;
  access: AccessTrail;
}

const recordsPerQuery = 200;
const maxScanned = 2000;

/** Up to this record (0: none), in its month, of a range that was fixed when the first page was asked for. */
interface Position {
  from: number;
  to: number;
  month: string;
  before: string | undefined;
}

export const readAccess =
  (needs: AccessTrailNeeds) =>
  async (caller: Caller, filter: AccessFilter, page: PageRequest): Promise<AccessPage> => {
    const { ambient, access } = needs;
    const isReadable = readableConnections(needs, caller);
    const withoutStranger = strangersWithheld(needs);
    const now = ambient.now();
    const range = rangeOf(filter);
    // Nobody has a record from tomorrow, and none is kept longer.
    const to = Math.min(range.to ?? now + 1, now + 1);
    const from = Math.max(range.from ?? 0, now - longestLogSeconds * 1000);
    let at: Position | null =
      page.after === undefined ? { from, to, month: monthOf(to - 1), before: undefined } : positionIn(page.after);
    const items: AccessEntry[] = [];
    let scanned = 0;
    while (at && items.length < page.limit && scanned < maxScanned) {
      if (at.month < monthOf(at.from)) {
        at = null;
        break;
      }
      const found = await access.listBackwards(caller.workspaceId, at.month, {
        from: at.from,
        to: at.to,
        limit: recordsPerQuery,
        ...(at.before === undefined ? {} : { before: at.before }),
      });
      const wanted = page.limit - items.length;
      // Before anything is compared: a filter would tell what is withheld.
      const entries = await Promise.all(found.map((each) => withoutStranger(asEntry(each))));
      const matching = entries.filter((entry) => matches(entry, filter));
      const shown = await firstOf(matching, wanted, ({ connection }) => connection === null || isReadable(connection));
      items.push(...shown);
      const last = shown.length === wanted ? shown.at(-1) : undefined;
      const reached: string | undefined = last?.id ?? found.at(-1)?.id;
      scanned += last ? found.findIndex(({ id }) => id === last.id) + 1 : found.length;
      // A page of a query may be short only at its end.
      if (last || found.length === recordsPerQuery) at = { ...at, before: reached };
      else at = { ...at, month: monthBefore(at.month), before: undefined };
    }
    return { items, next: at && [at.from, at.to, at.month, at.before ?? ""].join("."), scanned };
  };

/** What a request has asked of a connection once it knows. */
const askedOnce = <T>(ask: (connection: string) => Promise<T>): ((connection: string) => Promise<T>) => {
  const known = new Map<string, Promise<T>>();
  return (connection) => {
    const answer = known.get(connection) ?? ask(connection);
    known.set(connection, answer);
    return answer;
  };
};

/** A connection that no longer exists has no list of rights either. */
const readableConnections = (needs: AccessTrailNeeds, caller: Caller): ((connection: string) => Promise<boolean>) =>
  askedOnce(async (connection) => {
    try {
      return (await callerOn(needs)(caller, connection)).permissions.has("audit:read");
    } catch (error) {
      // Its deletion is under way: there is a list, and nobody can read it any more.
      if (isAppError(error, "connection-not-found")) return false;
      throw error;
    }
  });

/**
 * Whoever came to approve may be anybody who was sent the link, of an organisation that has nothing to do with this workspace. As
 * in the change log, named is only an administrator of the one that the workspace has confirmed.
 */
const strangersWithheld = ({ store }: AccessTrailNeeds): ((entry: AccessEntry) => Promise<AccessEntry>) => {
  const tenantOf = askedOnce(async (connection) => {
    const doc = await store.read(connection, "connection", ids.connection);
    return doc && tenantInUse(doc);
  });
  return async (entry) => {
    const { route, connection, actor } = entry;
    if (route === null || connection === null || actor === null || !isVisit(route)) return entry;
    return isAdministratorOf(await tenantOf(connection), actor.subject) ? entry : { ...entry, actor: null };
  };
};

const firstOf = async <T>(
  items: readonly T[],
  count: number,
  isMeant: (item: T) => boolean | Promise<boolean>,
): Promise<T[]> => {
  const found: T[] = [];
  for (const item of items) if (found.length < count && (await isMeant(item))) found.push(item);
  return found;
};

const asEntry = ({ id, at, record }: FoundRecord): AccessEntry => {
  if (!record)
    return {
      id,
      at,
      what: "unreadable",
      route: null,
      actor: null,
      connection: null,
      count: null,
      objects: [],
      refusal: null,
      receipt: null,
      correlationId: null,
    };
  const { what, route, connectionId, count, objects, refusal, receipt, correlationId, ...actor } = record;
  return {
    id,
    at,
    what,
    route,
    actor,
    connection: connectionId ?? null,
    count: count ?? null,
    objects: objects ?? [],
    refusal: refusal ?? null,
    receipt: receipt ?? null,
    correlationId,
  };
};

const matches = (entry: AccessEntry, { what, connection, ...who }: AccessFilter): boolean =>
  (what === undefined || entry.what === what) &&
  (connection === undefined || entry.connection === connection) &&
  isBy(entry.actor, who);

const monthOf = (milliseconds: number): string => iso(milliseconds).slice(0, 7);

const monthBefore = (month: string): string => monthOf(Date.parse(`${month}-01T00:00:00Z`) - 1);

const positionIn = (text: string): Position => {
  const [from = "0", to = "0", month = "", before = ""] = text.split(".");
  return { from: Number(from), to: Number(to), month, before: before === "" ? undefined : before };
};
