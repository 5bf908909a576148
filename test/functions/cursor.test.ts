import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { contentKey } from "../../src/core/crypto/key-ring.ts";
import { platformKeys } from "../../src/core/crypto/platform-key.ts";
import { seal } from "../../src/core/crypto/seal.ts";
import { isAppError } from "../../src/core/errors.ts";
import { type CursorUse, cursorMilliseconds, sealedCursors } from "../../src/functions/edge/cursor.ts";

let time = 1_800_000_000_000;
const ambient = { now: () => time, randomBytes: (count: number) => randomBytes(count), ulid: () => "" };
const platform = platformKeys(new Map([[1, randomBytes(32)]]));
const cursors = sealedCursors(ambient, { platform: () => Promise.resolve(platform) });
const use: CursorUse = {
  route: "people.list",
  workspaceId: "acme",
  parameters: { connection: "k1", state: "active" },
};

const verdict = async (asked: CursorUse, cursor: string): Promise<string> => {
  try {
    return await cursors.open(asked, cursor);
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
};

describe("a cursor", () => {
  test("leads on where it was made, and tells nothing", async () => {
    const cursor = await cursors.seal(use, "u:ada");
    expect(await verdict(use, cursor)).toBe("u:ada");
    expect(Buffer.from(cursor.split(".")[2] ?? "", "base64url").includes("ada")).toBe(false);
  });

  test.each<[string, Partial<CursorUse>]>([
    ["another route", { route: "groups.list" }],
    ["another workspace", { workspaceId: "other" }],
    ["another connection", { parameters: { connection: "k2", state: "active" } }],
    ["other parameters", { parameters: { connection: "k1", state: "deactivated" } }],
    ["fewer parameters", { parameters: { connection: "k1" } }],
    ["more parameters", { parameters: { connection: "k1", state: "active", group: "g" } }],
  ])("is good for nothing in %s", async (_, other) => {
    expect(await verdict({ ...use, ...other }, await cursors.seal(use, "u:ada"))).toBe("invalid-cursor");
  });

  test("is refused when any part of it was altered, or when it was never one", async () => {
    const cursor = await cursors.seal(use, "u:ada");
    for (let index = 0; index < cursor.length; index += 1) {
      const other = cursor[index] === "A" ? "B" : "A";
      expect(await verdict(use, cursor.slice(0, index) + other + cursor.slice(index + 1))).toBe("invalid-cursor");
    }
    const place = { container: "cursor", partition: "acme", document: "k1", fields: "people.list" } as const;
    const foreign = seal(ambient, contentKey("cursor-1", randomBytes(32)), place, { position: "u:x" });
    for (const never of ["", "u:ada", "https://attacker.example/next", "1.cursor-999.AAAA", foreign])
      expect(await verdict(use, never)).toBe("invalid-cursor");
  });

  test("ends after an hour", async () => {
    const cursor = await cursors.seal(use, "u:ada");
    time += cursorMilliseconds - 1;
    expect(await verdict(use, cursor)).toBe("u:ada");
    time += 1;
    expect(await verdict(use, cursor)).toBe("invalid-cursor");
  });
});
