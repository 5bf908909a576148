/** Who points at an object: target -> the objects that name it. */
const nobody: ReadonlySet<string> = new Set();

export class ReverseIndex {
  readonly #sources = new Map<string, Set<string>>();

  of(target: string): ReadonlySet<string> {
    return this.#sources.get(target) ?? nobody;
  }

  add(target: string, source: string): void {
    const sources = this.#sources.get(target);
    if (sources) sources.add(source);
    else this.#sources.set(target, new Set([source]));
  }

  remove(target: string, source: string): void {
    const sources = this.#sources.get(target);
    sources?.delete(source);
    if (sources?.size === 0) this.#sources.delete(target);
  }

  forget(target: string): void {
    this.#sources.delete(target);
  }
}
