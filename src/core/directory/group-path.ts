/** By which groups somebody belongs to a selected one: the way that an explanation names. Pure but for what is looked up. */

export interface GroupGraph {
  /** Selected groups. */
  roots: readonly string[];
  membership: "direct" | "nested";
  /** The person is a member himself. */
  holds: (group: string) => boolean;
  /** Groups that are members, for many groups at once. */
  childrenOf: (groups: readonly string[]) => Promise<ReadonlyMap<string, readonly string[]>>;
}

/**
 * From a selected group to the one that holds the person. The shortest; of several the one with the smaller ids, compared from the
 * selected group on. Null: there is none in this graph.
 */
export const groupPath = async ({ roots, membership, holds, childrenOf }: GroupGraph): Promise<string[] | null> => {
  const visited = new Set(roots);
  let level = roots.toSorted().map((root) => [root]);
  while (level.length > 0) {
    const end = level.find((path) => holds(path.at(-1) ?? ""));
    if (end) return end;
    if (membership === "direct") return null;
    const children = await childrenOf(level.map((path) => path.at(-1) ?? ""));
    const deeper: string[][] = [];
    for (const path of level)
      for (const child of (children.get(path.at(-1) ?? "") ?? []).toSorted()) {
        if (visited.has(child)) continue;
        visited.add(child);
        deeper.push([...path, child]);
      }
    level = deeper;
  }
  return null;
};
