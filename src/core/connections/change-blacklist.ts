/** Reads and replaces the e-mail blacklist. Who is listed from now on leaves with the next plan, not when this returns. */
import { z } from "zod";
import type { Caller } from "../context.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import type { Keys } from "../crypto/keys.ts";
import { AppError } from "../errors.ts";
import type { ConnectionDoc, Stored } from "../store/documents.ts";
import type { DirectoryStore, Page } from "../store/ports.ts";
import { BlacklistEntries, openEntries, wholeList } from "./blacklist.ts";
import { maxFaults, parseBlacklist } from "./blacklist-csv.ts";
import { requireMatch } from "./change.ts";
import { applyChange, type SettingsNeeds, settingsEtag } from "./change-settings.ts";
import { openConnection } from "./open.ts";

export const ReplaceBlacklist = z.strictObject({ entries: BlacklistEntries });
export type ReplaceBlacklist = z.infer<typeof ReplaceBlacklist>;

export const UploadMode = z.enum(["replace", "append"]);
export type UploadMode = z.infer<typeof UploadMode>;

export const BlacklistAnswer = z.strictObject({
  /** Of the list; 0: there has been none yet. */
  version: z.int(),
  entries: z.int(),
  /** Of the settings, which the list belongs to. */
  etag: z.string(),
});
export type BlacklistAnswer = z.infer<typeof BlacklistAnswer>;

export const readBlacklist =
  (needs: { store: Pick<DirectoryStore, "read" | "load">; keys: Pick<Keys, "ring"> }) =>
  async (
    caller: Caller,
    connectionId: string,
    page: { after?: string; limit: number },
  ): Promise<Page<string> & BlacklistAnswer> => {
    const { doc, context } = await openConnection(needs)(caller.workspaceId, connectionId);
    const { after = "" } = page;
    const rest = (await openEntries(needs)(connectionId, doc.blacklist, context.ring)).filter((entry) => entry > after);
    const items = rest.slice(0, page.limit);
    return { items, next: rest.length > page.limit ? (items.at(-1) ?? null) : null, ...answerOf(doc) };
  };

export const replaceBlacklist =
  (needs: SettingsNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    ifMatch: string | undefined,
    { entries }: ReplaceBlacklist,
  ): Promise<BlacklistAnswer> => {
    const blacklist = wholeList(entries, "entries");
    const { doc } = await applyChange(needs)(caller, connectionId, (current) => {
      requireMatch(ifMatch, settingsEtag(current));
      return { blacklist };
    });
    return answerOf(doc);
  };

/** `text` is a file. A single line that cannot be used, and nothing is stored. */
export const uploadBlacklist =
  (needs: SettingsNeeds) =>
  async (
    caller: Caller,
    connectionId: string,
    ifMatch: string | undefined,
    { mode, text }: { mode: UploadMode; text: string },
  ): Promise<BlacklistAnswer> => {
    const { entries, faults } = parseBlacklist(text);
    const propose = async (current: Stored<ConnectionDoc>, ring: KeyRing) => {
      if (ifMatch !== undefined) requireMatch(ifMatch, settingsEtag(current));
      if (faults.length > 0) {
        const detail = `Nothing was stored; ${faults.length === maxFaults ? "at least " : ""}${faults.length} lines cannot be used.`;
        throw new AppError("invalid-request", { detail, lines: faults });
      }
      const kept = mode === "append" ? await openEntries(needs)(connectionId, current.blacklist, ring) : [];
      return { blacklist: wholeList([...kept, ...entries], "body") };
    };
    return answerOf((await applyChange(needs)(caller, connectionId, propose)).doc);
  };

const answerOf = (doc: ConnectionDoc): BlacklistAnswer => ({ ...doc.blacklist, etag: settingsEtag(doc) });
