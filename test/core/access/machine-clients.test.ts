import { describe, expect, test } from "vitest";
import { ClaimMap, type Claims } from "../../../src/core/access/claims.ts";
import {
  actingRefusal,
  type MachineClient,
  MachineClients,
  machineClientOf,
  machineOf,
} from "../../../src/core/access/machine-clients.ts";

const issuer = "https://login.product.example";
const bySubject: MachineClient = { issuer, subject: "svc", permissions: ["directory:read"] };
const byClient: MachineClient = { issuer, clientId: "app-1", permissions: ["directory:read"] };

describe("a program is recognised", () => {
  test.each<[string, MachineClient, Claims, boolean]>([
    ["by its subject", bySubject, { sub: "svc" }, true],
    ["not by a subject in other letters", bySubject, { sub: "SVC" }, false],
    [
      "not by a client id that is called like its subject",
      bySubject,
      { sub: "x", client_id: "svc", azp: "svc" },
      false,
    ],
    ["by its client id, where the subject is the same", byClient, { sub: "app-1", client_id: "app-1" }, true],
    [
      "by its client id, where the issuer marks programs",
      byClient,
      { sub: "x", azp: "app-1", gty: "client-credentials" },
      true,
    ],
    ["by the application of an app token", byClient, { sub: "x", appid: "app-1", idtyp: "app" }, true],
    [
      "not in the token of a person who uses the same application",
      byClient,
      { sub: "ada", client_id: "app-1", azp: "app-1" },
      false,
    ],
    [
      "not when the token names two applications",
      byClient,
      { sub: "x", client_id: "app-1", azp: "app-2", idtyp: "app" },
      false,
    ],
    ["not without any name", byClient, { sub: "x", idtyp: "app" }, false],
  ])("%s", (_, client, claims, expected) => {
    expect(machineClientOf([client], issuer, claims) === client).toBe(expected);
    expect(machineClientOf([client], `${issuer}/`, claims)).toBeNull();
  });
});

describe("what a program may do", () => {
  const map = ClaimMap.parse({
    workspace: "ws",
    permissions: "scope",
    roles: "roles",
    rolePermissions: { backend: ["workspace:act-as", "directory:read"] },
  });

  test("is what its token says and the list allows, and no more", () => {
    const machine = machineOf(bySubject, { scope: "directory:read audit:read workspace:act-as" }, map);
    expect([...machine.permissions]).toEqual(["directory:read"]);
    expect(machine.mayActAs).toBe(true);
    expect([...machineOf(bySubject, { scope: "audit:read" }, map).permissions]).toEqual([]);
  });

  test("may come from a role", () => {
    const { permissions, mayActAs } = machineOf(bySubject, { roles: ["backend"] }, map);
    expect([[...permissions], mayActAs]).toEqual([["directory:read"], true]);
  });

  test.each<[string, Partial<MachineClient>, Claims, boolean]>([
    ["everywhere, when no workspaces are listed", {}, {}, true],
    ["where it is listed", { workspaces: ["acme"] }, {}, true],
    ["not elsewhere", { workspaces: ["other"] }, {}, false],
    ["not where its own token does not belong", {}, { ws: "other" }, false],
    ["where its own token belongs", {}, { ws: "acme" }, true],
  ])("it acts %s", (_, client, claims, expected) => {
    const machine = machineOf({ ...bySubject, ...client }, { scope: "workspace:act-as", ...claims }, map);
    expect(actingRefusal(machine, "acme")?.code ?? null).toBe(expected ? null : "permission-missing");
  });

  test("it acts for nobody without the right to", () => {
    expect(actingRefusal(machineOf(bySubject, { scope: "directory:read" }, map), "acme")?.code).toBe(
      "permission-missing",
    );
  });
});

describe("the list", () => {
  test.each<[string, unknown]>([
    ["names neither subject nor client", [{ issuer, permissions: ["audit:read"] }]],
    ["names both", [{ ...bySubject, clientId: "app-1" }]],
    ["has no maximum", [{ issuer, subject: "svc" }]],
    ["has an empty maximum", [{ ...bySubject, permissions: [] }]],
    ["has an unknown right", [{ ...bySubject, permissions: ["everything"] }]],
    ["has a workspace that is none", [{ ...bySubject, workspaces: ["a|b"] }]],
    ["has no workspaces", [{ ...bySubject, workspaces: [] }]],
    ["names a client twice", [bySubject, { ...bySubject, permissions: ["audit:read"] }]],
  ])("is not taken when it %s", (_, value) => {
    expect(MachineClients.safeParse(value).success).toBe(false);
  });

  test("may name a program and an application of the same name", () => {
    expect(MachineClients.safeParse([bySubject, { ...byClient, clientId: "svc" }]).success).toBe(true);
  });
});
