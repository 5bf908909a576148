/** What a connection holds, opened and brought into the oracle's form; and the same replayed from its log alone. */
import { chainStart, entriesOf, openChanges, verifyChain } from "../../src/core/audit/change-log.ts";
import type { ConnectionContext } from "../../src/core/context.ts";
import { openPersonKey, personId } from "../../src/core/crypto/key-ring.ts";
import { knownGroup, knownPerson } from "../../src/core/directory/run/known.ts";
import { ids, type LogDoc } from "../../src/core/store/documents.ts";
import type { DirectoryStore } from "../../src/core/store/ports.ts";
import type { ExpectedView } from "../../src/local/simulator/directory/oracle.ts";

/** Groups of the product under `product <id>`, all others under their object ids. */
export interface Held {
  people: Record<string, { state: string; fields: Record<string, unknown>; manager: string | null }>;
  groups: Record<string, { fields: Record<string, unknown>; members: string[]; children: string[] }>;
  /** Object ids of groups that are held and not shown. */
  filters: string[];
}

const productGroup = (id: string): string => `product ${id}`;

export const all = async <T extends { id: string }>(
  page: (after: string) => Promise<T[]>,
  limit: number,
): Promise<T[]> => {
  const items: T[] = [];
  for (let after = ""; ; ) {
    const part = await page(after);
    items.push(...part);
    if (part.length < limit) return items;
    after = (part.at(-1) as T).id;
  }
};

const limit = 200;

export const held = async (store: DirectoryStore, { connectionId, ring }: ConnectionContext): Promise<Held> => {
  const result: Held = { people: {}, groups: {}, filters: [] };
  for (const doc of await all((after) => store.list(connectionId, "person", { after, limit }), limit)) {
    const { record } = knownPerson(ring, doc);
    result.people[doc.id.slice(2)] = {
      state: doc.state,
      fields: record?.fields ?? {},
      manager: record?.manager ?? null,
    };
  }
  const active = (id: string): boolean => result.people[id]?.state === "active";
  for (const person of Object.values(result.people))
    if (person.manager !== null && !active(person.manager)) person.manager = null;
  const documents = new Set<string>();
  const shards = await all((after) => store.list(connectionId, "members", { after, limit }), limit);
  for (const doc of await all((after) => store.list(connectionId, "group", { after, limit }), limit)) {
    const id = doc.id.slice(2);
    const own = shards.filter((shard) => shard.groupId === id);
    const leaves = own.map((shard) => shard.id.slice(`m:${id}:`.length));
    for (const leaf of leaves) if (!doc.leaves.includes(leaf)) throw new Error(`shard ${leaf} of ${id} is no leaf`);
    const members = own.flatMap((shard) => shard.members);
    if (new Set(members).size !== members.length) throw new Error(`a member of ${id} is in two shards`);
    documents.add(id);
    const { fields } = knownGroup(ring, doc).record;
    if (doc.shown !== (doc.role === "shown" || doc.role === "product")) throw new Error(`${id} is shown by mistake`);
    if (doc.role === "filter" && doc.of !== null) result.filters.push(doc.of);
    if (!doc.shown) {
      const more = Object.keys(fields).filter((name) => name !== "visibility");
      if (more.length > 0) throw new Error(`of a group that is not shown there are ${more.join(", ")}`);
      continue;
    }
    result.groups[doc.role === "product" ? productGroup(doc.of as string) : id] = {
      fields,
      members: members.filter(active).toSorted(),
      children: [...doc.children].toSorted(),
    };
  }
  result.filters = result.filters.toSorted();
  for (const group of Object.values(result.groups))
    group.children = group.children.filter((id) => result.groups[id] !== undefined);
  for (const shard of shards) if (!documents.has(shard.groupId)) throw new Error(`shard ${shard.id} has no group`);
  return result;
};

export const expected = (view: ExpectedView, { ring }: ConnectionContext): Held => {
  const result: Held = { people: {}, groups: {}, filters: [...view.filters].toSorted() };
  for (const [oid, person] of view.people)
    result.people[personId(ring, oid)] = {
      state: person.state,
      fields: person.attributes,
      manager: person.manager === null ? null : personId(ring, person.manager),
    };
  for (const [id, group] of view.groups)
    result.groups[id] = {
      fields: group.attributes,
      members: [...group.members].map((oid) => personId(ring, oid)).toSorted(),
      children: [...group.childGroups].toSorted(),
    };
  for (const [id, members] of view.productGroups)
    result.groups[productGroup(id)] = {
      fields: {},
      members: [...members].map((oid) => personId(ring, oid)).toSorted(),
      children: [],
    };
  return result;
};

/** Without what the oracle says nothing of: the relations of those who are kept though gone. */
export const comparable = (found: Held, view: ExpectedView, { ring }: ConnectionContext): Held => {
  const unrelated = new Set([...view.departed].map((oid) => personId(ring, oid)));
  const result = structuredClone(found);
  for (const person of Object.values(result.people))
    if (person.manager !== null && unrelated.has(person.manager)) person.manager = null;
  for (const group of Object.values(result.groups)) group.members = group.members.filter((id) => !unrelated.has(id));
  return result;
};

