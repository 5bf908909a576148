/** Microsoft's published metadata and examples lie outside the repository and are compared with where they are present. */
import { existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { groupType, organizationType, userType } from "../../../src/local/simulator/graph/properties.ts";
import { calm } from "../../../src/local/simulator/graph/switches.ts";
import { type Ask, entriesOf, graphScene, isRemoved, type Json, readRound } from "./graph-scene.ts";

const folder = new URL("../../../../shared/graph-examples/", import.meta.url);
const present = existsSync(folder);
if (!present) console.log(`skipped: no examples in ${folder.pathname}`);

const Schema = z.object({
  types: z.record(
    z.string(),
    z.object({
      base: z.string().nullable().optional(),
      props: z.record(z.string(), z.object({ type: z.string(), nullable: z.boolean() })).default({}),
      nav: z.record(z.string(), z.unknown()).default({}),
    }),
  ),
});
const Examples = z.array(z.object({ method: z.string(), url: z.string(), status: z.number(), body: z.unknown() }));

describe.runIf(present)("against the published metadata", () => {
  let schema: z.infer<typeof Schema>;
  let ask: Ask;
  beforeAll(() => {
    schema = Schema.parse(JSON.parse(readFileSync(new URL("schema.json", folder), "utf8")));
    ask = graphScene({
      seed: 11,
      users: 300,
      groups: 60,
      traits: { ...calm, unknownTombstones: 1, unknownMemberRemovals: 1 },
    }).ask;
  });

  const propertiesOf = (name: string): Map<string, { type: string; nullable: boolean }> => {
    const type = schema.types[name];
    const own = Object.entries(type?.props ?? {});
    const base = type?.base?.replace(/^graph\./, "");
    return new Map([...(base ? propertiesOf(base) : []), ...own]);
  };

  const scalarFits: Record<string, (value: unknown) => boolean> = {
    "Edm.String": (value) => typeof value === "string",
    "Edm.Guid": (value) => typeof value === "string",
    "Edm.Boolean": (value) => typeof value === "boolean",
    "Edm.Int32": (value) => Number.isInteger(value),
    "Edm.DateTimeOffset": (value) => typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value),
  };

  const fits = (type: string, nullable: boolean, value: unknown): boolean => {
    const item = /^Collection\((.+)\)$/.exec(type)?.[1];
    if (item) return Array.isArray(value) ? value.every((each) => fits(item, false, each)) : nullable && value === null;
    if (value === null) return nullable;
    return scalarFits[type]?.(value) ?? typeof value === "object";
  };

  /** Names and values that the metadata does not know; annotations are left out. */
  const misfits = (typeName: string, entry: Json): string[] => {
    const known = propertiesOf(typeName);
    return Object.entries(entry).flatMap(([name, value]) => {
      if (name.includes("@")) return [];
      const property = known.get(name);
      if (!property) return [`${typeName}.${name} is unknown`];
      // a property may be null on the wire although it is a collection only where the metadata says so
      return fits(property.type, property.nullable, value) ? [] : [`${typeName}.${name}: ${JSON.stringify(value)}`];
    });
  };

  test.each([
    ["user", userType],
    ["group", groupType],
    ["organization", organizationType],
  ])("every property the simulator knows of a %s exists there, collections and navigations alike", (name, type) => {
    const known = propertiesOf(name);
    const nav = Object.keys(schema.types[name]?.nav ?? {});
    for (const property of type.properties.values()) {
      if (property.returned === "related") expect(nav).toContain(property.name);
      else {
        expect(known.has(property.name), property.name).toBe(true);
        const there = known.get(property.name);
        const neverNull = there?.type.startsWith("Collection(") === true && !there.nullable;
        expect(property.collection, property.name).toBe(neverNull);
      }
    }
  });

  test.each([
    ["user", "/users?$top=999"],
    ["group", "/groups?$top=999"],
    ["organization", "/organization"],
  ])("a list of %ss has documented names and types", async (type, path) => {
    const { body } = await ask(path);
    const entries = entriesOf(body);
    expect(entries.length).toBeGreaterThan(0);
    expect(entries.flatMap((entry) => misfits(type, entry))).toEqual([]);
  });

  test.each([
    ["user", userType, "users"],
    ["group", groupType, "groups"],
  ] as const)(
    "so has everything that can be selected of a %s, on lists and in delta",
    async (name, type, collection) => {
      const names = [...type.properties.values()]
        .filter(({ returned, name: each }) => ["default", "select"].includes(returned) && each !== "signInActivity")
        .map((property) => property.name);
      const list = await ask(`/${collection}?$top=999&$select=${names.join(",")}`);
      const delta = await readRound(ask, `/${collection}/delta?$select=${names.join(",")}`);
      const entries = [...entriesOf(list.body), ...delta.entries];
      expect(entries.some(isRemoved)).toBe(true);
      expect(entries.flatMap((entry) => misfits(name, entry))).toEqual([]);
    },
  );

  test("members say their type and have its documented names and types", async () => {
    const groups = entriesOf((await ask("/groups?$top=999&$select=id")).body);
    const seen = new Set<string>();
    for (const { id } of groups) {
      for (const entry of entriesOf((await ask(`/groups/${String(id)}/members`)).body)) {
        const type = String(entry["@odata.type"]).replace("#microsoft.graph.", "");
        seen.add(type);
        if (type === "user" || type === "group") expect(misfits(type, entry)).toEqual([]);
      }
    }
    expect([...seen]).toEqual(expect.arrayContaining(["user", "group", "device"]));
  });

  test.each([
    ["/users/delta?$select=displayName,jobTitle,mobilePhone", /v1\.0\/users\/delta\?\$select=displayName/],
    ["/groups/delta?$select=displayName,description,mailNickname", /v1\.0\/groups\/delta\?\$select=displayName/],
    ["/groups", /v1\.0\/groups$/],
    ["/directory/deletedItems/microsoft.graph.group", /deletedItems\/microsoft\.graph\.group$/],
  ])("the envelope of %s has the annotations of the documented example", async (path, pattern) => {
    const { body } = await ask(path);
    const documented = exampleOf(pattern);
    const links = ["@odata.nextLink", "@odata.deltaLink"];
    const kinds = (answer: Json): string[] =>
      Object.keys(answer).filter(
        (name) => name.startsWith("@odata") && !links.includes(name) && name !== "@odata.count",
      );
    expect(kinds(body)).toEqual(kinds(documented));
    expect(Array.isArray(documented["value"])).toBe(Array.isArray(body["value"]));
    if (path.includes("delta")) expect(Object.keys(documented).some((name) => links.includes(name))).toBe(true);
    expect(context(body)).toBe(context(documented));
  });
});

const exampleOf = (pattern: RegExp): Json => {
  const examples = Examples.parse(JSON.parse(readFileSync(new URL("examples.json", folder), "utf8")));
  const found = examples.find(({ url, method, body }) => method === "GET" && pattern.test(url) && body !== null);
  return z.record(z.string(), z.unknown()).parse(found?.body);
};

const context = (answer: Json): string =>
  String(answer["@odata.context"])
    .replace(/^.*\$metadata/, "")
    .replace(/\(.*/, "");
