import { describe, expect, it } from "vitest";
import type { Settings } from "../../../src/core/connections/settings.ts";
import { keyRing, newRingContent } from "../../../src/core/crypto/key-ring.ts";
import {
  type Closures,
  derivedGroups,
  documentId,
  filterId,
  isShown,
  productGroupDocumentId,
  roleOf,
  scopeId,
  scopeRoots,
  sourceRoots,
} from "../../../src/core/directory/group-roles.ts";
import { everybody } from "../../../src/local/demo/everybody.ts";
import { testAmbient } from "../test-ambient.ts";

const ring = keyRing(newRingContent(testAmbient()));
const guid = (number: number): string => `9f000000-1111-4222-8333-${String(number).padStart(12, "0")}`;
const [sales, berlin, board] = [guid(1), guid(2), guid(3)] as const;

type Groups = Settings["groups"];
const settings = (groups: Partial<Groups> = {}, people: Partial<Settings["people"]> = {}): Settings => ({
  ...everybody,
  groups: { ...everybody.groups, ...groups },
  people: { ...everybody.people, ...people },
});
const from = (...groups: string[]) => ({ from: "groups", groups }) as const;
const standsFor = (...pairs: [string, string][]): Pick<Groups, "mapping"> => ({
  mapping: pairs.map(([group, productGroup]) => ({ group, productGroup })),
});
const closures = (scope: string[] = [], sources: string[] = []): Closures => ({
  scope: new Set(scope),
  sources: new Set(sources),
});
const security = { mailEnabled: false, securityEnabled: true };
const distribution = { mailEnabled: true, securityEnabled: false };
const ofNoKind = { mailEnabled: false, securityEnabled: false };
const withoutDistribution = { kinds: { ...everybody.groups.kinds, distribution: false } };

describe("what a group of the tenant is", () => {
  const rows: [string, Settings, Closures, Record<string, unknown>, "shown" | "filter" | null][] = [
    ["where everybody is meant: shown", settings(), closures(), security, "shown"],
    ["of a kind that is off: nothing", settings(withoutDistribution), closures(), distribution, null],
    ["of no kind: nothing", settings(), closures(), ofNoKind, null],
    ["of which nothing is known: nothing", settings(), closures(), {}, null],
    ["where no groups come in: nothing", settings({ include: false }), closures(), security, null],
    ["where only mapped ones come in: nothing", settings({ unmapped: "leave-out" }), closures(), security, null],

    ["selected: shown", settings({}, from(sales)), closures([sales]), security, "shown"],
    ["nested in a selected one: shown", settings({}, from(berlin)), closures([berlin, sales]), security, "shown"],
    ["outside of the selected ones: nothing", settings({}, from(berlin)), closures([berlin]), security, null],
    [
      "selected, of a kind that is off: a filter",
      settings(withoutDistribution, from(sales)),
      closures([sales]),
      distribution,
      "filter",
    ],
    ["selected, of no kind: a filter", settings({}, from(sales)), closures([sales]), ofNoKind, "filter"],
    ["selected, of which nothing is known yet: a filter", settings({}, from(sales)), closures([sales]), {}, "filter"],
    [
      "selected, where no groups come in: a filter",
      settings({ include: false }, from(sales)),
      closures([sales]),
      security,
      "filter",
    ],
    [
      "selected, where only mapped ones come in: a filter",
      settings({ unmapped: "leave-out" }, from(sales)),
      closures([sales]),
      security,
      "filter",
    ],

    [
      "that stands for one of the product: a filter",
      settings(standsFor([sales, "p1"])),
      closures([], [sales]),
      security,
      "filter",
    ],
    [
      "that stands for one of the product, and is selected: a filter",
      settings(standsFor([sales, "p1"]), from(sales)),
      closures([sales], [sales]),
      security,
      "filter",
    ],
    [
      "that stands for one of the product and is not selected: a filter",
      settings(standsFor([sales, "p1"]), from(berlin)),
      closures([berlin], [sales]),
      security,
      "filter",
    ],
    [
      "mapped, where no groups come in: nothing",
      settings({ include: false, ...standsFor([sales, "p1"]) }),
      closures(),
      security,
      null,
    ],
    [
      "nested in one that stands for another: shown, and counted there",
      settings(standsFor([berlin, "p1"])),
      closures([], [berlin, sales]),
      security,
      "shown",
    ],
    [
      "nested in one that stands for another, where only mapped ones come in: a filter",
      settings({ unmapped: "leave-out", ...standsFor([berlin, "p1"]) }),
      closures([], [berlin, sales]),
      security,
      "filter",
    ],
    [
      "nested in one that stands for another, of a kind that is off: a filter",
      settings({ ...withoutDistribution, ...standsFor([berlin, "p1"]) }),
      closures([], [berlin, sales]),
      distribution,
      "filter",
    ],
    [
      "nested in one that stands for another, and not chosen: a filter",
      settings(standsFor([berlin, "p1"]), from(board)),
      closures([board], [berlin, sales]),
      security,
      "filter",
    ],
  ];
  it.each(rows)("%s", (_, under, among, fields, role) => {
    expect(roleOf(under, among, sales, fields)).toBe(role);
  });

  it("the product sees the two roles that are groups to it", () => {
    expect((["shown", "filter", "product", "scope"] as const).filter(isShown)).toEqual(["shown", "product"]);
  });
});

