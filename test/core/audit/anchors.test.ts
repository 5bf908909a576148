import { describe, expect, it } from "vitest";
import { loadAnchorKeys, verifiedPayload } from "../../../src/core/audit/anchor-keys.ts";
import { daysBetween, findAnchors, readStatement, statementOf, writeAnchor } from "../../../src/core/audit/anchors.ts";
import { chainStart } from "../../../src/core/audit/change-log.ts";
import { memorySecrets } from "../../support/memory-secrets.ts";
import { testAmbient } from "../test-ambient.ts";

const memoryVault = () => {
  const secrets = memorySecrets();
  return { kept: secrets.values, secrets };
};

const headsOf = (count: number, sequence = 7) =>
  Array.from({ length: count }, (_, index) => {
    const connectionId = `01k${String(index * 3).padStart(23, "0")}`;
    return { connectionId, sequence, chain: chainStart(connectionId) };
  });

const scene = (count: number) => {
  const ambient = testAmbient("2026-11-22T00:05:00.000Z");
  const vault = memoryVault();
  const heads = headsOf(count);
  const needs = { ambient, secrets: vault.secrets, store: { heads: async () => heads.toReversed() } };
  return { ...vault, ambient, heads, write: writeAnchor(needs), find: findAnchors(needs) };
};

describe("the anchor of a day", () => {
  it("has every connection, in secrets that a vault takes, and is written once", async () => {
    const { kept, heads, write, find } = scene(1000);
    expect(await write()).toBe(1000);
    expect(await write()).toBeNull();
    const parts = [...kept].filter(([name]) => name.startsWith("anchor-2026-11-22-"));
    expect(parts).toHaveLength(6);
    for (const [name, value] of parts) {
      expect(name).toMatch(/^[0-9a-zA-Z-]{1,127}$/);
      expect(value.length).toBeLessThanOrEqual(25_600);
    }
    for (const { connectionId, sequence, chain } of heads) {
      const { anchors, broken } = await find(connectionId, ["2026-11-21", "2026-11-22"]);
      expect(broken).toEqual([]);
      expect(anchors).toEqual([{ day: "2026-11-22", logDays: 400, at: "2026-11-22T00:05:00.000Z", sequence, chain }]);
    }
    for (const stranger of ["01k", "01k00000000000000000000001", "9"])
      expect((await find(stranger, ["2026-11-22"])).anchors).toEqual([]);
  });

  it("fits a secret also when every number in it is as long as it can be", async () => {
    const { kept, secrets } = memoryVault();
    const heads = headsOf(180, Number.MAX_SAFE_INTEGER);
    await writeAnchor({ ambient: testAmbient(), secrets, store: { heads: async () => heads } })();
    expect(kept.size).toBe(2);
    expect(Math.max(...[...kept.values()].map((value) => value.length))).toBeLessThanOrEqual(25_600);
  });

  it("without any connection is written all the same", async () => {
    const { kept, write } = scene(0);
    expect(await write()).toBe(0);
    expect(kept.has("anchor-2026-11-22-0")).toBe(true);
  });

  it("is begun again when writing it was broken off: its first part is written last", async () => {
    const { kept, write, heads, find } = scene(400);
    expect(await write()).toBe(400);
    kept.delete("anchor-2026-11-22-0");
    expect(await write()).toBe(400);
    expect((await find(heads[399]?.connectionId ?? "", ["2026-11-22"])).anchors).toHaveLength(1);
  });

  it.each<[string, (kept: Map<string, string>) => void]>([
    [
      "altered",
      (kept) => change(kept, (text) => text.replace(/\.[^.]+\./, `.${Buffer.from("{}").toString("base64url")}.`)),
    ],
    ["signed by nobody", (kept) => change(kept, (text) => text.replace(/\.[^.]+$/, `.${"A".repeat(86)}`))],
    ["that of another day", (kept) => kept.set("anchor-2026-11-23-0", kept.get("anchor-2026-11-22-0") ?? "")],
  ])("is no proof when it was %s", async (_, spoil) => {
    const { kept, heads, write, find } = scene(3);
    await write();
    spoil(kept);
    const day = kept.has("anchor-2026-11-23-0") ? "2026-11-23" : "2026-11-22";
    expect(await find(heads[0]?.connectionId ?? "", [day])).toMatchObject({ anchors: [], broken: [day] });
  });

  it("goes when the log that it is for is gone, with all its parts, also after days on which nothing ran", async () => {
    const { kept, ambient, write } = scene(400);
    await write();
    ambient.advance((1095 + 30 + 3) * 86_400_000);
    await write();
    expect([...kept.keys()].filter((name) => name.startsWith("anchor-2026"))).toEqual([]);
    expect([...kept.keys()].filter((name) => name.startsWith("anchor-2029-12-24-"))).toHaveLength(3);
  });
});

