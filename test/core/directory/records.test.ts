import { describe, expect, it } from "vitest";
import { type AttributeSettings, defaultAttributes } from "../../../src/core/connections/settings.ts";
import { attributeCatalogue, decisive, groupAttributes } from "../../../src/core/directory/attributes.ts";
import {
  type FieldValue,
  factsOf,
  overlayGroup,
  overlayPerson,
  type PersonRecord,
  propertiesFor,
} from "../../../src/core/directory/records.ts";

type Fields = Record<string, FieldValue>;
type Properties = Readonly<Record<string, unknown>>;

/** One field of each type, none of which decides anything, under names of the product's own. */
const attributes: AttributeSettings = {
  text: { from: "jobTitle", clear: false },
  flag: { from: "onPremisesSyncEnabled", clear: false },
  list: { from: "businessPhones", clear: false },
};
const graphNames: Properties = { text: "jobTitle", flag: "onPremisesSyncEnabled", list: "businessPhones" };
/** The answer of Graph in which these fields have these values. */
const answer = (fields: Properties): Properties =>
  Object.fromEntries(Object.entries(fields).map(([field, value]) => [String(graphNames[field]), value]));
const clearing = (settings: AttributeSettings): AttributeSettings =>
  Object.fromEntries(Object.entries(settings).map(([field, { from }]) => [field, { from, clear: true }]));

const recordOf = (fields: Fields, known: PersonRecord["known"] = {}) => ({ fields, known });
const lay = (known: Fields | null, object: Properties, complete = false, settings = attributes) =>
  overlayPerson(settings, known && recordOf(known), answer(object), complete);

describe("data", () => {
  it.each<[string, Properties, Fields]>([
    ["a text", { text: "x" }, { text: "x" }],
    ["a text with white space around it, as it is", { text: " x " }, { text: " x " }],
    ["the text 0", { text: "0" }, { text: "0" }],
    ["the text false", { text: "false" }, { text: "false" }],
    ["false", { flag: false }, { flag: false }],
    ["true", { flag: true }, { flag: true }],
    ["a list", { list: ["a", "b"] }, { list: ["a", "b"] }],
    ["what is data in a list", { list: ["", "a", "  ", null, 7, "b"] }, { list: ["a", "b"] }],
  ])("is %s", (_, object, fields) => {
    const known = { text: "old", flag: true, list: ["old"] };
    for (const settings of [attributes, clearing(attributes)]) {
      expect(lay(null, object, false, settings)).toEqual({ fields, known: {}, kept: 0 });
      expect(lay(known, object, false, settings)).toEqual({ fields: { ...known, ...fields }, known: {}, kept: 0 });
    }
  });
});

describe("empty", () => {
  const known: Fields = { text: "old", flag: false, list: ["old"] };

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
    const { [name]: _old, ...others } = known;
    for (const complete of [false, true]) {
      expect(lay(known, { [name]: value }, complete)).toEqual({ fields: known, known: {}, kept: 1 });
      expect(lay(null, { [name]: value }, complete)).toEqual({ fields: {}, known: {}, kept: 0 });
      expect(lay(others, { [name]: value }, complete)).toEqual({ fields: others, known: {}, kept: 0 });
    }
    // Unless the settings say that this field follows its end.
    const follows = { ...attributes, [name]: { ...attributes[name], clear: true } } as AttributeSettings;
    expect(lay(known, { [name]: value }, false, follows)).toEqual({ fields: others, known: {}, kept: 0 });
  });

  it("is a property that is not in the answer, but that is not counted", () => {
    expect(lay(known, {})).toEqual({ fields: known, known: {}, kept: 0 });
    expect(lay(known, {}, true)).toEqual({ fields: known, known: {}, kept: 0 });
  });

  it("ends a field that follows: when it is mentioned, or when everything is", () => {
    const follows = clearing(attributes);
    const rows: [Properties, boolean, Fields][] = [
      [{}, false, known],
      [{ text: null }, false, { flag: false, list: ["old"] }],
      [{ flag: false }, false, known],
      [{}, true, {}],
      [{ text: "new" }, true, { text: "new" }],
    ];
    for (const [object, complete, fields] of rows)
      expect(lay(known, object, complete, follows)).toEqual({ fields, known: {}, kept: 0 });
  });

  it("ends the fields for which this was chosen, and no others of the same property", () => {
    const two: AttributeSettings = {
      role: { from: "jobTitle", clear: true },
      title: { from: "jobTitle", clear: false },
    };
    const before = recordOf({ role: "Cook", title: "Cook" });
    expect(overlayPerson(two, before, { jobTitle: "" }, false)).toEqual({
      fields: { title: "Cook" },
      known: {},
      kept: 1,
    });
  });
});

