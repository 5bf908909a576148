import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  blindIndex,
  contentKey,
  type KeyRing,
  keyRing,
  type MacPurpose,
  mac,
  newPersonKey,
  newRingContent,
  newRunKey,
  openPersonKey,
  personId,
  runKey,
} from "../../../src/core/crypto/key-ring.ts";
import { open, type Place, SealBroken, seal } from "../../../src/core/crypto/seal.ts";
import { testAmbient } from "../test-ambient.ts";

const ambient = testAmbient();
const newRing = (): KeyRing => keyRing(newRingContent(ambient));
const ring = newRing();
const connectionId = "01k-a";
const oid = "0a1b2c3d-1111-4222-8333-abcdefabcdef";
const place: Place = { container: "directory", partition: connectionId, document: "u:x", fields: "record" };

describe("a key ring", () => {
  it("is the same ring when it is made again from its content", () => {
    const content = newRingContent(ambient);
    const [one, again] = [keyRing(content), keyRing({ ...content })];
    expect(open(again.sealing, place, seal(ambient, one.sealing, place, "text"))).toBe("text");
    expect(personId(again, oid)).toBe(personId(one, oid));
  });

  it("opens nothing of another connection, even in the same place", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        const other = newRing();
        expect(() => open(other.sealing, place, seal(ambient, ring.sealing, place, value))).toThrow(SealBroken);
        // Not even when its key pretends to be the other's.
        const pretender = { id: ring.sealing.id, key: other.sealing.key };
        expect(() => open(pretender, place, seal(ambient, ring.sealing, place, value))).toThrow(SealBroken);
        const { wrapped } = newPersonKey(ambient, ring, connectionId, "p");
        expect(() => openPersonKey(other, connectionId, "p", wrapped)).toThrow(SealBroken);
        expect(personId(other, oid)).not.toBe(personId(ring, oid));
      }),
      { numRuns: 50 },
    );
  });

  it("seals and wraps with different keys", () => {
    expect(ring.sealing.id).not.toBe(ring.wrapping.id);
    expect(ring.sealing.key.equals(ring.wrapping.key)).toBe(false);
    expect(ring.sealing.key.equals(ring.index)).toBe(false);
  });

  it("has keys of 32 bytes only", () => {
    for (const length of [0, 16, 31, 33]) expect(() => contentKey("k", Buffer.alloc(length))).toThrow(RangeError);
  });
});

describe("a person key", () => {
  const id = personId(ring, oid);
  const { key, wrapped } = newPersonKey(ambient, ring, connectionId, id);

  it("comes back from its wrapped form and opens what it sealed", () => {
    const sealed = seal(ambient, key, place, { displayName: "Ada" });
    expect(open(openPersonKey(ring, connectionId, id, wrapped), place, sealed)).toEqual({ displayName: "Ada" });
  });

  it("is bound to its person, its connection and its own id", () => {
    expect(() => openPersonKey(ring, connectionId, personId(ring, "other"), wrapped)).toThrow(SealBroken);
    expect(() => openPersonKey(ring, "01k-b", id, wrapped)).toThrow(SealBroken);
    expect(() => openPersonKey(ring, connectionId, id, { ...wrapped, id: "p-other" })).toThrow(SealBroken);
    const second = newPersonKey(ambient, ring, connectionId, id).wrapped;
    expect(() => openPersonKey(ring, connectionId, id, { id: wrapped.id, wrapped: second.wrapped })).toThrow(
      SealBroken,
    );
  });

  it("is a new one for everybody and every time", () => {
    const again = newPersonKey(ambient, ring, connectionId, id);
    expect(again.key.id).not.toBe(key.id);
    expect(again.key.key.equals(key.key)).toBe(false);
  });
});

it("a run key comes back from its content, and every run has its own", () => {
  const { key, content } = newRunKey(ambient);
  expect(open(runKey(content), place, seal(ambient, key, place, "chunk"))).toBe("chunk");
  expect(newRunKey(ambient).key.key.equals(key.key)).toBe(false);
});

describe("pseudonyms and blind indexes", () => {
  it("a person id is 22 URL-safe characters, the same for every spelling of the object id, and nothing of it shows", () => {
    const id = personId(ring, oid);
    expect(id).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(personId(ring, oid.toUpperCase())).toBe(id);
    expect(personId(ring, oid.replace("0a", "0b"))).not.toBe(id);
    expect(Buffer.from(id, "base64url").equals(Buffer.from(oid.replaceAll("-", ""), "hex"))).toBe(false);
  });

  it("one text has another hash for every purpose, also where purpose and text run into each other", () => {
    const purposes: MacPurpose[] = ["person", "mail", "upn", "product-user", "content", "plan"];
    const hashes = (text: string): string[] => purposes.map((purpose) => mac(ring, purpose, text).toString("hex"));
    fc.assert(
      fc.property(fc.string(), fc.string(), (one, other) => {
        expect(new Set(hashes(one)).size).toBe(purposes.length);
        if (one !== other) expect(new Set([...hashes(one), ...hashes(other)]).size).toBe(2 * purposes.length);
      }),
    );
    expect(blindIndex(ring, "mail", "a@x.example")).not.toBe(blindIndex(ring, "upn", "a@x.example"));
  });

  it.each([
    ["case", "Ada.Minh@X.Example", "ada.minh@x.example"],
    ["white space around it", " \tada@x.example\u00a0\n", "ada@x.example"],
    ["composed and decomposed letters", "zo\u00eb@x.example", "zoe\u0308@x.example"],
    ["compatibility forms", "ａda＠x.example", "ada@x.example"],
    ["capitals inside of one sign", "\u2121@x.example", "tel@x.example"],
    ["capitals that have no composed form", "J\u030cana@x.example", "\u01f0ana@x.example"],
  ])("an address is found whatever its %s", (_, one, other) => {
    for (const purpose of ["mail", "upn"] as const)
      expect(blindIndex(ring, purpose, one)).toBe(blindIndex(ring, purpose, other));
  });

  it("different addresses stay different", () => {
    const addresses = ["ada@x.example", "adam@x.example", "ada@y.example", "a.da@x.example", "äda@x.example"];
    expect(new Set(addresses.map((address) => blindIndex(ring, "mail", address))).size).toBe(addresses.length);
  });

  it("a product user id is taken to the letter", () => {
    const ids = ["User-1", "user-1", " user-1", "user-1 ", "ｕser-1"];
    expect(new Set(ids.map((id) => blindIndex(ring, "product-user", id))).size).toBe(ids.length);
  });
});
