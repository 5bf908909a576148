/**
 * Which groups lie in which, for the groups whose members matter beyond their own membership: people are chosen by them, or they
 * stand for a group of the product. Found breadth first with a set of those visited, so cycles end.
 */
import { type GroupDoc, ids, type Stored } from "../../store/documents.ts";
import { type Closures, filterId, scopeRoots, sourceRoots } from "../group-roles.ts";
import type { Cursor } from "./cursor.ts";
import type { PlannedChildren } from "./plan-chunks.ts";
import type { Round } from "./round.ts";
import type { ToldChildren } from "./told-members.ts";

const none: ReadonlySet<string> = new Set();

type Needs = Pick<Round, "needs" | "connection" | "staging" | "cursor" | "links">;

/** The memberships that the feed told have become the net changes of the plan. */
const isNetted = ({ at }: Cursor): boolean => {
  if (at.phase !== "reading") return true;
  if ("feed" in at) return at.feed === "users";
  return at.step !== "absent-groups" && at.step !== "admitting" && at.step !== "memberships";
};

export class Nesting {
  readonly #round: Needs;
  /** Stored documents by group; they change only when the plan is applied, and then nobody asks. */
  readonly #stored = new Map<string, readonly Stored<GroupDoc>[]>();
  readonly #filterIds = new Map<string, string>();

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
      ...(await this.#told(group)).flatMap(({ addChildren }) => [...addChildren]),
    ]);
  }

  /** As this round leaves them; until the memberships are netted, too many rather than too few. */
  async childrenOf(group: string): Promise<readonly string[]> {
    if (this.isGone(group)) return [];
    if (isNetted(this.#round.cursor)) return this.#planned(group);
    const told = await this.#told(group);
    const isLeft = (child: string): boolean => !told.some(({ removeChildren }) => removeChildren.has(child));
    const stored = (await this.#storedChildren(group)).filter(isLeft);
    return [...stored, ...told.flatMap(({ addChildren }) => [...addChildren])];
  }

  /** Somebody has told of groups that came into the group or left it, whether or not that is stored already. */
  async isRearranged(group: string): Promise<boolean> {
    if ((await this.#told(group)).length > 0) return true;
    for (const id of this.#idsOf(group)) {
      const planned = await this.#round.staging.plannedChildren(id);
      if (planned && planned.add.size + planned.remove.size > 0) return true;
    }
    return false;
  }

  async #planned(group: string): Promise<string[]> {
    const { staging } = this.#round;
    const docs = new Map((await this.documentsOf(group)).map((doc) => [doc.id, doc.children]));
    const children: string[] = [];
    for (const id of this.#idsOf(group)) {
      if (staging.said("groups", id) === "gone") continue;
      const planned: PlannedChildren | null = await staging.plannedChildren(id);
      const stored = docs.get(ids.group(id)) ?? [];
      children.push(...stored.filter((child) => !planned?.remove.has(child)), ...(planned?.add ?? []));
    }
    return children;
  }

  async #told(group: string): Promise<ToldChildren[]> {
    const told = await this.#round.staging.told.children();
    return this.#idsOf(group).flatMap((id) => told.get(id) ?? []);
  }

  /** Of the documents that may hold the group. */
  #idsOf(group: string): [shown: string, filter: string] {
    const filter = this.#filterIds.get(group) ?? filterId(this.#round.connection.ring, group);
    this.#filterIds.set(group, filter);
    return [group, filter];
  }

  /** This round removes the group, in whatever role it was held. */
  isGone(group: string): boolean {
    const said = this.#idsOf(group).map((id) => this.#round.staging.said("groups", id));
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
      await this.load(level);
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
    await this.load([group]);
    return this.#stored.get(group) ?? [];
  }

  async #storedChildren(group: string): Promise<readonly string[]> {
    return (await this.documentsOf(group)).flatMap((doc) => doc.children);
  }

  /** Their documents, asked for at once. */
  async load(groups: readonly string[]): Promise<void> {
    const { needs, connection } = this.#round;
    const wanted = groups.filter((group) => !this.#stored.has(group));
    if (wanted.length === 0) return;
    const idsOf = (group: string): string[] => this.#idsOf(group).map(ids.group);
    const docs = await needs.store.load(connection.connectionId, "group", wanted.flatMap(idsOf));
    for (const group of wanted)
      this.#stored.set(
        group,
        idsOf(group).flatMap((id) => docs.get(id) ?? []),
      );
  }
}
