/**
 * The parts of one run in `work`. Only the cursor makes a part count, and a part's id names its writer: a worker that comes back
 * after its lease writes beside what the one after it has staged, never over it.
 */
import type { Ambient } from "../../ambient.ts";
import { openPacked, type Packed, sealPacked } from "../../crypto/packed.ts";
import type { ContentKey, Place } from "../../crypto/seal.ts";
import { AppError } from "../../errors.ts";
import type { WorkStore } from "../../store/ports.ts";
import { type Series, type Staged, type StagedPlan, series, type Writer } from "./cursor.ts";

export interface WorkNeeds {
  ambient: Ambient;
  work: WorkStore;
  runId: string;
  /** Of the lease under which this is written. */
  owner: string;
  key: ContentKey;
}

const cachedParts = 12;
const tagLength = 10;

export class WorkParts {
  readonly #needs: WorkNeeds;
  readonly #staged: Staged;
  readonly #writers: Writer[];
  readonly #cache = new Map<string, Promise<unknown>>();

  constructor(needs: WorkNeeds, { staged, writers }: Pick<StagedPlan, "staged" | "writers">) {
    this.#needs = needs;
    this.#staged = { ...staged };
    // Whoever has written nothing is in no part's id.
    const heard = writers.filter(({ from }) => series.some((name, at) => (from[at] as number) < staged[name]));
    this.#writers = [...heard, { tag: needs.owner.slice(-tagLength), from: series.map((name) => staged[name]) }];
  }

  /** How many parts the series has. */
  count(name: Series): number {
    return this.#staged[name];
  }

  get position(): Pick<StagedPlan, "staged" | "writers"> {
    return { staged: { ...this.#staged }, writers: this.#writers };
  }

  /** Behind the parts that are there, or again what this writer has put there. */
  async put(name: Series, part: number, content: unknown): Promise<void> {
    const { ambient, key } = this.#needs;
    const id = this.#idOf(name, part);
    this.#cache.delete(id);
    await this.#write(name, part, {
      id,
      kind: "chunk",
      content: await sealPacked(ambient, key, this.#place(id), content),
    });
  }

  get<T>(name: Series, part: number): Promise<T> {
    const id = this.#idOf(name, part);
    const cached = this.#cache.get(id) as Promise<T> | undefined;
    if (cached) return cached;
    if (this.#cache.size >= cachedParts) this.#cache.delete(this.#cache.keys().next().value as string);
    const content = this.#load<T>(id);
    this.#cache.set(id, content);
    // Whoever asks again asks the store again.
    content.catch(() => this.#cache.delete(id));
    return content;
  }

  /** Pseudonyms and object ids of groups: not sealed, and never looked at again but in a later slice. */
  async putClear(name: Series, part: number, content: Buffer): Promise<void> {
    await this.#write(name, part, { id: this.#idOf(name, part), kind: "seen", content: content.toString("base64") });
  }

  async getClear(name: Series, part: number): Promise<Buffer> {
    return Buffer.from(await this.#text(this.#idOf(name, part)), "base64");
  }

  async #load<T>(id: string): Promise<T> {
    return openPacked(this.#needs.key, this.#place(id), (await this.#text(id)) as Packed<T>);
  }

  async #write(name: Series, part: number, content: Parameters<WorkStore["put"]>[1]): Promise<void> {
    await this.#needs.work.put(this.#needs.runId, content);
    this.#staged[name] = Math.max(this.#staged[name], part + 1);
  }

  #idOf(name: Series, part: number): string {
    const writer = this.#writers.findLast(({ from }) => (from[series.indexOf(name)] as number) <= part);
    return `${name}:${part}:${writer?.tag}`;
  }

  #place(id: string): Place {
    return { container: "work", partition: this.#needs.runId, document: id, fields: "content" };
  }

  /** Throws `plan-lost` when the part has expired: a plan with holes is no plan. */
  async #text(id: string): Promise<string> {
    const text = await this.#needs.work.get(this.#needs.runId, id);
    if (text === null) throw new AppError("plan-lost");
    return text;
  }
}
