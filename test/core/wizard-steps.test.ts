import { describe, expect, test } from "vitest";
import { defaultSettings, Settings } from "../../src/core/connections/settings.ts";
import { type Field, type SetupState, stepsOf } from "../../src/core/wizard/steps.ts";

const ready: SetupState = { done: [], unreadable: null, tested: true };
const group = "11111111-2222-4333-8444-555555555555";
const chosen: Settings = { ...defaultSettings, people: { ...defaultSettings.people, groups: [group] } };

/** The settings with another value at a dotted path. */
const withValue = (settings: Settings, path: string, value: unknown): unknown => {
  const copy: Record<string, unknown> = structuredClone(settings);
  const names = path.split(".");
  const last = names.pop() ?? "";
  let at = copy;
  for (const name of names) at = at[name] as Record<string, unknown>;
  at[last] = value;
  return copy;
};

const fields = (settings: Settings = chosen): Field[] => stepsOf(settings, ready).flatMap((step) => step.fields);
const accepts = (path: string, value: unknown): boolean => Settings.safeParse(withValue(chosen, path, value)).success;

/** Paths of everything in a value that has no named parts of its own; a map is one. */
const leaves = (value: object, above = ""): string[] =>
  Object.entries(value).flatMap(([name, part]) => {
    const path = `${above}${name}`;
    const isPart = typeof part === "object" && part !== null && !Array.isArray(part) && path !== "attributes";
    return isPart ? leaves(part as object, `${path}.`) : [path];
  });

test("the steps come in the order in which they are asked", () => {
  expect(stepsOf(defaultSettings, ready).map(({ id }) => id)).toEqual([
    "introduction",
    "automatic",
    "include-groups",
    "select-groups",
    "group-kinds",
    "group-mapping",
    "blacklist",
    "account-kinds",
    "one-by-one",
    "attributes",
    "leaving",
    "test",
    "finish",
  ]);
});

describe("the fields", () => {
  test("of all steps together are the whole settings, each once, with its value", () => {
    const paths = fields().map(({ path }) => path);
    expect(paths.toSorted()).toEqual(leaves(defaultSettings).toSorted());
    const rebuilt = fields().reduce<unknown>(
      (settings, { path, value }) => withValue(settings as Settings, path, value),
      { people: { kinds: {} }, groups: { kinds: {} }, leaving: {}, guard: {}, signIn: {} },
    );
    expect(rebuilt).toEqual(chosen);
  });

  test.each(fields().filter(({ type }) => type === "choice"))(
    "$path offers what is accepted, and all of it",
    (field) => {
      const values = field.choices?.map(({ value }) => value) ?? [];
      expect(values.length).toBeGreaterThan(1);
      for (const value of values) expect(accepts(field.path, value)).toBe(true);
      expect(values).toContain(field.value);
      const refusal = Settings.safeParse(withValue(chosen, field.path, "another")).error?.issues[0];
      expect(refusal).toMatchObject({ values });
    },
  );

  test("offer every property that can be mapped, and no other", () => {
    const attributes = fields().find(({ path }) => path === "attributes");
    for (const { value } of attributes?.choices ?? [])
      expect(accepts("attributes", { mine: { from: value, clear: true } })).toBe(true);
    expect(attributes?.choices?.map(({ value }) => value)).toEqual(
      expect.arrayContaining(Object.keys(defaultSettings.attributes)),
    );
  });

  test.each(fields().filter(({ type }) => type === "number"))("$path has the limits of the schema", (field) => {
    const [min, max] = [field.min ?? Number.NaN, field.max ?? Number.NaN];
    expect([min - 1, min, max, max + 1].map((value) => accepts(field.path, value))).toEqual([false, true, true, false]);
  });

  test("that are switches and instants are that", () => {
    for (const { path, type } of fields()) {
      if (type === "switch")
        expect([accepts(path, true), accepts(path, false), accepts(path, "on")]).toEqual([true, true, false]);
      if (type === "instant")
        expect([accepts(path, null), accepts(path, "2030-01-01T00:00:00Z")]).toEqual([true, true]);
    }
    expect(
      fields()
        .filter(({ type }) => type === "instant")
        .map(({ path }) => path),
    ).toEqual(["guard.offUntil"]);
  });

  test("depend on values that can be chosen", () => {
    const steps = stepsOf(chosen, ready);
    const all = [...steps, ...fields()].flatMap(({ depends }) => depends ?? []);
    expect(all.length).toBeGreaterThan(4);
    for (const { path, is } of all) expect(accepts(path, is)).toBe(true);
  });
});

describe("what stands in the way", () => {
  const problems = (change: Partial<Settings>, state: Partial<SetupState> = {}): string[] =>
    stepsOf({ ...defaultSettings, ...change }, { ...ready, ...state }).flatMap(({ id, problem }) =>
      problem === null ? [] : [id],
    );
  const { groups, people } = defaultSettings;
  const noKinds = { microsoft365: false, security: false, mailEnabledSecurity: false, distribution: false };

  test.each<[string, string[], Partial<Settings>, Partial<SetupState>]>([
    ["nothing by default", [], {}, {}],
    ["no test", ["test"], {}, { tested: false }],
    ["no approval", ["introduction"], {}, { unreadable: "No." }],
    ["no kind of group", ["group-kinds"], { groups: { ...groups, kinds: noKinds } }, {}],
    [
      "nothing where no groups come",
      [],
      { groups: { ...groups, include: false, kinds: noKinds, unmapped: "leave-out" } },
      {},
    ],
    ["neither mapped nor unmapped groups", ["group-mapping"], { groups: { ...groups, unmapped: "leave-out" } }, {}],
    [
      "nothing where a group is mapped",
      [],
      { groups: { ...groups, unmapped: "leave-out", mapping: [{ group, productGroup: "p" }] } },
      {},
    ],
    ["no kind of person", ["account-kinds"], { people: { ...people, kinds: { ...people.kinds, members: false } } }, {}],
    [
      "nothing where only guests come",
      [],
      { people: { ...people, kinds: { ...people.kinds, members: false, guests: true } } },
      {},
    ],
  ])("%s", (_what, expected, change, state) => {
    expect(problems(change, state)).toEqual(expected);
  });
});
