import { describe, expect, test } from "vitest";
import { ClaimMap, type Claims, identityOf, isIdToken, isMachineToken } from "../../../src/core/access/claims.ts";

const direct = ClaimMap.parse({ workspace: "workspace", permissions: "permissions" });
const claims = { sub: "ada", workspace: "acme", permissions: ["directory:read"] };

const shown = (given: Claims, map: ClaimMap) => {
  const identity = identityOf(given, map);
  if (!identity) return null;
  const { roles: _, permissions, ...rest } = identity;
  return { ...rest, permissions: [...permissions].toSorted() };
};

describe("claims become a caller", () => {
  test.each<[string, Claims, object, string[]]>([
    ["a list", claims, { permissions: "permissions" }, ["directory:read"]],
    [
      "a text",
      { ...claims, scope: "openid audit:read directory:read" },
      { permissions: "scope" },
      ["audit:read", "directory:read"],
    ],
    ["a nested claim", { ...claims, app: { rights: ["audit:read"] } }, { permissions: "app.rights" }, ["audit:read"]],
    [
      "a namespaced claim",
      { ...claims, "https://product.example/rights": ["audit:read"] },
      { permissions: "https://product.example/rights" },
      ["audit:read"],
    ],
    [
      "roles",
      { ...claims, roles: ["administrator", "constructor"] },
      { roles: "roles", rolePermissions: { administrator: ["integration:setup", "audit:read"] } },
      ["audit:read", "integration:setup"],
    ],
    ["what is not ours", { ...claims, permissions: ["everything", 7, null] }, { permissions: "permissions" }, []],
    ["an inherited name", claims, { permissions: "__proto__.constructor" }, []],
  ])("permissions from %s", (_, given, map, permissions) => {
    const parsed = ClaimMap.parse({ workspace: "workspace", ...map });
    expect(shown(given, parsed)).toEqual({ workspaceId: "acme", subject: "ada", permissions });
  });

  test.each<[string, unknown]>([
    ["missing", undefined],
    ["empty", ""],
    ["a list", ["acme"]],
    ["too long", "a".repeat(65)],
    ["with a separator", "acme|2026-11"],
    ["with a slash", "acme/other"],
    ["with a space", "acme "],
  ])("nobody calls for a workspace that is %s", (_, workspace) => {
    expect(identityOf({ ...claims, workspace }, direct)).toBeNull();
  });

  test.each([undefined, "", 7, "x".repeat(256)])("nobody calls as %s", (sub) => {
    expect(identityOf({ ...claims, sub }, direct)).toBeNull();
  });

  test("ID tokens and programs are recognised", () => {
    for (const name of ["nonce", "at_hash", "c_hash"]) expect(isIdToken({ ...claims, [name]: "x" })).toBe(true);
    expect(isIdToken({ ...claims, client_id: "app" })).toBe(false);
    for (const machine of [{ client_id: "ada" }, { azp: "ada" }, { gty: "client-credentials" }, { idtyp: "app" }])
      expect(isMachineToken({ ...claims, ...machine })).toBe(true);
    expect(isMachineToken({ ...claims, client_id: "app", azp: "app" })).toBe(false);
  });
});
