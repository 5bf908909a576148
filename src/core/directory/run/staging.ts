/**
 * The plan of a run while it grows: chunks of changes by pass, raw membership changes, and the set of objects met.
 * It lives in memory; `flush` writes what is new to `work`, sealed under the run key. Only the cursor makes a part count, and a
 * part's id names its writer: a worker that comes back after its lease writes beside what the one after it has staged, never
 * over it. A small plan is never flushed at all.
 */
import type { Ambient } from "../../ambient.ts";
import type { KeyRing } from "../../crypto/key-ring.ts";
import { type ContentKey, open, type Place, type Sealed, seal } from "../../crypto/seal.ts";
import { AppError } from "../../errors.ts";
import type { RunCounts } from "../../store/documents.ts";
import type { WorkStore } from "../../store/ports.ts";
import { isShown } from "../group-roles.ts";
import { IdSet } from "../id-set.ts";
import {
  type Change,
  edgeTerm,
  type GroupChange,
  type MembersChange,
  type PersonChange,
  planTerm,
  TermSum,
} from "../plan.ts";
import type { Feed } from "../ports.ts";
import { groupKeyBytes, personKeyBytes, SeenSet } from "../seen.ts";
import { type Cursor, type Pass, passes, type Staged } from "./cursor.ts";
import { type EdgePart, edgeKinds, edgePartsOf, type GroupEdges, noEdges } from "./raw-edges.ts";

type ObjectChange = PersonChange | GroupChange;

const changesPerChunk = 200;
/** Ids in one membership change; a chunk of them stays far below 2 MB. */
export const idsPerChange = 5000;
/** Packed in text they are 1.3 MB; a full read without changes may meet very many between two checkpoints. */
const objectsPerSeenPart = 20_000;
const cachedParts = 24;

/** Number of a chunk over all passes, as the set of objects met stores it: 0 = none. */
const chunkCode = (pass: Pass, chunk: number): number => passes.indexOf(pass) * 2 ** 28 + chunk + 1;
const chunkOf = (code: number): { pass: Pass; chunk: number } => ({
  pass: passes[Math.floor((code - 1) / 2 ** 28)] as Pass,
  chunk: (code - 1) % 2 ** 28,
});

/** Met as a tombstone that changes nothing. */
const goneCode = 0xffffffff;
/** Met, and nobody's business so far. */
const passedOverCode = 0xfffffffe;

const withoutAttributes = (change: Change): Change => {
  if (change.kind !== "person") return change;
  const { record: _record, ...rest } = change;
  return rest;
};

const passOf = (change: Change): Pass => {
  if (change.kind === "members") return change.op === "add" ? "members+" : "members-";
  if (change.kind === "person") return change.op === "deactivate" || change.op === "keep" ? "people-" : "people+";
  return change.op === "remove" ? "groups-" : "groups+";
};

const countOf: Record<string, keyof RunCounts> = {
  "person create": "peopleCreated",
  "person update": "peopleUpdated",
  "person revive": "peopleRevived",
  "person deactivate": "peopleDeactivated",
  "person keep": "peopleKept",
  "group create": "groupsCreated",
  "group update": "groupsUpdated",
  "group remove": "groupsRemoved",
};

const noteChunk = (chunks: Map<string, Set<number>>, group: string, code: number): void => {
  const codes = chunks.get(group);
  if (codes) codes.add(code);
  else chunks.set(group, new Set([code]));
};

export type ToldChildren = Record<"addChildren" | "removeChildren", Set<string>>;

const childrenOf = (all: Map<string, ToldChildren>, group: string): ToldChildren => {
  const known = all.get(group);
  if (known) return known;
  const none = { addChildren: new Set<string>(), removeChildren: new Set<string>() };
  all.set(group, none);
  return none;
};

export interface NetMembers {
  group: string;
  op: "add" | "remove";
  people: string[];
  children: string[];
  /** The product sees the group: its memberships are told of. */
  counted: boolean;
  evidence?: string;
}