describe("the groups that matter for others", () => {
  it("are the selected ones, where people come from groups", () => {
    expect(scopeRoots(settings({}, from(sales, berlin)))).toEqual([sales, berlin]);
    expect(scopeRoots(settings({}, { from: "everybody", groups: [sales] }))).toEqual([]);
  });

  it("are the mapped ones, where groups come in at all", () => {
    const mapping = standsFor([sales, "p1"], [berlin, "p1"], [board, "p2"]);
    expect(sourceRoots(settings(mapping))).toEqual([sales, berlin, board]);
    expect(sourceRoots(settings({ ...mapping, unmapped: "leave-out" }))).toEqual([sales, berlin, board]);
    expect(sourceRoots(settings({ ...mapping, include: false }))).toEqual([]);
  });
});

describe("groups made of others", () => {
  const mapping = standsFor([board, "p2"], [berlin, "p1"], [sales, "p1"]);

  it("are one for each group of the product, and one for everybody in the selected groups", () => {
    const derived = derivedGroups(ring, settings(mapping, from(board, berlin)));
    expect(new Set(derived)).toEqual(
      new Set([
        { id: productGroupDocumentId(ring, "p1"), role: "product", of: "p1", roots: [sales, berlin] },
        { id: productGroupDocumentId(ring, "p2"), role: "product", of: "p2", roots: [board] },
        { id: scopeId(ring), role: "scope", of: null, roots: [berlin, board] },
      ]),
    );
    expect(derived.map(({ id }) => id)).toEqual(derived.map(({ id }) => id).toSorted());
  });

  it("come in the same order, whatever the order of the settings", () => {
    const reversed = { mapping: mapping.mapping.toReversed() };
    expect(derivedGroups(ring, settings(reversed, from(berlin, board)))).toEqual(
      derivedGroups(ring, settings(mapping, from(board, berlin))),
    );
  });

  it("are none where nothing is selected and nothing is mapped", () => {
    expect(derivedGroups(ring, settings())).toEqual([]);
    expect(derivedGroups(ring, settings({ ...mapping, include: false }))).toEqual([]);
  });
});

describe("the id of a document", () => {
  it("is the group's own where it is shown, and a pseudonym where it is anything else", () => {
    expect(documentId(ring, "shown", sales)).toBe(sales);
    expect(documentId(ring, "filter", sales)).toBe(filterId(ring, sales));
    const ids = [
      sales,
      filterId(ring, sales),
      filterId(ring, berlin),
      scopeId(ring),
      // Whatever the product calls its groups.
      ...["p1", "scope", sales, `filter ${sales}`, ""].map((name) => productGroupDocumentId(ring, name)),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(filterId(ring, sales)).toBe(filterId(ring, sales));
  });

  it("is another one in another connection", () => {
    const other = keyRing(newRingContent(testAmbient()));
    expect(filterId(other, sales)).not.toBe(filterId(ring, sales));
    expect(scopeId(other)).not.toBe(scopeId(ring));
    expect(productGroupDocumentId(other, "p1")).not.toBe(productGroupDocumentId(ring, "p1"));
  });
});
