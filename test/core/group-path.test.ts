import { expect, test } from "vitest";
import { groupPath } from "../../src/core/directory/group-path.ts";

const path = (
  roots: string[],
  children: Record<string, string[]>,
  holding: string[],
  membership: "direct" | "nested" = "nested",
) =>
  groupPath({
    roots,
    membership,
    holds: (group) => holding.includes(group),
    childrenOf: async (groups) => new Map(groups.map((group) => [group, children[group] ?? []])),
  });

test.each<[string, Parameters<typeof path>, string[] | null]>([
  ["a selected group itself", [["b", "a"], {}, ["b"]], ["b"]],
  ["the shortest way", [["a"], { a: ["b"], b: ["c"] }, ["c", "b"]], ["a", "b"]],
  ["the smaller id on ties", [["a"], { a: ["d", "c"], c: ["x"], d: ["e"] }, ["e", "x"]], ["a", "c", "x"]],
  ["the smaller selected group on ties", [["b", "a"], { a: ["z"], b: ["c"] }, ["c", "z"]], ["a", "z"]],
  ["an end to circles", [["a"], { a: ["b"], b: ["a"] }, []], null],
  ["no nested groups where only direct members count", [["a"], { a: ["b"] }, ["b"], "direct"], null],
])("finds %s", async (_, graph, expected) => {
  expect(await path(...graph)).toEqual(expected);
});
