/** The documents of a connection: container `directory`, one logical partition per connection. */
import type { Container, PatchOperation } from "@azure/cosmos";
import { AppError } from "../../core/errors.ts";
import { type DocOf, ids as documentIds, type Head, type Kind, type Stored } from "../../core/store/documents.ts";
import {
  type DirectoryStore,
  type Expiry,
  type LinkState,
  type ListedKind,
  UnknownOutcome,
  type Write,
  type WriteOutcome,
} from "../../core/store/ports.ts";
import {
  inList,
  readDocument,
  repeating,
  rows,
  rowsOfAllPartitions,
  stored,
  type TransactionOperation,
  toBody,
  transaction,
  writing,
} from "./requests.ts";

/** Ids of one kind share what stands before the first colon, so a range of ids is a kind in id order. */
const idPrefix = {
  person: "u",
  group: "g",
  members: "m",
  marker: "x",
  run: "r",
  blacklist: "b",
  "product-groups": "pg",
  settings: "s",
  operation: "o",
} as const satisfies Record<ListedKind, string>;

/** Each is a look-up in an index of its own: of the empty link, and of the link's own index. */
const linked: Record<LinkState, string> = {
  linked: " AND IS_DEFINED(c.productUser.index)",
  unmatched: " AND c.productUser = null",
};

interface ListOptions {
  after?: string;
  limit: number;
  state?: string;
  link?: LinkState;
  shown?: boolean;
}

/** Parameters in one IN list. */
const idsPerQuery = 100;

const reasons = { 404: "missing", 409: "exists", 412: "changed" } as const;

