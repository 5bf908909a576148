import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { type PlatformPurpose, platformGeneration, platformKeys } from "../../../src/core/crypto/platform-key.ts";
import { open, type Place, SealBroken, type Sealed, seal, sealedUnder } from "../../../src/core/crypto/seal.ts";
import { testAmbient } from "../test-ambient.ts";

const ambient = testAmbient();
const purposes: PlatformPurpose[] = ["handshake", "access", "cursor", "draft"];
const masters = new Map([
  [1, randomBytes(32)],
  [2, randomBytes(32)],
]);
const keys = platformKeys(masters);
const place: Place = { container: "cursor", partition: "p", document: "d", fields: "f" };

it("has its own key for every purpose and generation, and the master key is none of them", () => {
  const derived = purposes.flatMap((purpose) => [1, 2].map((generation) => keys.derive(purpose, generation)));
  const bytes = derived.map(({ key }) => key.export().toString("hex"));
  expect(new Set([...bytes, ...[...masters.values()].map((master) => master.toString("hex"))]).size).toBe(10);
  expect(new Set(derived.map(({ id }) => id)).size).toBe(8);
});

it("opens a text of one purpose with no key of another purpose or generation", () => {
  const sealed = seal(ambient, keys.derive("cursor", 1), place, "after");
  expect(open(keys.derive("cursor", 1), place, sealed)).toBe("after");
  for (const purpose of purposes)
    for (const generation of [1, 2]) {
      if (purpose === "cursor" && generation === 1) continue;
      const { key, id } = keys.derive(purpose, generation);
      expect(() => open({ id, key }, place, sealed)).toThrow(SealBroken);
      const renamed = sealed.replace("cursor-1", id) as Sealed<string>;
      expect(() => open({ id, key }, place, renamed)).toThrow(SealBroken);
    }
});

it("seals with the newest generation and still opens what an older one sealed", () => {
  const before = platformKeys(new Map([[1, masters.get(1) ?? Buffer.alloc(0)]]));
  const old = seal(ambient, before.derive("access", before.current), place, "record");
  expect(keys.current).toBe(2);
  const generation = platformGeneration(sealedUnder(old), "access") ?? 0;
  expect(generation).toBe(1);
  expect(open(keys.derive("access", generation), place, old)).toBe("record");
});

it("does not make up a generation that is not there", () => {
  expect(() => keys.derive("cursor", 3)).toThrow("key-missing");
  expect(() => keys.derive("cursor", 0)).toThrow("key-missing");
});

it.each([
  ["cursor-1", 1],
  ["cursor-12", 12],
  ["cursor-0", null],
  ["cursor--1", null],
  ["cursor-1.5", null],
  ["cursor-", null],
  ["cursor-x", null],
  ["cursor", null],
  ["draft-1", null],
  ["c-1", null],
  [null, null],
])("reads the generation of %j as %j", (keyId, generation) => {
  expect(platformGeneration(keyId, "cursor")).toBe(generation);
});
