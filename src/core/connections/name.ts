/** The name of a connection: typed by an administrator, so it is sealed; unique in its workspace by a keyed hash. */
import { createHmac, type KeyObject } from "node:crypto";
import { z } from "zod";
import type { Ambient } from "../ambient.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { open, type Place, type Sealed, seal } from "../crypto/seal.ts";
import { type ConnectionDoc, ids } from "../store/documents.ts";

/**
 * Control characters, overrides of the writing direction and what takes no room would let a name pretend to be another one on our
 * pages. Joiners and variation selectors stay: several scripts and most emoji need them.
 */
const deceiving = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]|(?![\u200c\u200d\p{VS}])\p{DI}/u;
const unseen = /\p{DI}/gu;

/** Somebody else's text, as it may stand on our pages. */
export const plainly = (text: string): string => text.replaceAll(new RegExp(deceiving, "gu"), "\ufffd");

export const DisplayName = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .normalize("NFC")
  .refine(
    (name) => !deceiving.test(name) && name.replace(unseen, "").trim() !== "",
    "contains characters that cannot be seen",
  );

const namePlace = (connectionId: string): Place => ({
  container: "directory",
  partition: connectionId,
  document: ids.connection,
  fields: "displayName",
});

export const sealName = (ambient: Ambient, ring: KeyRing, connectionId: string, name: string): Sealed<string> =>
  seal(ambient, ring.sealing, namePlace(connectionId), name);

export const openName = (ring: KeyRing, doc: Pick<ConnectionDoc, "connectionId" | "displayName">): string =>
  open(ring.sealing, namePlace(doc.connectionId), doc.displayName);

/** What the index compares: equal for names that differ only in case, width, spacing or what cannot be seen. `key` is never replaced. */
export const nameIndex = (key: KeyObject, workspaceId: string, name: string): string => {
  const canonical = name.normalize("NFKC").replace(unseen, "").toLowerCase().replace(/\s+/gu, " ").trim();
  return createHmac("sha256", key)
    .update(JSON.stringify(["connection name", workspaceId, canonical]))
    .digest("base64url");
};
