/** What routes share that ask Graph while somebody waits. Nothing of the answers is kept. */
import { z } from "zod";
import { directoryTenant, type OpenedConnection } from "../connections/open.ts";
import type { Caller } from "../context.ts";
import { AppError } from "../errors.ts";
import { openReadable, type ViewNeeds } from "./readable.ts";

/** A search finds words; signs alone are none. */
export const SearchRequest = z.strictObject({
  text: z
    .string()
    .trim()
    .min(1)
    .max(100)
    .refine((text) => /[\p{L}\p{N}]/u.test(text), "has neither a letter nor a digit")
    .refine((text) => !/[\p{Cc}\p{Cs}]/u.test(text), "contains control characters or half a character"),
  limit: z.int().min(1).max(50).default(20),
});
export type SearchRequest = z.infer<typeof SearchRequest>;

export const openLive =
  (needs: ViewNeeds) =>
  async (caller: Caller, connectionId: string): Promise<OpenedConnection> => {
    const opened = await openReadable(needs)(caller.workspaceId, connectionId);
    if (directoryTenant(opened.doc) === null)
      throw new AppError("state-conflict", { detail: "Reading the directory is not approved on this connection." });
    return opened;
  };
