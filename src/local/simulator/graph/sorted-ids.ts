/** Index of the first text behind `value` in sorted texts. */
export const indexBehind = (sorted: readonly string[], value: string): number =>
  bisect(sorted, (each) => each <= value);

/** How many texts at the beginning fulfil what none behind them fulfils. */
const bisect = (sorted: readonly string[], isBefore: (text: string) => boolean): number => {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const text = sorted[middle];
    if (text !== undefined && isBefore(text)) low = middle + 1;
    else high = middle;
  }
  return low;
};

/**
 * Every id of one kind that ever existed in a tenant, in the order of the ids. Listings walk it from the last id they gave, so
 * a page costs its own length, survives what is created or deleted between two pages, and needs no memory of its own.
 */
export class SortedIds {
  readonly #ids: string[];

  constructor(ids: Iterable<string>) {
    this.#ids = [...new Set(ids)].toSorted();
  }

  get size(): number {
    return this.#ids.length;
  }

  add(id: string): void {
    const at = this.#firstFrom(id);
    if (this.#ids[at] !== id) this.#ids.splice(at, 0, id);
  }

  has(id: string): boolean {
    return this.#ids[this.#firstFrom(id)] === id;
  }

  *after(last: string | null): Generator<string> {
    yield* this.#between(last === null ? 0 : indexBehind(this.#ids, last), Number.POSITIVE_INFINITY);
  }

  /** Once around, beginning at `start`, which need not exist. `last` null: nothing was given yet. */
  *aroundFrom(start: string, last: string | null): Generator<string> {
    const begin = this.#firstFrom(start);
    const continued = last === null ? begin : indexBehind(this.#ids, last);
    const wrapped = last !== null && last < start;
    if (!wrapped) yield* this.#between(continued, Number.POSITIVE_INFINITY);
    yield* this.#between(wrapped ? continued : 0, begin);
  }

  /** Index of the first id that is not before `id`. */
  #firstFrom(id: string): number {
    return bisect(this.#ids, (each) => each < id);
  }

  *#between(from: number, end: number): Generator<string> {
    for (let at = from; at < Math.min(end, this.#ids.length); at++) {
      const id = this.#ids[at];
      if (id !== undefined) yield id;
    }
  }
}
