import { describe, expect, it } from "vitest";
import { blacklistOf, emptyBlacklist, normalised } from "../../../src/core/directory/blacklist.ts";
import type { Facts } from "../../../src/core/directory/scope.ts";

const nobody: Facts = {
  mail: null,
  userPrincipalName: null,
  otherMails: null,
  proxyAddresses: null,
  accountEnabled: true,
  userType: "Member",
};
const ada: Facts = {
  ...nobody,
  mail: "Ada@X.example",
  userPrincipalName: "ada.minh@corp.example",
  otherMails: ["ada@home.example"],
  proxyAddresses: ["SMTP:Ada@X.example", "smtp:a.minh@alias.example", "SIP:ada@sip.example", "x500:/o=corp/cn=ada"],
};

describe("an address on the list", () => {
  it.each([
    ["the primary address", "ada@x.example"],
    ["the sign-in name", "ada.minh@corp.example"],
    ["a further address", "ada@home.example"],
    ["an alias of the mailbox", "a.minh@alias.example"],
  ])("names somebody by %s, in any spelling", (_, address) => {
    for (const entry of [address, address.toUpperCase(), ` ${address}\u00a0`])
      expect(blacklistOf([entry]).entryFor(ada)).toBe(address);
    expect(blacklistOf([`x${address}`]).entryFor(ada)).toBeNull();
  });

  it("names nobody by what is no address of e-mail", () => {
    const others = ["ada@sip.example", "sip:ada@sip.example", "/o=corp/cn=ada", "smtp:a.minh@alias.example"];
    expect(blacklistOf(others).entryFor(ada)).toBeNull();
  });

  it("is found in whatever form its letters come", () => {
    const composed = "zo\u00eb@x.example";
    const decomposed = "zoe\u0308@x.example";
    const wide = "\uff41\uff44\uff41@x.example";
    expect(blacklistOf([composed]).entryFor({ ...nobody, mail: decomposed })).toBe(composed);
    expect(blacklistOf([decomposed]).entryFor({ ...nobody, mail: composed })).toBe(composed);
    expect(blacklistOf(["ada@x.example"]).entryFor({ ...nobody, mail: wide })).toBe("ada@x.example");
    expect([normalised(` ${decomposed.toUpperCase()} `), normalised(wide)]).toEqual([composed, "ada@x.example"]);
  });
});

describe("a domain on the list", () => {
  it.each([
    ["the primary address", "*@x.example", true],
    ["the sign-in name", "*@Corp.Example", true],
    ["a further address", "*@home.example", false],
    ["an alias of the mailbox", "*@alias.example", false],
    ["a domain above it", "*@example", false],
    ["the end of it", "*@.example", false],
  ])("by %s", (_, entry, names) => {
    expect(blacklistOf([entry]).entryFor(ada)).toBe(names ? normalised(entry) : null);
  });

  it("is not a domain below it, and begins after the last @", () => {
    const below = { ...nobody, mail: "ada@mail.x.example" };
    expect(blacklistOf(["*@x.example"]).entryFor(below)).toBeNull();
    const quoted = { ...nobody, mail: '"ada@x.example"@y.example' };
    expect(blacklistOf(["*@x.example"]).entryFor(quoted)).toBeNull();
    expect(blacklistOf(["*@y.example"]).entryFor(quoted)).toBe("*@y.example");
  });

  it("without the star in front is nothing but a text", () => {
    expect(blacklistOf(["@x.example", "x.example"]).entryFor(ada)).toBeNull();
  });
});

it("names the address where both are listed", () => {
  expect(blacklistOf(["*@x.example", "ada@home.example"]).entryFor(ada)).toBe("ada@home.example");
});

it("names nobody who has no address, and nobody where it is empty", () => {
  const listed = blacklistOf(["*@", "", "*@x.example"]);
  expect(listed.entryFor(nobody)).toBeNull();
  expect(listed.entryFor({ ...nobody, mail: "no address" })).toBeNull();
  expect([emptyBlacklist.entryFor(ada), blacklistOf([]).entryFor(ada)]).toEqual([null, null]);
});