/** All that finds the staged parts again. */
export type StagedPlan = Staged & Pick<Cursor, "writers" | "sum">;

export interface StagingNeeds {
  ambient: Ambient;
  work: WorkStore;
  ring: KeyRing;
  runId: string;
  /** Of the lease under which this is written. */
  owner: string;
  key: ContentKey;
  counts: RunCounts;
  /** Nobody is admitted by a dry run: it stages ids and hash terms, and no attribute of anybody. */
  dry: boolean;
}

export class Staging {
  readonly #needs: StagingNeeds;
  readonly #seen: Record<Feed, SeenSet> = { groups: new SeenSet(), users: new SeenSet() };
  readonly #touched: Record<Feed, Set<string>> = { groups: new Set(), users: new Set() };
  /** Chunks that are not in `work` yet, by code; the newest of each pass still takes changes. */
  readonly #pending = new Map<number, Map<string, Change>>();
  readonly #chunks: Record<Pass, number>;
  readonly #cache = new Map<string, unknown>();
  #children: Map<string, ToldChildren> | null = null;
  /** Where the planned members of a group are; found when it is first asked for. */
  #memberChunks: Map<string, Set<number>> | null = null;
  #edges: EdgePart = {};
  #edgeIds = 0;
  #edgeParts: number;
  #seenParts: Record<Feed, number>;
  readonly #writers: Cursor["writers"];
  #flushed: boolean;
  readonly sum: TermSum;

  constructor(needs: StagingNeeds, cursor: StagedPlan) {
    this.#needs = needs;
    this.#chunks = { ...cursor.chunks };
    this.#edgeParts = cursor.edgeParts;
    this.#seenParts = { ...cursor.seenParts };
    this.#writers = [...cursor.writers, { owner: needs.owner, ...this.#staged() }];
    this.sum = new TermSum(cursor.sum);
    this.#flushed = cursor.edgeParts + cursor.seenParts.groups + cursor.seenParts.users > 0;
  }

