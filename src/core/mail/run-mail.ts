/** What became of a run's mail, on the run's document. Once it says `sent` it says so for ever. */
import type { Ambient } from "../ambient.ts";
import type { EntryDraft } from "../audit/entries.ts";
import { readHead } from "../connections/change.ts";
import { AppError } from "../errors.ts";
import { commit } from "../store/commit.ts";
import { type Head, ids, type RunDoc, type RunMail, type Stored } from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import type { MailName } from "./ports.ts";

const maxAttempts = 5;

/** `decide` is asked again whenever somebody else has moved the run; null = nothing is to be written. */
export const writeRunMail = async (
  needs: { ambient: Ambient; store: DirectoryStore },
  { connectionId, runId }: MailName,
  decide: (run: RunDoc) => RunMail | null,
  entries: readonly EntryDraft[] = [],
): Promise<{ run: RunDoc; head: Stored<Head> } | null> => {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const head = await readHead(needs.store, connectionId);
    const known = await needs.store.read(connectionId, "run", ids.run(runId));
    if (!known) return null;
    const { _etag: etag, ...run } = known;
    const mail = run.mail?.state === "sent" ? null : decide(run);
    if (!mail) return { run, head };
    const doc: RunDoc = { ...run, mail };
    const result = await commit(needs, head, { writes: [{ op: "replace", doc, etag }], entries });
    if (result.outcome === "committed") return { run: doc, head: result.head };
  }
  throw new AppError("changed-meanwhile");
};
