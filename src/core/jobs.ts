/** Queue messages. They name, never decide; the body is wrapped so that no key shadows trigger metadata. */
import { z } from "zod";

export const HintMessage = z.strictObject({
  hint: z.strictObject({ connectionId: z.string().regex(/^[0-9a-z]{26}$/), receivedAt: z.int().positive() }),
});
export type HintMessage = z.infer<typeof HintMessage>;

export const syncQueue = "directory-sync";
