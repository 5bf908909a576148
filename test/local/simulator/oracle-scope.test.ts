/** What the oracle expects to be kept of people and shown of groups: a judge that is wrong would judge wrongly for ever. */
import { describe, expect, it } from "vitest";
import { createOracle, everything } from "../../../src/local/simulator/directory/oracle.ts";
import type { OracleSettings } from "../../../src/local/simulator/directory/oracle-rules.ts";
import { stringsOfStrangers } from "../../../src/local/simulator/directory/personal-strings.ts";
import {
  after,
  ann,
  ben,
  type Changes,
  chain,
  chosen,
  cycle,
  found,
  fromGroups,
  hire,
  hired,
  id,
  join,
  LOOK,
  leave,
  list,
  manage,
  other,
  purge,
  remove,
  restore,
  type Step,
  security,
  set,
  team,
  use,
  without,
} from "./oracle-steps.ts";

const toField = (clear: boolean): Changes => ({ attributes: { place: { from: "city", clear } } });
const left: [string, "active" | "deactivated" | "removed" | undefined, string | undefined, Step[]][] = [
  [
    "who leaves the scope",
    "deactivated",
    "x",
    [LOOK, use(without("guests")), set(ann, { userType: "Guest", city: "y" }), LOOK],
  ],
  ["who is listed later", "deactivated", "x", [LOOK, list("*@contoso.example"), LOOK]],
  ["who was never admitted", undefined, undefined, [list("*@contoso.example"), LOOK, remove(ann), LOOK]],
  [
    "who left and comes back",
    "active",
    "x",
    [LOOK, list("*@contoso.example"), LOOK, set(ann, { city: null }), list(), LOOK],
  ],
  [
    "who is kept",
    "active",
    "x",
    [use({ leaving: { rule: "keep", afterDays: 1 } }), LOOK, set(ann, { city: "y" }), remove(ann), LOOK],
  ],
  [
    "who was kept until the rule changed",
    "deactivated",
    "x",
    [use({ leaving: { rule: "keep", afterDays: 1 } }), LOOK, remove(ann), purge(ann), LOOK, use({}), LOOK],
  ],
  [
    "who had left before the rule was to keep",
    "deactivated",
    "x",
    [LOOK, remove(ann), LOOK, use({ leaving: { rule: "keep", afterDays: 1 } }), LOOK],
  ],
];

