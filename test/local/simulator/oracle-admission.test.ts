/** Whom the oracle admits, rule by rule: a judge that is wrong would judge wrongly for ever. */
import { describe, expect, it } from "vitest";
import { type createOracle, everything } from "../../../src/local/simulator/directory/oracle.ts";
import {
  after,
  ann,
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
  kinds,
  LOOK,
  other,
  type Step,
  security,
  set,
  team,
  use,
  without,
} from "./oracle-steps.ts";

type Options = NonNullable<Parameters<typeof createOracle>[0]>;
const mail = { mail: "Ann@Contoso.example" };

const admission: [string, boolean, Changes, Options, Record<string, unknown>][] = [
  ["a guest", false, without("guests"), {}, { userType: "Guest" }],
  ["a guest in other letters", false, without("guests"), {}, { userType: "guest" }],
  [
    "an old guest without a type",
    false,
    without("guests"),
    {},
    { userType: null, userPrincipalName: "a_b.c#EXT#@d.e" },
  ],
  [
    "a member with the name of a guest",
    true,
    without("guests"),
    {},
    { userType: "Member", userPrincipalName: "a_b.c#EXT#@d.e" },
  ],
  ["a member without a type", true, without("guests"), {}, { userType: null }],
  ["a member", false, without("members"), {}, { userType: "Member" }],
  ["a guest where members are not meant", true, without("members"), {}, { userType: "Guest" }],
  ["a disabled account", false, without("disabled"), {}, { accountEnabled: false }],
  ["an account that is not known to be disabled", true, without("disabled"), {}, { accountEnabled: null }],
  ["somebody without mail", false, without("withoutMail"), {}, { mail: null }],
  ["somebody with a blank for mail", false, without("withoutMail"), {}, { mail: " " }],
  ["somebody with mail", true, without("withoutMail"), {}, mail],
  ["somebody whom nobody enabled", false, { people: { oneByOne: true } }, {}, {}],
  ["somebody who was enabled", true, { people: { oneByOne: true } }, { markers: new Map([[ann, "enabled"]]) }, {}],
  ["somebody who was excluded", false, {}, { markers: new Map([[ann, "excluded"]]) }, {}],
  ["a listed address", false, {}, { blacklist: ["ann@contoso.EXAMPLE"] }, mail],
  ["a listed sign-in name", false, {}, { blacklist: [`${ann}@contoso.example`] }, mail],
  ["a listed private address", false, {}, { blacklist: ["x@y.z"] }, { otherMails: ["w@y.z", "X@y.z"] }],
  ["a listed alias", false, {}, { blacklist: ["x@y.z"] }, { proxyAddresses: ["SMTP:w@y.z", "smtp:X@y.z"] }],
  ["a listed address in another scheme", true, {}, { blacklist: ["x@y.z"] }, { proxyAddresses: ["sip:x@y.z"] }],
  ["part of a listed address", true, {}, { blacklist: ["nn@contoso.example"] }, mail],
  ["a listed domain of the mail", false, {}, { blacklist: ["*@y.z"] }, { mail: "ann@Y.z" }],
  ["a listed domain of the sign-in name", false, {}, { blacklist: ["*@contoso.example"] }, { mail: "ann@y.z" }],
  ["a listed domain of an alias", true, {}, { blacklist: ["*@y.z"] }, { ...mail, proxyAddresses: ["smtp:ann@y.z"] }],
  ["a listed domain of a private address", true, {}, { blacklist: ["*@y.z"] }, { ...mail, otherMails: ["ann@y.z"] }],
  ["a domain under a listed one", true, {}, { blacklist: ["*@y.z"] }, { mail: "ann@x.y.z" }],
  ["somebody in no group", false, fromGroups("nested", team), {}, {}],
];

const inGroups: [string, boolean, Step[]][] = [
  ["a member of a chosen group", true, [use(fromGroups("direct", security)), ...chain, join(security, ann)]],
  ["a member of a group that was not chosen", false, [use(fromGroups("nested", other)), ...chain, join(security, ann)]],
  ["directly, a member of a nested one", false, [use(fromGroups("direct", security)), ...chain, join(other, ann)]],
  ["a member of a nested one", true, [use(fromGroups("nested", security)), ...chain, join(other, ann)]],
  ["a member two levels down a cycle", true, [use(fromGroups("nested", security)), ...cycle, join(id(14), ann)]],
  [
    "a guest of a chosen group, as a kind that is not meant",
    false,
    [
      use({ people: { from: "groups", groups: [security], kinds: { ...kinds, guests: false } } }),
      ...chain,
      join(security, ann),
      set(ann, { userType: "Guest" }),
    ],
  ],
  [
    "a member of a chosen group whatever kind of group is shown",
    true,
    [
      use({
        people: { from: "groups", groups: [security] },
        groups: { kinds: { ...everything.groups.kinds, security: false } },
      }),
      ...chain,
      join(security, ann),
    ],
  ],
  [
    "a member whom the group hides",
    false,
    [use(fromGroups("nested", team)), found(team, true, { visibility: "HiddenMembership" }), join(team, ann)],
  ],
];

describe("oracle of who is admitted", () => {
  it.each(admission)("%s: %s", (_, admitted, changes, options, properties) => {
    const { view } = after([hire(ann, properties), LOOK], { settings: chosen(changes), ...options });
    expect([...view.people.keys()]).toEqual(admitted ? [ann] : []);
  });

  it.each(inGroups)("%s: %s", (_, admitted, steps) => {
    expect([...after([...hired, ...steps, LOOK]).view.people.keys()]).toEqual(admitted ? [ann] : []);
  });

  it("lets the members of a chosen group go when the group is deleted", () => {
    const steps = [...hired, ...chain, join(security, ann), use(fromGroups("nested", security)), LOOK];
    const { view } = after([...steps, { op: "delete-group", id: security }, LOOK]);
    expect(view.people.get(ann)?.state).toBe("deactivated");
    expect(view.groups.size).toBe(0);
  });
});
