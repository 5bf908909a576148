/** That a document is only sealed again is the one reason for which a change may have no record: it is checked, not believed. */
import { expect, test } from "vitest";
import { unrecorded } from "../../../src/core/audit/record-rule.ts";
import type { Sealed } from "../../../src/core/crypto/seal.ts";
import type { PersonDoc, Stored } from "../../../src/core/store/documents.ts";
import { resealedWrite } from "../../../src/core/store/resealed.ts";
import { personDoc } from "../../adapters/cosmos-fixture.ts";

const text = <T>(key: string, letter: string): Sealed<T> => `1.${key}.${letter.repeat(40)}` as Sealed<T>;
const stored: Stored<PersonDoc> = {
  ...personDoc("01k-a", "somebody", "deactivated"),
  key: { id: "p-1", wrapped: text("w-1", "a") },
  record: text("p-1", "b"),
  productUser: { value: text("p-1", "c"), index: "i" },
  _etag: "e1",
};
const again: Stored<PersonDoc> = {
  ...stored,
  key: { id: "p-2", wrapped: text("w-2", "d"), former: [{ id: "p-1", wrapped: text("w-2", "e"), until: 1 }] },
  record: text("p-2", "f"),
  productUser: { value: text("p-2", "g"), index: "i" },
};

test("other ciphertexts and another wrapped key are no change, so nobody has to be told", () => {
  const write = resealedWrite(stored, again);
  expect(write).toMatchObject({ op: "replace", etag: "e1", resealed: true });
  expect(write.grows).toBe(JSON.stringify(again).length - JSON.stringify(stored).length);
  expect(unrecorded([write], [])).toBeNull();
  expect(unrecorded([{ op: "replace", doc: again, etag: "e1" }], [])).toBe("person");
});

test.each<[string, Partial<PersonDoc>]>([
  ["another state", { state: "removed" }],
  ["a time", { changedAt: "2026-02-02T00:00:00.000Z" }],
  ["a hash", { hash: "other" }],
  ["an end", { ttl: 60 }],
  ["a record that is gone", { record: null }],
  ["a record in clear", { record: "Ada" as Sealed<never> }],
  ["a key that is gone", { key: null }],
  ["an index", { productUser: { value: text("p-2", "g"), index: "other" } }],
])("%s is a change", (_, change) => {
  expect(() => resealedWrite(stored, { ...again, ...change })).toThrow(RangeError);
});
