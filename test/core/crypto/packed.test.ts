import { createSecretKey, randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { openPacked, type Packed, sealPacked } from "../../../src/core/crypto/packed.ts";
import { type ContentKey, open, type Place, SealBroken, type Sealed, seal } from "../../../src/core/crypto/seal.ts";
import { testAmbient } from "../test-ambient.ts";

const ambient = testAmbient();
const key: ContentKey = { id: "t-key", key: createSecretKey(randomBytes(32)) };
const place: Place = { container: "work", partition: "r", document: "people+:0:w", fields: "content" };

it("opens to what was packed, whatever it was", async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async (value) => {
      const packed = await sealPacked(ambient, key, place, value);
      expect(await openPacked(key, place, packed)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

it("is a fraction of what is sealed as it is, where content repeats itself", async () => {
  const people = Array.from({ length: 200 }, (_, number) => ({ displayName: `Person ${number}`, city: "Seville" }));
  const packed = await sealPacked(ambient, key, place, people);
  expect(packed.length).toBeLessThan(seal(ambient, key, place, people).length / 3);
});

it("is opened by nobody from another place, under another key, or altered", async () => {
  const packed = await sealPacked(ambient, key, place, ["Seville"]);
  const other: ContentKey = { ...key, key: createSecretKey(randomBytes(32)) };
  const altered = packed.replace(/.$/, (last) => (last === "A" ? "B" : "A")) as Packed<string[]>;
  await expect(openPacked(key, { ...place, document: "people+:1:w" }, packed)).rejects.toThrow(SealBroken);
  await expect(openPacked(other, place, packed)).rejects.toThrow(SealBroken);
  await expect(openPacked(key, place, altered)).rejects.toThrow(SealBroken);
});

it("is not taken for what was sealed without being packed, nor the other way round, and quotes neither", async () => {
  const packed = (await sealPacked(ambient, key, place, "Seville")) as Sealed<unknown> as Sealed<string>;
  const sealed = seal(ambient, key, place, "Seville") as Sealed<unknown> as Packed<string>;
  expect(() => open(key, place, packed)).toThrow(SealBroken);
  await expect(openPacked(key, place, sealed)).rejects.toThrow(SealBroken);
});
