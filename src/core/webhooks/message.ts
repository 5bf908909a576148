/**
 * What is sent: that there are changes, and up to which number. Who or what has changed is read from the change feed, by a caller
 * with the right to. Headers and signature are those of Standard Webhooks.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { createHmac } from "node:crypto";
import { z } from "zod";
import type { WebhookEndpoint } from "./endpoints.ts";

export const WebhookEvent = z.strictObject({
  type: z.enum(["changes.available", "webhook.test"]),
  workspace: z.string(),
  connection: z.string(),
  /** Of the newest change there is. Smaller numbers may be overtaken and never come. */
  sequence: z.int(),
});
export type WebhookEvent = z.infer<typeof WebhookEvent>;

export interface SignedMessage {
  headers: Record<string, string>;
  body: string;
}

/** Signed with every secret of the endpoint: a receiver that knows only one of two accepts it. */
export const signedMessage = (
  { secrets }: Pick<WebhookEndpoint, "secrets">,
  { id, now, event }: { id: string; now: number; event: WebhookEvent },
): SignedMessage => {
  const timestamp = Math.floor(now / 1000);
  const body = JSON.stringify(event);
  const signatures = secrets.map(
    (secret) => `v1,${createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest("base64")}`,
  );
  return {
    headers: {
      "content-type": "application/json",
      "user-agent": "m365-sync",
      "webhook-id": id,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": signatures.join(" "),
    },
    body,
  };
};
