/** What timers and queues share. Faults of the work itself are recorded where the work is; here they only reach the log. */
import type { InvocationContext, StorageQueueHandler, TimerHandler } from "@azure/functions";
import type { z } from "zod";
import type { AppError } from "../../core/errors.ts";
import { asAppError, logProblem } from "./problem.ts";

/** What becomes of one message or tick; for the log. Ids and counts only. With an `alarm` it is logged as an error. */
export type Outcome = Readonly<Record<string, string | number>>;

/**
 * Only what cannot be parsed is thrown: the host tries it again a few times and sets it aside in the poison queue. Everything
 * else has been taken note of in the store, and its next try is scheduled there.
 */
export const onMessage =
  <T>(name: string, schema: z.ZodType<T>, run: (message: T) => Promise<Outcome>): StorageQueueHandler =>
  async (message, context) => {
    const parsed = schema.safeParse(message);
    if (!parsed.success) throw new Error(`${name}: the message does not have the known form`);
    await logged(name, context, () => run(parsed.data));
  };

/** A tick that failed is thrown without what is behind it, so that it shows as failed; the next one comes in any case. */
export const onTick =
  (name: string, run: () => Promise<Outcome>): TimerHandler =>
  async (_timer, context) => {
    const problem = await logged(name, context, run);
    if (problem) throw new Error(`${name}: ${problem.code}`);
  };

const logged = async (
  name: string,
  context: InvocationContext,
  run: () => Promise<Outcome>,
): Promise<AppError | null> => {
  try {
    const outcome = await run();
    const line = JSON.stringify({ event: name, ...outcome });
    if (outcome.alarm === undefined) context.info(line);
    else context.error(line);
    return null;
  } catch (error) {
    const problem = asAppError(error);
    logProblem(context, name, problem, { correlationId: context.invocationId });
    return problem;
  }
};