describe("what the scope decides by", () => {
  const mapped: AttributeSettings = {
    mail: { from: "mail", clear: false },
    accountEnabled: { from: "accountEnabled", clear: false },
  };
  const object = {
    mail: "ada@x.example",
    accountEnabled: true,
    userPrincipalName: "ada@x.example",
    otherMails: ["a@y.example"],
  };

  it("is kept beside the fields, where no field of the same name holds the same", () => {
    expect(overlayPerson(mapped, null, object, true)).toEqual({
      fields: { mail: "ada@x.example", accountEnabled: true },
      known: { userPrincipalName: "ada@x.example", otherMails: ["a@y.example"] },
      kept: 0,
    });
    const all = overlayPerson(defaultAttributes, null, object, true);
    expect([all.known, factsOf(all)]).toEqual([{}, { ...object, userType: null, proxyAddresses: null }]);
  });

  it.each<[string, AttributeSettings, Fields, PersonRecord["known"]]>([
    [
      "a field of another name",
      { address: { from: "mail", clear: false } },
      { address: "ada@x.example" },
      { ...object },
    ],
    [
      "a field of its name that is filled from another property",
      { mail: { from: "userPrincipalName", clear: false }, userPrincipalName: { from: "jobTitle", clear: false } },
      { mail: "ada@x.example" },
      { userPrincipalName: "ada@x.example", accountEnabled: true, otherMails: ["a@y.example"] },
    ],
    ["no field at all", {}, {}, { ...object }],
  ])("is known under %s as well", (_, settings, fields, known) => {
    const laid = overlayPerson(settings, null, object, true);
    expect(laid).toEqual({ fields, known, kept: 0 });
    expect(factsOf(laid)).toEqual({ ...object, userType: null, proxyAddresses: null });
  });

  it("is what Graph says, not the value that the product keeps", () => {
    const before = recordOf({ mail: "ada@x.example", accountEnabled: true });
    const ended = overlayPerson(mapped, before, { mail: null }, false);
    expect(ended).toEqual({ fields: { mail: "ada@x.example", accountEnabled: true }, known: { mail: null }, kept: 1 });
    expect(factsOf(ended)).toMatchObject({ mail: null, accountEnabled: true });
    // And stays so while nothing is said of it, until there is an address again.
    expect(overlayPerson(mapped, ended, { accountEnabled: false }, false)).toMatchObject({
      fields: { mail: "ada@x.example", accountEnabled: false },
      known: { mail: null },
    });
    expect(overlayPerson(mapped, ended, { mail: "ada@z.example" }, false)).toMatchObject({
      fields: { mail: "ada@z.example", accountEnabled: true },
      known: {},
    });
    // Where the field follows, both agree again.
    expect(overlayPerson(clearing(mapped), before, { mail: null }, false)).toEqual({
      fields: { accountEnabled: true },
      known: {},
      kept: 0,
    });
  });

  it("stays as it was where it is not mentioned, and is empty where everything else is", () => {
    const before = recordOf({ mail: "ada@x.example" }, { userPrincipalName: "ada@x.example", userType: "Guest" });
    expect(overlayPerson(mapped, before, { userType: "Member" }, false).known).toEqual({
      userPrincipalName: "ada@x.example",
      userType: "Member",
    });
    expect(factsOf(overlayPerson(mapped, before, { userPrincipalName: "ada@x.example" }, true))).toEqual({
      mail: null,
      userPrincipalName: "ada@x.example",
      otherMails: null,
      proxyAddresses: null,
      accountEnabled: null,
      userType: null,
    });
  });

  it("compares lists by what is in them", () => {
    const before = recordOf({ otherMails: ["a@y.example"] });
    const listed: AttributeSettings = { otherMails: { from: "otherMails", clear: false } };
    expect(overlayPerson(listed, before, { otherMails: ["a@y.example"] }, false).known).toEqual({});
    expect(overlayPerson({}, before, { otherMails: ["a@y.example"] }, false).known).toEqual({
      otherMails: ["a@y.example"],
    });
  });

  it("is a field of the record only when it does not differ: what is known wins", () => {
    expect(factsOf(recordOf({ mail: "old@x.example", userType: "Member" }, { mail: null }))).toEqual({
      mail: null,
      userPrincipalName: null,
      otherMails: null,
      proxyAddresses: null,
      accountEnabled: null,
      userType: "Member",
    });
  });
});

