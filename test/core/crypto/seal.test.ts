import { createCipheriv, createSecretKey, randomBytes, webcrypto } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ContentKey,
  isSealedUnder,
  open,
  type Place,
  SealBroken,
  type Sealed,
  seal,
  sealedUnder,
} from "../../../src/core/crypto/seal.ts";
import { testAmbient } from "../test-ambient.ts";

const ambient = testAmbient();
const raw = randomBytes(32);
const key: ContentKey = { id: "p-key1", key: createSecretKey(raw) };
const place: Place = { container: "directory", partition: "01k-a", document: "u:person", fields: "record" };
const secret = "Ada Minh <ada@fabrikam.example>";
const sealed = seal(ambient, key, place, secret);

/** Text form of a sealed value, taken apart and put together again. */
const bytesOf = (text: string): Buffer => Buffer.from(text.split(".")[2] ?? "", "base64url");
const withBytes = (bytes: Buffer, id = key.id): Sealed<string> =>
  `1.${id}.${bytes.toString("base64url")}` as Sealed<string>;
const refuses = (text: string, at: Place = place, under: ContentKey = key): void =>
  expect(() => open(under, at, text as Sealed<string>)).toThrow(SealBroken);

describe("a sealed value", () => {
  it("opens to what was sealed, whatever it was", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), (value, document) => {
        const there = { ...place, document };
        expect(open(key, there, seal(ambient, key, there, value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("names its key and shows nothing of its content", () => {
    expect(sealedUnder(sealed)).toBe("p-key1");
    expect(sealed).toMatch(/^1\.p-key1\.[A-Za-z0-9_-]+$/);
    expect(bytesOf(sealed).includes("Ada")).toBe(false);
    expect(sealedUnder("plain text")).toBeNull();
    expect(sealedUnder("2.p-key1.AAAA")).toBeNull();
    expect(sealedUnder("1.a.b.c")).toBeNull();
  });

  it("is plain AES-256-GCM: another implementation opens it from the documented form", async () => {
    const bytes = bytesOf(sealed);
    const opened = await webcrypto.subtle.decrypt(
      {
        name: "AES-GCM",
        iv: bytes.subarray(0, 12),
        additionalData: Buffer.from('["directory","01k-a","u:person","record","p-key1"]'),
        tagLength: 128,
      },
      await webcrypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]),
      bytes.subarray(12),
    );
    expect(Buffer.from(opened).toString()).toBe(JSON.stringify(secret));
  });

  it("never uses an IV twice", () => {
    const count = 10_000;
    const ivs = new Set(
      Array.from({ length: count }, () => bytesOf(seal(ambient, key, place, null)).toString("latin1", 0, 12)),
    );
    expect(ivs.size).toBe(count);
  });
});

describe("keys beside the one that seals", () => {
  const former: ContentKey = { id: "p-key0", key: createSecretKey(randomBytes(32)) };
  const both: ContentKey = { ...key, others: [former] };

  it("open what names them, and seal nothing", () => {
    const old = seal(ambient, former, place, "before");
    expect(open(both, place, old)).toBe("before");
    expect(() => open(key, place, old)).toThrow(SealBroken);
    expect(sealedUnder(seal(ambient, both, place, "now"))).toBe(key.id);
    expect([old, seal(ambient, key, place, "now")].map((text) => isSealedUnder(both, text))).toEqual([true, true]);
    expect(isSealedUnder(key, old)).toBe(false);
    expect(isSealedUnder(both, "no sealed text")).toBe(false);
  });

  it("do not open a text that was given their name", () => {
    for (const [text, name] of [
      [seal(ambient, key, place, "now"), former.id],
      [seal(ambient, former, place, "before"), key.id],
    ] as const) {
      const renamed = text.replace(/^1\.[^.]+/, `1.${name}`) as Sealed<string>;
      expect(() => open(both, place, renamed)).toThrow(SealBroken);
    }
  });
});

describe("refused is", () => {
  it("every single bit that differs: of iv, ciphertext and tag", () => {
    const bytes = bytesOf(sealed);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8((flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      refuses(withBytes(flipped));
    }
  });

  it("every single bit that differs: of the text, its format and key id included", () => {
    const text = Buffer.from(sealed, "latin1");
    for (let bit = 0; bit < text.length * 8; bit++) {
      const flipped = Buffer.from(text);
      flipped.writeUInt8((flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      refuses(flipped.toString("latin1"));
    }
  });

  it("what was cut short or made longer, anywhere", () => {
    const bytes = bytesOf(sealed);
    for (let length = 0; length < bytes.length; length++) {
      refuses(withBytes(bytes.subarray(0, length)));
      refuses(withBytes(bytes.subarray(bytes.length - length)));
    }
    for (let length = 0; length < sealed.length; length++) refuses(sealed.slice(0, length));
    refuses(withBytes(Buffer.concat([bytes, Buffer.alloc(1)])));
  });

  it.each([4, 8, 12, 13, 14, 15])("a tag of %i bytes, though it is right as far as it goes", (authTagLength) => {
    const iv = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", key.key, iv, { authTagLength });
    cipher.setAAD(Buffer.from(JSON.stringify([...Object.values(place), key.id])));
    const content = Buffer.concat([cipher.update('"x"'), cipher.final()]);
    refuses(withBytes(Buffer.concat([iv, content, cipher.getAuthTag()])));
    const whole = bytesOf(sealed);
    refuses(withBytes(whole.subarray(0, whole.length - 16 + authTagLength)));
  });

  const elsewhere: [string, Partial<Place>][] = [
    ["container", { container: "work" }],
    ["partition (connection)", { partition: "01k-b" }],
    ["document", { document: "u:other" }],
    ["field set", { fields: "key" }],
  ];
  it.each(elsewhere)("what was moved to another %s", (_, change) => {
    refuses(sealed, { ...place, ...change });
  });

  it("what was moved between any two places, also where their names run into each other", () => {
    const text = fc.string({ unit: fc.constantFrom('"', ",", "[", "]", "\\", ".", "a", "\0"), maxLength: 5 });
    const places = fc.record({
      container: fc.constantFrom("directory", "work", "log") satisfies fc.Arbitrary<Place["container"]>,
      partition: text,
      document: text,
      fields: text,
    });
    fc.assert(
      fc.property(places, places, (from, to) => {
        fc.pre(JSON.stringify(from) !== JSON.stringify(to));
        refuses(seal(ambient, key, from, secret), to);
      }),
    );
  });

  it("another key under the same id, and the same key under another id", () => {
    refuses(sealed, place, { id: key.id, key: createSecretKey(randomBytes(32)) });
    refuses(sealed, place, { id: "p-key2", key: key.key });
    // Renaming the key in the text does not help: its id is authenticated too.
    refuses(withBytes(bytesOf(sealed), "p-key2"), place, { id: "p-key2", key: key.key });
  });

  it("a second spelling of the same bytes", () => {
    // 12 + 16 + 3 bytes leave four bits of the last character unused.
    const short = seal(ambient, key, place, 7);
    const [, , text = ""] = short.split(".");
    expect(bytesOf(short)).toHaveLength(29);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const last = alphabet.indexOf(text.at(-1) ?? "");
    const spellings = [
      `${text.slice(0, -1)}${alphabet[last ^ 1]}`,
      `${text}=`,
      `${text}\n`,
      ` ${text}`,
      Buffer.from(text, "base64url").toString("base64"),
    ].filter((spelling) => spelling !== text);
    for (const spelling of spellings) {
      expect(Buffer.from(spelling, "base64url")).toEqual(bytesOf(short));
      refuses(`1.${key.id}.${spelling}`);
    }
    expect(spellings.length).toBeGreaterThanOrEqual(4);
  });

  it.each(["", ".", "..", "1.p-key1.", `2${sealed.slice(1)}`, `${sealed}.`, `.${sealed}`, `${sealed}.AAAA`, secret])(
    "what is no sealed text: %j",
    (text) => {
      refuses(text);
    },
  );

  it("in words that say nothing of content, key or place", () => {
    const error = (() => {
      try {
        return open(key, { ...place, document: "u:other" }, sealed);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(SealBroken);
    expect((error as SealBroken).message).toBe("sealed data could not be opened");
    expect((error as SealBroken).cause).toBeUndefined();
  });
});