const change = (kept: Map<string, string>, by: (text: string) => string): void => {
  const name = "anchor-2026-11-22-0";
  kept.set(name, by(kept.get(name) ?? ""));
};

describe("a key that signs anchors", () => {
  const payload = { a: 1 };

  it("is made once, and an older one still verifies", async () => {
    const { kept, secrets } = memoryVault();
    const ambient = testAmbient();
    const old = (await loadAnchorKeys(secrets, ambient)).sign("t", payload);
    const again = await loadAnchorKeys(secrets, ambient);
    expect(verifiedPayload(again.published, "t", old)).toEqual(payload);
    const other = memoryVault();
    await loadAnchorKeys(other.secrets, ambient);
    kept.set("anchor-k2", other.kept.get("anchor-k1") ?? "");
    const rotated = await loadAnchorKeys(secrets, ambient);
    expect(rotated.published.map(({ kid }) => kid)).toEqual(["anchor-k1", "anchor-k2"]);
    expect(verifiedPayload(rotated.published, "t", rotated.sign("t", payload))).toEqual(payload);
    expect(verifiedPayload(rotated.published, "t", old)).toEqual(payload);
    expect(verifiedPayload(again.published, "t", rotated.sign("t", payload))).toBeNull();
  });

  it("never publishes what is secret of it, and takes one kind of text for no other", async () => {
    const keys = await loadAnchorKeys(memoryVault().secrets, testAmbient());
    expect(Object.keys(keys.published[0] ?? {}).toSorted()).toEqual(["alg", "crv", "kid", "kty", "use", "x", "y"]);
    expect(verifiedPayload(keys.published, "other", keys.sign("t", payload))).toBeNull();
    for (const text of ["", "..", "a.b.c", `${keys.sign("t", payload)}.x`])
      expect(verifiedPayload(keys.published, "t", text)).toBeNull();
  });

  it("that is none is named", async () => {
    const { kept, secrets } = memoryVault();
    kept.set("anchor-k1", "something else");
    await expect(loadAnchorKeys(secrets, testAmbient())).rejects.toThrow("anchor-k1");
  });

  it("signs statements about one connection alone", async () => {
    const keys = await loadAnchorKeys(memoryVault().secrets, testAmbient());
    const anchor = { day: "2026-11-22", at: "2026-11-22T00:05:00.000Z", sequence: 7, chain: "ab" };
    const text = statementOf(keys, "01k-a", anchor);
    expect(readStatement(keys.published, text)).toEqual({ connection: "01k-a", ...anchor });
    expect(readStatement([], text)).toBeNull();
    expect(readStatement(keys.published, keys.sign("m365-sync-anchor-part", anchor))).toBeNull();
  });
});

it("days between two times are all of them", () => {
  const day = (text: string): number => Date.parse(`${text}T12:00:00Z`);
  expect(daysBetween(day("2026-11-29"), day("2026-12-01"))).toEqual(["2026-11-29", "2026-11-30", "2026-12-01"]);
  expect(daysBetween(day("2026-11-22"), day("2026-11-22"))).toEqual(["2026-11-22"]);
  expect(daysBetween(day("2026-11-23"), day("2026-11-22"))).toEqual([]);
});