  /** Loads the objects met before the slice. */
  async resume(): Promise<void> {
    for (const feed of ["groups", "users"] as const)
      for (let part = 0; part < this.#seenParts[feed]; part++)
        this.#seen[feed].unpack(Buffer.from(await this.#stored(this.#seenId(feed, part)), "base64"));
  }

  /** Everything staged is still in memory. */
  get inMemory(): boolean {
    return !this.#flushed;
  }

  /** Changes and raw membership changes that are only in memory. */
  get unflushed(): number {
    let changes = this.#edgeIds;
    for (const chunk of this.#pending.values()) changes += chunk.size;
    return changes;
  }

  /** Nothing is only in memory; objects that were met without a change count too. */
  get written(): boolean {
    return this.unflushed === 0 && this.#touched.groups.size + this.#touched.users.size === 0;
  }

  met(feed: Feed, id: string): boolean {
    return this.#seen[feed].has(keyBytes(feed, id));
  }

  /** What earlier occurrences in this round said of the object; null = not met. */
  said(feed: Feed, id: string): "there" | "gone" | null {
    const seen = this.#seen[feed].get(keyBytes(feed, id));
    if (!seen) return null;
    if (seen.chunk === 0) return "there";
    if (seen.chunk === passedOverCode) return null;
    if (seen.chunk === goneCode) return "gone";
    return chunkOf(seen.chunk).pass.endsWith("-") ? "gone" : "there";
  }

  /** Remembers a group of which nothing was staged; should it matter later, what was told of it is not all. */
  passOver(group: string): void {
    this.#seen.groups.set(keyBytes("groups", group), passedOverCode);
    this.#touched.groups.add(group);
  }

  passedOver(group: string): boolean {
    return this.#seen.groups.get(keyBytes("groups", group))?.chunk === passedOverCode;
  }

  /** The change that earlier occurrences of the object led to, or null (also when it was never met). */
  async changeOf(feed: Feed, id: string): Promise<ObjectChange | null> {
    const seen = this.#seen[feed].get(keyBytes(feed, id));
    if (!seen || seen.chunk === 0 || seen.chunk >= passedOverCode) return null;
    const { pass, chunk } = chunkOf(seen.chunk);
    const changes = await this.chunk(pass, chunk);
    return (
      (changes.find((change) => change.kind !== "members" && change.id === id) as ObjectChange | undefined) ?? null
    );
  }

  /** Where the object's change is; null = none is planned. */
  passOf(feed: Feed, id: string): Pass | null {
    const code = this.#seen[feed].get(keyBytes(feed, id))?.chunk ?? 0;
    return code === 0 || code >= passedOverCode ? null : chunkOf(code).pass;
  }

  /** Puts `change` in the place of what was planned for the object before (`earlier`); null = nothing is to change. */
  plan(feed: Feed, id: string, change: ObjectChange | null, earlier: ObjectChange | null, gone: boolean): void {
    const bytes = keyBytes(feed, id);
    if (earlier) {
      this.sum.remove(planTerm(this.#needs.ring, earlier));
      this.#count(earlier, -1);
    }
    if (change) {
      const term = planTerm(this.#needs.ring, change);
      this.sum.add(term);
      this.#count(change, 1);
      this.#seen[feed].set(bytes, this.#append(change), term);
    } else this.#seen[feed].set(bytes, gone ? goneCode : 0);
    this.#touched[feed].add(id);
  }

  /** Net membership changes of one group; split so that no change holds more than `idsPerChange` ids. */
  planMembers({ group, op, people, children, counted, evidence }: NetMembers): void {
    for (const member of [...people, ...children]) this.sum.add(edgeTerm(this.#needs.ring, group, op, member));
    if (counted) this.#needs.counts[op === "add" ? "membershipsAdded" : "membershipsRemoved"] += people.length;
    for (let at = 0; at === 0 || at < people.length; at += idsPerChange) {
      const change: MembersChange = {
        kind: "members",
        op,
        group,
        people: people.slice(at, at + idsPerChange),
        children: at === 0 ? children : [],
        ...(evidence ? { evidence } : {}),
      };
      if (change.people.length + change.children.length === 0) continue;
      const code = this.#append(change);
      if (this.#memberChunks) noteChunk(this.#memberChunks, group, code);
    }
  }

  /** Who comes into the group, and who goes, as far as it is planned. */
  async plannedMembers(group: string): Promise<{ add: IdSet; remove: IdSet }> {
    const planned = { add: new IdSet(), remove: new IdSet() };
    for (const { op, people } of await this.#memberChanges(group)) for (const id of people) planned[op].add(id);
    return planned;
  }

  /** Takes back what was planned for the members of a group that turns out to be no longer held; `current` passes it over. */
  async forgetMembers(group: string, counted: boolean): Promise<void> {
    for (const change of await this.#memberChanges(group)) {
      for (const member of [...change.people, ...change.children])
        this.sum.remove(edgeTerm(this.#needs.ring, group, change.op, member));
      if (counted)
        this.#needs.counts[change.op === "add" ? "membershipsAdded" : "membershipsRemoved"] -= change.people.length;
    }
  }

  async #memberChanges(group: string): Promise<MembersChange[]> {
    this.#memberChunks ??= await this.#findMemberChunks();
    const found: MembersChange[] = [];
    for (const code of this.#memberChunks.get(group) ?? []) {
      const { pass, chunk } = chunkOf(code);
      for (const change of await this.chunk(pass, chunk))
        if (change.kind === "members" && change.group === group) found.push(change);
    }
    return found;
  }

  async #findMemberChunks(): Promise<Map<string, Set<number>>> {
    const found = new Map<string, Set<number>>();
    for (const pass of ["members+", "members-"] as const)
      for (let chunk = 0; chunk < this.chunks(pass); chunk++)
        for (const change of await this.chunk(pass, chunk))
          if (change.kind === "members") noteChunk(found, change.group, chunkCode(pass, chunk));
    return found;
  }

  edge(group: string, kind: keyof GroupEdges, member: string): void {
    const edges = (this.#edges[group] ??= noEdges());
    edges[kind].push(member);
    this.#edgeIds++;
    if (this.#children && (kind === "addChildren" || kind === "removeChildren"))
      childrenOf(this.#children, group)[kind].add(member);
  }

  /** What this round has told of groups nested in groups, before netting; by document id. */
  async childrenTold(): Promise<ReadonlyMap<string, ToldChildren>> {
    if (this.#children) return this.#children;
    const told = new Map<string, ToldChildren>();
    for (let part = 0; part <= this.#edgeParts; part++)
      for (const [group, edges] of Object.entries(await this.#edgePart(part)))
        for (const kind of ["addChildren", "removeChildren"] as const)
          for (const child of edges[kind]) childrenOf(told, group)[kind].add(child);
    this.#children = told;
    return told;
  }

  /** Parts of raw membership changes, staged or not, oldest first. */
  async *edgeParts(): AsyncIterable<{ part: number; groups: string[] }> {
    for (let part = 0; part <= this.#edgeParts; part++) yield { part, groups: Object.keys(await this.#edgePart(part)) };
  }

  async edgesOf(group: string, parts: readonly number[]): Promise<GroupEdges> {
    const all = noEdges();
    for (const part of parts) {
      const edges = (await this.#edgePart(part))[group];
      if (!edges) continue;
      for (const kind of edgeKinds) for (const id of edges[kind]) all[kind].push(id);
    }
    return all;
  }

  /** How many chunks a pass has. */
  chunks(pass: Pass): number {
    return this.#chunks[pass] + (this.#pending.has(chunkCode(pass, this.#chunks[pass])) ? 1 : 0);
  }

  async chunk(pass: Pass, chunk: number): Promise<Change[]> {
    const pending = this.#pending.get(chunkCode(pass, chunk));
    return pending ? [...pending.values()] : this.#part<Change[]>(this.#chunkId(pass, chunk));
  }

  /** Whether this is the newest word on the object: an older chunk may hold a change that a later page has replaced. */
  current(change: Change, pass: Pass, chunk: number): boolean {
    if (change.kind === "members") return this.said("groups", change.group) !== "gone";
    const feed = change.kind === "person" ? "users" : "groups";
    return this.#seen[feed].get(keyBytes(feed, change.id))?.chunk === chunkCode(pass, chunk);
  }

  /** Remembers for the rest of the slice what this run has made of a person. */
  wrotePerson(id: string, active: boolean): void {
    this.#seen.users.flag(personKeyBytes(id), active);
  }

  /** This slice itself has written the person as active; false says nothing. */
  isWrittenActive(id: string): boolean {
    return this.#seen.users.isFlagged(personKeyBytes(id));
  }

  /** Writes what is only in memory to `work`; returns the part of the cursor that points at it. */
  async flush(): Promise<StagedPlan> {
    const { work, runId } = this.#needs;
    for (const [code, changes] of this.#pending) {
      const { pass, chunk } = chunkOf(code);
      await this.#put(
        this.#chunkId(pass, chunk),
        [...changes.values()].map(this.#needs.dry ? withoutAttributes : (change) => change),
      );
      this.#chunks[pass] = Math.max(this.#chunks[pass], chunk + 1);
    }
    this.#pending.clear();
    if (this.#edgeIds > 0) {
      for (const part of edgePartsOf(this.#edges)) await this.#put(this.#edgesId(this.#edgeParts++), part);
      this.#edges = {};
      this.#edgeIds = 0;
    }
    for (const feed of ["groups", "users"] as const) {
      const touched = [...this.#touched[feed]];
      for (let at = 0; at < touched.length; at += objectsPerSeenPart) {
        const packed = this.#seen[feed].pack(
          touched.slice(at, at + objectsPerSeenPart).map((id) => keyBytes(feed, id)),
        );
        const id = this.#seenId(feed, this.#seenParts[feed]++);
        await work.put(runId, { id, kind: "seen", content: packed.toString("base64") });
      }
      this.#touched[feed].clear();
    }
    this.#flushed = true;
    return { ...this.#staged(), writers: this.#writers, sum: this.sum.toString() };
  }

  #staged(): Staged {
    return { chunks: { ...this.#chunks }, edgeParts: this.#edgeParts, seenParts: { ...this.#seenParts } };
  }

  #append(change: Change): number {
    const pass = passOf(change);
    let chunk = this.#chunks[pass];
    let code = chunkCode(pass, chunk);
    const ids = (changes: Map<string, Change>): number =>
      change.kind === "members"
        ? [...changes.values()].reduce((sum, one) => sum + (one.kind === "members" ? one.people.length : 0), 0)
        : 0;
    const open = this.#pending.get(code);
    if (open && (open.size >= changesPerChunk || ids(open) >= idsPerChange)) {
      chunk = ++this.#chunks[pass];
      code = chunkCode(pass, chunk);
    }
    let changes = this.#pending.get(code);
    if (!changes) this.#pending.set(code, (changes = new Map()));
    changes.set(change.kind === "members" ? `${change.group} ${changes.size}` : change.id, change);
    return code;
  }

  #count(change: ObjectChange, by: 1 | -1): void {
    if (change.kind === "group" ? !isShown(change.role) : change.silent) return;
    const name = countOf[`${change.kind} ${change.op}`];
    if (name) this.#needs.counts[name] += by;
  }

  async #edgePart(part: number): Promise<EdgePart> {
    return part === this.#edgeParts ? this.#edges : this.#part<EdgePart>(this.#edgesId(part));
  }

  #chunkId(pass: Pass, chunk: number): string {
    return `chunk:${pass}:${chunk}:${this.#writerOf(chunk, ({ chunks }) => chunks[pass])}`;
  }

  #edgesId(part: number): string {
    return `edges:${part}:${this.#writerOf(part, ({ edgeParts }) => edgeParts)}`;
  }

  #seenId(feed: Feed, part: number): string {
    return `seen:${feed}:${part}:${this.#writerOf(part, ({ seenParts }) => seenParts[feed])}`;
  }

  #writerOf(part: number, firstOf: (staged: Staged) => number): string {
    return this.#writers.findLast((writer) => firstOf(writer) <= part)?.owner ?? this.#needs.owner;
  }

  #place(id: string): Place {
    return { container: "work", partition: this.#needs.runId, document: id, fields: "content" };
  }

  async #put(id: string, content: unknown): Promise<void> {
    const { ambient, work, runId, key } = this.#needs;
    this.#cache.delete(id);
    await work.put(runId, { id, kind: "chunk", content: seal(ambient, key, this.#place(id), content) });
  }

  /** Throws `plan-lost` when the part has expired: a plan with holes is no plan. */
  async #part<T>(id: string): Promise<T> {
    if (this.#cache.has(id)) return this.#cache.get(id) as T;
    const content = open(this.#needs.key, this.#place(id), (await this.#stored(id)) as Sealed<T>);
    if (this.#cache.size >= cachedParts) this.#cache.delete(this.#cache.keys().next().value as string);
    this.#cache.set(id, content);
    return content;
  }

  async #stored(id: string): Promise<string> {
    const text = await this.#needs.work.get(this.#needs.runId, id);
    if (text === null) throw new AppError("plan-lost");
    return text;
  }
}

const keyBytes = (feed: Feed, id: string): Buffer => (feed === "users" ? personKeyBytes(id) : groupKeyBytes(id));
