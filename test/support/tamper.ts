/** What somebody does who can write to the database and holds no key. */
import type { Sealed } from "../../src/core/crypto/seal.ts";

/** One bit of the ciphertext is another. */
export const flipped = <T>(sealed: Sealed<T>): Sealed<T> => {
  const [format, key, text = ""] = sealed.split(".");
  const bytes = Buffer.from(text, "base64url");
  const middle = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  return [format, key, bytes.toString("base64url")].join(".") as Sealed<T>;
};
