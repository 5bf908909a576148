/**
 * The `$skiptoken` and `$deltatoken` of a link: the whole state of a listing, sealed. Nothing is kept on the server, so a link
 * outlives a restart, and a client that reads, edits or rebuilds a token cannot come far. Every sealing looks different.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";

export interface LinkSealer {
  seal(state: object): string;
  /** Null for anything that this sealer did not make. */
  open(token: string): unknown;
}

const nonceBytes = 12;
const tagBytes = 16;

export const createLinkSealer = (key: Buffer): LinkSealer => ({
  seal: (state) => {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    const text = Buffer.concat([cipher.update(deflateRawSync(JSON.stringify(state))), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString("base64url");
  },
  open: (token) => {
    const bytes = Buffer.from(token, "base64url");
    if (bytes.length <= nonceBytes + tagBytes) return null;
    const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, nonceBytes));
    decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
    try {
      const text = Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]);
      return JSON.parse(inflateRawSync(text).toString("utf8"));
    } catch {
      return null;
    }
  },
});
