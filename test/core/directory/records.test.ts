import { describe, expect, it } from "vitest";
import { groupAttributes, overlay, personAttributes } from "../../../src/core/directory/records.ts";

const attributes = { text: "string", flag: "boolean", list: "strings" } as const;

describe("data", () => {
  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ["a text", { text: "x" }, { text: "x" }],
    ["a text with white space around it, as it is", { text: " x " }, { text: " x " }],
    ["the text 0", { text: "0" }, { text: "0" }],
    ["the text false", { text: "false" }, { text: "false" }],
    ["false", { flag: false }, { flag: false }],
    ["true", { flag: true }, { flag: true }],
    ["a list", { list: ["a", "b"] }, { list: ["a", "b"] }],
    ["what is data in a list", { list: ["", "a", "  ", null, 7, "b"] }, { list: ["a", "b"] }],
  ])("is %s", (_, object, fields) => {
    expect(overlay(attributes, undefined, object)).toEqual({ fields, kept: [] });
    const known = { text: "old", flag: true, list: ["old"] };
    expect(overlay(attributes, known, object)).toEqual({ fields: { ...known, ...fields }, kept: [] });
  });
});

describe("empty", () => {
  const known = { text: "old", flag: false, list: ["old"] };

  it.each<[string, string, unknown]>([
    ["null", "text", null],
    ["an empty text", "text", ""],
    ["white space", "text", " \t\n\u00a0\u3000"],
    ["undefined", "text", undefined],
    ["null for a flag", "flag", null],
    ["an empty list", "list", []],
    ["null for a list", "list", null],
    ["a list of empty texts", "list", ["", " "]],
    ["a number where a text belongs", "text", 0],
    ["a list where a text belongs", "text", ["x"]],
    ["a text where a flag belongs", "flag", "true"],
    ["a text where a list belongs", "list", "x"],
  ])("is %s: it replaces no data, is counted as kept, and is no field where there was none", (_, name, value) => {
    expect(overlay(attributes, known, { [name]: value })).toEqual({ fields: known, kept: [name] });
    expect(overlay(attributes, undefined, { [name]: value })).toEqual({ fields: {}, kept: [] });
    const { [name]: _old, ...others } = known as Record<string, string | boolean | string[]>;
    expect(overlay(attributes, others, { [name]: value })).toEqual({ fields: others, kept: [] });
  });

  it("is a property that is not in the answer, but that is not counted", () => {
    expect(overlay(attributes, known, {})).toEqual({ fields: known, kept: [] });
  });
});

it("keeps nothing that was not asked for", () => {
  const object = { text: "x", onPremisesDomainName: "corp", id: "7", "@odata.type": "#microsoft.graph.user" };
  expect(overlay(attributes, undefined, object).fields).toEqual({ text: "x" });
});

it("never changes what it was given", () => {
  const known = Object.freeze({ text: "old", list: Object.freeze(["old"]) as string[] });
  const object = Object.freeze({ text: "new", flag: true });
  expect(overlay(attributes, known, object).fields).toEqual({ text: "new", flag: true, list: ["old"] });
});

it("names the fields in the order of the attributes, whatever the order of the answer", () => {
  const names = ["state", "mail", "displayName", "accountEnabled"];
  const object = Object.fromEntries(names.map((name) => [name, name === "accountEnabled" ? true : name]));
  expect(Object.keys(overlay(personAttributes, undefined, object).fields)).toEqual([
    "displayName",
    "mail",
    "state",
    "accountEnabled",
  ]);
});

it("does not ask Graph for the same thing twice, and never for what no permission of ours shows", () => {
  for (const names of [Object.keys(personAttributes), Object.keys(groupAttributes)]) {
    expect(new Set(names).size).toBe(names.length);
    for (const secret of ["passwordProfile", "signInActivity", "identities", "members"])
      expect(names).not.toContain(secret);
  }
});
