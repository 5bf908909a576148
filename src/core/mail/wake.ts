/** The timer's work for mails: a hint for each that is due. It also repairs what a worker that died has left. */
import type { Ambient } from "../ambient.ts";
import type { MailOutbox } from "./ports.ts";

const hintsPerTick = 200;

export const wakeMails =
  ({ ambient, jobs, hints }: MailOutbox & { ambient: Ambient }) =>
  async (): Promise<number> => {
    const now = ambient.now();
    const due = await jobs.due(now, hintsPerTick);
    for (const { connectionId, runId } of due) await hints.send({ connectionId, receivedAt: now, mail: runId });
    return due.length;
  };
