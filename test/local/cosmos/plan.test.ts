import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCollection } from "../../../src/local/cosmos/collection.ts";
import { type ContainerDefinition, readDefinitions } from "../../../src/local/cosmos/definitions.ts";
import { type Condition, isTrue } from "../../../src/local/cosmos/sql/condition.ts";
import { parseQuery } from "../../../src/local/cosmos/sql/parser.ts";
import { planPage, type Scope } from "../../../src/local/cosmos/sql/plan.ts";

const file = fileURLToPath(new URL("../../../infra/containers.json", import.meta.url));

const open = (container: string) => {
  const found = readDefinitions(file).containers.find(({ id }) => id === container);
  const definition: ContainerDefinition = found ?? expect.fail(`no container ${container}`);
  const database = new DatabaseSync(":memory:");
  const collection = openCollection(database, definition, "plans");
  const scope: Scope = { definition, part: 1, partOf: () => 1, nowSeconds: 0 };
  return { database, collection, scope };
};

describe("the plan of a query", () => {
  const { database, scope } = open("directory");
  const stepsOf = (text: string, after: (string | number)[] | null, part: number | null = 1): string => {
    const plan = planPage(
      parseQuery(`SELECT * FROM c ${text}`, new Map([["@ids", ["a", "b"]]])),
      { ...scope, part },
      after,
      10,
    );
    const steps = database.prepare(`EXPLAIN QUERY PLAN ${plan.sql}`).all(...plan.parameters);
    return steps.map((step) => String(step["detail"])).join("; ");
  };

  it.each<[text: string, after: (string | number)[] | null, expected: RegExp]>([
    ["WHERE c.id = 'a'", null, /part=\? AND id=\?/],
    ["WHERE ARRAY_CONTAINS(@ids, c.id)", null, /part=\? AND id=\?/],
    ["WHERE c.kind = 'person'", null, /"?docs:directory\/kind"? \(part=\? AND \/kind=\?\)/],
    ["WHERE c.kind = 'person'", ["u:1"], /\/kind=\? AND id<\?/],
    ["WHERE c.kind = 'person' ORDER BY c.id", ["u:1"], /\/kind=\? AND id>\?/],
    ["WHERE c.kind IN ('person', 'group')", null, /part=\? AND \/kind=\?/],
    ["WHERE c.last >= 10 ORDER BY c.last", ["c00", "l:1"], /docs:directory\/last.*\/last>\? AND \/last<\?/],
    ["WHERE STARTSWITH(c.id, 'u:')", ["u:5"], /part=\? AND id>\? AND id<\?/],
    [
      "WHERE ARRAY_CONTAINS(c.members, 'p')",
      null,
      /INTEGER PRIMARY KEY.*terms:directory.*path=\? AND part=\? AND key=\?/,
    ],
    ["WHERE c.mailIndex = 'a' OR c.upnIndex = 'a'", null, /INTEGER PRIMARY KEY.*mailIndex.*upnIndex/],
  ])("uses an index for: %s", (text, after, expected) => {
    const steps = stepsOf(text, after);
    expect(steps).toMatch(expected);
    expect(steps).not.toMatch(/SCAN (?!json_each)/);
  });

  it.each(["WHERE c.kind = 'person'", "WHERE c.last >= 10 ORDER BY c.last DESC", "WHERE STARTSWITH(c.id, 'u:')"])(
    "walks in order, without sorting, for: %s",
    (text) => expect(stepsOf(text, null)).not.toMatch(/TEMP B-TREE/),
  );

  it("finds what is due in all partitions through one index", () => {
    const steps = stepsOf("WHERE c.wakeAt < 10", null, null);
    expect(steps).toMatch(/wakeAt wide"? \(\/wakeAt>\? AND \/wakeAt<\?\)/);
    expect(steps).not.toMatch(/TEMP B-TREE/);
  });

  it("begins a continued page at its position, not at the filter's end of the index", () => {
    const filler = database.prepare(
      `INSERT INTO "docs:directory" (part, id, lsn, ts, bytes, terms, body) VALUES (1, ?, 1, 1, 1, 0, '{}')`,
    );
    for (let n = 0; n < 2000; n++) filler.run(`u:${String(n).padStart(4, "0")}`);
    const query = parseQuery("SELECT * FROM c WHERE STARTSWITH(c.id, 'u:')", new Map());
    const plan = planPage(query, scope, ["u:0010"], 10);
    const found = database.prepare(plan.sql).all(...plan.parameters);
    expect(found.map((row) => row["id"])).toEqual(Array.from({ length: 10 }, (_, n) => `u:000${9 - n}`));
    expect(plan.sql).toMatch(/\+id < \?/);
  });
});

describe("filters", () => {
  const scalar = fc.oneof(
    fc.constantFrom(null, true, false, "", "a", "ab", "b", "\uffff", "\u{10000}"),
    fc.constantFrom(0, -0, 1, -1, 1.5, -2.25, 1e300, -1e-300),
    fc.integer({ min: -3, max: 3 }),
  );
  const property = fc.option(fc.oneof(scalar, fc.constantFrom<unknown>([1], {}, ["a"])), { nil: undefined });
  const document = fc.record({
    id: fc.constantFrom("a", "ab", "b", "c", "\uffff", "\u{10000}"),
    kind: property,
    state: property,
    members: fc.option(fc.array(scalar, { maxLength: 3 }), { nil: undefined }),
  });
  const path = fc.constantFrom("c.kind", "c.state", "c.id");
  const operator = fc.constantFrom("=", "!=", "<", "<=", ">", ">=");
  const literal = scalar.map((value) => JSON.stringify(value));
  const leaf = fc.oneof(
    fc.tuple(path, operator, literal).map((parts) => parts.join(" ")),
    fc
      .tuple(path, fc.array(literal, { minLength: 1, maxLength: 3 }))
      .map(([at, list]) => `${at} IN (${list.join(", ")})`),
    fc.tuple(path, fc.constantFrom("''", "'a'", "'\u{10000}'")).map(([at, prefix]) => `STARTSWITH(${at}, ${prefix})`),
    path.map((at) => `IS_DEFINED(${at})`),
    path.map((at) => `IS_NULL(${at})`),
  );
  const contains = literal.map((value) => `ARRAY_CONTAINS(c.members, ${value})`);
  const { condition } = fc.letrec<{ condition: string }>((tie) => ({
    condition: fc.oneof(
      { maxDepth: 3, depthIdentifier: "condition" },
      leaf,
      leaf.map((text) => `NOT (${text})`),
      contains,
      fc
        .tuple(tie("condition"), fc.constantFrom("AND", "OR"), tie("condition"))
        .map(([l, word, r]) => `(${l} ${word} ${r})`),
      fc.tuple(leaf, fc.constantFrom("AND", "OR"), leaf).map(([l, word, r]) => `NOT (${l} ${word} ${r})`),
    ),
  }));

  it("mean the same to the database as to one document, in any order and page size", () => {
    const documents = fc.uniqueArray(document, { selector: ({ id }) => id, maxLength: 6 });
    const order = fc.constantFrom("", "ORDER BY c.state", "ORDER BY c.state DESC", "ORDER BY c.id");
    fc.assert(
      fc.property(documents, condition, order, fc.integer({ min: 1, max: 4 }), (stored, filter, orderBy, size) => {
        const { database, collection, scope } = open("directory");
        for (const item of stored) {
          const json = JSON.parse(JSON.stringify({ ...item, connectionId: "A" }));
          collection.put(1, item.id, json, { lsn: 1, ts: 1 }, undefined);
        }
        const query = parseQuery(`SELECT * FROM c WHERE ${filter} ${orderBy}`, new Map());
        const found: string[] = [];
        let after: (string | number)[] | null = null;
        for (;;) {
          const plan = planPage(query, scope, after, size);
          const page: Record<string, unknown>[] = database.prepare(plan.sql).all(...plan.parameters);
          found.push(...page.map((row) => String(row["id"])));
          const last = page.at(-1);
          if (!last || page.length < size) break;
          after = plan.keys.map((key) => (typeof last[key] === "number" ? last[key] : String(last[key])));
        }
        const matches = (where: Condition | null) => stored.filter((item) => isTrue(where, item));
        const expected = matches(query.where).filter((item) => !orderBy.includes("state") || item.state !== undefined);
        expect(found.toSorted()).toEqual(expected.map(({ id }) => id).toSorted());
        database.close();
      }),
      { numRuns: 300, seed: 20 },
    );
  });
});
