/** Raw membership changes as the groups feed tells them, before they are held against what is stored. */
import { type EdgePart, edgeKinds, edgePartsOf, type GroupEdges, noEdges } from "./raw-edges.ts";
import type { WorkParts } from "./work-parts.ts";

export type ToldChildren = Record<"addChildren" | "removeChildren", Set<string>>;

const childKinds = ["addChildren", "removeChildren"] as const;

const childrenOf = (all: Map<string, ToldChildren>, group: string): ToldChildren => {
  const known = all.get(group);
  if (known) return known;
  const none = { addChildren: new Set<string>(), removeChildren: new Set<string>() };
  all.set(group, none);
  return none;
};

/** Groups by the ids of their documents. */
export class ToldMembers {
  readonly #parts: WorkParts;
  /** Not in `work` yet. */
  #edges: EdgePart = {};
  #size = 0;
  #children: Map<string, ToldChildren> | null = null;

  constructor(parts: WorkParts) {
    this.#parts = parts;
  }

  /** How many are only in memory. */
  get unflushed(): number {
    return this.#size;
  }

  add(group: string, kind: keyof GroupEdges, member: string): void {
    const edges = (this.#edges[group] ??= noEdges());
    edges[kind].push(member);
    this.#size++;
    if (this.#children && (kind === "addChildren" || kind === "removeChildren"))
      childrenOf(this.#children, group)[kind].add(member);
  }

  /** Groups nested in groups. */
  async children(): Promise<ReadonlyMap<string, ToldChildren>> {
    if (this.#children) return this.#children;
    const told = new Map<string, ToldChildren>();
    for await (const [, edges] of this.#all())
      for (const [group, ofGroup] of Object.entries(edges))
        for (const kind of childKinds) for (const child of ofGroup[kind]) childrenOf(told, group)[kind].add(child);
    this.#children = told;
    return told;
  }

  /** The numbers of the parts that speak of each group. */
  async partsByGroup(): Promise<Map<string, number[]>> {
    const parts = new Map<string, number[]>();
    for await (const [part, edges] of this.#all())
      for (const group of Object.keys(edges)) {
        const list = parts.get(group);
        if (list) list.push(part);
        else parts.set(group, [part]);
      }
    return parts;
  }

  async of(group: string, parts: readonly number[]): Promise<GroupEdges> {
    const all = noEdges();
    for (const part of parts) {
      const edges = (await this.#part(part))[group];
      if (!edges) continue;
      for (const kind of edgeKinds) for (const id of edges[kind]) all[kind].push(id);
    }
    return all;
  }

  async flush(): Promise<void> {
    if (this.#size === 0) return;
    for (const part of edgePartsOf(this.#edges)) await this.#parts.put("edges", this.#parts.count("edges"), part);
    this.#edges = {};
    this.#size = 0;
  }

  /** Oldest first; the last one is in memory. */
  async *#all(): AsyncIterable<[part: number, edges: EdgePart]> {
    for (let part = 0; part <= this.#parts.count("edges"); part++) yield [part, await this.#part(part)];
  }

  async #part(part: number): Promise<EdgePart> {
    return part === this.#parts.count("edges") ? this.#edges : this.#parts.get<EdgePart>("edges", part);
  }
}
