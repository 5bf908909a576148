/** Sends the mail of a dry run again that has not gone out. What it tells is kept for three days; then only another dry run helps. */
import { iso } from "../ambient.ts";
import { entryOf } from "../connections/change.ts";
import type { Caller } from "../context.ts";
import { AppError } from "../errors.ts";
import { writeRunMail } from "../mail/run-mail.ts";
import type { RunDoc } from "../store/documents.ts";
import { openReadable } from "./readable.ts";
import { type RunNeeds, type RunView, readRunDoc, runView } from "./runs.ts";

export const resendMail =
  (needs: RunNeeds) =>
  async (caller: Caller, connectionId: string, runId: string): Promise<RunView> => {
    const { ambient, store, mails } = needs;
    const { context } = await openReadable(needs)(caller.workspaceId, connectionId);
    requireUnsent(await readRunDoc(store, connectionId, runId));
    if (!mails) throw new AppError("mail-not-offered");
    const name = { connectionId, runId };
    const job = await mails.jobs.read(name);
    const now = ambient.now();
    if (!job || job.expiresAt <= now) throw new AppError("mail-gone");
    if (job.sendingUntil !== null && job.sendingUntil > now)
      throw new AppError("state-conflict", { detail: "The mail is being sent." });
    const entry = entryOf(ambient, context, caller, {
      kind: "run",
      op: "updated",
      object: runId,
      changes: [{ field: "mail", before: null, after: "again" }],
    });
    const written = await writeRunMail(
      needs,
      name,
      (run) => {
        requireUnsent(run);
        return { state: "waiting", at: iso(now), reason: null };
      },
      [entry],
    );
    if (!written) throw new AppError("run-not-found");
    // Whoever asks for it again takes a second copy into account: tries count from the beginning.
    const moved = await mails.jobs.replace({ ...job, dueAt: now, sendingUntil: null, attempts: 0, unanswered: 0 });
    if (!moved) throw new AppError("changed-meanwhile");
    await mails.hints.send({ connectionId, receivedAt: now, mail: runId }).catch(() => undefined);
    return runView(written.run, written.head);
  };

const requireUnsent = ({ phase, mail }: RunDoc): void => {
  if (!mail) throw new AppError("state-conflict", { detail: "No mail was asked for with this run." });
  if (phase !== "ended") throw new AppError("state-conflict", { detail: "The run has not ended." });
  if (mail.state === "sent") throw new AppError("state-conflict", { detail: "The mail has been sent." });
};