export const readLog = async (store: DirectoryStore, connectionId: string): Promise<LogDoc[]> => {
  const docs: LogDoc[] = [];
  for (let after = 0; ; ) {
    const part = await store.log(connectionId, after, 50);
    docs.push(...part);
    const last = part.at(-1);
    if (!last) return docs;
    after = last.last;
  }
};

/** Replays the log from zero, as the product would. Throws when the chain or the numbers do not hold, or a record repeats. */
export const replay = async (store: DirectoryStore, { connectionId, ring }: ConnectionContext): Promise<Held> => {
  const docs = await readLog(store, connectionId);
  const head = await store.read(connectionId, "head", ids.head);
  const { fault, sequence, chain } = verifyChain(docs, { sequence: 0, chain: chainStart(connectionId) });
  if (fault) throw new Error(`chain broken at ${fault.sequence}: ${fault.fault}`);
  if (head?.sequence !== sequence || head.chain !== chain) throw new Error("head and log end differently");
  // Of groups that are not shown the log says nothing.
  const result: Held = { people: {}, groups: {}, filters: [] };
  const names = new Map<string, string>();
  const nameOf = (id: string): string => names.get(id) ?? id;
  const put = (fields: Record<string, unknown>, field: string, value: unknown): void => {
    if (value === null) delete fields[field];
    else fields[field] = value;
  };
  const entryIds = new Set<string>();
  const keys = new Map<string, ReturnType<typeof openPersonKey>>();
  const keyOf = async (id: string) => {
    const known = keys.get(id);
    if (known) return known;
    const doc = await store.read(connectionId, "person", ids.person(id));
    if (!doc) throw new Error(`no key of ${id}`);
    const key = openPersonKey(ring, connectionId, id, doc.key);
    keys.set(id, key);
    return key;
  };
  const must = <T>(value: T | undefined, what: string): T => {
    if (value === undefined) throw new Error(`the log speaks of ${what} before it exists`);
    return value;
  };
  for (const entry of docs.flatMap(entriesOf)) {
    if (entryIds.has(entry.id)) throw new Error(`entry ${entry.id} is there twice`);
    entryIds.add(entry.id);
    // What was decided by hand; what follows from it has an entry of its own.
    if (entry.op === "enabled" || entry.op === "excluded") continue;
    if (entry.kind === "person") {
      const person = (result.people[entry.object] ??= { state: "new", fields: {}, manager: null });
      const changes = openChanges(await keyOf(entry.object), connectionId, entry);
      for (const { field, before, after } of changes) {
        const now = field === "manager" ? person.manager : (person.fields[field] ?? null);
        if (JSON.stringify(now) !== JSON.stringify(before))
          throw new Error(`the log does not start from what it said of ${field}`);
        if (field === "manager") person.manager = after as string | null;
        else put(person.fields, field, after);
      }
      const left = entry.op === "deactivated" || entry.op === "removed";
      if (entry.op === "removed") Object.assign(person, { fields: {}, manager: null });
      // Who hears that an account was switched off hears it also where no field tells.
      if (entry.op === "updated" && changes.length === 0 && entry.evidence === undefined)
        throw new Error("an update without a change");
      if ((entry.op === "created") !== (person.state === "new"))
        throw new Error(`${entry.op} of a person that is ${person.state}`);
      if (left)
        for (const group of Object.values(result.groups))
          group.members = group.members.filter((id) => id !== entry.object);
      for (const group of entry.groups ?? []) must(result.groups[nameOf(group)], "a group").members.push(entry.object);
      person.state = left ? entry.op : "active";
    } else if (entry.kind === "group") {
      if (entry.productGroup !== undefined) names.set(entry.object, productGroup(entry.productGroup));
      const name = nameOf(entry.object);
      if (entry.op === "removed") {
        must(result.groups[name], "a group");
        delete result.groups[name];
        for (const group of Object.values(result.groups)) group.children = group.children.filter((id) => id !== name);
        continue;
      }
      const group = (result.groups[name] ??= { fields: {}, members: [], children: [] });
      for (const { field, after } of openChanges(ring.sealing, connectionId, entry)) put(group.fields, field, after);
    } else if (entry.kind === "members") {
      const group = must(result.groups[nameOf(entry.object)], "a group");
      for (const id of entry.added ?? []) {
        if (group.members.includes(id)) throw new Error("added twice");
        group.members.push(id);
      }
      for (const id of entry.removed ?? []) if (!group.members.includes(id)) throw new Error("removed but not there");
      group.members = group.members.filter((id) => !entry.removed?.includes(id));
      for (const id of entry.childrenAdded ?? []) {
        must(result.groups[id], "a nested group");
        if (group.children.includes(id)) throw new Error("nested twice");
        group.children.push(id);
      }
      for (const id of entry.childrenRemoved ?? []) if (!group.children.includes(id)) throw new Error("not nested");
      group.children = group.children.filter((id) => !entry.childrenRemoved?.includes(id));
    }
  }
  for (const person of Object.values(result.people))
    if (person.manager !== null && result.people[person.manager]?.state !== "active") person.manager = null;
  for (const group of Object.values(result.groups)) {
    group.members = group.members.toSorted();
    group.children = group.children.toSorted();
  }
  return result;
};
