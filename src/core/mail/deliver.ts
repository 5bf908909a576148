/**
 * Sends the mail of a dry run that has ended. One worker at a time has a job; before it hands the mail to the server it notes
 * that, so that a worker that dies in between leaves a mail that may have arrived: it is sent once more, and not a third time.
 */
import { type Ambient, iso } from "../ambient.ts";
import { openName } from "../connections/name.ts";
import { directoryTenant } from "../connections/open.ts";
import type { ConnectionContext } from "../context.ts";
import { open } from "../crypto/seal.ts";
import { isAppError } from "../errors.ts";
import {
  type ConnectionDoc,
  ids,
  type MailReason,
  type RunDoc,
  type RunMail,
  type Stored,
} from "../store/documents.ts";
import type { DirectoryStore } from "../store/ports.ts";
import { groupNamesPlace } from "./group-names.ts";
import type { MailJob, MailJobStore, MailName, MailOutcome, MailServer } from "./ports.ts";
import { findRecipient, type RecipientNeeds } from "./recipient.ts";
import { resultMail } from "./result-mail.ts";
import { writeRunMail } from "./run-mail.ts";

export interface DeliverNeeds extends RecipientNeeds {
  ambient: Ambient;
  store: DirectoryStore;
  jobs: MailJobStore;
  server: MailServer;
  contextFor(doc: ConnectionDoc): Promise<ConnectionContext>;
  productUrl: string;
}

/** What became of a job; for the log. */
export type Delivered = "mail-sent" | "mail-failed" | "mail-refused" | "mail-not-due" | "mail-gone";

export const mailsPerDay = 5;
const minute = 60_000;
/** Longer than one try can take. */
const tryMilliseconds = 5 * minute;
/** After the first try and after the second: servers that do not know a sender yet often ask him to come again. */
const pauses = [5 * minute, 30 * minute];
/** The first may have arrived, and so may the second. */
const mostUnanswered = 2;

export const deliverMail =
  (needs: DeliverNeeds) =>
  async (name: MailName): Promise<Delivered> => {
    const { ambient, jobs, store } = needs;
    const { connectionId, runId } = name;
    const job = await jobs.read(name);
    if (!job) return "mail-gone";
    if (job.dueAt === null || job.dueAt > ambient.now()) return "mail-not-due";
    const doc = await store.read(connectionId, "connection", ids.connection);
    const run = doc && doc.state !== "closing" ? await store.read(connectionId, "run", ids.run(runId)) : null;
    if (!doc || !run || isSettled(run)) {
      await jobs.remove(name);
      return "mail-gone";
    }
    if (run.phase !== "ended") {
      await jobs.replace({ ...job, dueAt: ambient.now() + minute });
      return "mail-not-due";
    }
    if (job.unanswered >= mostUnanswered) return await settle(needs, job, "failed", "outcome-unknown");
    if (directoryTenant(doc) === null) return await settle(needs, job, "refused", "not-connected");
    const connection = await needs.contextFor(doc);
    const recipient = await findRecipient(needs, connection).catch(problemOf);
    if ("problem" in recipient) {
      const tried = { ...job, attempts: job.attempts + 1 };
      return await settle(needs, tried, "failed", recipient.problem, nextTry(needs, tried));
    }
    if ("refusal" in recipient) return await settle(needs, job, "refused", recipient.refusal);
    return await send(needs, connection, doc, run, job, recipient.address);
  };

/** Sent already, or of a run that has found nothing to tell. */
const isSettled = ({ phase, outcome, mail }: RunDoc): boolean =>
  phase === "ended" && (outcome !== "dry-run" || !mail || mail.state === "sent");

const problemOf = (error: unknown): { problem: MailReason } => {
  if (isAppError(error)) return { problem: error.code };
  throw error;
};

const nextTry = ({ ambient }: DeliverNeeds, { attempts }: MailJob): number | null => {
  const pause = pauses[attempts - 1];
  return pause === undefined ? null : ambient.now() + pause;
};

const send = async (
  needs: DeliverNeeds,
  { connectionId, ring }: ConnectionContext,
  doc: ConnectionDoc,
  run: RunDoc,
  job: Stored<MailJob>,
  to: string,
): Promise<Delivered> => {
  const { ambient, jobs, server, productUrl } = needs;
  const now = ambient.now();
  const mail = resultMail({
    connectionName: openName(ring, doc),
    run,
    groups: open(ring.sealing, groupNamesPlace(job), job.content),
    productUrl,
  });
  const claimed = await jobs.replace({
    ...job,
    dueAt: now + tryMilliseconds,
    sendingUntil: now + tryMilliseconds,
    attempts: job.attempts + 1,
    unanswered: job.unanswered + 1,
  });
  if (!claimed) return "mail-not-due";
  const answered = { ...claimed, unanswered: job.unanswered };
  const day = iso(now).slice(0, 10);
  if (!(await jobs.takePlace(connectionId, day, mailsPerDay)))
    return await settle(needs, answered, "refused", "daily-limit");
  const outcome = await server.send({ ...mail, to, id: job.runId });
  if (outcome === "taken") return await settle(needs, claimed, "sent", null);
  if (outcome === "unanswered") {
    const again = claimed.unanswered < mostUnanswered ? nextTry(needs, claimed) : null;
    return await settle(needs, claimed, "failed", "outcome-unknown", again);
  }
  await jobs.givePlaceBack(connectionId, day);
  const again = outcome === "unavailable" ? nextTry(needs, answered) : null;
  return await settle(needs, answered, "failed", reasonOf[outcome], again);
};

const reasonOf: Record<Exclude<MailOutcome, "taken" | "unanswered">, MailReason> = {
  unavailable: "mail-server-unavailable",
  refused: "mail-server-refused",
};

/** The run tells first; a job that is left over by a crash then finds there that it is done. */
const settle = async (
  { ambient, store, jobs }: DeliverNeeds,
  job: Stored<MailJob>,
  state: Exclude<RunMail["state"], "waiting">,
  reason: MailReason | null,
  dueAt: number | null = null,
): Promise<Delivered> => {
  await writeRunMail({ ambient, store }, job, () => ({ state, at: iso(ambient.now()), reason }));
  if (state === "sent") await jobs.remove(job);
  else await jobs.replace({ ...job, dueAt, sendingUntil: null });
  return `mail-${state}`;
};
