/**
 * Which groups lie in which, for the groups whose members matter beyond their own membership: people are chosen by them, or they
 * stand for a group of the product. Found breadth first with a set of those visited, so cycles end.
 */
import { type GroupDoc, ids, type Stored } from "../../store/documents.ts";
import { type Closures, filterId, scopeRoots, sourceRoots } from "../group-roles.ts";
import type { Round } from "./round.ts";
import type { ToldChildren } from "./staging.ts";

const none: ReadonlySet<string> = new Set();

type Needs = Pick<Round, "needs" | "connection" | "staging" | "cursor" | "links">;

export class Nesting {
  readonly #round: Needs;
  /** Stored documents by group; they change only when the plan is applied, and then nobody asks. */
  readonly #stored = new Map<string, readonly Stored<GroupDoc>[]>();

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

  /** The selected groups and what lay in them, when the directory was last read. */
  async scopeBefore(): Promise<ReadonlySet<string>> {
    const basis = this.#round.links?.basis;
    if (!basis) return none;
    return this.#search(scopeRoots(basis), (group) => this.#storedChildren(group), basis.people.membership);
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
    membership = this.#round.connection.settings.people.membership,
  ): Promise<ReadonlySet<string>> {
    const found = new Set(roots);
    if (membership === "direct") return found;
    // Level by level, so that each is loaded at once.
    for (let level: readonly string[] = [...found]; level.length > 0; ) {
      await this.#load(level);
      const next: string[] = [];
      for (const group of level)
        for (const child of await childrenOf(group)) {
          if (found.has(child)) continue;
          found.add(child);
          next.push(child);
        }
      level = next;
    }
    return found;
  }

  /** The documents in which the group is stored, whatever this round makes of them. */
  async documentsOf(group: string): Promise<readonly Stored<GroupDoc>[]> {
    await this.#load([group]);
    return this.#stored.get(group) ?? [];
  }

  async #storedChildren(group: string): Promise<readonly string[]> {
    return (await this.documentsOf(group)).flatMap((doc) => doc.children);
  }

  async #load(groups: readonly string[]): Promise<void> {
    const { needs, connection } = this.#round;
    const wanted = groups.filter((group) => !this.#stored.has(group));
    if (wanted.length === 0) return;
    const idsOf = (group: string): string[] => [group, filterId(connection.ring, group)].map(ids.group);
    const docs = await needs.store.load(connection.connectionId, "group", wanted.flatMap(idsOf));
    for (const group of wanted)
      this.#stored.set(
        group,
        idsOf(group).flatMap((id) => docs.get(id) ?? []),
      );
  }
}
