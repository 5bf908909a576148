/** The changes of a plan, in chunks by pass. The newest chunk of each pass still takes changes. */
import type { Change, MembersChange } from "../plan.ts";
import type { Pass } from "./cursor.ts";
import type { ChunkPlace } from "./met-objects.ts";
import type { WorkParts } from "./work-parts.ts";

const putsAtOnce = 4;
/** Ids in one membership change; a chunk of them stays far below 2 MB. */
export const idsPerChange = 5000;
/** A chunk is closed at this weight: some 350 people, or 5,000 ids of members. */
const fullWeight = 10_000;

/** What a change takes of a chunk. Most people weigh the same; lists of addresses may be long, and those of members are. */
const weightOf = (change: Change): number => {
  if (change.kind === "members") return 25 + 2 * (change.people.length + change.children.length);
  const known = change.kind === "person" ? change.record?.known : {};
  const values: unknown[] = [...Object.values(change.record?.fields ?? {}), ...Object.values(known ?? {})];
  return values.reduce((sum: number, value) => sum + (Array.isArray(value) ? value.length : 0), 25);
};

export type PlannedChildren = Record<MembersChange["op"], Set<string>>;

/** What is planned for the members of a group: in which chunks, and which groups come into it and leave it. */
interface PlannedGroup {
  places: Map<string, ChunkPlace>;
  children: PlannedChildren;
}

interface PendingChunk {
  /** By object. */
  changes: Map<string, Change>;
  weight: number;
}

export class PlanChunks {
  readonly #parts: WorkParts;
  /** What is stored of a change. */
  readonly #form: (change: Change) => Change;
  /** Not in `work` yet: by pass and number. */
  #pending = new Map<Pass, Map<number, PendingChunk>>();
  /** By document id; made when it is first asked for. */
  #members: Map<string, PlannedGroup> | null = null;

  constructor(parts: WorkParts, form: (change: Change) => Change) {
    this.#parts = parts;
    this.#form = form;
  }

  /** How many changes are only in memory. */
  get unflushed(): number {
    let changes = 0;
    for (const chunks of this.#pending.values()) for (const chunk of chunks.values()) changes += chunk.changes.size;
    return changes;
  }

  count(pass: Pass): number {
    const pending = [...(this.#pending.get(pass)?.keys() ?? [])];
    return Math.max(this.#parts.count(pass), ...pending.map((chunk) => chunk + 1));
  }

  async get({ pass, chunk }: ChunkPlace): Promise<Change[]> {
    const pending = this.#pending.get(pass)?.get(chunk);
    return pending ? [...pending.changes.values()] : this.#parts.get<Change[]>(pass, chunk);
  }

  append(change: Change): ChunkPlace {
    const pass = passOf(change);
    const chunks = this.#pending.get(pass) ?? new Map<number, PendingChunk>();
    this.#pending.set(pass, chunks);
    const count = this.count(pass);
    const newest = chunks.get(count - 1);
    const takes = newest !== undefined && newest.weight < fullWeight;
    const place = { pass, chunk: takes ? count - 1 : count };
    const chunk = takes ? newest : { changes: new Map<string, Change>(), weight: 0 };
    chunks.set(place.chunk, chunk);
    chunk.changes.set(change.kind === "members" ? `${change.group} ${chunk.changes.size}` : change.id, change);
    chunk.weight += weightOf(change);
    if (this.#members && change.kind === "members") note(this.#members, place, change);
    return place;
  }

  /** All that is planned for the members of a group. */
  async membersOf(group: string): Promise<MembersChange[]> {
    const found: MembersChange[] = [];
    for (const place of (await this.#planned()).get(group)?.places.values() ?? [])
      for (const change of await this.get(place))
        if (change.kind === "members" && change.group === group) found.push(change);
    return found;
  }

  /** Null: none come, and none leave. */
  async childrenOf(group: string): Promise<PlannedChildren | null> {
    return (await this.#planned()).get(group)?.children ?? null;
  }

  async flush(): Promise<void> {
    const chunks = [...this.#pending].flatMap(([pass, ofPass]) =>
      [...ofPass].map(([chunk, { changes }]) => ({ pass, chunk, changes })),
    );
    for (let at = 0; at < chunks.length; at += putsAtOnce) {
      const puts = await Promise.allSettled(
        chunks
          .slice(at, at + putsAtOnce)
          .map(({ pass, chunk, changes }) => this.#parts.put(pass, chunk, [...changes.values()].map(this.#form))),
      );
      // When one has failed the slice may end, and by then no other is on its way.
      for (const put of puts) if (put.status === "rejected") throw put.reason;
    }
    this.#pending = new Map();
  }

  async #planned(): Promise<Map<string, PlannedGroup>> {
    if (this.#members) return this.#members;
    const members = new Map<string, PlannedGroup>();
    for (const pass of ["members+", "members-"] as const)
      for (let chunk = 0; chunk < this.count(pass); chunk++)
        for (const change of await this.get({ pass, chunk }))
          if (change.kind === "members") note(members, { pass, chunk }, change);
    this.#members = members;
    return members;
  }
}

const passOf = (change: Change): Pass => {
  if (change.kind === "members") return change.op === "add" ? "members+" : "members-";
  if (change.kind === "person") return change.op === "deactivate" || change.op === "keep" ? "people-" : "people+";
  return change.op === "remove" ? "groups-" : "groups+";
};

const note = (members: Map<string, PlannedGroup>, place: ChunkPlace, { group, op, children }: MembersChange): void => {
  const planned = members.get(group) ?? { places: new Map(), children: { add: new Set(), remove: new Set() } };
  members.set(group, planned);
  planned.places.set(`${place.pass} ${place.chunk}`, place);
  for (const child of children) planned.children[op].add(child);
};
