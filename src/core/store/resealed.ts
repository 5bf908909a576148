/** Replaces a document by itself under other keys: no change, so the log has nothing to tell of it. */
import type { DirectoryDoc, Stored } from "./documents.ts";
import type { Resealed, Write } from "./ports.ts";

/** Throws when anything but a ciphertext, or a wrapped key, is not as it was. */
export const resealedWrite = <D extends DirectoryDoc>(before: Stored<D>, after: D): Write => {
  const [stored, text] = [before, after].map((doc) =>
    JSON.stringify(doc, (name, value) => (name === "_etag" ? undefined : value)),
  );
  if (withoutCiphertexts(stored) !== withoutCiphertexts(text))
    throw new RangeError(`more than its ciphertexts would change in ${before.id}`);
  const grows = (text?.length ?? 0) - (stored?.length ?? 0);
  return { op: "replace", doc: after, etag: before._etag, resealed: true as Resealed, grows };
};

/** As text, so that the order of members counts as well. */
const withoutCiphertexts = (text = "{}"): string =>
  JSON.stringify(JSON.parse(text), (name, value: unknown) => {
    if (name === "key" && typeof value === "object" && value !== null) return "wrapped key";
    return typeof value === "string" && /^1\.[\w-]+\.[\w-]+$/.test(value) ? "ciphertext" : value;
  });
