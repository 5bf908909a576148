/**
 * A dry run leaves its mail: the job is written before the commit that ends the run, so no crash loses it, and whoever finds it
 * looks at the run first, so it is not sent before. What goes wrong here is told on the run and does not make it fail.
 */
import { iso } from "../ambient.ts";
import { seal } from "../crypto/seal.ts";
import type { Round } from "../directory/run/round.ts";
import type { RunDoc, RunMail } from "../store/documents.ts";
import { groupNamesPlace, plannedGroupNames } from "./group-names.ts";

const keptMilliseconds = 3 * 86_400_000;

/** The part of the run's document that tells of its mail; nothing when none was asked for. */
export const stageMail = async (round: Round, known: Pick<RunDoc, "mail"> | null): Promise<Pick<RunDoc, "mail">> => {
  if (!known?.mail) return {};
  const { ambient, mails } = round.needs;
  const now = ambient.now();
  const mail = (state: RunMail["state"], reason: RunMail["reason"]) => ({ mail: { state, at: iso(now), reason } });
  if (!mails) return mail("refused", "mail-not-offered");
  const { connectionId, ring } = round.connection;
  const name = { connectionId, runId: round.id };
  try {
    const content = seal(ambient, ring.sealing, groupNamesPlace(name), await plannedGroupNames(round));
    await mails.jobs.put({
      ...name,
      dueAt: now,
      sendingUntil: null,
      attempts: 0,
      unanswered: 0,
      expiresAt: now + keptMilliseconds,
      content,
    });
    return mail("waiting", null);
  } catch {
    return mail("failed", "not-prepared");
  }
};

/** The run has ended. A hint that is lost here is replaced by the timer. */
export const announceMail = async ({ needs, connection, id }: Round, { mail }: Pick<RunDoc, "mail">): Promise<void> => {
  if (mail?.state !== "waiting") return;
  const { connectionId } = connection;
  await needs.mails?.hints.send({ connectionId, receivedAt: needs.ambient.now(), mail: id }).catch(() => undefined);
};
