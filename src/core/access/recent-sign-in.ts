/**
 * Step-up: what cannot be undone takes somebody who has signed in a moment ago, so that a token that was stolen, or a screen that
 * was left alone, is not enough. When that was, only the product's issuer knows; where it does not say so, the setting decides.
 */
import { z } from "zod";
import type { Caller } from "../context.ts";
import { AppError } from "../errors.ts";

export const StepUp = z.strictObject({
  /** The longest time since the sign-in. */
  minutes: z.int("is not a number").min(1, "is below 1").max(1440, "is above a day").default(10),
  /** Whether a token that does not tell the time of the sign-in is refused. */
  required: z.boolean().default(false),
});
export type StepUp = z.infer<typeof StepUp>;

const clockSkewMilliseconds = 300_000;

/** Throws `sign-in-not-recent`. Nobody signs in tomorrow: such a time is no time, and would be recent for ever. */
export const requireRecentSignIn = (
  { signedInAt }: Pick<Caller, "signedInAt">,
  { minutes, required }: StepUp,
  now: number,
): void => {
  const maxAgeSeconds = minutes * 60;
  const age = signedInAt === undefined ? null : now - signedInAt;
  const isRecent = age === null ? !required : age <= maxAgeSeconds * 1000 && age >= -clockSkewMilliseconds;
  if (!isRecent) throw new AppError("sign-in-not-recent", { maxAgeSeconds });
};
