/**
 * Published vectors. AES-GCM runs on node's cipher with exactly the parameters `seal` uses. HMAC and HKDF run on a second, plain
 * implementation by their RFCs, which then says what our own keyed hashes and derived keys have to be.
 */
import { createCipheriv, createDecipheriv, createHash, createSecretKey, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { keyRing, mac, newRingContent } from "../../../src/core/crypto/key-ring.ts";
import { platformKeys } from "../../../src/core/crypto/platform-key.ts";
import { testAmbient } from "../test-ambient.ts";

const folder = "../shared/vectors";
const absent = !existsSync(folder);

const sha256 = (...parts: Uint8Array[]): Buffer => createHash("sha256").update(Buffer.concat(parts)).digest();

/** RFC 2104. */
const hmac = (key: Uint8Array, text: Uint8Array): Buffer => {
  const block = Buffer.alloc(64);
  block.set(key.length > 64 ? sha256(key) : key);
  const pad = (byte: number): Buffer => Buffer.from(block.map((value) => value ^ byte));
  return sha256(pad(0x5c), sha256(pad(0x36), text));
};

/** RFC 5869. */
const hkdf = (master: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Buffer => {
  const prk = hmac(salt, master);
  const blocks: Buffer[] = [];
  for (let n = 1; blocks.length * 32 < length; n++)
    blocks.push(hmac(prk, Buffer.concat([blocks.at(-1) ?? Buffer.alloc(0), info, Buffer.from([n])])));
  return Buffer.concat(blocks).subarray(0, length);
};

interface Vector {
  tcId: number;
  result: "valid" | "invalid" | "acceptable";
  /** Hex texts by name; `size` is a number. */
  [name: string]: unknown;
}
interface Group {
  keySize: number;
  ivSize?: number;
  tagSize?: number;
  tests: Vector[];
}
const groups = (name: string): Group[] =>
  absent
    ? []
    : (JSON.parse(readFileSync(`${folder}/wycheproof-${name}_test.json`, "utf8")) as { testGroups: Group[] })
        .testGroups;
const bytes = (vector: Vector, name: string): Buffer => Buffer.from(String(vector[name]), "hex");

describe.skipIf(absent)("vectors of Wycheproof", () => {
  it("AES-256-GCM with 96-bit IV and 128-bit tag: the valid ones open and are what we would make, the others are refused", () => {
    const vectors = groups("aes_gcm")
      .filter((group) => group.keySize === 256 && group.ivSize === 96 && group.tagSize === 128)
      .flatMap((group) => group.tests);
    const options = { authTagLength: 16 };
    const opened = (vector: Vector): Buffer => {
      const key = createSecretKey(bytes(vector, "key"));
      const decipher = createDecipheriv("aes-256-gcm", key, bytes(vector, "iv"), options);
      decipher.setAAD(bytes(vector, "aad"));
      decipher.setAuthTag(bytes(vector, "tag"));
      return Buffer.concat([decipher.update(bytes(vector, "ct")), decipher.final()]);
    };
    for (const vector of vectors) {
      if (vector.result === "invalid") {
        expect(() => opened(vector), `case ${vector.tcId}`).toThrow();
        continue;
      }
      expect(opened(vector), `case ${vector.tcId}`).toEqual(bytes(vector, "msg"));
      const key = createSecretKey(bytes(vector, "key"));
      const cipher = createCipheriv("aes-256-gcm", key, bytes(vector, "iv"), options);
      cipher.setAAD(bytes(vector, "aad"));
      const text = Buffer.concat([cipher.update(bytes(vector, "msg")), cipher.final()]);
      expect([text, cipher.getAuthTag()]).toEqual([bytes(vector, "ct"), bytes(vector, "tag")]);
    }
    expect(vectors.filter(({ result }) => result === "valid").length).toBeGreaterThan(30);
    expect(vectors.filter(({ result }) => result === "invalid").length).toBeGreaterThan(20);
  });

  it("HMAC-SHA-256", () => {
    for (const { tagSize = 0, tests } of groups("hmac_sha256"))
      for (const vector of tests) {
        const tag = hmac(bytes(vector, "key"), bytes(vector, "msg")).subarray(0, tagSize / 8);
        expect(tag.equals(bytes(vector, "tag")), `case ${vector.tcId}`).toBe(vector.result === "valid");
      }
  });

  it("HKDF-SHA-256", () => {
    const vectors = groups("hkdf_sha256")
      .flatMap((group) => group.tests)
      .filter(({ result }) => result === "valid");
    for (const vector of vectors) {
      const made = hkdf(bytes(vector, "ikm"), bytes(vector, "salt"), bytes(vector, "info"), Number(vector["size"]));
      expect(made, `case ${vector.tcId}`).toEqual(bytes(vector, "okm"));
    }
    expect(vectors.length).toBeGreaterThan(50);
  });
});

describe("what is stored for years does not change with a release", () => {
  it("a keyed hash is HMAC-SHA-256 over purpose, zero byte and text", () => {
    const content = newRingContent(testAmbient());
    const ring = keyRing(content);
    for (const text of ["", "ada@x.example", "Zoë \u{1f600}", "x".repeat(200)])
      expect(mac(ring, "mail", text)).toEqual(
        hmac(Buffer.from(content.index, "base64url"), Buffer.from(`mail\0${text}`, "utf8")),
      );
  });

  it("a platform key's purpose is HKDF-SHA-256 with empty salt and the purpose as info", () => {
    const master = randomBytes(32);
    const derived = platformKeys(new Map([[1, master]])).derive("cursor", 1);
    expect(derived.key.export()).toEqual(hkdf(master, Buffer.alloc(0), Buffer.from("m365-sync/cursor", "utf8"), 32));
  });
});