it("keeps nothing that was not asked for", () => {
  const object = { jobTitle: "x", onPremisesDomainName: "corp", id: "7", "@odata.type": "#microsoft.graph.user" };
  expect(overlayPerson(attributes, null, object, true)).toEqual({ fields: { text: "x" }, known: {}, kept: 0 });
  expect(overlayGroup(undefined, { ...object, displayName: "Sales" }).fields).toEqual({ displayName: "Sales" });
});

it("drops a field that is no longer mapped", () => {
  const { text } = attributes as { text: AttributeSettings[string] };
  const before = recordOf({ text: "x", flag: true });
  expect(overlayPerson({ text }, before, {}, false).fields).toEqual({ text: "x" });
});

it("never changes what it was given", () => {
  const fields: Fields = Object.freeze({ text: "old", list: Object.freeze(["old"]) as string[] });
  const known = Object.freeze({ fields, known: Object.freeze({ mail: "a@x.example" }) });
  const object = Object.freeze({ jobTitle: "new", onPremisesSyncEnabled: true, mail: "b@x.example" });
  expect(overlayPerson(attributes, known, object, false)).toEqual({
    fields: { text: "new", flag: true, list: ["old"] },
    known: { mail: "b@x.example" },
    kept: 0,
  });
});

it("a group's empty fields keep their data, however much of it was read", () => {
  const known: Fields = { displayName: "Sales", groupTypes: ["Unified"], mailEnabled: false };
  expect(overlayGroup(known, { displayName: "", groupTypes: [] })).toEqual({ fields: known, kept: 2 });
  expect(overlayGroup(known, { mailEnabled: true })).toEqual({ fields: { ...known, mailEnabled: true }, kept: 0 });
});

it("holds the fields in canonical order, whatever the order of settings and answer", () => {
  const names = ["state", "mail", "displayName", "accountEnabled"];
  const object = Object.fromEntries(names.map((name) => [name, name === "accountEnabled" ? true : name]));
  expect(Object.keys(overlayPerson(defaultAttributes, null, object, true).fields)).toEqual([
    "accountEnabled",
    "displayName",
    "mail",
    "state",
  ]);
});

describe("Graph", () => {
  it("is not asked for the same thing twice, and never for what no permission of ours shows", () => {
    for (const names of [Object.keys(attributeCatalogue), Object.keys(groupAttributes)]) {
      expect(new Set(names).size).toBe(names.length);
      for (const secret of ["passwordProfile", "signInActivity", "identities", "members"])
        expect(names).not.toContain(secret);
    }
  });

  it("is asked for what is mapped and for what decides, in one order", () => {
    const job = { from: "jobTitle", clear: false } as const;
    const city = { from: "city", clear: true } as const;
    const asked = propertiesFor({ b: city, a: job, again: job });
    expect(asked.toSorted()).toEqual([...decisive, "jobTitle", "city"].toSorted());
    expect(propertiesFor({ a: job, b: city })).toEqual(asked);
    expect(propertiesFor({}).toSorted()).toEqual(decisive.toSorted());
  });
});
