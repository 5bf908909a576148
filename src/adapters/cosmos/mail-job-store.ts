/** Mails that are to go out, and how many went: container `state`. */
import type { Container } from "@azure/cosmos";
import { AppError } from "../../core/errors.ts";
import { mailJobId, mailPartition } from "../../core/mail/group-names.ts";
import type { MailJob, MailJobStore, MailName } from "../../core/mail/ports.ts";
import { readDocument, repeating, rows, stored, writing } from "./requests.ts";

/** A day and a night: the count of a day is asked for on that day only. */
const dayTtlSeconds = 2 * 86_400;
const rounds = 5;

const placesKey = (connectionId: string): string => `mail:${connectionId}`;
interface Places {
  id: string;
  key: string;
  taken: number;
}

/** The time to live counts from the last write, and a job is not to live longer by being written. */
const documentOf = (job: MailJob, now: number) => {
  const { connectionId, runId, dueAt, sendingUntil, attempts, unanswered, expiresAt, content } = job;
  return {
    id: mailJobId(job),
    key: mailPartition,
    connectionId,
    runId,
    dueAt,
    sendingUntil,
    attempts,
    unanswered,
    expiresAt,
    content,
    ttl: Math.max(1, Math.ceil((expiresAt - now) / 1000)),
  };
};

export const mailJobStore = (container: Container, now: () => number): MailJobStore => {
  const replaceIf = async (doc: { id: string; key: string }, etag: string) =>
    writing(
      () => container.item(doc.id, doc.key).replace(doc, { accessCondition: { type: "IfMatch", condition: etag } }),
      404,
      412,
    );

  /** Counts by one; false when `allowed` says no. */
  const count = (connectionId: string, day: string, by: 1 | -1, allowed: (taken: number) => boolean) =>
    repeating(async () => {
      const key = placesKey(connectionId);
      for (let round = 0; round < rounds; round++) {
        const known = await readDocument<Places>(container, key, day);
        const taken = known?.taken ?? 0;
        if (!allowed(taken)) return false;
        const doc = { id: day, key, taken: taken + by, ttl: dayTtlSeconds };
        const { statusCode } = known
          ? await replaceIf(doc, known._etag)
          : await writing(() => container.items.create(doc), 409);
        if (statusCode < 300) return true;
      }
      throw new AppError("store-unavailable");
    });

  return {
    put: (job) =>
      repeating(async () => {
        await writing(() => container.items.upsert(documentOf(job, now())));
      }),

    read: (name) => readDocument<MailJob>(container, mailPartition, mailJobId(name)),

    replace: async (job) => {
      const answer = await replaceIf(documentOf(job, now()), job._etag);
      return answer.statusCode < 300 && answer.resource ? stored<MailJob>(answer.resource) : null;
    },

    remove: (name) =>
      repeating(async () => {
        await writing(() => container.item(mailJobId(name), mailPartition).delete(), 404);
      }),

    due: (until, limit) =>
      rows<MailName>(
        container,
        mailPartition,
        `SELECT TOP ${limit} c.connectionId, c.runId FROM c WHERE c.dueAt <= @until`,
        { until },
      ),

    takePlace: (connectionId, day, most) => count(connectionId, day, 1, (taken) => taken < most),

    givePlaceBack: async (connectionId, day) => {
      await count(connectionId, day, -1, (taken) => taken > 0);
    },
  };
};