export const directoryStore = (container: Container): DirectoryStore => ({
  read: async <K extends Kind>(connectionId: string, kind: K, id: string) => {
    const doc = await readDocument<DocOf<K>>(container, connectionId, id);
    return doc?.kind === kind ? doc : null;
  },

  load: async <K extends Kind>(connectionId: string, kind: K, ids: readonly string[]) => {
    const found = new Map<string, Stored<DocOf<K>>>();
    await eachChunk(ids, async (part) => {
      const { list, parameters } = inList(part);
      const docs = await rows<object>(container, connectionId, `SELECT * FROM c WHERE c.id IN (${list})`, parameters);
      for (const doc of docs.map((resource) => stored<DocOf<K>>(resource))) {
        if (doc.kind === kind) found.set(doc.id, doc);
      }
    });
    return found;
  },

  personStates: async (connectionId, ids) => {
    const states = new Map<string, string>();
    await eachChunk(ids, async (part) => {
      const { list, parameters } = inList(part);
      const query = `SELECT c.id, c.kind, c.state FROM c WHERE c.id IN (${list})`;
      const people = await rows<{ id: string; kind: Kind; state: string }>(container, connectionId, query, parameters);
      for (const { id, kind, state } of people) if (kind === "person") states.set(id, state);
    });
    return states;
  },

  write: async (connectionId, writes): Promise<WriteOutcome> => {
    if (writes[0]?.op === "delete") throw new RangeError("the first write of a batch is head's, and head stays");
    const answer = await transaction(container, connectionId, writes.map(toOperation));
    if (!answer.ok) return { ok: false, index: answer.index, reason: reasons[answer.status] };
    const [headEtag] = answer.etags;
    if (headEtag === undefined) throw new UnknownOutcome(new Error("Cosmos DB: no ETag in the answer"));
    return { ok: true, headEtag };
  },

  claim: async (connectionId, { owner, now, leaseUntil }) => {
    const take = takeLease(container, connectionId, { owner, leaseUntil });
    const over = `c.leaseUntil < ${wholeNumber(now)}`;
    try {
      // A worker that ended in order left no owner. One that did not costs the second request, and only then an attempt is
      // counted - by the service itself, so two claims at once cannot both count it.
      const free = await take(`FROM c WHERE ${over} AND IS_NULL(c.owner)`, []);
      if (free !== "refused") return free;
      const abandoned = await take(`FROM c WHERE ${over} AND NOT IS_NULL(c.owner)`, [
        { op: "incr", path: "/attempts", value: 1 },
      ]);
      return abandoned === "refused" ? null : abandoned;
    } catch (error) {
      if (!(error instanceof UnknownOutcome)) throw error;
      // Owner and end of the lease are this claim's own. If head shows them it went through; if not, it still might.
      const head = await readDocument<Head>(container, connectionId, documentIds.head).catch(() => null);
      if (head?.owner === owner && head.leaseUntil === leaseUntil) return head;
      throw error;
    }
  },

  list: async <K extends ListedKind>(
    connectionId: string,
    kind: K,
    { after, limit, state, link, shown }: ListOptions,
  ) => {
    const { from, to, order } = idRange(kind, after);
    const docs = await rows<object>(
      container,
      connectionId,
      `SELECT TOP ${count(limit)} * FROM c WHERE c.id > @from AND c.id < @to${link === undefined ? "" : linked[link]}${shown === undefined ? "" : " AND c.shown = @shown"}${state === undefined ? "" : " AND c.state = @state"} ORDER BY c.id ${order}`,
      { from, to, ...(state === undefined ? {} : { state }), ...(shown === undefined ? {} : { shown }) },
    );
    return docs.map((resource) => stored<DocOf<K>>(resource));
  },

  peopleByIndex: async (connectionId, index, value, limit) => {
    const query = `SELECT TOP ${count(limit)} * FROM c WHERE c.${index} = @value AND c.state = @active`;
    const docs = await rows<object>(container, connectionId, query, { value, active: "active" });
    return docs.map((resource) => stored<DocOf<"person">>(resource));
  },

  countByIndex: async (connectionId, index, values) => {
    const counts = new Map<string, number>();
    await eachChunk(values, async (part) => {
      const { list, parameters } = inList(part);
      const query = `SELECT c.${index} FROM c WHERE c.${index} IN (${list}) AND c.state = @active`;
      const people = await rows<Record<typeof index, string>>(container, connectionId, query, {
        ...parameters,
        active: "active",
      });
      for (const person of people) counts.set(person[index], (counts.get(person[index]) ?? 0) + 1);
    });
    return counts;
  },

  leftBefore: async (connectionId, time, limit, state = "deactivated") => {
    const query = `SELECT TOP ${count(limit)} * FROM c WHERE c.state = @state AND c.leftAt <= @time ORDER BY c.leftAt ASC`;
    const docs = await rows<object>(container, connectionId, query, { state, time });
    return docs.map((resource) => stored<DocOf<"person">>(resource));
  },

  listIds: async (connectionId, kind, { after, limit }) => {
    const { from, to } = idRange(kind, after);
    const query = `SELECT TOP ${count(limit)} c.id FROM c WHERE c.id > @from AND c.id < @to ORDER BY c.id ASC`;
    const found = await rows<{ id: string }>(container, connectionId, query, { from, to });
    return found.map(({ id }) => id);
  },

  log: async (connectionId, after, limit) => {
    // Only log documents have `last`.
    const query = `SELECT TOP ${count(limit)} * FROM c WHERE c.last > @after ORDER BY c.last ASC`;
    const docs = await rows<object>(container, connectionId, query, { after: wholeNumber(after) });
    return docs.map((resource) => stored<DocOf<"log">>(resource));
  },

  logBackwards: async (connectionId, { through, limit, person }) => {
    const about = person === undefined ? "" : " AND ARRAY_CONTAINS(c.subjects, @person)";
    const query = `SELECT TOP ${count(limit)} * FROM c WHERE c.last <= @through${about} ORDER BY c.last DESC`;
    const docs = await rows<object>(container, connectionId, query, {
      through: wholeNumber(through),
      ...(person === undefined ? {} : { person }),
    });
    return docs.map((resource) => stored<DocOf<"log">>(resource));
  },

  loggedAt: async (connectionId, after) => {
    // Without the body, which may be large.
    const query = "SELECT TOP 1 c.at FROM c WHERE c.last > @after ORDER BY c.last ASC";
    const [first] = await rows<{ at: string }>(container, connectionId, query, { after: wholeNumber(after) });
    return first?.at ?? null;
  },

  groupsOf: async (connectionId, personId) => {
    const query = "SELECT c.groupId FROM c WHERE ARRAY_CONTAINS(c.members, @person)";
    const shards = await rows<{ groupId: string }>(container, connectionId, query, { person: personId });
    return [...new Set(shards.map(({ groupId }) => groupId))];
  },

  groupsAround: async (connectionId, groupId) => {
    const query = "SELECT c.id FROM c WHERE c.shown = true AND ARRAY_CONTAINS(c.children, @group)";
    const groups = await rows<{ id: string }>(container, connectionId, query, { group: groupId });
    return groups.map(({ id }) => id.slice(2));
  },

  heads: async () => {
    // No other document has a sequence.
    const query = "SELECT c.connectionId, c.sequence, c.chain FROM c WHERE c.sequence >= @first";
    return rowsOfAllPartitions<{ connectionId: string; sequence: number; chain: string }>(
      container,
      query,
      { first: 1 },
      maxHeads,
    );
  },

  due: (now, limit) => pastDue(container, "wakeAt", now, limit),

  dueToRetire: (now, limit) => pastDue(container, "retireAt", now, limit),

  dueToReview: (now, limit) => pastDue(container, "reviewAt", now, limit),

  dueForKeyCare: async (now, wrappedBefore, limit) => {
    const untouched = "SELECT c.connectionId, c.wrappedAt FROM c WHERE c.wrappedAt <= @before AND IS_NULL(c.careAt)";
    const parameters = { before: wholeNumber(wrappedBefore) };
    const [begun, old] = await Promise.all([
      pastDue(container, "careAt", now, limit),
      rowsOfAllPartitions<{ connectionId: string }>(container, untouched, parameters, count(limit)),
    ]);
    return [...new Set([...begun, ...old.map(({ connectionId }) => connectionId)])].slice(0, limit);
  },

  hasDraftWrappedBy: async (time) => {
    const query = "SELECT c.connectionId FROM c WHERE c.wrappedAt <= @time AND IS_NULL(c.generation)";
    return (await rowsOfAllPartitions<object>(container, query, { time: wholeNumber(time) }, 1)).length > 0;
  },

  dueToCheck: (now, limit) => pastDue(container, "checkAt", now, limit),

  dueToTell: (now, limit) => pastDue(container, "tellAt", now, limit),

  tellNext: (connectionId, tellAt, seen) => {
    const condition = seen
      ? `FROM c WHERE c.sequence = ${wholeNumber(seen.sequence)} AND c.tellAt = ${wholeNumber(seen.tellAt)}`
      : undefined;
    const operations: PatchOperation[] = [{ op: "set", path: "/tellAt", value: tellAt }];
    const head = container.item(documentIds.head, connectionId);
    return repeating(async () => {
      const request = condition === undefined ? { operations } : { condition, operations };
      const { statusCode } = await writing(() => head.patch(request), 404, 412);
      return statusCode < 300;
    });
  },
});

