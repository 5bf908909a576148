import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, type Json } from "../../src/core/canonical-json.ts";

const vectors = "../shared/vectors/jcs";

const json = fc.jsonValue({ depthSize: "small" }).map((value) => value as Json);

const reversed = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, member]) => [key, member === undefined ? undefined : reversed(member)]),
  );
};

describe("canonical JSON", () => {
  it("says the same of equal values whatever the order of their keys, and loses nothing", () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(reversed(value))).toBe(text);
        expect(canonicalJson(JSON.parse(text) as Json)).toBe(text);
        expect(JSON.stringify(JSON.parse(text))).toHaveLength(JSON.stringify(value).length);
      }),
    );
  });

  it("says different things of different values", () => {
    fc.assert(
      fc.property(json, json, (one, other) => {
        const plain = (value: Json): unknown => JSON.parse(JSON.stringify(value));
        expect(canonicalJson(one) === canonicalJson(other)).toBe(isDeepStrictEqual(plain(one), plain(other)));
      }),
    );
  });

  it.each<[string, Json, string]>([
    [
      "keys in the order of UTF-16 units, not of code points",
      { "\ufb33": 1, "\ud83d\ude02": 2 },
      '{"\ud83d\ude02":2,"\ufb33":1}',
    ],
    ["keys as texts, not as numbers", { 10: 1, 9: 2 }, '{"10":1,"9":2}'],
    ["no member for undefined, but one for null", { a: undefined, b: null }, '{"b":null}'],
    ["lists in their own order", [3, 1, [2]], "[3,1,[2]]"],
    ["one zero", -0, "0"],
    ["the shortest form of numbers", [1e21, 0.000001, 1e-7, 100], "[1e+21,0.000001,1e-7,100]"],
    ["escapes only where JSON needs them", '\u0000\n"\\/é\u2028', '"\\u0000\\n\\"\\\\/é\u2028"'],
  ])("has %s", (_, value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("refuses %s at any depth", (number) => {
    expect(() => canonicalJson(number)).toThrow(TypeError);
    expect(() => canonicalJson({ a: [number] })).toThrow(TypeError);
  });
});

describe.skipIf(!existsSync(vectors))("canonical JSON against the vectors of RFC 8785", () => {
  const files = existsSync(vectors) ? readdirSync(vectors).filter((name) => name.endsWith(".input.json")) : [];
  it.each(files)("%s", (name) => {
    const read = (file: string): string => readFileSync(`${vectors}/${file}`, "utf8");
    expect(canonicalJson(JSON.parse(read(name)) as Json)).toBe(read(name.replace(".input.", ".output.")).trimEnd());
  });
});