describe("oracle of the scope", () => {
  it.each(left)("expects of somebody %s: %s, %s", (_, state, city, steps) => {
    const person = after([hire(ann, { city: "x" }), ...steps]).view.people.get(ann);
    expect(person?.state).toBe(state);
    expect(person?.attributes.city).toBe(city);
  });

  it("removes what is left of a person after the days that were set, and begins anew on return", () => {
    const day = 86_400_000;
    const rule = { rule: "remove", afterDays: 3 } as const;
    const directory = after([hire(ann, { city: "x", jobTitle: "y" })]).directory;
    const oracle = createOracle({ settings: chosen({ leaving: rule }) });
    const state = () => oracle.view().people.get(ann);
    oracle.observe(directory, day);
    directory.apply(remove(ann));
    oracle.observe(directory, 2 * day);
    oracle.retire(5 * day - 1);
    expect(state()).toMatchObject({ state: "deactivated", attributes: { city: "x" } });
    oracle.observe(directory, 4 * day);
    oracle.retire(5 * day);
    expect(state()).toEqual({ state: "removed", attributes: {}, manager: null });
    directory.apply(restore(ann));
    directory.apply(set(ann, { city: null }));
    oracle.observe(directory, 6 * day);
    expect(state()?.state).toBe("active");
    expect(state()?.attributes).toMatchObject({ jobTitle: "y" });
    expect(state()?.attributes).not.toHaveProperty("city");
  });

  it("counts no time towards removal of people who came back", () => {
    const directory = after([hire(ann)]).directory;
    const oracle = createOracle({ settings: chosen({ leaving: { rule: "remove", afterDays: 1 } }) });
    oracle.observe(directory, 0);
    directory.apply(remove(ann));
    oracle.observe(directory, 1);
    directory.apply(restore(ann));
    oracle.observe(directory, 2);
    oracle.retire(1e12);
    expect(oracle.view().people.get(ann)?.state).toBe("active");
  });

  it.each([
    ["keeps its data by default", { place: "x" }, [use(toField(false)), LOOK, set(ann, { city: null }), LOOK]],
    ["loses it where it is to be cleared", {}, [use(toField(true)), LOOK, set(ann, { city: "" }), LOOK]],
    [
      "loses it when clearing is switched on later",
      {},
      [use(toField(false)), LOOK, set(ann, { city: null }), LOOK, use(toField(true)), LOOK],
    ],
    [
      "is gone with its setting",
      { title: "y" },
      [use(toField(false)), LOOK, use({ attributes: { title: { from: "jobTitle", clear: false } } }), LOOK],
    ],
    [
      "keeps its old name while the person is away",
      { place: "x" },
      [use(toField(false)), LOOK, remove(ann), LOOK, use({}), LOOK],
    ],
    [
      "can have the same origin as another",
      { a: "x", b: "x" },
      [use({ attributes: { a: { from: "city", clear: false }, b: { from: "city", clear: true } } }), LOOK],
    ],
  ] as [string, object, Step[]][])("a field %s", (_, fields, steps) => {
    const { view } = after([hire(ann, { city: "x", jobTitle: "y" }), ...steps]);
    expect(view.people.get(ann)?.attributes).toEqual(fields);
  });

  const kindsOfGroups: [string, keyof OracleSettings["groups"]["kinds"], Record<string, unknown>][] = [
    ["Microsoft 365", "microsoft365", { mailEnabled: true, securityEnabled: true, groupTypes: ["Unified"] }],
    ["security", "security", { mailEnabled: false, securityEnabled: true }],
    ["mail-enabled security", "mailEnabledSecurity", { mailEnabled: true, securityEnabled: true }],
    ["distribution", "distribution", { mailEnabled: true, securityEnabled: false }],
  ];
  it.each(kindsOfGroups)("shows %s groups by their own switch", (_, kind, properties) => {
    const shown = (switches: Partial<OracleSettings["groups"]["kinds"]>): number =>
      after([
        found(team, false, properties),
        use({ groups: { kinds: { ...everything.groups.kinds, ...switches } } }),
        LOOK,
      ]).view.groups.size;
    expect(shown({ [kind]: false })).toBe(0);
    const none = { microsoft365: false, security: false, mailEnabledSecurity: false, distribution: false };
    expect(shown({ ...none, [kind]: true })).toBe(1);
  });

  const tree = [...hired, ...cycle, found(team, true), join(team, ann), join(other, ben), join(security, ann)];
  const mapped = (productGroup: string, ...groups: string[]) => groups.map((group) => ({ group, productGroup }));
  const shownCases: [string, string[], Record<string, string[]>, Changes][] = [
    ["all of them", [team, security, other, id(14)], {}, {}],
    ["none where groups are not included", [], {}, { groups: { include: false, mapping: mapped("p", team) } }],
    [
      "none where what stands for nothing is left out",
      [],
      { p: [ann] },
      { groups: { unmapped: "leave-out", mapping: mapped("p", team) } },
    ],
    [
      "those that stand for nothing",
      [security, other, id(14)],
      { p: [ann] },
      { groups: { mapping: mapped("p", team) } },
    ],
    ["the chosen ones", [security], {}, fromGroups("direct", security)],
    ["those nested in chosen ones", [security, other, id(14)], {}, fromGroups("nested", security)],
    [
      "one product group of two",
      [other, id(14)],
      { p: [ann, ben] },
      { groups: { mapping: mapped("p", team, security) } },
    ],
    [
      "one product group of two, members directly",
      [other, id(14)],
      { p: [ann] },
      { people: { membership: "direct" }, groups: { mapping: mapped("p", team, security) } },
    ],
    [
      "no product group without a group",
      [team, security, other, id(14)],
      {},
      { groups: { mapping: mapped("p", id(99)) } },
    ],
    [
      "in a product group only whom the scope admits",
      [],
      { p: [ben] },
      {
        people: { from: "groups", groups: [other], membership: "direct" },
        groups: { mapping: mapped("p", team, other) },
      },
    ],
  ];
  it.each(shownCases)("shows %s", (_, groups, products, changes) => {
    const { view } = after([...tree, use(changes), LOOK]);
    const sorted = (ids: Iterable<string>) => [...ids].toSorted();
    expect(sorted(view.groups.keys())).toEqual(sorted(groups));
    expect(Object.fromEntries([...view.productGroups].map(([name, members]) => [name, sorted(members)]))).toEqual(
      products,
    );
  });

  it("ends a product group with its last source, and a membership with the last that gave it", () => {
    const mapping = mapped("p", team, security);
    const both = [
      ...hired,
      found(team, true),
      found(security, false),
      join(team, ann),
      join(security, ann),
      use({ groups: { mapping } }),
    ];
    expect(after([...both, LOOK, leave(team, ann), LOOK]).view.productGroups.get("p")).toEqual(new Set([ann]));
    expect(after([...both, LOOK, leave(team, ann), leave(security, ann), LOOK]).view.productGroups.get("p")).toEqual(
      new Set(),
    );
    const gone = (...groups: string[]): Step[] => groups.map((group) => ({ op: "delete-group", id: group }));
    expect(after([...both, LOOK, ...gone(team), LOOK]).view.productGroups.get("p")).toEqual(new Set([ann]));
    expect(after([...both, LOOK, ...gone(team, security), LOOK]).view.productGroups.size).toBe(0);
  });

  it("names among the nested groups only those that are shown", () => {
    const parent = [...hired, ...chain, join(security, id(14), "group")];
    const { view } = after([...parent, use({ groups: { mapping: mapped("p", other) } }), LOOK]);
    expect(view.groups.get(security)?.childGroups).toEqual(new Set([id(14)]));
  });

  it("holds as ids the groups that it asks and does not show", () => {
    const filters = (changes: Changes) => [...after([...tree, use(changes), LOOK]).view.filters].toSorted();
    expect(filters({})).toEqual([]);
    expect(filters({ groups: { mapping: mapped("p", team, id(99)) } })).toEqual([team]);
    expect(filters({ groups: { mapping: mapped("p", security) } })).toEqual([security]);
    expect(filters({ groups: { mapping: mapped("p", security), include: false } })).toEqual([]);
    expect(filters(fromGroups("nested", security, team))).toEqual([]);
    const peopleOnly = { groups: { include: false } };
    expect(filters({ ...fromGroups("nested", security, id(99)), ...peopleOnly })).toEqual([security, other, id(14)]);
    expect(filters({ ...fromGroups("direct", security), ...peopleOnly })).toEqual([security]);
  });

  it("begins a group anew that was not shown for a while", () => {
    const hide = use({ groups: { include: false } });
    const emptied: Step = { op: "update-group", id: team, set: { description: null } };
    const steps: Step[] = [found(team, true, { description: "x" }), LOOK, emptied, hide, LOOK, use({}), LOOK];
    expect(after(steps).view.groups.get(team)?.attributes).not.toHaveProperty("description");
  });

  it("says nothing of the memberships and reports of people who are kept and gone", () => {
    const steps = [
      ...hired,
      found(team, true),
      join(team, ann),
      manage(ben, ann),
      use({ leaving: { rule: "keep", afterDays: 1 } }),
      LOOK,
    ];
    const here = after([...steps, list(`${ann}@contoso.example`), LOOK]).view;
    expect(here.departed.size).toBe(0);
    expect(here.groups.get(team)?.members).toEqual(new Set([ann]));
    expect(here.people.get(ben)?.manager).toBe(ann);
    const gone = after([...steps, remove(ann), LOOK]).view;
    expect(gone.departed).toEqual(new Set([ann]));
    expect(gone.groups.get(team)?.members).toEqual(new Set());
    expect(gone.people.get(ben)?.manager).toBeNull();
  });

  it("knows the memberships of people who come out of the recycle bin, whatever was read meanwhile", () => {
    const { directory, oracle } = after([...hired, found(security, false), join(security, ann), LOOK]);
    directory.apply(remove(ann));
    oracle.use({ settings: chosen(fromGroups("direct", security)) });
    oracle.observe(directory);
    expect(oracle.view().people.get(ann)?.state).toBe("deactivated");
    directory.apply(restore(ann));
    oracle.observe(directory);
    expect(oracle.view().people.get(ann)?.state).toBe("active");
    expect(oracle.view().groups.get(security)?.members).toEqual(new Set([ann]));
  });

  it("counts as strings of strangers what nobody else ever had", () => {
    const { directory, oracle } = after([
      hire(ann, { displayName: "same name", surname: "was of ann", employeeId: "number of ann" }),
      hire(ben, { displayName: "same name", surname: "only of ben", mobilePhone: "was of ann" }),
      list(`${ben}@contoso.example`),
      LOOK,
      set(ann, { surname: null, employeeId: null }),
      LOOK,
    ]);
    const strings = stringsOfStrangers(directory, oracle.history);
    expect([...strings].toSorted()).toEqual([ben, `${ben}@contoso.example`, "only of ben"].toSorted());
  });
});