/** More connections than one database is meant for. */
const maxHeads = 1_000_000;

/** Of the documents that have `field` in the past, the longest overdue first. */
const pastDue = async (
  container: Container,
  field: "wakeAt" | "tellAt" | "retireAt" | "reviewAt" | "careAt" | "checkAt",
  now: number,
  limit: number,
): Promise<string[]> => {
  const heads = await rowsOfAllPartitions<{ connectionId: string } & Record<typeof field, number>>(
    container,
    `SELECT c.connectionId, c.${field} FROM c WHERE c.${field} <= @now`,
    { now: wholeNumber(now) },
    count(limit),
  );
  const longestOverdueFirst = heads.toSorted((one, other) => one[field] - other[field]);
  return [...new Set(longestOverdueFirst.map(({ connectionId }) => connectionId))];
};

const takeLease =
  (container: Container, connectionId: string, { owner, leaseUntil }: { owner: string; leaseUntil: number }) =>
  async (condition: string, more: PatchOperation[]): Promise<Stored<Head> | null | "refused"> => {
    const operations: PatchOperation[] = [
      { op: "set", path: "/owner", value: owner },
      { op: "set", path: "/leaseUntil", value: wholeNumber(leaseUntil) },
      { op: "set", path: "/wakeAt", value: leaseUntil },
      ...more,
    ];
    const head = container.item(documentIds.head, connectionId);
    const { statusCode, resource } = await writing(() => head.patch<object>({ condition, operations }), 404, 412);
    if (statusCode === 412) return "refused";
    if (statusCode === 404) return null;
    if (!resource) throw new AppError("unexpected", { detail: "A patch was answered without its document." });
    return stored<Head>(resource);
  };

const toOperation = (write: Write | Expiry): TransactionOperation => {
  if (write.op === "expire") {
    const operations: PatchOperation[] = [{ op: "set", path: "/ttl", value: count(write.ttlSeconds) }];
    return { operationType: "Patch", id: write.id, resourceBody: { operations } };
  }
  if (write.op === "delete") return { operationType: "Delete", id: write.id, ifMatch: write.etag };
  const resourceBody = toBody(write.doc);
  return write.op === "create"
    ? { operationType: "Create", resourceBody }
    : { operationType: "Replace", id: write.doc.id, ifMatch: write.etag, resourceBody };
};

const idRange = (kind: ListedKind, after: string | undefined): { from: string; to: string; order: "ASC" | "DESC" } => {
  const first = `${idPrefix[kind]}:`;
  const beyond = `${idPrefix[kind]};`;
  return kind === "run" || kind === "settings"
    ? { from: first, to: after || beyond, order: "DESC" }
    : { from: after || first, to: beyond, order: "ASC" };
};

/** Queries that are under way at the same time. */
const queriesAtOnce = 4;

const eachChunk = async (ids: readonly string[], ask: (part: string[]) => Promise<void>): Promise<void> => {
  const distinct = [...new Set(ids)];
  const chunks = Array.from({ length: Math.ceil(distinct.length / idsPerQuery) }, (_, index) =>
    distinct.slice(index * idsPerQuery, (index + 1) * idsPerQuery),
  );
  for (let at = 0; at < chunks.length; at += queriesAtOnce)
    await Promise.all(chunks.slice(at, at + queriesAtOnce).map(ask));
};

/** Numbers that stand in the text of a condition, which takes no parameters. */
const wholeNumber = (value: number): number => {
  if (!Number.isSafeInteger(value)) throw new RangeError("a whole number is required");
  return value;
};

const count = (limit: number): number => {
  if (wholeNumber(limit) < 1) throw new RangeError("a limit is at least 1");
  return limit;
};
