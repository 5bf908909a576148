/**
 * Which groups lie in which, for the groups whose members matter beyond their own membership: people are chosen by them, or they
 * stand for a group of the product. Found breadth first with a set of those visited, so cycles end.
 */
import { ids } from "../../store/documents.ts";
import { type Closures, filterId, scopeRoots, sourceRoots } from "../group-roles.ts";
import type { Round } from "./round.ts";
import type { ToldChildren } from "./staging.ts";

const none: ReadonlySet<string> = new Set();

type Needs = Pick<Round, "needs" | "connection" | "staging" | "cursor">;

export class Nesting {
  readonly #round: Needs;
  readonly #stored = new Map<string, readonly string[]>();

  constructor(round: Needs) {
    this.#round = round;
  }

  /** No group matters for others. */
  get isFlat(): boolean {
    const { settings } = this.#round.connection;
    return scopeRoots(settings).length + sourceRoots(settings).length === 0;
  }

  /** As this round leaves them, as far as it has come. */
  async closures(): Promise<Closures> {
    const { settings } = this.#round.connection;
    return { scope: await this.closureOf(scopeRoots(settings)), sources: await this.closureOf(sourceRoots(settings)) };
  }

  /** The groups themselves, and those nested in them where the settings say so. */
  async closureOf(roots: readonly string[]): Promise<ReadonlySet<string>> {
    return roots.length === 0 ? none : this.#search(roots, (group) => this.childrenOf(group));
  }

  /** Whatever lay in them before this round, and whatever was told to; a little more than either. */
  async mentioned(): Promise<ReadonlySet<string>> {
    const { settings } = this.#round.connection;
    const roots = [...scopeRoots(settings), ...sourceRoots(settings)];
    return this.#search(roots, async (group) => [
      ...(await this.#storedChildren(group)),
      ...(await this.#told(group)).addChildren,
    ]);
  }

  /** As this round leaves them; until the memberships are netted, too many rather than too few. */
  async childrenOf(group: string): Promise<readonly string[]> {
    if (this.isGone(group)) return [];
    const netted = this.#round.cursor.children[group];
    if (netted) return netted;
    const { addChildren, removeChildren } = await this.#told(group);
    const stored = (await this.#storedChildren(group)).filter((child) => !removeChildren.has(child));
    return [...stored, ...addChildren];
  }

  async #told(group: string): Promise<ToldChildren> {
    const told = await this.#round.staging.childrenTold();
    const documents = [group, filterId(this.#round.connection.ring, group)];
    const all: ToldChildren = { addChildren: new Set(), removeChildren: new Set() };
    for (const kind of ["addChildren", "removeChildren"] as const)
      for (const document of documents) for (const child of told.get(document)?.[kind] ?? []) all[kind].add(child);
    return all;
  }

  /** This round removes the group, in whatever role it was held. */
  isGone(group: string): boolean {
    const { staging, connection } = this.#round;
    const said = [group, filterId(connection.ring, group)].map((id) => staging.said("groups", id));
    return said.includes("gone") && !said.includes("there");
  }

  async #search(
    roots: readonly string[],
    childrenOf: (group: string) => Promise<readonly string[]>,
  ): Promise<ReadonlySet<string>> {
    const found = new Set(roots);
    if (this.#round.connection.settings.people.membership === "direct") return found;
    // A set is walked in the order in which it grows.
    for (const group of found) for (const child of await childrenOf(group)) found.add(child);
    return found;
  }

  async #storedChildren(group: string): Promise<readonly string[]> {
    const known = this.#stored.get(group);
    if (known) return known;
    const { needs, connection } = this.#round;
    const documents = [group, filterId(connection.ring, group)].map(ids.group);
    const docs = await needs.store.load(connection.connectionId, "group", documents);
    const children = [...docs.values()].flatMap((doc) => doc.children);
    this.#stored.set(group, children);
    return children;
  }
}
