/** Queue messages. They name, never decide; the body is wrapped so that no key shadows trigger metadata. */
import { z } from "zod";

const id = z.string().regex(/^[0-9a-z]{26}$/);

export const HintMessage = z.strictObject({
  hint: z.strictObject({ connectionId: id, receivedAt: z.int().positive(), mail: id.optional() }),
});
export type HintMessage = z.infer<typeof HintMessage>;

export const syncQueue = "directory-sync";
export const deliveryQueue = "webhook-delivery";
