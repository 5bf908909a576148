/**
 * The floor under an import: what no program could leave out, done by bare loops. The same pages fetched and parsed, the same
 * number of ready-made documents written, the same number of ciphers and keyed hashes over ready buffers of the same lengths.
 */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, randomBytes } from "node:crypto";
import type { JSONObject } from "@azure/cosmos";
import { selectOf } from "../src/adapters/graph/feeds.ts";
import { everybody } from "../src/local/demo/everybody.ts";
import { type App, barePages } from "./app.ts";
import type { CryptoCalls } from "./crypto-calls.ts";

export const readBare = async (app: App, tid: string): Promise<{ pages: number; objects: number }> => {
  const read = { pages: 0, objects: 0 };
  for (const feed of ["groups", "users"] as const)
    for await (const { value } of barePages(app, tid, `${feed}/delta?$select=${selectOf(feed, everybody)}`)) {
      read.pages++;
      read.objects += value.length;
    }
  return read;
};

const documentsPerBatch = 100;
const bytesPerBatch = 1_800_000;

/** Documents in batches as large as the database takes, each ready to be sent. */
export const readyBatches = (documents: readonly object[], partition: string): JSONObject[][] => {
  const batches: JSONObject[][] = [[]];
  let bytes = 0;
  for (const [number, document] of documents.entries()) {
    const size = JSON.stringify(document).length;
    if ((batches.at(-1)?.length ?? 0) === documentsPerBatch || bytes + size > bytesPerBatch) {
      batches.push([]);
      bytes = 0;
    }
    bytes += size;
    // The same document comes several times when it was written several times.
    batches.at(-1)?.push({ ...document, id: `floor:${number}`, connectionId: partition });
  }
  return batches;
};

export const writeBare = async (
  { handles }: App,
  batches: readonly JSONObject[][],
  partition: string,
): Promise<void> => {
  for (const batch of batches) {
    const operations = batch.map((resourceBody) => ({ operationType: "Create" as const, resourceBody }));
    const { code } = await handles.directory.items.batch(operations, partition);
    if (code !== 200) throw new Error(`The database answered ${code} to a plain batch.`);
  }
};

const ivBytes = 12;
const tagBytes = 16;
const aadBytes = 120;

/** Returns what has to be called; everything is laid ready before. */
export const bareCrypto = ({ seals, opens, macs }: CryptoCalls): (() => void) => {
  const key = createSecretKey(randomBytes(32));
  const longest = [...seals, ...opens, ...macs].reduce((most, length) => Math.max(most, length), 0);
  const buffer = randomBytes(longest);
  const iv = randomBytes(ivBytes);
  const aad = randomBytes(aadBytes);
  const options = { authTagLength: tagBytes };
  const sealOnce = (length: number): { text: Buffer; tag: Buffer } => {
    const cipher = createCipheriv("aes-256-gcm", key, iv, options).setAAD(aad);
    const text = cipher.update(buffer.subarray(0, length));
    cipher.final();
    return { text, tag: cipher.getAuthTag() };
  };
  const sealed = opens.map(sealOnce);
  return () => {
    for (const length of seals) sealOnce(length);
    for (const { text, tag } of sealed) {
      const decipher = createDecipheriv("aes-256-gcm", key, iv, options).setAAD(aad).setAuthTag(tag);
      decipher.update(text);
      decipher.final();
    }
    for (const length of macs) createHmac("sha256", key).update(buffer.subarray(0, length)).digest();
  };
};
